"""A machine that runs in EC2: is it alive, what does it say, end it, make it an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from baker.artifact import Artifact
from baker.builders.aws import instances
from baker.builders.aws.calls import SETTLING_SECONDS, Cloud
from baker.builders.aws.errors import AwsError, explain
from baker.builders.aws.instances import LOST_MACHINE, Seen
from baker.builders.aws.launch import terminate_all
from baker.builders.aws.waiting import RUNNING, poll
from baker.errors import MachineDiedError
from baker.ports import Address, Clock, RemovedLater
from baker.provisioner import Remote

_LOOK_EVERY_SECONDS = 5.0
_CONSOLE_LINES = 15


class Capture(Protocol):
    """Makes a machine that runs into an image."""

    def __call__(self, machine: Seen, name: str, labels: Mapping[str, str]) -> Artifact: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A machine, and what there is to know of it. `disks` maps the recipe's names to volume ids."""

    seen: Seen
    address: Address
    disks: Mapping[str, str]
    run_id: str
    role: str


class AwsMachine:
    """A running instance; its lifetime is that of the context which made it."""

    def __init__(self, launched: Launched, cloud: Cloud, capture: Capture, *, clock: Clock) -> None:
        self._launched = launched
        self._cloud = cloud
        self._capture = capture
        self._clock = clock
        self._looked = clock.monotonic()

    @property
    def id(self) -> str:
        return self._launched.seen.id

    @property
    def address(self) -> Address:
        return self._launched.address

    @property
    def disks(self) -> Mapping[str, str]:
        """Where udev puts each volume by its NVMe serial, which is its id without the dash: the order in which a
        machine finds its disks is not that in which they were asked for, and instance-store disks lie among them."""
        return {name: device_of(volume) for name, volume in self._launched.disks.items()}

    def check_alive(self) -> None:
        """MachineDiedError with EC2's reason when it has ended. Asks every few seconds at most: it is often called."""
        now = self._clock.monotonic()
        if now - self._looked < _LOOK_EVERY_SECONDS:
            return
        self._looked = now
        try:
            seen = instances.look(self._cloud, self.id)
        except AwsError:
            return  # what cannot be asked now is no proof of a death; whoever waits goes on waiting
        if seen is not None and seen.state not in ("running", "pending"):
            raise MachineDiedError(
                f"the machine ended unexpectedly: {seen.reason or seen.state}",
                details=(("machine", self.diagnose()),),
                hint=LOST_MACHINE,
            )

    def diagnose(self) -> str:
        """Its state and why, and the last lines of its console."""
        try:
            seen = instances.look(self._cloud, self.id)
        except AwsError as error:
            return f"{self.id}: EC2 does not say ({error.code})"
        state = f"{seen.state} {seen.reason}".strip() if seen else "not known to EC2"
        lines = [line for line in instances.console(self._cloud, self.id).splitlines() if line.strip()]
        return "\n".join([f"{self.id} is {state}", *lines[-_CONSOLE_LINES:]])

    @property
    def removed_by_finalize(self) -> RemovedLater:
        """Nothing: the seal removes it all."""
        return RemovedLater()

    def finalize(self, remote: Remote) -> None:
        """Write everything to the disks. Blocks that no file uses cost nothing in a snapshot of a fresh volume."""
        remote.run("sync", sudo=True, quiet=True)

    def capture(self, name: str, labels: Mapping[str, str]) -> Artifact:
        """Stop the machine, and make all its volumes an image."""
        try:
            seen = poll(
                lambda: instances.look(self._cloud, self.id),
                timeout=SETTLING_SECONDS,
                clock=self._clock,
                pauses=RUNNING,
            )
        except AwsError as error:
            raise explain(error, "looking at the machine before its capture") from error
        if seen is None or seen.state != "running":
            reason = (seen.reason or seen.state) if seen else "EC2 does not know it"
            raise MachineDiedError(
                f"the machine ended before its capture, and is not made an image: {reason}", hint=LOST_MACHINE
            )
        return self._capture(seen, name, labels)

    def kill(self) -> None:
        """Ask for its end at once; whether it came, the clean-up sees."""
        try:
            terminate_all(instances.of_run(self._cloud, self._launched.run_id, self._launched.role), self._cloud)
        except AwsError:
            return


def device_of(volume_id: str) -> str:
    """The path that udev gives an EBS volume on a Nitro machine."""
    return f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume_id.replace('-', '')}"
