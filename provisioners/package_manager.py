"""The package managers of the systems that are baked: apt and dnf, each behind the same four questions.

Knows how each is asked, how it names what it does not know, and how it waits for its lock. What a step means by
installing or updating is decided in `provisioners.system`.
"""

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from baker.errors import StepError
from baker.provisioner import CommandFailedError, CommandResult, Remote

LOCK_SECONDS = 600
"""How long another program may hold the package lock; a first start's own updates take minutes."""

_LOCK_PAUSE_SECONDS = 5

_PROBE = """
if command -v apt-get >/dev/null && dpkg-query --show dpkg >/dev/null 2>&1; then
    echo apt
    lists=/var/lib/apt/lists
    started=$(sed -n 's/^btime //p' /proc/stat)
    if ls "$lists" | grep -q _Packages && [ "$(stat -c %Y "$lists/partial" 2>/dev/null || echo 0)" -ge "$started" ]
    then echo fresh; else echo stale; fi
    for package do
        name=${package%%=*}
        found=$(dpkg-query --show --showformat '${db:Status-Status} ${Version}\\n' -- "$name" 2>/dev/null)
        case "$package" in
            *=*) printf '%s\\n' "$found" | grep -qxF "installed ${package#*=}" ;;
            *) printf '%s\\n' "$found" | grep -q '^installed ' ;;
        esac || printf '%s\\n' "$package"
    done
elif command -v dnf >/dev/null; then
    echo dnf
    echo fresh
    for package do
        rpm --query --whatprovides -- "$package" >/dev/null 2>&1 || printf '%s\\n' "$package"
    done
fi
exit 0
"""
"""Prints the manager, the age of its lists, and which of the arguments are missing. A Debian with dnf is an apt system,
and a Fedora with apt-get a dnf one: the one whose database describes the system decides. apt gives list files the
server's times, so the time of its work folder tells when it last asked."""


