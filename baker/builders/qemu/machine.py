"""A machine that runs in a QEMU process: is it alive, what does it say, switch it off, make it an image."""

import re
import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from baker.artifact import Artifact
from baker.builders.qemu.capture import Describe, Images, NamedDisk, refuse_name, write_image
from baker.builders.qemu.errors import tail
from baker.builders.qemu.monitor import Monitor, MonitorError, MonitorEvent
from baker.builders.qemu.process import ChildProcess
from baker.errors import BuilderError, CaptureError, DiskFullError, MachineDiedError
from baker.events import Emit, FactRecorded, Notice
from baker.home import Home
from baker.ports import Address, Clock, RemovedLater
from baker.provisioner import Remote

POWER_OFF_SECONDS = 300.0
"""systemd gives services 90 s to stop; an emulated machine on a busy host is slow besides."""

_PRESS_AGAIN_SECONDS = 15.0
_LOOK_SECONDS = 0.5
_SERIAL_TAIL_BYTES = 1 << 16
_FORWARDED_PORT = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)")

_FINALIZE = "sync; fstrim --all --verbose; trimmed=$?; sync; exit $trimmed"

DescribeImage = Callable[[str, Mapping[str, str]], Describe]
"""From an image's name and labels to what completes its description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A QEMU that runs, and what there is to know of it. `disks` begin with the one that boots."""

    id: str
    run_id: str
    home: Home
    address: Address
    process: ChildProcess
    monitor: Monitor
    serial: Path
    serial_log: Path
    disks: tuple[NamedDisk, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capturing:
    """How a machine becomes an image: described how, and how long it may take to switch itself off."""

    describe: DescribeImage
    power_off_seconds: float = POWER_OFF_SECONDS


class QemuMachine:
    """A running machine; its lifetime is that of the context which made it."""

    def __init__(self, started: Started, capturing: Capturing, *, emit: Emit, clock: Clock) -> None:
        self._started = started
        self._capturing = capturing
        self._emit = emit
        self._clock = clock
        self._process = started.process
        self._monitor = started.monitor

    @property
    def id(self) -> str:
        return self._started.id

    @property
    def address(self) -> Address:
        return self._started.address

    @property
    def disks(self) -> Mapping[str, str]:
        """Where udev puts each by its serial, which is its name in the recipe."""
        _root, *data = self._started.disks
        return {disk.name: f"/dev/disk/by-id/virtio-{disk.name}" for disk in data}

    def check_alive(self) -> None:
        """MachineDiedError when it has ended; DiskFullError when QEMU stopped it because the host's disk is full."""
        exit_code = self._process.poll()
        events = self._monitor.events()
        self._raise_for_stopped(events)
        if exit_code is not None:
            raise MachineDiedError(
                f"the machine ended unexpectedly: {why_ended(exit_code, events)}", details=self._last_words()
            )

    def diagnose(self) -> str:
        """Whether it runs, and the last lines of its console and of QEMU."""
        exit_code = self._process.poll()
        state = "is running" if exit_code is None else f"has ended: {why_ended(exit_code, self._monitor.events())}"
        return "\n".join([f"the machine {state}", *(f"{label}:\n{text}" for label, text in self._last_words())])

    @property
    def removed_by_finalize(self) -> RemovedLater:
        """Nothing: the seal removes it all."""
        return RemovedLater()

    def finalize(self, remote: Remote) -> None:
        """Write everything to the disks, and give back the blocks that no file uses any more."""
        result = remote.run(_FINALIZE, sudo=True, check=False, quiet=True)
        if result.exit_code:
            text = (
                "the disks could not be trimmed: the image may be larger than it need be, and what was removed may "
                f"still be readable in its free blocks (fstrim exited with {result.exit_code}: {result.stderr.strip()})"
            )
            self._emit(Notice(level="warning", text=text))

    def capture(self, name: str, labels: Mapping[str, str]) -> Artifact:
        """Switch the machine off as its power button would, and make its disks the image `name`."""
        images = Images(home=self._started.home, run_id=self._started.run_id, emit=self._emit, clock=self._clock)
        refuse_name(images.folder, name)
        self.check_alive()
        self._power_off()
        describe = self._capturing.describe(name, labels)
        artifact = write_image(images, name, self._started.disks, describe)
        start = f'image={shlex.quote(artifact.id)}   # and start it as "Use an image" in README shows'
        self._emit(FactRecorded(source="capture", name="next command", value=start))
        return artifact

    def kill(self) -> None:
        """End it at once, in any state. Its disks are then fit for nothing."""
        self._process.kill()

    def _power_off(self) -> None:
        """Press the power button until the machine is off. CaptureError when it does not switch itself off in time."""
        clock, patience = self._clock, self._capturing.power_off_seconds
        deadline = clock.monotonic() + patience
        next_press = clock.monotonic()
        while (exit_code := self._process.poll()) is None:
            self._raise_for_stopped(self._monitor.events())
            if clock.monotonic() >= deadline:
                raise CaptureError(
                    f"the machine did not switch itself off within {patience:.0f} s",
                    details=self._last_words(),
                    hint="a service may hang while it is stopped: see the serial log",
                )
            if clock.monotonic() >= next_press:
                self._press_power_button()
                next_press = clock.monotonic() + _PRESS_AGAIN_SECONDS
            self._process.wait(_LOOK_SECONDS)
        events = self._monitor.events()
        if exit_code != 0 or _shutdown_reason(events) != "guest-shutdown":
            raise CaptureError(
                f"the machine did not end by a clean poweroff: {why_ended(exit_code, events)}",
                details=self._last_words(),
            )

    def _press_power_button(self) -> None:
        try:
            self._monitor.execute("system_powerdown")
        except MonitorError as error:
            if self._process.wait(_LOOK_SECONDS) is None:
                raise CaptureError(
                    "QEMU cannot be told to switch the machine off", details=(("reason", str(error)),)
                ) from error

    def _raise_for_stopped(self, events: tuple[MonitorEvent, ...]) -> None:
        """QEMU holds a machine whose disk cannot be written; to everyone else it would look like a hang."""
        for event in events:
            if event.name == "BLOCK_IO_ERROR" and event.data.get("action") == "stop":
                raise DiskFullError(
                    "no room is left on the baking host's disk, so the machine was stopped",
                    details=(("reason", str(event.data.get("reason", "unknown"))),),
                    hint="free some space, or set BAKER_HOME to a folder on a larger disk",
                )

    def _last_words(self) -> tuple[tuple[str, str], ...]:
        said = (
            ("last lines of the console", tail(_end_of(self._started.serial))),
            ("QEMU said", tail(self._process.stderr())),
            ("serial log", str(self._started.serial_log)),
        )
        return tuple((label, text) for label, text in said if text)


def ssh_port(monitor: Monitor) -> int:
    """The port of the baking host's loopback address that QEMU chose for the machine's SSH."""
    table = str(monitor.execute("human-monitor-command", **{"command-line": "info usernet"}))
    found = _FORWARDED_PORT.search(table)
    if found is None:
        raise BuilderError("QEMU does not forward a port to the machine", details=(("info usernet", table),))
    return int(found[1])


def _shutdown_reason(events: tuple[MonitorEvent, ...]) -> str | None:
    reasons = [event.data.get("reason") for event in events if event.name == "SHUTDOWN"]
    return reasons[-1] if reasons else None


def why_ended(exit_code: int, events: tuple[MonitorEvent, ...]) -> str:
    """What a person needs to know of an end: by the exit code, and by what QEMU told of it before."""
    if exit_code == -signal.SIGKILL:
        return "QEMU was killed (the kernel does that, too, when memory runs out)"
    if exit_code < 0:
        return f"QEMU was ended by {signal.Signals(-exit_code).name}"
    match _shutdown_reason(events):
        case "guest-shutdown":
            return "it switched itself off"
        case "guest-panic":
            return "its kernel panicked"
        case "host-signal":
            return "QEMU was told to end by a signal"
        case None:
            return f"QEMU exited with {exit_code}"
        case reason:
            return f"QEMU exited with {exit_code} ({reason})"


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _SERIAL_TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
