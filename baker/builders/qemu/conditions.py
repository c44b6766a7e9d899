"""What can be known to go wrong before a machine is started. Looks, and changes nothing."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from baker.builders.qemu.spec import CloudImage, DebianPackages, Qemu
from baker.home import Home
from baker.ports import Problem
from baker.suggestion import did_you_mean

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
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*(?:[:=/][\w.:~+-]+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_SUITES = (
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
)
"""Those that a slip may be meant for. There will be others; whether there is one is for Debian's archive to say."""


def spec_problems(spec: Qemu) -> Iterator[Problem]:
    """What is wrong with the spec itself; reads nothing. Values may have any type: a recipe is not type-checked."""
    if not isinstance(spec, Qemu):
        yield Problem(
            summary=f"a {type(spec).__name__} is no spec of the qemu builder", hint="write Qemu(...)", exit_code=2
        )
        return

    def wrong(field: str, must: str) -> Problem:
        return _wrong(f"Qemu({field}={getattr(spec, field)!r})", field, must)

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
    match spec.source:
        case DebianPackages():
            yield from _debian_problems(spec.source)
        case CloudImage():
            yield from _cloud_image_problems(spec.source)
        case _:
            yield wrong("source", "DebianPackages(...) or CloudImage(...)")


def _debian_problems(source: DebianPackages) -> Iterator[Problem]:
    suite, packages = source.suite, source.packages
    if not _is_text(suite, _SUITE) or _suite_meant(suite):
        yield _wrong(f"DebianPackages(suite={suite!r})", "suite", 'a release such as "bookworm"', _suite_meant(suite))
    if not isinstance(packages, tuple) or not all(_is_text(package, _PACKAGE) for package in packages):
        hint = 'write packages=("git", "vim"), with the commas'
        yield _wrong(f"DebianPackages(packages={packages!r})", "packages", "a tuple of names of packages", hint)


def _cloud_image_problems(source: CloudImage) -> Iterator[Problem]:
    url, sha256 = source.url, source.sha256
    if not isinstance(url, str) or not url.startswith(("https://", "http://", "file:///")):
        yield _wrong(f"CloudImage(url={url!r})", "url", "an https://, http:// or file:/// address")
    if not _is_text(sha256, _SHA256):
        yield _wrong(f"CloudImage(sha256={sha256!r})", "sha256", "that of the file: 64 of 0-9 and a-f")


def _wrong(written: str, field: str, must: str, hint: str | None = None) -> Problem:
    return Problem(summary=f"{written}: {field} must be {must}", hint=hint, exit_code=2)


def _suite_meant(suite: object) -> str | None:
    """`did you mean bookworm?` for what is not quite one of the suites that we know."""
    return did_you_mean(suite.lower(), _SUITES) if isinstance(suite, str) and suite not in _SUITES else None


def host_problems(spec: Qemu, home: Home) -> Iterator[Problem]:
    """What the baking host lacks for this machine."""
    if reason := home.problem():
        yield Problem(summary=reason, hint="export BAKER_HOME=/a/folder/of/yours")
    elif (free_gib := home.free_bytes() / 2**30) < LEAST_FREE_GIB:
        yield Problem(
            summary=f"only {free_gib:.1f} GiB are free in {home.path}; a bake needs {LEAST_FREE_GIB} GiB at least",
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
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _available_memory_mib() -> int | None:
    """As the kernel estimates it; None where it does not."""
    try:
        table = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", table, re.MULTILINE)
    return int(found[1]) // 1024 if found else None
