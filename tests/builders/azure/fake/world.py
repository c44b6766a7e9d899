"""The state of the fake: resources, groups, what is under way, the machines and the network.

One process has one world. All that changes it runs under its lock, one call at a time; only a machine's start and end
happen beside it. Time passes in `tick`, before and after each call: nobody can see it at other moments.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.builders.aws.fake.machines import Machines, NoMachines
from tests.builders.aws.fake.network import Addresses, Network
from tests.builders.azure.fake.faults import Fault, fits
from tests.builders.azure.fake.ids import group_id, key, name_of
from tests.builders.azure.fake.operations import Operation
from tests.builders.azure.fake.settings import Pace, Settings

if TYPE_CHECKING:
    from tests.builders.azure.fake.kinds import Kind


@dataclass(slots=True, kw_only=True)
class Resource:
    """A resource. `envelope` is what stands beside `properties`; `facts` is what Azure would not tell."""

    id: str
    kind: "Kind"
    location: str
    tags: dict[str, str]
    properties: dict[str, Any]
    envelope: dict[str, Any] = field(default_factory=dict)
    state: str = "Succeeded"
    facts: dict[str, Any] = field(default_factory=dict)
    created: float = field(default_factory=time.time)

    @property
    def name(self) -> str:
        return name_of(self.id)

    @property
    def type(self) -> str:
        return self.kind.type

    @property
    def pending(self) -> bool:
        """Whether an operation on it is under way."""
        return self.state not in ("Succeeded", "Failed")


@dataclass(slots=True, kw_only=True)
class Group:
    """A resource group."""

    id: str
    location: str
    tags: dict[str, str]
    managed_by: str | None = None
    state: str = "Succeeded"
    created: float = field(default_factory=time.time)

    @property
    def name(self) -> str:
        return name_of(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What somebody may do at a scope and below."""

    scope: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def allows(self, action: str, scope: str) -> bool:
        """Whether it covers an action on something."""
        if not (key(scope) + "/").startswith(key(self.scope).rstrip("/") + "/"):
            return False
        granted = any(fits(action, it) for it in self.actions)
        return granted and not any(fits(action, it) for it in self.not_actions)


EVERYTHING = Grant(scope="/", actions=("*",))


class AddressPool:
    """Loopback addresses of this process, given out again when they have come back."""

    def __init__(self) -> None:
        self._source = Addresses()
        self._free: list[str] = []

    def next(self) -> str:
        """An address that nobody has."""
        return self._free.pop(0) if self._free else self._source.next()

    def give_back(self, address: str) -> None:
        """Nobody has it any more."""
        self._free.append(address)


class World:
    """See the module."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.machines: Machines = NoMachines()
        self.network: Network | None = None
        self.addresses = AddressPool()
        self.watchers: list[Callable[[], None]] = []
        self.clear()

    def clear(self) -> None:
        """As it was at first; the machines are not its to end."""
        self.settings = Settings()
        self.faults: list[Fault] = []
        self.grants: list[Grant] = [EVERYTHING]
        self.groups: dict[str, Group] = {}
        self.resources: dict[str, Resource] = {}
        self.operations: dict[str, Operation] = {}
        self.registering: dict[str, int] = {}
        self.expired_before = 0.0
        self.identity_gone = False
        self.later_failure: str | None = None
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch, by Azure's clock."""
        return time.time() + self._ahead

    def pass_time(self, seconds: float) -> None:
        """Azure's clock goes ahead."""
        self._ahead += seconds

    def find(self, id: str) -> Resource | None:
        """The resource of this id, however it is spelled."""
        return self.resources.get(key(id))

    def of_type(self, type: str, below: str = "/") -> Iterator[Resource]:
        """All of a type, below a scope."""
        prefix = key(below).rstrip("/") + "/"
        for id, resource in list(self.resources.items()):
            if resource.type == type and id.startswith(prefix):
                yield resource

    def below(self, scope: str) -> list[Resource]:
        """All resources below a scope."""
        prefix = key(scope).rstrip("/") + "/"
        return [it for id, it in self.resources.items() if id.startswith(prefix)]

    def group_of(self, id: str) -> Group | None:
        """The group of a resource."""
        return self.groups.get(key(group_id(id)))

    def add(self, resource: Resource) -> None:
        """From now on it is there."""
        self.resources[key(resource.id)] = resource

    def remove(self, resource: Resource) -> None:
        """It is gone, with all below it. Idempotent."""
        if self.resources.pop(key(resource.id), None) is None:
            return
        for child in self.below(resource.id):
            self.remove(child)
        resource.kind.gone(resource)

    def pace_of(self, call: str) -> Pace:
        """How long this call's operation takes."""
        found = self.settings.pace
        for pattern, pace in self.settings.paces.items():
            if fits(call, pattern):
                found = pace
        return found

    def begin(self, operation: Operation) -> Operation:
        """Something is under way; what was under way for the same resource is not any more."""
        for other in self.operations.values():
            if other.resource == operation.resource:
                other.cancel()
        if self.later_failure:
            operation.failure = (self.later_failure, "injected by a test")
            self.later_failure = None
        self.operations[operation.guid] = operation
        return operation

    def polled(self, id: str) -> None:
        """Somebody looked at a resource that something is under way for."""
        for operation in self.operations.values():
            if operation.resource == key(id):
                operation.polls += 1

    def finish(self) -> None:
        """Let all that is under way end, as far as it does not wait for a machine."""
        for operation in self.operations.values():
            operation.pace = Pace(polls=0)
        self.tick()

    def tick(self) -> None:
        """Let happen what is due."""
        for watch in self.watchers:
            watch()
        for operation in list(self.operations.values()):
            operation.advance()


world = World()
