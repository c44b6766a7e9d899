"""What QEMU, its tools and the baking host's file system say, turned into errors of ours, by one table.

Texts were read in QEMU 7.2's sources and messages; they have been the same for years, and what the table does not
know still becomes an error with the tool's own words.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from baker.errors import BuilderError, BuilderUnavailableError, DiskFullError, LaunchError

TAIL_LINES = 15
"""How much of a log a person is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What it means when a tool says `pattern`."""

    pattern: re.Pattern[str]
    error: type[BuilderError]
    summary: str
    hint: str


TRANSLATIONS = (
    Translation(
        pattern=re.compile(r"No space left on device|Disk quota exceeded"),
        error=DiskFullError,
        summary="no room is left on the baking host's disk",
        hint="free some space, or set BAKER_HOME to a folder on a larger disk",
    ),
    Translation(
        pattern=re.compile(r"cannot set up guest memory|[Cc]annot allocate memory"),
        error=LaunchError,
        summary="the baking host has not enough memory for the machine",
        hint="lower memory_mib in the Qemu(...) of the recipe, or end other machines",
    ),
    Translation(
        pattern=re.compile(r"failed to initialize kvm|Could not access KVM|failed to set MSR|KVM_[A-Z_]+ failed"),
        error=LaunchError,
        summary="KVM does not work on this host",
        hint='set accelerator="tcg" in the Qemu(...) of the recipe: slower, and works everywhere',
    ),
    Translation(
        pattern=re.compile(r"Permission denied"),
        error=BuilderError,
        summary="the baking host refused access to a file",
        hint="see that BAKER_HOME and all below it belong to you",
    ),
)

_ERRNO_TEXT = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded"}

_PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "setpriv": "util-linux",
}


def tail(text: str) -> str:
    """The last lines of a log, without colour codes and other control characters."""
    plain = re.sub(
        r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>c78])|[\x00-\x08\x0b-\x1f\x7f]", "", text.replace("\r\n", "\n")
    )
    lines = [line.rstrip() for line in plain.splitlines()]
    return "\n".join([line for line in lines if line][-TAIL_LINES:])


def explain(text: str, *, otherwise: type[BuilderError], summary: str) -> BuilderError:
    """The error for what a tool printed: from the table, else `otherwise` with `summary`."""
    details = (("while", summary), ("message", tail(text) or "(nothing)"))
    for translation in TRANSLATIONS:
        if translation.pattern.search(text):
            return translation.error(translation.summary, details=details, hint=translation.hint)
    return otherwise(summary, details=details[1:])


def not_installed(program: str) -> BuilderUnavailableError:
    """The error for a program that is not on PATH."""
    package = _PACKAGES.get(program, program)
    return BuilderUnavailableError(
        f"{program} is not installed", hint=f"apt-get install {package}; `bake doctor` lists all that is missing"
    )


@contextmanager
def explaining(summary: str, otherwise: type[BuilderError] = BuilderError) -> Iterator[None]:
    """Turn an OSError of the baking host's file system into an error that says what was being done."""
    try:
        yield
    except OSError as error:
        text = _ERRNO_TEXT.get(error.errno or 0, "") or str(error)
        raise explain(text, otherwise=otherwise, summary=summary) from error
