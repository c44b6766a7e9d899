"""What can be known to go wrong before a machine is started. Looks, and changes nothing."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from baker.builders.qemu.spec import CloudImage, DebianPackages, Qemu
from baker.ports import Problem
from baker.recipe import Disk

RESERVED_DISK_NAMES = ("root", "seed")
"""What the machine has anyway, besides the recipe's disks."""

LEAST_FREE_GIB = 4
"""A source image, the overlay and the image of a small recipe. More is needed by larger ones; nobody can say how much
before, and when a disk is full the bake says so."""

LEAST_MEMORY_MIB, LARGEST_MEMORY_MIB = 256, 1 << 20
LEAST_DISK_GIB, LARGEST_DISK_GIB = 2, 8192
MOST_CPUS = 255
"""What q35 takes without further ado."""

_SPEC_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_USER_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_SUITE = re.compile(r"[a-z][a-z0-9.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def spec_problems(spec: Qemu) -> Iterator[Problem]:
    """What is wrong with the spec itself; reads nothing. Values may have any type: a recipe is not type-checked."""

    def wrong(field: str, must: str) -> Problem:
        return Problem(summary=f"Qemu({field}={getattr(spec, field)!r}): {field} must be {must}", exit_code=2)

    if not _is_text(spec.name, _SPEC_NAME):
        yield wrong("name", "of a-z, 0-9 and -, at most 40 characters")
    if not _is_whole(spec.memory_mib, LEAST_MEMORY_MIB, LARGEST_MEMORY_MIB):
        yield wrong("memory_mib", f"a whole number from {LEAST_MEMORY_MIB} to {LARGEST_MEMORY_MIB}")
    if not _is_whole(spec.cpus, 1, MOST_CPUS):
        yield wrong("cpus", f"a whole number from 1 to {MOST_CPUS}")
    if not _is_whole(spec.disk_gib, LEAST_DISK_GIB, LARGEST_DISK_GIB):
        yield wrong("disk_gib", f"a whole number from {LEAST_DISK_GIB} to {LARGEST_DISK_GIB}")
    if spec.accelerator not in ("auto", "kvm", "tcg"):
        yield wrong("accelerator", '"auto", "kvm" or "tcg"')
    if not _is_text(spec.login_user, _USER_NAME) or spec.login_user == "root":
        yield wrong("login_user", "the name of a user other than root: a-z, 0-9, _ and -, at most 32 characters")
    if not _is_positive(spec.boot_timeout_seconds):
        yield wrong("boot_timeout_seconds", "a number of seconds larger than 0")
    yield from _source_problems(spec, wrong)


def _source_problems(spec: Qemu, wrong: Callable[[str, str], Problem]) -> Iterator[Problem]:
    match spec.source:
        case DebianPackages(suite=suite):
            if not _is_text(suite, _SUITE):
                yield wrong("source", 'of a suite such as "bookworm"')
        case CloudImage(url=url, sha256=sha256):
            if not isinstance(url, str) or not url.startswith(("https://", "http://", "file:///")):
                yield wrong("source", "at an https://, http:// or file:/// address")
            if not _is_text(sha256, _SHA256):
                yield wrong("source", "given with the sha256 of the file: 64 of 0-9 and a-f")
        case _:
            yield wrong("source", "DebianPackages(...) or CloudImage(...)")


def disk_problems(disks: tuple[Disk, ...]) -> Iterator[Problem]:
    """What, of all that a recipe may call its disks, this builder cannot have."""
    for disk in disks:
        if disk.name in RESERVED_DISK_NAMES:
            yield Problem(
                summary=f"disk {disk.name!r} cannot have this name: the machine has a disk of that name anyway",
                exit_code=2,
            )
        if not _is_whole(disk.size_gib, 1, LARGEST_DISK_GIB):
            yield Problem(
                summary=f"disk {disk.name!r}: size_gib must be a whole number from 1 to {LARGEST_DISK_GIB}", exit_code=2
            )


def host_problems(spec: Qemu, home: Path) -> Iterator[Problem]:
    """What the baking host lacks for this machine."""
    free_gib = _free_bytes(home) / 2**30
    if free_gib < LEAST_FREE_GIB:
        yield Problem(
            summary=f"only {free_gib:.1f} GiB are free in {home}; a bake needs {LEAST_FREE_GIB} GiB at least",
            hint="free some space, or set BAKER_HOME to a folder on a larger disk",
        )
    available_mib = _available_memory_mib()
    if available_mib is not None and available_mib < spec.memory_mib:
        yield Problem(
            summary=f"the machine wants {spec.memory_mib} MiB of memory, and {available_mib} MiB are available",
            hint="lower memory_mib in the Qemu(...) of the recipe, or end other programs",
        )


def _is_text(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _free_bytes(path: Path) -> int:
    """Room for this user where `path` is, or will be once it is made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize


def _available_memory_mib() -> int | None:
    """As the kernel estimates it; None where it does not."""
    try:
        table = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", table, re.MULTILINE)
    return int(found[1]) // 1024 if found else None
