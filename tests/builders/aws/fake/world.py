"""The state of the fake beside moto's own: what is under way, what is not seen yet, the machines and the network.

One process has one world. All that changes it runs under its lock, one call of the API at a time; only a machine's
start and end happen beside it. Time passes in `tick`, before and after each call: nobody can see it at other moments.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.ec2.models import EC2Backend, ec2_backends

from tests.builders.aws.fake.faults import Fault
from tests.builders.aws.fake.machines import Machines, NoMachines
from tests.builders.aws.fake.network import Addresses, Network
from tests.builders.aws.fake.refusal import Refusal
from tests.builders.aws.fake.settings import ACCOUNT, REGIONS, Pace, Settings

_KINDS = {"i": "instance", "ami": "image", "sg": "security-group", "key": "key-pair", "snap": "snapshot"}

_NOT_FOUND = {
    "instance": ("InvalidInstanceID.NotFound", "The instance ID '{id}' does not exist"),
    "image": ("InvalidAMIID.NotFound", "The image id '[{id}]' does not exist"),
    "security-group": ("InvalidGroup.NotFound", "The security group '{id}' does not exist"),
    "key-pair": ("InvalidKeyPair.NotFound", "The key pair '{id}' does not exist"),
    "snapshot": ("InvalidSnapshot.NotFound", "The snapshot '{id}' does not exist."),
}


def always() -> bool:
    """No condition."""
    return True


@dataclass(kw_only=True)
class Wait:
    """A change that is coming: `then` runs once the pace is over and `ready` says so."""

    kind: str
    id: str
    pace: Pace
    then: Callable[[], None]
    ready: Callable[[], bool] = always
    started: float = field(default_factory=time.monotonic)
    polls: int = 0

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return self.polls >= self.pace.polls and time.monotonic() - self.started >= self.pace.seconds and self.ready()

    @property
    def progress(self) -> int:
        """Percent, below 100."""
        time_share = (time.monotonic() - self.started) / self.pace.seconds if self.pace.seconds else 1.0
        poll_share = self.polls / self.pace.polls if self.pace.polls else 1.0
        return min(99, int(100 * min(time_share, poll_share)))


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of EC2's API, with its parameters as boto3 was given them."""

    action: str
    parameters: dict[str, Any]
    region: str
    account: str

    @property
    def backend(self) -> EC2Backend:
        """moto's resources of the account in the region."""
        return ec2_backends[self.account][self.region]

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter."""
        return self.parameters.get(name, default)

    def stop_if_dry(self) -> None:
        """Refusal for a dry run, which has been found to be in order so far."""
        if self.parameters.get("DryRun"):
            raise Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")


class World:
    """See the module."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.machines: Machines = NoMachines()
        self.network: Network | None = None
        self.addresses = Addresses()
        self.watchers: list[Callable[[], None]] = []
        self.clear()

    def clear(self) -> None:
        """As it was at first; the machines are not its to end."""
        self.settings = Settings()
        self.faults: list[Fault] = []
        self.expired: set[str] = set()
        self.policies: dict[str, dict[str, Any]] = {}
        self.block_public_access: dict[str, str] = {}
        self.fail_next_image: str | None = None
        self._waits: list[Wait] = []
        self._hidden: dict[str, int] = {}
        self._tokens: dict[tuple[str, str, str], tuple[str, list[str]]] = {}

    def backends(self, *, all_regions: bool = False) -> Iterator[EC2Backend]:
        """Of our account: in the regions where something was asked for, or in all."""
        made = ec2_backends[ACCOUNT]
        for region in REGIONS if all_regions else list(made.keys()):
            yield made[region]

    def instances(self) -> list[Any]:
        """All of them, whatever became of them."""
        return [instance for backend in self.backends() for instance in backend.all_instances()]

    def wait(self, wait: Wait) -> None:
        """Let something come."""
        self._waits.append(wait)

    def cancel(self, id: str) -> None:
        """Nothing comes for `id` any more."""
        self._waits = [it for it in self._waits if it.id != id]

    def waiting(self, id: str) -> Wait | None:
        """What is coming for `id`."""
        return next((it for it in self._waits if it.id == id), None)

    def tick(self) -> None:
        """Let happen what is due."""
        for watch in self.watchers:
            watch()
        for wait in [it for it in self._waits if it.due]:
            if wait in self._waits:
                self._waits.remove(wait)
                wait.then()

    def polled(self, kind: str, ids: list[str]) -> None:
        """A call has looked at things of a kind: at all of them, or at `ids`."""
        for wait in self._waits:
            if wait.kind == kind and (not ids or wait.id in ids):
                wait.polls += 1

    def created(self, id: str) -> None:
        """From now on `id` exists, and is not seen for some calls."""
        kind = _KINDS.get(id.partition("-")[0], "")
        calls = self.settings.hidden_calls.get(kind, 0)
        if calls:
            self._hidden[id] = calls

    def check_seen(self, call: Call) -> None:
        """Refusal when the call names what is not seen yet."""
        for id in sorted(_ids_in(call.parameters)):
            if self._hidden.get(id):
                self._hidden[id] -= 1
                code, message = _NOT_FOUND[_KINDS[id.partition("-")[0]]]
                raise Refusal(code, message.format(id=id))

    def seen(self, things: list[Any]) -> list[Any]:
        """Those of `things` (with an `id`) that a listing shows."""
        shown = []
        for it in things:
            if self._hidden.get(it.id):
                self._hidden[it.id] -= 1
            else:
                shown.append(it)
        return shown

    def answered_before(self, call: Call) -> list[str] | None:
        """What a call with this ClientToken made before. Refusal when it asked for something else then."""
        token = call.get("ClientToken")
        known = self._tokens.get((call.region, call.action, token)) if token else None
        if known is None:
            return None
        if known[0] != _digest(call.parameters):
            raise Refusal(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        return known[1]

    def answer(self, call: Call, ids: list[str]) -> None:
        """Remember what this call made."""
        if call.get("ClientToken"):
            self._tokens[(call.region, call.action, call.get("ClientToken"))] = (_digest(call.parameters), ids)


def _ids_in(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value} if value.partition("-")[0] in _KINDS else set()
    if isinstance(value, dict):
        return {id for name, it in value.items() if name not in ("TagSpecifications", "Filters") for id in _ids_in(it)}
    if isinstance(value, list):
        return {id for it in value for id in _ids_in(it)}
    return set()


def _digest(parameters: dict[str, Any]) -> str:
    def plain(value: Any) -> str:
        if isinstance(value, (bytes, bytearray)):
            return value.hex()
        if isinstance(value, datetime):
            return value.isoformat()
        raise TypeError(type(value).__name__)

    text = json.dumps({k: v for k, v in parameters.items() if k != "ClientToken"}, sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()


world = World()
