"""What Azure says, in our words: the words quoted are its own, from public issues and documentation."""

from typing import Any

import pytest
from azure.core import exceptions

from baker.builders.azure.errors import TRANSLATIONS, Answer, AzureError, LostReplyError, explain
from baker.builders.azure.operations import Operation
from baker.builders.azure.sdk import refused
from baker.errors import BuilderError, LaunchError, NoAccountError, ReachError, RecipeError

QUOTA = (
    "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional "
    "details - Current Limit: 100, Current Usage: 96, Additional Required: 64"
)
SPOT_QUOTA = QUOTA.replace("Total Regional Cores", "LowPriorityCores")
DENIED = (
    "The client 'x' with object id 'y' does not have authorization to perform action "
    "'Microsoft.Compute/virtualMachines/write' over scope '/subscriptions/s/resourceGroups/g' or the scope is invalid."
)
TRUSTED = "Creation of managed images are not supported for virtual machine with TrustedLaunch security type."
GENERATION = (
    "The resource with id '...' has a different Hypervisor generation ['V1'] than the parent gallery image Hypervisor"
    " generation ['V2']."
)
RUNNING = "Operation 'generalize' is not allowed on VM 'x' since the VM is running."


@pytest.mark.parametrize(
    ("code", "message", "status", "answer", "error", "said"),
    [
        ("OperationNotAllowed", QUOTA, 409, Answer.ELSEWHERE, LaunchError, "quota of processors"),
        ("OperationNotAllowed", SPOT_QUOTA, 409, Answer.ELSEWHERE, LaunchError, "quota of spot processors"),
        ("OperationNotAllowed", RUNNING, 409, Answer.TELL, BuilderError, "not deallocated and generalized"),
        ("SkuNotAvailable", "size not available", 409, Answer.ELSEWHERE, LaunchError, "no machine of the wanted size"),
        ("AllocationFailed", "no capacity", 200, Answer.ELSEWHERE, LaunchError, "no machine of the wanted size"),
        ("AuthorizationFailed", DENIED, 403, Answer.TELL, BuilderError, "may not do this"),
        ("InvalidParameter", TRUSTED, 400, Answer.TELL, RecipeError, "Trusted Launch"),
        ("BadRequest", GENERATION, 400, Answer.TELL, RecipeError, "generations"),
        ("ScopeLocked", "cannot perform delete", 409, Answer.TELL, BuilderError, "a lock"),
        ("ResourceGroupBeingDeleted", "...", 409, Answer.TELL, BuilderError, "is being deleted"),
        ("ResourceNotFound", "...", 404, Answer.GONE, BuilderError, "does not exist"),
        ("ResourceGroupNotFound", "...", 404, Answer.GONE, BuilderError, "does not exist"),
        ("404", "", 404, Answer.GONE, BuilderError, "does not exist"),
        ("TooManyRequests", "...", 429, Answer.AGAIN, BuilderError, "too much at once"),
        ("SomethingNew", "...", 429, Answer.AGAIN, BuilderError, "Azure refused"),
        ("RetryableErrorDueToAnotherOperation", "...", 409, Answer.AGAIN, BuilderError, "something else"),
        ("MissingSubscriptionRegistration", "...", 409, Answer.TELL, BuilderError, "not registered"),
        ("PlatformImageNotFound", "...", 404, Answer.TELL, RecipeError, "no such image"),
        ("InvalidAuthenticationTokenTenant", "...", 401, Answer.TELL, BuilderError, "does not accept the credentials"),
        ("SubscriptionNotFound", "...", 404, Answer.TELL, RecipeError, "no such subscription"),
        ("MarketplacePurchaseEligibilityFailed", "...", 400, Answer.TELL, BuilderError, "marketplace"),
        ("RequestDisallowedByPolicy", "...", 403, Answer.TELL, BuilderError, "policy"),
        ("OSProvisioningTimedOut", "...", 200, Answer.TELL, LaunchError, "did not report"),
        ("NeverHeardOf", "its own words", 400, Answer.TELL, BuilderError, "Azure refused making a thing"),
        ("NeverHeardOf", "its own words", 503, Answer.AGAIN, BuilderError, "Azure refused making a thing"),
    ],
)
def test_a_code_and_what_it_means(
    code: str, message: str, status: int, answer: Answer, error: type[Exception], said: str
) -> None:
    refusal = AzureError("put x", code, message, status)
    explained = explain(refusal, "making a thing")
    assert refusal.answer is answer
    assert type(explained) is error
    assert said in explained.summary
    assert dict(explained.details)["Azure says"] == f"{code}: {message}"
    assert explained.hint


