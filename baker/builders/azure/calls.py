"""Asking Azure: a few methods, which send, retry what may be retried, and raise `AzureError` for the rest.

Sits on `sdk`, the only module that imports the SDK. The SDK's own retries are off: it sends a POST again after any
answer that names a time to wait, and registers resource providers by itself, without limit. Which answer is worth
another try is decided by the table of `errors`, and how long is waited, by the clock that is handed in.
"""

import os
import random
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import Any, TypeVar

from baker.builders.azure import ids
from baker.builders.azure.endpoints import Endpoints, endpoints_of
from baker.builders.azure.errors import Answer, AzureError, LostReplyError, not_installed
from baker.builders.azure.operations import Operation
from baker.builders.azure.sdk import Sdk, refused
from baker.errors import BuilderError, NoAccountError
from baker.ports import Clock

TRIES = 8
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.3, 20.0
LONGEST_RETRY_AFTER_SECONDS = 300.0

_NETWORK, _COMPUTE, _GALLERY = "2024-05-01", "2026-04-01", "2026-03-03"

API_VERSIONS: Mapping[str, str] = {
    ids.VM: _COMPUTE,
    ids.IMAGE: _COMPUTE,
    ids.DISK: "2026-03-02",
    ids.GALLERY: _GALLERY,
    ids.DEFINITION: _GALLERY,
    ids.VERSION: _GALLERY,
    ids.INTERFACE: _NETWORK,
    ids.ADDRESS: _NETWORK,
    ids.SECURITY_GROUP: _NETWORK,
    ids.NETWORK: _NETWORK,
    ids.SUBNET: _NETWORK,
    ids.SCHEDULE: "2018-09-15",
    ids.ROLE_ASSIGNMENT: "2022-04-01",
}
"""Those of compute are the ones that azure-mgmt-compute 39 was made for."""

_ACCOUNT_VERSION, _PERMISSIONS_VERSION = "2022-12-01", "2022-04-01"

Body = Mapping[str, Any]
T = TypeVar("T")


