"""What Azure and its SDK say, turned into errors of ours, by one table.

Codes are those of https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors and
of the compute service. The SDK's own classes say little: each 409 is one and the same, and what failed later is no
error of HTTP at all. What the table does not know still becomes an error with Azure's own words and code.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from baker.errors import BakeError, BuilderError, BuilderUnavailableError, LaunchError, ReachError, RecipeError

TIMED_OUT = "NotFinishedInTime"
"""The code of the error for what took too long; none of Azure's own."""


class Answer(Enum):
    """What to do about an error."""

    TELL = auto()
    """Nothing but to tell: trying again would end the same."""
    AGAIN = auto()
    """Ask again after a while: Azure was busy, or something else was being done to the same thing."""
    ELSEWHERE = auto()
    """Ask for it in another size, or at full price."""
    GONE = auto()
    """It does not exist: who wanted it removed is content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What it means when Azure answers with a code that `code` matches as a whole, and words in which `words` is."""

    code: re.Pattern[str]
    words: re.Pattern[str]
    answer: Answer
    error: type[BakeError] = BuilderError
    summary: str = ""
    hint: str | None = None


def _row(
    code: str,
    answer: Answer,
    error: type[BakeError] = BuilderError,
    summary: str = "",
    hint: str | None = None,
    *,
    words: str = "",
) -> Translation:
    return Translation(
        code=re.compile(code, re.IGNORECASE),
        words=re.compile(words, re.IGNORECASE),
        answer=answer,
        error=error,
        summary=summary,
        hint=hint,
    )


_QUOTA_HINT = (
    "end other machines, name a size of another family in sizes=(...), or ask for more in the portal under "
    "Subscriptions, Usage + quotas"
)

