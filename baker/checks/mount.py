"""`mount_present`: a file system that is mounted now, and will be after every boot."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from baker.checks.account import Host
from baker.fields import require_path, require_types

_QUESTIONS = r"""
path=$1
mounted() { findmnt --json --mountpoint "$1" --output SOURCE,FSTYPE,OPTIONS,UUID || echo '{}'; }
# All that SOURCE lies on, down to the disk: partitions, LVM, encryption. A bind mount's SOURCE ends in [/folder].
disks() {
  lsblk --json --inverse --list --paths --output NAME,TYPE "$(findmnt -no SOURCE --nofsroot --mountpoint "$1")" ||
    echo '{}'
}
printf '{"mounted": '; mounted "$path"
printf ', "root_disks": '; disks /
printf ', "disks": '; disks "$path"
printf ', "fstab": '; findmnt --fstab --json --mountpoint "$path" --output SOURCE,OPTIONS || echo '{}'
printf ', "folder": "%s"}' "$(stat --format '%U:%G %a' "$path")"
"""
"""All in one command. findmnt and lsblk exit with 1 for nothing found, and then print nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPresent:
    """`path` is a mount point of a disk that is not the root disk, and in fstab by UUID with nofail."""

    path: str

    def __post_init__(self) -> None:
        require_types(self, called="mount_present")
        require_path("mount_present", "path", self.path)

    @property
    def name(self) -> str:
        return f"{self.path} is mounted"

    def __call__(self, host: Host) -> None:
        result = host.run("/bin/sh -c %s mount %s 2>/dev/null", _QUESTIONS, self.path)
        try:
            answers = json.loads(result.stdout)
        except ValueError:
            raise AssertionError(f"expected findmnt and lsblk to describe {self.path}; saw {result.stdout!r}") from None
        if problems := problems_of(self.path, answers):
            raise AssertionError("\n".join(problems))


def mount_present(path: str) -> MountPresent:
    """`path` is mounted from a data disk, now and (by UUID, with nofail) after each boot."""
    return MountPresent(path=path)


def problems_of(path: str, answers: Mapping[str, object]) -> list[str]:
    """What is wrong with the machine's answers about `path`: what was expected, and what was seen."""
    mounted = _first(answers, "mounted", "filesystems")
    if not mounted:
        return [f"expected {path} to be a mount point; it is not"]
    problems = []
    seen = f"{mounted['source']} ({mounted['fstype']}, {mounted['options']}; folder {answers['folder']})"
    if shared := _disks(answers, "disks") & _disks(answers, "root_disks"):
        problems.append(f"expected {path} on a disk of its own; it lies on the root disk {', '.join(sorted(shared))}")
    elif not _disks(answers, "disks"):
        problems.append(f"expected {path} to lie on a disk; saw {seen}")
    line = _first(answers, "fstab", "filesystems")
    if not line:
        problems.append(f"expected a line for {path} in /etc/fstab, or it will be gone after a boot; there is none")
        return problems
    source, options = line.get("source") or "", (line.get("options") or "").split(",")
    if not source.startswith("UUID="):
        problems.append(f"expected {path} in /etc/fstab by its UUID, as device names change; saw {source}")
    elif mounted.get("uuid") and source.removeprefix("UUID=").strip('"') != mounted["uuid"]:
        problems.append(f"expected the file system of /etc/fstab ({source}) on {path}; UUID={mounted['uuid']} is there")
    if "nofail" not in options:
        problems.append(
            f"expected nofail for {path} in /etc/fstab, or a machine without the disk does not boot; "
            f"saw {','.join(options)}"
        )
    if problems:
        problems.append(f"mounted is {seen}")
    return problems


def _first(answers: Mapping[str, object], question: str, key: str) -> dict[str, str]:
    answer = answers[question]
    found = answer.get(key) if isinstance(answer, dict) else None
    return dict(found[0]) if found else {}


def _disks(answers: Mapping[str, object], question: str) -> set[str]:
    answer = answers[question]
    devices = answer.get("blockdevices", []) if isinstance(answer, dict) else []
    return {device["name"] for device in devices if device["type"] == "disk"}