def test_what_is_denied_is_named() -> None:
    details = dict(explain(AzureError("put x", "AuthorizationFailed", DENIED, 403), "making it").details)
    assert details["action"] == "Microsoft.Compute/virtualMachines/write"
    assert details["scope"] == "/subscriptions/s/resourceGroups/g"


def test_every_row_can_be_met() -> None:
    """A row that stands behind one with the same code and without words would never be asked."""
    for later, row in enumerate(TRANSLATIONS):
        for earlier in TRANSLATIONS[:later]:
            assert earlier.words.pattern or earlier.code.pattern != row.code.pattern


class Answered:
    """An answer of HTTP, as far as the border looks at it."""

    def __init__(self, status: int, body: Any, **headers: str) -> None:
        self.status_code, self.body, self.headers, self.reason = status, body, headers, "a reason"

    def json(self) -> Any:
        if self.body is None:
            raise ValueError("no JSON")
        return self.body

    def text(self, encoding: str | None = None) -> str:
        return ""


def _raised(error: Exception) -> BaseException:
    try:
        with refused("do it"):
            raise error
    except Exception as caught:  # noqa: BLE001
        return caught


def _sdk_errors() -> list[type[exceptions.AzureError]]:
    found, todo = [], [exceptions.AzureError]
    while todo:
        found.append(todo.pop())
        todo += found[-1].__subclasses__()
    return [it for it in found if it.__module__ == "azure.core.exceptions"]


@pytest.mark.parametrize("sdk_error", _sdk_errors(), ids=lambda it: it.__name__)
def test_each_exception_of_the_sdk_becomes_one_of_ours(sdk_error: type[Exception]) -> None:
    raised = sdk_error.__new__(sdk_error)
    Exception.__init__(raised, "a message")
    raised.message, raised.response, raised.error = "a message", None, None  # type: ignore[attr-defined]
    caught = _raised(raised)
    assert isinstance(caught, LostReplyError | NoAccountError)


def test_an_answer_without_a_body_keeps_its_status() -> None:
    error = exceptions.HttpResponseError(response=Answered(403, None))  # type: ignore[arg-type]
    caught = _raised(error)
    assert isinstance(caught, AzureError)
    assert (caught.code, caught.status) == ("403", 403)


def test_the_time_to_wait_is_kept() -> None:
    body = {"error": {"code": "TooManyRequests", "message": "slower"}}
    error = exceptions.HttpResponseError(response=Answered(429, body, **{"Retry-After": "17"}))  # type: ignore[arg-type]
    caught = _raised(error)
    assert isinstance(caught, AzureError)
    assert (caught.code, caught.retry_after, caught.answer) == ("TooManyRequests", 17.0, Answer.AGAIN)


def test_a_lost_reply_is_said_as_such() -> None:
    explained = explain(LostReplyError("put x", "ServiceResponseError", "reset"), "making it")
    assert isinstance(explained, ReachError)


# --- operations


def test_what_failed_later_is_an_answer_of_200_and_an_error() -> None:
    operation = Operation.started(201, {"Azure-AsyncOperation": "https://x/op"}, {}, "/id")
    assert operation.ended_with(200, {"status": "InProgress"})[0] is False
    assert operation.ended_with(200, {"status": "Succeeded"})[0] is True
    with pytest.raises(AzureError) as caught:
        operation.ended_with(200, {"status": "Failed", "error": {"code": "AllocationFailed", "message": "none left"}})
    assert (caught.value.code, caught.value.status, caught.value.answer) == ("AllocationFailed", 200, Answer.ELSEWHERE)


def test_a_location_says_202_until_the_end() -> None:
    operation = Operation.started(202, {"Location": "https://x/op"}, {}, "")
    assert operation.ended_with(202, {})[0] is False
    assert operation.ended_with(200, {})[0] is True


def test_without_headers_the_resource_itself_says() -> None:
    assert Operation.started(200, {}, {"properties": {"provisioningState": "Succeeded"}}, "/id").has_ended
    assert Operation.started(200, {}, {"id": "/id"}, "/id").has_ended
    assert Operation.started(201, {}, {"properties": {"provisioningState": "Creating"}}, "/id").id == "/id"
    with pytest.raises(AzureError):
        Operation.started(200, {}, {"properties": {"provisioningState": "Failed"}}, "/id")


def test_what_only_says_that_something_in_it_failed_is_looked_into() -> None:
    inner = {"code": "SkuNotAvailable", "message": "not here"}
    with pytest.raises(AzureError) as caught:
        Operation(status_url="x").ended_with(
            200, {"status": "Failed", "error": {"code": "DeploymentFailed", "message": "see", "details": [inner]}}
        )
    assert caught.value.code == "SkuNotAvailable"
