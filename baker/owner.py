"""Who a run belongs to: a process, told apart from every other that has had or will have its number.

A number alone proves nothing, as the kernel gives it again. With the process's start, the boot, the pid namespace (two
containers of one host have a process 7 each) and the host it names one process for all time.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PROC = Path("/proc")

_STATE, _START_TICKS = 0, 19
"""Places in /proc/PID/stat, counted from behind the program's name."""

_ENDED = ("Z", "X")
"""A zombie has ended, too: only its parent has not asked yet how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process. `started` is in clock ticks since the boot; text is empty and numbers 0 where a system has no such."""

    host: str
    boot: str
    pid_namespace: str
    pid: int
    started: int


def this_process() -> Owner:
    """The process that asks."""
    return Owner(
        host=_this_host(),
        boot=_boot(),
        pid_namespace=_pid_namespace(),
        pid=os.getpid(),
        started=start_ticks(os.getpid()) or 0,
    )


def state_of(owner: Owner) -> Literal["alive", "gone", "unknown"]:
    """Whether it still runs. "unknown" when that cannot be seen from here, as of a process on another host."""
    if not owner.boot or not owner.started:
        return "unknown"
    if owner.boot != _boot():
        return "gone" if owner.host == _this_host() else "unknown"  # this host has been restarted since
    if owner.pid_namespace != _pid_namespace():
        return "unknown"
    return "alive" if start_ticks(owner.pid) == owner.started else "gone"


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None when there is no such process, or it has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything, spaces and brackets too
    return None if fields[_STATE] in _ENDED else int(fields[_START_TICKS])


def _this_host() -> str:
    """By two names, as one of them alone is the same on many hosts: copies of one image, hosts called localhost."""
    return f"{socket.gethostname()} {_text(Path('/etc/machine-id'))}".strip()


def _boot() -> str:
    return _text(PROC / "sys/kernel/random/boot_id")


def _pid_namespace() -> str:
    try:
        return str((PROC / "self/ns/pid").readlink())
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
