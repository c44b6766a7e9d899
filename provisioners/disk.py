"""Data disks: found by their name in the recipe, given filesystems, mounted now and at every start.

The decisions are in `provisioners.disk_layout`; this module asks the machine and carries them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from baker.errors import RecipeError, StepError
from baker.fields import require_path, require_types
from baker.provisioner import Remote, Requirements
from provisioners.disk_layout import (
    COLUMNS,
    Volume,
    Wanted,
    decide_filesystem,
    decide_table,
    fstab_line,
    holds_data,
    parse_lsblk,
    partition_script,
    refuse_used,
    with_fstab_line,
)
from provisioners.fields import require_at_least, require_mode, require_owner

Filesystem = Literal["ext4", "xfs"]

_SYSTEM_FOLDERS = ("", "bin", "boot", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "usr", "var")
_MAKE: Mapping[str, tuple[str, ...]] = {
    "ext4": ("mkfs.ext4", "-q", "-E", "nodiscard"),
    "xfs": ("mkfs.xfs", "-q", "-K"),
}
"""Without discarding all blocks first: the disk is new, and a large one of a cloud takes minutes for it."""
_PACKAGES = {"mkfs.xfs": "xfsprogs", "mkfs.ext4": "e2fsprogs", "sfdisk": "fdisk"}
_APPEAR_SECONDS = 30
_NOT_EMPTY = 65

_LOOK = f"""
for second in $(seq {_APPEAR_SECONDS}); do test -b "$1" && break; sleep 1; done
command -v udevadm >/dev/null && udevadm settle
exec lsblk --json --bytes --output {",".join(COLUMNS)} "$1"
"""

_ONLY_IF_EMPTY = f"""
set -eu
device=$1; shift
found=$(wipefs --no-act --noheadings --output TYPE,LABEL,OFFSET "$device")
test -z "$found" || {{ echo "$found"; exit {_NOT_EMPTY}; }}
last=$(( $(blockdev --getsize64 "$device") / 1048576 - 1 ))
for place in 0 "$last"; do
    bytes=$(dd if="$device" bs=1M skip="$place" count=1 status=none | tr -d '\\000' | wc -c)
    test "$bytes" = 0 || {{ echo "$bytes bytes that are not zero in MiB $place"; exit {_NOT_EMPTY}; }}