TRANSLATIONS = (
    _row(
        "OperationNotAllowed|Conflict|InvalidParameter|BadRequest",
        Answer.TELL, summary="Azure takes the machine for one that is not deallocated and generalized",
        hint="somebody else may have started it meanwhile; bake again",
        words="generalize",
    ),
    _row(
        "TooManyRequests|SubscriptionRequestsThrottled|ResourceRequestsThrottled|OperationNotAllowedThrottled|429|"
        "ResourceCollectionRequestsThrottled|TenantRequestsThrottled",
        Answer.AGAIN, summary="Azure was asked too much at once, and went on refusing",
        hint="other programs use this subscription at the same time; try again later",
    ),
    _row(
        "InternalServerError|InternalExecutionError|InternalOperationError|ServiceUnavailable|ServerTimeout|"
        "GatewayTimeout|BadGateway|ServerBusy|NetworkingInternalOperationError|StorageFailure",
        Answer.AGAIN, summary="Azure has a fault of its own, and went on having it",
        hint="https://azure.status.microsoft; try again later",
    ),
    _row(
        "RetryableError(DueToAnotherOperation)?|AnotherOperationInProgress|ReferencedResourceNotProvisioned|"
        "OperationPreempted|ConcurrentUpdateError|Conflict|InUse.*CannotBeDeleted|.*InUse|NicInUse|"
        "NicReservedForAnotherVm|ResourceGroupDeletionBlocked|CannotDeleteResource",
        Answer.AGAIN, summary="something else is being done to it, or still uses it", hint="try again in some minutes",
    ),
    _row(
        "ScopeLocked|CanNotDelete.*|ReadOnlyDisabledSubscription",
        Answer.TELL, summary="a lock keeps this from being changed or removed",
        hint="`az lock list` shows it; whoever set it can take it off, and then `bake sweep --on azure --yes` removes "
        "what is left",
    ),
    _row(
        "OperationNotAllowed|QuotaExceeded|ResourceQuotaExceeded",
        Answer.ELSEWHERE, LaunchError, "the subscription's quota of spot processors is used up",
        'set spot="prefer", or ask for more in the portal under Subscriptions, Usage + quotas (Spot vCPUs)',
        words="low-?priority|spot",
    ),
    _row(
        "OperationNotAllowed|QuotaExceeded|ResourceQuotaExceeded",
        Answer.ELSEWHERE, LaunchError, "the subscription's quota of processors is used up", _QUOTA_HINT,
        words="quota",
    ),
    _row(
        "PublicIPCountLimitReached|.*CountLimitReached|.*LimitReached|StorageAccountLimitReached|.*QuotaExceeded",
        Answer.TELL, summary="a quota of the subscription is used up",
        hint="`bake sweep --on azure` shows what dead bakes left; the portal has more under Usage + quotas",
    ),
    _row(
        "SkuNotAvailable|AllocationFailed|ZonalAllocationFailed|OverconstrainedAllocationRequest|"
        "OverconstrainedZonalAllocationRequest|.*CapacityNotAvailable|SpotCapacityNotAvailable",
        Answer.ELSEWHERE, LaunchError, "no machine of the wanted size can be had now",
        "name more sizes, or another location; spot machines may be out while others are not",
    ),
    _row(
        "InvalidParameter|BadRequest|InvalidRequest",
        Answer.TELL, RecipeError, "a managed image cannot be made of a machine with Trusted Launch",
        'take a source of generation 1, security="Standard", or a gallery',
        words="TrustedLaunch",
    ),
    _row(
        "BadRequest|InvalidParameter|.*HypervisorGeneration.*|InvalidRequest",
        Answer.TELL, RecipeError, "the generations of the image and of the gallery's definition differ",
        "name another definition in the Gallery(...), or a source image of the definition's generation",
        words="hyper-?v(isor)? ?generation",
    ),
    _row(
        "ResourceGroupBeingDeleted",
        Answer.TELL, summary="the resource group is being deleted",
        hint="wait for its end, or name another one with resource_group",
    ),
    _row(
        "AuthorizationFailed|LinkedAuthorizationFailed|AuthorizationPermissionMismatch|Forbidden",
        Answer.TELL, summary="the account that bakes may not do this",
        hint="baker/builders/azure/roles has the roles that a bake, a share and a sweep need; a new assignment takes "
        "minutes to count",
    ),
    _row(
        "InvalidAuthenticationToken.*|AuthenticationFailed|ExpiredAuthenticationToken|InvalidTenant.*|"
        "Unauthorized|invalid_client|invalid_grant",
        Answer.TELL, summary="Azure does not accept the credentials",
        hint="log in again (`az login --tenant ...`), or look at AZURE_TENANT_ID and AZURE_CLIENT_ID: the subscription "
        "must belong to that tenant",
    ),
    _row(
        "SubscriptionNotFound|InvalidSubscriptionId|DisallowedProvider|SubscriptionNotRegistered",
        Answer.TELL, RecipeError, "there is no such subscription for this account",
        "`az account list` shows those that there are; set subscription in the Azure(...), or AZURE_SUBSCRIPTION_ID",
    ),
    _row(
        "MissingSubscriptionRegistration|NoRegisteredProviderFound",
        Answer.TELL, summary="a resource provider is not registered in the subscription",
        hint="az provider register --namespace Microsoft.Compute (and Microsoft.Network, Microsoft.DevTestLab)",
    ),
    _row(
        "RequestDisallowedByPolicy|PolicyViolation.*",
        Answer.TELL, summary="a policy of the subscription forbids this",
        hint="its message names the policy; tags, public addresses and locations are what policies forbid most",
    ),
    _row(
        "MarketplacePurchaseEligibilityFailed|ResourcePurchaseValidationFailed|VMMarketplaceInvalidInput|"
        "ResourcePurchaseCanceling|ReadOnlyDisabledSubscription",
        Answer.TELL, summary="the marketplace does not give the source image to this subscription",
        hint="accept its terms: az vm image terms accept --urn PUBLISHER:OFFER:SKU:VERSION",
    ),
    _row(
        "PlatformImageNotFound|ImageNotFound|ImageVersionNotFound|GalleryImageNotFound|ArtifactNotFound",
        Answer.TELL, RecipeError, "there is no such image in this location",
        "`az vm image list --all --publisher ...` lists what a publisher has",
    ),
    _row(
        "LocationNotAvailableForResourceType|LocationNotAvailable|InvalidLocation|LocationNotFoundForRequest",
        Answer.TELL, RecipeError, "there is no such location, or not for this",
        "`az account list-locations` lists them; set location in the Azure(...) of the recipe",
    ),
    _row(
        "InvalidResourceLocation|InvalidResourceGroupLocation",
        Answer.TELL, RecipeError, "it exists already in another location", "name another group, or its location",
    ),
    _row(
        "VMSizeDoesntSupport.*|InvalidVMSize|VirtualMachineSizeNotFound",
        Answer.TELL, RecipeError, "the size does not go with the image", "name other sizes in the Azure(...)",
    ),
    _row(
        TIMED_OUT,
        Answer.TELL, summary="Azure accepted it, and did not come to an end with it in time",
        hint="the portal's activity log says what it works on; try again later",
    ),
    _row(
        "OSProvisioningTimedOut|OSProvisioningClientError|OSProvisioningInternalError|VMStartTimedOut|"
        "VMAgentStatusCommunicationError",
        Answer.TELL, LaunchError, "the machine started, and did not report that it is ready",
        "the source image needs the Azure Linux agent or cloud-init",
    ),
    _row(
        "ResourceNotFound|NotFound|ResourceGroupNotFound|ParentResourceNotFound|GalleryNotFound|404",
        Answer.GONE, summary="it does not exist (any more)",
        hint="look at the groups, galleries and ids in the Azure(...) of the recipe",
    ),
)  # fmt: skip


