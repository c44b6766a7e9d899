"""Packages of the operating system."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from baker.errors import RecipeError, StepError
from baker.fields import require_types
from baker.provisioner import NOTHING_REQUIRED, Remote, Requirements
from provisioners.fields import require_words
from provisioners.package_manager import look

_NAMED_IN_A_LOG = 4

# Debian itself keeps no mark of a restart that is needed, so it is looked for: a kernel that is newer than the one
# that runs, or was put in its place since the start, and libraries in use whose files are gone.
_RESTART = r"""
if [ -e /run/reboot-required ]; then echo "the system says so"; fi
running=$(uname -r)
newest=$(ls /boot | sed -n 's/^vmlinuz-//p' | grep -v rescue | sort -V | tail -n 1)
started=$(sed -n 's/^btime //p' /proc/stat)
if [ -n "$newest" ] && [ "$newest" != "$running" ]; then echo "kernel $newest is installed, $running runs"
elif [ -n "$newest" ] && [ "$(stat -c %Z "/boot/vmlinuz-$newest")" -gt "$started" ]; then
    echo "kernel $running was installed anew"
fi
users=$(grep -lE ' /(usr/)?lib[^ ]*\.so[^ ]* \(deleted\)$' /proc/[0-9]*/maps 2>/dev/null | sed 's|maps$|comm|' |
    xargs -r cat 2>/dev/null | sort -u)
if [ -n "$users" ]; then echo "replaced libraries are in use by" $users; fi
exit 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackages:
    """Install packages with the system's own manager (apt or dnf) where they are missing.

    A package is written as the manager takes it: `git`, `git=1:2.39.5-0+deb12u2` (apt). What a package merely
    recommends comes along with `recommends`. The lists of packages are fetched when there are none, when they are
    older than the machine's start, and when a package is unknown. Where they come from is the machine's matter or the
    mirrors', so nothing of it is declared.
    """

    packages: tuple[str, ...]
    recommends: bool = False

    revision: ClassVar[int] = 1
    not_fingerprinted: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        require_types(self)
        require_words("SystemPackages", "packages", self.packages)
        for package in self.packages:
            if package.startswith("-") or package.endswith("-"):  # an option, or, to apt, "remove it"
                raise RecipeError(f"SystemPackages: {package!r} is no name of a package")

    @property
    def name(self) -> str:
        shown = ", ".join(self.packages[:_NAMED_IN_A_LOG])
        more = len(self.packages) - _NAMED_IN_A_LOG
        return f"system packages {shown}" + (f" and {more} more" if more > 0 else "")

    def inputs(self) -> tuple[Path, ...]:
        return ()

    def requires(self) -> Requirements:
        return NOTHING_REQUIRED

    def apply(self, remote: Remote) -> None:
        found = look(remote, self.packages)
        if not found.missing:
            remote.say("all packages are installed already")
            return
        stale = found.lists == "stale"
        if stale:
            found.manager.refresh(remote)
        unknown = found.manager.install(remote, found.missing, recommends=self.recommends)
        if unknown and not stale:
            remote.say(f"{', '.join(unknown)} unknown so far; fetching the lists of packages")
            found.manager.refresh(remote)
            unknown = found.manager.install(remote, found.missing, recommends=self.recommends)
        if unknown:
            raise _unknown(unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemUpdate:
    """Bring every installed package to its newest version; configuration files that were changed stay.

    Says so when new parts, such as a kernel or the C library, are used only after a restart: add `Reboot()` then.
    """

    revision: ClassVar[int] = 1
    not_fingerprinted: ClassVar[Mapping[str, str]] = {}

    @property
    def name(self) -> str:
        return "system update"

    def inputs(self) -> tuple[Path, ...]:
        return ()

    def requires(self) -> Requirements:
        return NOTHING_REQUIRED

    def apply(self, remote: Remote) -> None:
        manager = look(remote, ()).manager
        manager.refresh(remote)
        manager.upgrade(remote)
        if reasons := restart_reasons(remote):
            remote.say(f"a restart is needed ({'; '.join(reasons)}): add Reboot() as the next step")


def restart_reasons(remote: Remote) -> tuple[str, ...]:
    """Why what is installed is not all in use yet; empty when it is."""
    return tuple(remote.run(_RESTART, sudo=True, quiet=True).stdout.splitlines())


def _unknown(packages: tuple[str, ...]) -> StepError:
    what = f"package {packages[0]} is" if len(packages) == 1 else f"packages {', '.join(packages)} are"
    return StepError(
        f"{what} unknown to the system",
        hint="look at the spelling; a package from elsewhere needs its source on the machine first (a Files step)",
    )