done
"$@"
command -v udevadm >/dev/null && udevadm settle
exit 0
"""
"""Runs the rest of its arguments when the disk itself, asked at this moment, holds no signature and no bytes where
filesystems and partition tables begin and end; lsblk tells what udev knew some time ago."""

_MOUNT_POINT = """
mkdir -p -- "$1"
if mountpoint --quiet -- "$1"; then findmnt --noheadings --output SOURCE --mountpoint "$1"; exit 1; fi
ls -A -- "$1" | head -n 3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A part of a disk, with its own filesystem and place. `size_gib` None takes what is left (the last one only)."""

    path: str
    size_gib: int | None = None
    filesystem: Filesystem = "ext4"
    owner: str = "root:root"
    mode: int = 0o755

    def __post_init__(self) -> None:
        require_types(self)
        _check_place(f"Partition {self.path}", self.path, self.owner, self.mode)
        require_at_least(f"Partition {self.path}", "size_gib", self.size_gib, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskMount:
    """Mount the recipe's disk `disk` on `path`, or its `partitions` each on its own path.

    Without partitions the filesystem takes the whole disk, so that it can be grown later without moving anything; with
    them the disk gets a GPT. `owner` and `mode` are those of the mounted folder. /etc/fstab names the filesystem by
    UUID, and a machine that starts without the disk still starts.

    What this step made before is kept, with all that is in it. A disk that holds anything else is refused, as is a
    folder with content, which the mount would hide.
    """

    disk: str
    path: str | None = None
    filesystem: Filesystem = "ext4"
    owner: str = "root:root"
    mode: int = 0o755
    partitions: tuple[Partition, ...] = ()

    revision: ClassVar[int] = 1
    not_fingerprinted: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        require_types(self)
        if (self.path is None) == (not self.partitions):
            raise RecipeError(
                f"DiskMount: disk {self.disk!r} needs either a path or partitions",
                hint='write path="/data", or partitions=(Partition(path="/data", size_gib=10), Partition(path=...))',
            )
        if self.path is not None:
            _check_place("DiskMount", self.path, self.owner, self.mode)
        elif (self.filesystem, self.owner, self.mode) != ("ext4", "root:root", 0o755):
            raise RecipeError("DiskMount: with partitions, filesystem, owner and mode are those of each partition")
        if any(partition.size_gib is None for partition in self.partitions[:-1]):
            raise RecipeError("DiskMount: only the last partition can do without size_gib")
        if len({partition.path for partition in self.partitions}) != len(self.partitions):
            raise RecipeError("DiskMount: two partitions have the same path")

    @property
    def name(self) -> str:
        return f"mount disk {self.disk} on {', '.join(place.path for place in self._places)}"

    def inputs(self) -> tuple[Path, ...]:
        return ()

    def requires(self) -> Requirements:
        return Requirements(disks=(self.disk,))

    def apply(self, remote: Remote) -> None:
        wanted = self._wanted
        _check_tools(remote, {f"mkfs.{it.filesystem}" for it in wanted} | ({"sfdisk"} if self.partitions else set()))
        device = remote.disk(self.disk)
        disk = _look(remote, device)
        refuse_used(disk, wanted)
        volumes = self._partitioned(remote, device, disk, wanted) if self.partitions else (disk,)
        for volume, it in zip(volumes, wanted, strict=True):  # all may be refused before the first is formatted
            decide_filesystem(volume, it)
        places = zip(volumes, wanted, self._places, strict=True)
        for volume, it, place in sorted(places, key=lambda entry: entry[2].path):  # /data before /data/scratch
            self._mount(remote, volume, it, place)

    @property
    def _places(self) -> tuple[Partition, ...]:
        """Partitions, or the one that a whole disk amounts to."""
        if self.path is None:
            return self.partitions
        return (Partition(path=self.path, filesystem=self.filesystem, owner=self.owner, mode=self.mode),)

    @property
    def _wanted(self) -> tuple[Wanted, ...]:
        return tuple(
            Wanted(
                name=f"{self.disk}-{number}" if self.partitions else self.disk,
                mount_at=place.path,
                filesystem=place.filesystem,
                size_gib=place.size_gib,
            )
            for number, place in enumerate(self._places, start=1)
        )

    def _partitioned(self, remote: Remote, device: str, disk: Volume, wanted: tuple[Wanted, ...]) -> tuple[Volume, ...]:
        if decide_table(disk, wanted) == "keep":
            return disk.parts
        remote.say(f"partitioning {disk.path} (disk {self.disk}): {len(wanted)} partitions")
        _if_empty(remote, disk.path, ["sfdisk", "--quiet", disk.path], stdin=partition_script(wanted))
        return _new_partitions(remote, device, wanted)

    def _mount(self, remote: Remote, volume: Volume, wanted: Wanted, place: Partition) -> None:
        if decide_filesystem(volume, wanted) == "make":
            remote.say(f"making {wanted.filesystem} on {volume.path} (disk {self.disk}) for {wanted.mount_at}")
            _if_empty(remote, volume.path, [*_MAKE[wanted.filesystem], "-L", wanted.label, volume.path])
        else:
            remote.say(f"{volume.path} (disk {self.disk}) keeps the {wanted.filesystem} that is on it")
        if volume.mounted_at != wanted.mount_at:
            _check_mount_point(remote, wanted.mount_at)
        _write_fstab(remote, fstab_line(_uuid(remote, volume.path), wanted, self.disk))
        if volume.mounted_at != wanted.mount_at:
            remote.run(["mount", "--", wanted.mount_at], sudo=True)
        script = 'chown "$2" -- "$1" && chmod "$3" -- "$1"'
        remote.run(["sh", "-c", script, "own", place.path, place.owner, f"{place.mode:o}"], sudo=True, quiet=True)


def _check_place(step: str, path: str, owner: str, mode: int) -> None:
    require_path(step, "path", path)
    require_owner(step, owner)
    require_mode(step, mode)
    if any(character.isspace() for character in path):
        raise RecipeError(f"{step}: path {path!r} holds a blank", hint="fstab has no good way to write one")
    if path.split("/", 2)[1] in _SYSTEM_FOLDERS and path.count("/") == 1:
        raise RecipeError(f"{step}: path {path} belongs to the system", hint="mount data on /data")


def _check_tools(remote: Remote, tools: set[str]) -> None:
    script = 'for tool do command -v "$tool" >/dev/null || { echo "$tool"; exit 1; }; done'
    result = remote.run(["sh", "-c", script, "tools", *sorted(tools)], sudo=True, check=False, quiet=True)
    if result.exit_code:
        tool = result.stdout.strip()
        raise StepError(
            f"{tool} is not on the machine",
            hint=f'add SystemPackages(packages=("{_PACKAGES.get(tool, tool)}",)) before this step',
        )


def _look(remote: Remote, device: str) -> Volume:
    result = remote.run(["sh", "-c", _LOOK, "look", device], sudo=True, check=False, quiet=True)
    if result.exit_code:
        raise StepError(f"{device} is no disk of the machine", details=(("lsblk", result.stderr.strip()),))
    return parse_lsblk(result.stdout)


def _new_partitions(remote: Remote, device: str, wanted: tuple[Wanted, ...]) -> tuple[Volume, ...]:
    """Once udev knows their names: the kernel has partitions at once, lsblk was seen without names a second longer."""
    found: tuple[Volume, ...] = ()
    for _ in range(_APPEAR_SECONDS):
        found = _look(remote, device).parts
        if [part.partition_name for part in found] == [it.name for it in wanted]:
            return found
        remote.run(["sleep", "1"], quiet=True)
    raise StepError(
        f"{device} has {len(found)} partitions where {len(wanted)} were made",
        details=(("they are", "\n".join(part.describe() for part in found) or "(none)"),),
    )


def _if_empty(remote: Remote, path: str, argv: list[str], *, stdin: str | None = None) -> None:
    result = remote.run(["sh", "-c", _ONLY_IF_EMPTY, "make", path, *argv], sudo=True, stdin=stdin, check=False)
    if result.exit_code == _NOT_EMPTY:
        raise holds_data(path, result.stdout.strip())
    if result.exit_code:
        raise StepError(f"{argv[0]} failed on {path}", details=(("it said", (result.stderr or result.stdout).strip()),))


def _check_mount_point(remote: Remote, path: str) -> None:
    result = remote.run(["sh", "-c", _MOUNT_POINT, "mount point", path], sudo=True, check=False, quiet=True)
    if result.exit_code:
        raise StepError(f"{path} is the mount of something else", details=(("it is", result.stdout.strip()),))
    if result.stdout.strip():
        raise StepError(
            f"{path} is not empty, and the disk would hide what is in it",
            details=(("it holds", result.stdout.strip()),),
            hint="put DiskMount before the step that fills the folder",
        )


def _uuid(remote: Remote, path: str) -> str:
    """Read from the disk, since udev may not know it yet."""
    return remote.run(["blkid", "-p", "-s", "UUID", "-o", "value", path], sudo=True, quiet=True).stdout.strip()


def _write_fstab(remote: Remote, line: str) -> None:
    before = remote.run("cat /etc/fstab 2>/dev/null || :", sudo=True, quiet=True).stdout
    after = with_fstab_line(before, line)
    if after == before:
        return
    remote.put(after.encode(), "/etc/fstab")
    remote.run("if command -v systemctl >/dev/null; then systemctl daemon-reload; fi", sudo=True, quiet=True)