class AzureError(Exception):
    """An answer of Azure: `code` and `message` in its words, and the `action` asked for; stays in this package.

    `status` is that of HTTP, 200 for what was accepted and failed later; `retry_after` is in seconds.
    """

    def __init__(
        self, action: str, code: str, message: str, status: int = 0, *, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{action}: {code}: {message}")
        self.action = action
        self.code = code
        self.message = message
        self.status = status
        self.retry_after = retry_after

    @property
    def answer(self) -> Answer:
        translation = translation_of(self.code, self.message)
        if self.status == 429:
            return Answer.AGAIN
        if translation:
            return translation.answer
        if self.status == 404:
            return Answer.GONE
        return Answer.AGAIN if self.status >= 500 else Answer.TELL


class LostReplyError(AzureError):
    """The connection ended before the answer came: what was asked for may have been done."""

    @property
    def answer(self) -> Answer:
        return Answer.AGAIN


def translation_of(code: str, message: str = "") -> Translation | None:
    return next((row for row in TRANSLATIONS if row.code.fullmatch(code) and row.words.search(message)), None)


def explain(error: AzureError, doing: str) -> BakeError:
    """The error for an answer of Azure: what failed, Azure's code and words, and what to do."""
    details = [("while", f"{doing} ({error.action})"), ("Azure says", f"{error.code}: {error.message}")]
    if isinstance(error, LostReplyError):
        hint = "look at the network and at proxies; nothing was left behind, or `bake sweep --on azure` finds it"
        return ReachError(f"Azure cannot be reached while {doing}", details=details, hint=hint)
    row = translation_of(error.code, error.message)
    if row is None:
        return BuilderError(f"Azure refused {doing}", details=details, hint="Azure's own words are above")
    if denied := re.search(r"action '([^']+)' over scope '([^']+)'", error.message):
        details += [("action", denied[1]), ("scope", denied[2])]
    return row.error(row.summary or f"Azure refused {doing}", details=details, hint=row.hint)


@contextmanager
def explaining(doing: str) -> Iterator[None]:
    """Turn an answer of Azure into an error of ours that says what was being done."""
    try:
        yield
    except AzureError as error:
        raise explain(error, doing) from error


def not_installed() -> BuilderUnavailableError:
    return BuilderUnavailableError("the Azure SDK is not installed", hint="pip install 'image-baker[azure]'")