class PackageManager(Protocol):
    """What the steps need of a package manager. Methods raise StepError, and wait for the package lock."""

    def refresh(self, remote: Remote) -> None:
        """Fetch the lists of packages anew."""
        ...

    def install(self, remote: Remote, packages: tuple[str, ...], *, recommends: bool) -> tuple[str, ...]:
        """Install; returns the names that are unknown, in which case nothing was installed."""
        ...

    def upgrade(self, remote: Remote) -> None:
        """Bring all that is installed to its newest version, keeping changed configuration files."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """What a machine has: its manager, whether its lists can be trusted, and the wanted packages that are missing."""

    manager: PackageManager
    lists: Literal["fresh", "stale"]
    missing: tuple[str, ...]


def look(remote: Remote, wanted: tuple[str, ...]) -> Packages:
    """Which manager a machine has and what it lacks, in one round trip. StepError when it has neither."""
    lines = remote.run(["sh", "-c", _PROBE, "probe", *wanted], sudo=True, quiet=True).stdout.splitlines()
    if not lines:
        raise StepError(
            "the machine has neither apt-get nor dnf",
            hint="install packages with Shell on other systems, or take a Debian, Ubuntu, Fedora or RHEL source image",
        )
    manager: PackageManager = Apt() if lines[0] == "apt" else Dnf()
    return Packages(manager=manager, lists="fresh" if lines[1] == "fresh" else "stale", missing=tuple(lines[2:]))


@dataclass(frozen=True, slots=True)
class Apt:
    """apt-get: never asks, keeps configuration files that were changed."""

    def refresh(self, remote: Remote) -> None:
        # by default a list that cannot be had is a warning, and the package in it is then "unknown" much later
        result = _run_apt(remote, "update", "-o", "APT::Update::Error-Mode=any")
        if result.exit_code:
            raise _failed(
                "the lists of packages cannot be fetched",
                result,
                "are the machine's package sources right, and can it reach them? `--mirrors` names others for a bake",
            )

    def install(self, remote: Remote, packages: tuple[str, ...], *, recommends: bool) -> tuple[str, ...]:
        recommended = "--install-recommends" if recommends else "--no-install-recommends"
        result = _run_apt(remote, "install", recommended, "--", *packages)
        if result.exit_code == 0:
            return ()
        if unknown := unknown_to_apt(result.stderr):
            return unknown
        raise _failed("packages could not be installed", result, "`apt-get --dry-run` on the machine says why")

    def upgrade(self, remote: Remote) -> None:
        result = _run_apt(remote, "dist-upgrade")
        if result.exit_code:
            raise _failed("the system could not be updated", result, None)


@dataclass(frozen=True, slots=True)
class Dnf:
    """dnf, old and new: waits for its lock by itself and says so; its lists have an age of their own."""

    def refresh(self, remote: Remote) -> None:
        result = _run_dnf(remote, "makecache", "--refresh")
        if result.exit_code:
            raise _failed(
                "the lists of packages cannot be fetched",
                result,
                "are the repositories in /etc/yum.repos.d right, and can the machine reach them?",
            )

    def install(self, remote: Remote, packages: tuple[str, ...], *, recommends: bool) -> tuple[str, ...]:
        result = _run_dnf(remote, "install", f"--setopt=install_weak_deps={recommends}", "--", *packages)
        if result.exit_code == 0:
            return ()
        if unknown := unknown_to_dnf(result.stdout + result.stderr):
            return unknown
        raise _failed("packages could not be installed", result, None)

    def upgrade(self, remote: Remote) -> None:
        result = _run_dnf(remote, "upgrade")
        if result.exit_code:
            raise _failed("the system could not be updated", result, None)


_APT_UNKNOWN = (
    re.compile(r"^E: Unable to locate package (\S+)", re.MULTILINE),
    re.compile(r"^E: Package '([^']+)' has no installation candidate", re.MULTILINE),
    re.compile(r"^E: Couldn't find any package by (?:glob|regex) '([^']+)'", re.MULTILINE),
    re.compile(r"^E: Version '[^']+' for '([^']+)' was not found", re.MULTILINE),
)
_DNF_UNKNOWN = re.compile(r"^No match for argument: (\S+)", re.MULTILINE)


def unknown_to_apt(stderr: str) -> tuple[str, ...]:
    """The packages that apt-get says it does not know, each once."""
    return tuple(dict.fromkeys(name for pattern in _APT_UNKNOWN for name in pattern.findall(stderr)))


def unknown_to_dnf(output: str) -> tuple[str, ...]:
    """The packages that dnf says it does not know, each once."""
    return tuple(dict.fromkeys(_DNF_UNKNOWN.findall(output)))


def is_locked(stderr: str) -> bool:
    """Whether apt-get gave up for a lock. It waits for dpkg's own lock, and not for those of its lists and archives."""
    return "E: Could not get lock" in stderr or "E: Unable to lock directory" in stderr


_APT_OPTIONS = (
    "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
    "-o", "Dpkg::Options::=--force-unsafe-io",  # not each file to the disk at once: a machine that stops is thrown away
    "-o", "Acquire::Languages=none",  # translated descriptions are a third of the lists, and nobody reads them here
)  # fmt: skip


def _run_apt(remote: Remote, command: str, *arguments: str) -> CommandResult:
    argv = ["apt-get", "--yes", "--quiet", "-o", f"DPkg::Lock::Timeout={LOCK_SECONDS}", "-o", "Acquire::Retries=3"]
    argv += ["-o", "Dpkg::Use-Pty=0", *_APT_OPTIONS]
    env = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "a", "LC_ALL": "C"}
    waited = 0
    while True:
        result = remote.run([*argv, command, *arguments], sudo=True, env=env, check=False)
        if not is_locked(result.stderr) or waited >= LOCK_SECONDS:
            return result
        remote.say(f"another program holds the package lock; waiting for it (at most {LOCK_SECONDS - waited} s more)")
        remote.run(["sleep", str(_LOCK_PAUSE_SECONDS)], quiet=True)
        waited += _LOCK_PAUSE_SECONDS


def _run_dnf(remote: Remote, command: str, *arguments: str) -> CommandResult:
    return remote.run(["dnf", "--assumeyes", command, *arguments], sudo=True, env={"LC_ALL": "C.UTF-8"}, check=False)


def _failed(summary: str, result: CommandResult, hint: str | None) -> StepError:
    return StepError(summary, details=CommandFailedError(result).details, hint=hint)