class Cloud:
    """The resources of one subscription. Clients are made once, when first asked for; usable from several threads."""

    def __init__(self, subscription: str | None, cloud: str | None, clock: Clock) -> None:
        self._subscription = subscription or os.environ.get("AZURE_SUBSCRIPTION_ID") or ""
        self._endpoints = cloud
        self._clock = clock
        self._making = Lock()
        self._made: Sdk | None = None

    def prepare(self) -> None:
        """Load the SDK and get a token now. NoAccountError without credentials."""
        self._sdk.token()

    @property
    def endpoints(self) -> Endpoints:
        return endpoints_of(self._endpoints)

    @property
    def subscription(self) -> str:
        """Its id. NoAccountError when none is named and the account does not see exactly one."""
        if not self._subscription:
            self._subscription = self._only_subscription()
        return self._subscription

    @property
    def place(self) -> str:
        """How the ledger calls it: the subscription, and which cloud it is of where a recipe names one."""
        return "/".join(filter(None, [self._endpoints, self.subscription]))

    def in_subscription(self, subscription: str) -> "Cloud":
        """The same account, elsewhere."""
        return Cloud(subscription, self._endpoints, self._clock)

    def group(self, name: str) -> ids.Group:
        return ids.Group(subscription=self.subscription, name=name)

    # --- single resources, by their ids

    def get(self, id: str, **parameters: str) -> dict[str, Any]:
        """A resource as Azure describes it. AzureError, with the answer GONE, when there is none.

        `parameters` are those of the query beside the version of the API.
        """
        return self.ask(f"get {id}", lambda sdk: sdk.get(id, _version(id), parameters))

    def find(self, id: str) -> dict[str, Any] | None:
        """As `get`; None when there is none."""
        try:
            return self.get(id)
        except AzureError as error:
            if error.answer is Answer.GONE:
                return None
            raise

    def put(self, id: str, body: Body) -> Operation:
        """Ask for a resource; it is there when the operation has succeeded.

        A reply that was lost is no reason to ask again for what is being made: then it is looked for.
        """
        for pause in self._pauses():
            try:
                return self._once(f"put {id}", lambda sdk: sdk.put(id, _version(id), body))
            except LostReplyError:
                if pause is None:
                    raise
                if self.find(id) is not None:
                    return Operation.of_resource(id)
            except AzureError as error:
                pause = self._pause_after(error, pause)  # noqa: PLW2901  (Azure may say how long)
            self._clock.sleep(pause)
        raise AssertionError("pauses end with None")

    def delete(self, id: str) -> Operation | None:
        """Ask for a deletion; None when there is nothing (any more)."""
        try:
            return self.ask(f"delete {id}", lambda sdk: sdk.delete(id, _version(id)))
        except AzureError as error:
            if error.answer is Answer.GONE:
                return None
            raise

    def tag(self, id: str, change: str, tags: Mapping[str, str]) -> Operation:
        """Change tags and leave the others as they are: `change` is "Merge" or "Delete"."""
        body = {"operation": change, "properties": {"tags": dict(tags)}}
        return self.ask(
            f"tag {id}", lambda sdk: sdk.begin(sdk.resources.tags.begin_update_at_scope, id.lstrip("/"), body)
        )

    def state(self, operation: Operation) -> tuple[bool, Body]:
        """Whether an operation has ended, and what it says. AzureError when it failed."""
        if operation.id:
            return operation.ended_by(self.get(operation.id))
        return self.ask("look at an operation", lambda sdk: sdk.poll(operation))

    # --- lists, all of their pages

    def tagged(self, tag: str) -> list[dict[str, Any]]:
        """All resources of the subscription that have a tag of this name, with `createdTime`."""
        wanted = f"tagName eq '{tag}'"
        return self.ask("list resources", lambda sdk: sdk.pages(sdk.resources.resources.list, filter=wanted,
                                                                expand="createdTime"))  # fmt: skip

    def tagged_groups(self, tag: str) -> list[dict[str, Any]]:
        """All resource groups of the subscription that have a tag of this name."""
        wanted = f"tagName eq '{tag}'"
        return self.ask("list groups", lambda sdk: sdk.pages(sdk.resources.resource_groups.list, filter=wanted))

    def listed(self, path: str, version: str = _ACCOUNT_VERSION) -> list[dict[str, Any]]:
        """The `value` of all pages below a path that no operation of the SDK covers."""
        return self.ask(f"list {path}", lambda sdk: sdk.listed(path, version))

    def permissions(self, scope: str) -> list[dict[str, Any]]:
        """What the caller may do in a subscription or group: `actions` and `notActions`, with `*` in them."""
        return self.listed(f"{scope}/providers/Microsoft.Authorization/permissions", _PERMISSIONS_VERSION)

    # --- anything else

    def ask(self, action: str, call: Callable[[Sdk], T]) -> T:
        """What `call` gives. AzureError for a refusal that a retry does not change.

        What Azure was too busy for is asked again, after growing pauses that nobody else has, or after the time that
        Azure says; so are calls whose reply was lost, which therefore must be harmless when made twice.
        """
        for pause in self._pauses():
            try:
                return self._once(action, call)
            except AzureError as error:
                wait = self._pause_after(error, pause)
            self._clock.sleep(wait)
        raise AssertionError("pauses end with None")

    def _once(self, action: str, call: Callable[[Sdk], T]) -> T:
        sdk = self._sdk
        with refused(action):
            return call(sdk)

    def _pause_after(self, error: AzureError, pause: float | None) -> float:
        """Seconds until the next try. Raises the error when there is none."""
        if error.answer is not Answer.AGAIN or pause is None:
            raise error
        asked = error.retry_after or 0.0
        if asked > LONGEST_RETRY_AFTER_SECONDS:
            raise error
        return max(pause, asked)

    def _pauses(self) -> Iterator[float | None]:
        """Seconds before each next try, None after the last: growing, and half of it by chance, so that many bakes that
        were refused together do not come back together."""
        for attempt in range(TRIES - 1):
            longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
            yield longest / 2 + random.random() * longest / 2  # noqa: S311  (spreads load, hides nothing)
        yield None

    @property
    def _sdk(self) -> Sdk:
        with self._making:
            if self._made is None:
                self._made = _opened(self.endpoints, self._subscription)
            return self._made

    def _only_subscription(self) -> str:
        found = [it for it in self.listed("/subscriptions") if it.get("state", "Enabled") == "Enabled"]
        if len(found) == 1:
            only = str(found[0]["subscriptionId"])
            with self._making:
                self._made = None  # its clients are of no subscription
            return only
        seen = tuple((str(it["subscriptionId"]), str(it.get("displayName", ""))) for it in found[:10])
        raise NoAccountError(
            f"the account sees {len(found) or 'no'} subscriptions, and none is named",
            details=seen,
            hint="set subscription in the Azure(...), or AZURE_SUBSCRIPTION_ID; `az account list` shows them",
        )


def _version(id: str) -> str:
    """The version of the API for a resource. A group has one of the SDK's own."""
    parsed = ids.parse(id)
    if parsed is None:
        raise BuilderError(f"{id!r} is no id of a resource", hint="`az resource list` shows ids")
    return API_VERSIONS.get(parsed.type, "")


def _opened(endpoints: Endpoints, subscription: str) -> Sdk:
    try:
        return Sdk(endpoints, subscription)
    except ModuleNotFoundError as error:
        raise not_installed() from error
