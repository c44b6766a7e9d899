"""Long-running operations: their effect is there at their end and not before, and their end may be a failure.

A call answers at once that it has been accepted, and where to ask. Whoever asks there, or looks at the resource, is one
poll. Services differ in the paths and in what an operation says of itself; the styles are those of the recordings.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from tests.builders.azure.fake.ids import new_guid
from tests.builders.azure.fake.settings import SUBSCRIPTION, Pace

Style = Literal["operations", "DiskOperations", "capsOperations", "network", "group"]


def always() -> bool:
    """No condition."""
    return True


def nothing() -> None:
    """No effect."""


@dataclass(kw_only=True)
class Operation:
    """One operation. `then` is its effect; `spoiled` is what is done instead when it fails.

    `ready` holds it back until something outside the API has happened, and may fail it by returning a code and a
    message. `output` is the resource that a finished disk operation shows.
    """

    id: str
    resource: str
    style: Style
    location: str
    namespace: str
    version: str
    pace: Pace
    then: Callable[[], None] = nothing
    spoiled: Callable[[], None] = nothing
    ready: Callable[[], bool | tuple[str, str]] = always
    output: Callable[[], Any] = nothing
    failure: tuple[str, str] | None = None
    status: str = "InProgress"
    guid: str = field(default_factory=new_guid)
    started: float = field(default_factory=time.time)
    ended: float | None = None
    begun: float = field(default_factory=time.monotonic)
    polls: int = 0

    def advance(self) -> None:
        """Come to an end, if it is time."""
        if self.status != "InProgress" or self.polls < self.pace.polls:
            return
        if time.monotonic() - self.begun < self.pace.seconds:
            return
        ready = self.ready()
        if ready is False:
            return
        if isinstance(ready, tuple):
            self.failure = ready
        self.ended = time.time()
        if self.failure:
            self.status = "Failed"
            self.spoiled()
        else:
            self.status = "Succeeded"
            self.then()

    def cancel(self) -> None:
        """Another operation has taken its place."""
        if self.status == "InProgress":
            self.status, self.ended = "Canceled", time.time()
            self.failure = ("OperationPreempted", "Operation execution has been preempted by a more recent operation.")

    def headers(self, base: str, *, asynchronous: bool = True, monitor: bool) -> dict[str, str]:
        """Where to ask, as the answer that accepted it says."""
        found = {}
        if asynchronous:
            found["Azure-AsyncOperation"] = base + self.path
        if monitor:
            found["Location"] = base + self.monitor_path
        return found

    @property
    def path(self) -> str:
        """Where its status is."""
        service = "operations" if self.style == "network" else self.style
        root = f"/subscriptions/{SUBSCRIPTION}/providers/{self.namespace}/locations/{self.location}"
        p = "p=54253b73-cb53-496f-ab42-5e5ee19426f8&" if self.style == "operations" else ""
        return f"{root}/{service}/{self.guid}?{p}api-version={self.version}"

    @property
    def monitor_path(self) -> str:
        """Where its result is."""
        if self.style == "group":
            return f"/subscriptions/{SUBSCRIPTION}/operationresults/{self.guid}?api-version={self.version}"
        if self.style == "network":
            return self.path.replace("/operations/", "/operationResults/")
        p = "p=54253b73-cb53-496f-ab42-5e5ee19426f8&" if self.style == "operations" else ""
        return f"{self.path.partition('?')[0]}?{p}monitor=true&api-version={self.version}"

    def as_json(self) -> dict[str, Any]:
        """Its status."""
        error = {"error": dict(zip(("code", "message"), self.failure, strict=True))} if self.failure else {}
        if self.style == "network":
            return {"status": self.status, **(error if self.ended else {})}
        told: dict[str, Any] = {"startTime": instant(self.started)}
        if self.ended:
            told["endTime"] = instant(self.ended)
        told["status"] = self.status
        if self.ended and self.failure:
            told |= error
        elif self.ended and self.style == "DiskOperations" and (output := self.output()) is not None:
            told["properties"] = {"output": output}
        return {**told, "name": self.guid}


def instant(seconds: float) -> str:
    """As Azure writes a time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
