"""A machine that runs in Azure: is it alive, what does it say, end it, make it an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from baker.artifact import Artifact
from baker.builders.azure import ids
from baker.builders.azure.calls import Cloud
from baker.builders.azure.errors import Answer, AzureError
from baker.builders.azure.launch import Started
from baker.errors import MachineDiedError, SealError
from baker.ports import Address, Clock, RemovedLater
from baker.provisioner import Remote

_LOOK_EVERY_SECONDS = 5.0
_CONSOLE_LINES = 15

AGENT_FOLDER = "/var/lib/waagent"
"""Where Azure's agent keeps what it must know to remove the account that it made."""

_ALIVE = ("starting", "running")

_DEPROVISION = r"""
user=$1 folder=$2
command -v waagent >/dev/null || { echo "waagent is not on the machine" >&2; exit 1; }
home=$(getent passwd "$user" | cut -d: -f6)
waagent -deprovision+user -force || exit
sync
# From here on the account is gone: whatever is asked of the machine must be asked in this one command.
if getent passwd "$user" >/dev/null; then echo "the account $user is still there" >&2; exit 1; fi
if [ -n "$home" ] && [ -e "$home" ]; then echo "$home is still there" >&2; exit 1; fi
left=$(find "$folder" '(' -name ovf-env.xml -o -name provisioned -o -name '*.prv' -o -name '*.pem' ')' 2>/dev/null)
if [ -n "$left" ]; then echo "still there: $left" >&2; exit 1; fi
for file in passwd shadow group gshadow subuid subgid; do rm -f "/etc/$file-"; done  # where userdel keeps what it took
if [ -d "$folder" ]; then find "$folder" -mindepth 1 -delete || exit; fi  # nothing of it was searched for secrets
sync
"""


class Capture(Protocol):
    """Makes a machine that runs into an image."""

    def __call__(self, machine: str, name: str, labels: Mapping[str, str]) -> Artifact: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A machine, and what there is to know of it. `disks` maps the recipe's names to device paths.

    `whole` is the id of what ends it the shortest way: a group of its own, or the machine.
    """

    started: Started
    address: Address
    disks: Mapping[str, str]
    whole: str


class AzureMachine:
    """A running machine; its lifetime is that of the context which made it."""

    def __init__(self, launched: Launched, cloud: Cloud, capture: Capture, *, clock: Clock) -> None:
        self._launched = launched
        self._cloud = cloud
        self._capture = capture
        self._clock = clock
        self._looked = clock.monotonic()

    @property
    def id(self) -> str:
        return self._launched.started.id

    @property
    def address(self) -> Address:
        return self._launched.address

    @property
    def disks(self) -> Mapping[str, str]:
        """By their numbers, which are ours: a temporary disk, which Azure adds to many sizes, has none."""
        return self._launched.disks

    def check_alive(self) -> None:
        """MachineDiedError when it has ended, or Azure took it away. Asks every few seconds at most."""
        now = self._clock.monotonic()
        if now - self._looked < _LOOK_EVERY_SECONDS:
            return
        self._looked = now
        try:
            power = power_of(self._cloud, self.id)
        except AzureError:
            return  # what cannot be asked now is no proof of a death; whoever waits goes on waiting
        if power not in _ALIVE:
            raise MachineDiedError(
                f"the machine ended unexpectedly: {self._end(power)}", details=(("machine", self.diagnose()),)
            )

    def diagnose(self) -> str:
        """Its state and why, and the last lines of its console."""
        try:
            power = power_of(self._cloud, self.id)
        except AzureError as error:
            return f"{self.id}: Azure does not say ({error.code})"
        lines = [line for line in console(self._cloud, self.id).splitlines() if line.strip()]
        state = power if power in _ALIVE else self._end(power)
        return "\n".join([f"{self.id} is {state}", *lines[-_CONSOLE_LINES:]])

    @property
    def removed_by_finalize(self) -> RemovedLater:
        """The account, with its home, and the folder from which Azure's agent knows of it."""
        return RemovedLater(account=True, paths=(AGENT_FOLDER,))

    def finalize(self, remote: Remote) -> None:
        """Have Azure's agent undo what it did for this machine, as the last command. SealError when something stays."""
        words = ["/bin/sh", "-c", _DEPROVISION, "deprovision", self.address.user, AGENT_FOLDER]
        result = remote.run(words, sudo=True, check=False, quiet=True)
        if result.exit_code != 0:
            last = "\n".join((result.stderr or result.stdout).splitlines()[-8:])
            raise SealError(
                "the machine could not be deprovisioned",
                details=(("waagent", last or f"exit code {result.exit_code}, no output"),),
                hint="the source image needs the Azure Linux agent (package walinuxagent, or WALinuxAgent)",
            )

    def capture(self, name: str, labels: Mapping[str, str]) -> Artifact:
        """Deallocate and generalize the machine, and make an image of it."""
        try:
            power = power_of(self._cloud, self.id)
        except AzureError as error:
            raise MachineDiedError(f"the machine cannot be looked at before its capture: {error.code}") from error
        if power not in _ALIVE:
            raise MachineDiedError(
                f"the machine ended before its capture, and is not made an image: {self._end(power)}"
            )
        return self._capture(self.id, name, labels)

    def kill(self) -> None:
        """Ask for its end at once; whether it came, the clean-up sees."""
        try:
            self._cloud.delete(self._launched.whole)
        except AzureError:
            return

    def _end(self, power: str) -> str:
        """What to say of a machine that does not run. Azure tells of an eviction in no other way."""
        evicted = self._launched.started.spot and power in ("", "deallocating", "deallocated", "stopping")
        state = power or "it is not there any more"
        return f"{state}: Azure took the spot machine away (evicted)" if evicted else state


def power_of(cloud: Cloud, id: str) -> str:
    """`running`, `stopped`, `deallocated` and the like, from the instance view; empty when there is no machine."""
    group, name = _place(id)
    try:
        view = cloud.ask(
            "look at the machine", lambda sdk: sdk.call(sdk.compute.virtual_machines.instance_view, group, name)
        )
    except AzureError as error:
        if error.answer is Answer.GONE:
            return ""
        raise
    codes = [str(status.get("code", "")) for status in view.get("statuses") or ()]
    powers = [code.removeprefix("PowerState/") for code in codes if code.startswith("PowerState/")]
    return powers[-1].lower() if powers else "starting"  # Azure says nothing of a machine that it still makes


def console(cloud: Cloud, id: str) -> str:
    """What the machine printed last, as far as Azure has kept it; why not, where it cannot be read."""
    group, name = _place(id)
    try:
        found = cloud.ask(
            "look at the console",
            lambda sdk: sdk.call(sdk.compute.virtual_machines.retrieve_boot_diagnostics_data, group, name),
        )
        where = str(found.get("serialConsoleLogBlobUri") or "")
        return str(cloud.ask("read the console", lambda sdk: sdk.text(where))) if where else ""
    except AzureError as error:
        return f"(the console cannot be read: {error.code})"


def device_of(lun: int, controller: str) -> str:
    """Where udev puts a data disk by its number, by the rules of the agent (SCSI) or azure-vm-utils (NVMe)."""
    return f"/dev/disk/azure/data/by-lun/{lun}" if controller.lower() == "nvme" else f"/dev/disk/azure/scsi1/lun{lun}"


def _place(id: str) -> tuple[str, str]:
    """The group and the name of a machine."""
    parsed = ids.parse(id)
    assert parsed is not None  # noqa: S101  (ids of machines are made here)
    return parsed.group, parsed.name
