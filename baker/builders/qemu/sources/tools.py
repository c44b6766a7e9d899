"""Which programs the QEMU builder needs on this host, and which Debian package each is in. Looks, and runs nothing."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from baker.builders.qemu.firmware import CANDIDATES, PACKAGE, find_firmware
from baker.builders.qemu.spec import DebianPackages, SourceImage
from baker.errors import BuilderUnavailableError

Purpose = Literal["run", "make DebianPackages sources"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingTool:
    """A program or file that is not there, the Debian package that brings it, and what cannot be done without."""

    command: str
    package: str
    purpose: Purpose


_TO_RUN = (
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("setpriv", "util-linux"),
)

_TO_MAKE = (
    ("mmdebstrap", "mmdebstrap"),
    ("mformat", "mtools"),
    ("mcopy", "mtools"),
    ("sfdisk", "fdisk"),
    ("mke2fs", "e2fsprogs"),
    ("unshare", "util-linux"),
)

_WITHOUT_ROOT = (("newuidmap", "uidmap"),)

_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where sfdisk and mke2fs are; Debian leaves these out of an ordinary user's PATH."""


def search_path() -> str:
    """PATH, and the folders of system programs after it."""
    return os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))


def missing_tools(source: SourceImage | None = None) -> tuple[MissingTool, ...]:
    """What has to be installed before a machine can start from `source`; of all kinds of source when it is None."""
    return tuple(_missing(source))


def require_installed(missing: Sequence[MissingTool]) -> None:
    """BuilderUnavailableError that names every missing program, and the one command that installs them."""
    if not missing:
        return
    packages = sorted({tool.package for tool in missing})
    raise BuilderUnavailableError(
        f"the qemu builder cannot work without {', '.join(tool.command for tool in missing)}",
        hint=f"apt-get install {' '.join(packages)}",
    )


def _missing(source: SourceImage | None) -> Iterator[MissingTool]:
    yield from _not_on_path(_TO_RUN, "run")
    try:
        find_firmware()
    except BuilderUnavailableError:
        yield MissingTool(command=CANDIDATES[0].code.name, package=PACKAGE, purpose="run")
    if source is None or isinstance(source, DebianPackages):
        yield from _not_on_path(_TO_MAKE, "make DebianPackages sources")
        if os.geteuid() != 0:
            yield from _not_on_path(_WITHOUT_ROOT, "make DebianPackages sources")
        if not any(keyring.exists() for keyring in _KEYRINGS):
            package = "debian-archive-keyring"
            yield MissingTool(command=_KEYRINGS[0].name, package=package, purpose="make DebianPackages sources")


def _not_on_path(tools: Iterable[tuple[str, str]], purpose: Purpose) -> Iterator[MissingTool]:
    for command, package in tools:
        if shutil.which(command, path=search_path()) is None:
            yield MissingTool(command=command, package=package, purpose=purpose)
