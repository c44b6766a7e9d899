"""What lies on a disk, and whether it may be used: pure decisions over `lsblk --json` and /etc/fstab.

Nothing here touches a machine. The rule that all of it serves: a disk that holds anything is never formatted; a
filesystem that an earlier run made, known by its label, is kept with all that is in it.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from baker.errors import StepError

COLUMNS = ("NAME", "PATH", "TYPE", "SIZE", "FSTYPE", "LABEL", "UUID", "PTTYPE", "PARTLABEL", "MOUNTPOINT")
"""What to ask lsblk for; these are as old as util-linux 2.33. Without NAME it lists partitions beside their disk, as if
they were none of it."""

GIB = 1 << 30
_TABLE_BYTES = 2 << 20  # a GPT and its copy, with partitions aligned to 1 MiB
_LABEL_CHARACTERS = 12  # all that xfs has room for
_FSTAB_OPTIONS = "defaults,nofail,x-systemd.device-timeout=5min"
"""A disk that is missing must not stop the start: nothing waits for a mount with `nofail`, so the time costs nothing.
With 30 s, disks of an emulated machine on a busy host came too late, and were not mounted.
"""
_OURS = "x-baker.disk="
_FSCK_PASS = {"ext4": 2, "xfs": 0}

Decision = Literal["make", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A disk or a partition, as lsblk sees it; empty texts for what it does not have. `table` is of a disk."""

    path: str
    kind: str
    size_bytes: int
    filesystem: str = ""
    label: str = ""
    uuid: str = ""
    table: str = ""
    partition_name: str = ""
    mounted_at: str = ""
    parts: tuple["Volume", ...] = ()

    def walk(self) -> Iterator["Volume"]:
        """This one and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def describe(self) -> str:
        """One line for a person: what it is and holds."""
        facts = [
            f"{self.table} partition table" if self.table and self.kind == "disk" else "",
            self.filesystem,
            f"label {self.label}" if self.label else "",
            f"partition name {self.partition_name}" if self.partition_name else "",
            f"mounted on {self.mounted_at}" if self.mounted_at else "",
        ]
        return f"{self.path}: {', '.join(fact for fact in facts if fact) or 'nothing known'}, {self.size_bytes} bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A filesystem that there is to be. `name` is its partition's; `size_gib` None takes what is left."""

    name: str
    mount_at: str
    filesystem: str
    size_gib: int | None = None

    @property
    def label(self) -> str:
        """`name`, shortened where it must be, and still told apart from others that begin alike."""
        if len(self.name) <= _LABEL_CHARACTERS:
            return self.name
        return f"{self.name[: _LABEL_CHARACTERS - 5]}-{hashlib.sha256(self.name.encode()).hexdigest()[:4]}"


def parse_lsblk(text: str) -> Volume:
    """The one disk of `lsblk --json --bytes --output COLUMNS DISK`. StepError when it tells of more than one."""
    found = [_volume(it) for it in json.loads(text)["blockdevices"]]
    if len(found) != 1:  # a disk of which we do not see the parts must not pass for an empty one
        raise StepError(
            f"lsblk tells of {len(found)} devices where one was asked for",
            details=(("they are", "\n".join(it.describe() for it in found)),),
        )
    return found[0]


def refuse_used(disk: Volume, wanted: tuple[Wanted, ...]) -> None:
    """StepError unless it is a whole disk of which nothing is in use elsewhere."""
    if disk.kind not in ("disk", "loop"):
        raise StepError(f"{disk.path} is a {disk.kind}, not a disk")
    allowed = ("", *(it.mount_at for it in wanted))
    used = [volume for volume in disk.walk() if volume.mounted_at not in allowed]
    if used:
        raise StepError(
            f"{disk.path} is in use: {used[0].path} is mounted on {used[0].mounted_at}",
            details=(("it holds", _contents(disk)),),
            hint="a disk of the recipe can be mounted by one DiskMount, at one place",
        )


def decide_filesystem(volume: Volume, wanted: Wanted) -> Decision:
    """Whether to make the filesystem or keep the one that is there. StepError for anything that is not ours."""
    if _is_blank(volume):
        return "make"
    if volume.filesystem == wanted.filesystem and volume.label == wanted.label and not volume.parts:
        return "keep"
    raise holds_data(volume.path, _contents(volume))


def decide_table(disk: Volume, wanted: tuple[Wanted, ...]) -> Decision:
    """Whether to make the partitions or keep those that are there. StepError for other ones, or too little room."""
    if _is_blank(disk):
        _check_room(disk, wanted)
        return "make"
    same_names = [part.partition_name for part in disk.parts] == [it.name for it in wanted]
    same_sizes = same_names and all(
        it.size_gib is None or part.size_bytes == it.size_gib * GIB for part, it in zip(disk.parts, wanted, strict=True)
    )
    if disk.table == "gpt" and same_sizes:
        return "keep"
    raise holds_data(disk.path, _contents(disk))


def partition_script(wanted: tuple[Wanted, ...]) -> str:
    """The input of sfdisk."""
    lines = ["label: gpt"]
    for it in wanted:
        size = "" if it.size_gib is None else f"size={it.size_gib}GiB, "
        lines.append(f'{size}type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="{it.name}"')
    return "\n".join(lines) + "\n"


def fstab_line(uuid: str, wanted: Wanted, disk: str) -> str:
    """The line that mounts it by UUID, at every start, when the disk is there."""
    options = f"{_FSTAB_OPTIONS},{_OURS}{disk}"
    return f"UUID={uuid} {wanted.mount_at} {wanted.filesystem} {options} 0 {_FSCK_PASS[wanted.filesystem]}"


def with_fstab_line(fstab: str, line: str) -> str:
    """`fstab` with `line`, in place of one of ours for the same folder. StepError when the folder has another one."""
    mount_at = line.split()[1]
    kept: list[str] = []
    for existing in fstab.splitlines():
        fields = existing.split()
        if len(fields) < 4 or fields[0].startswith("#") or fields[1] != mount_at:
            kept.append(existing)
        elif existing == line:
            return fstab
        elif _OURS not in fields[3]:
            raise StepError(
                f"/etc/fstab mounts something else on {mount_at}",
                details=(("its line", existing),),
                hint="choose another path",
            )
    return "\n".join([*kept, line]) + "\n"


def holds_data(path: str, found: str) -> StepError:
    """The refusal to format."""
    return StepError(
        f"{path} holds data and is not formatted",
        details=(("it holds", found),),
        hint="a disk of the recipe must be empty, or hold what the same DiskMount made before",
    )


def _is_blank(volume: Volume) -> bool:
    table = volume.table if volume.kind != "part" else ""  # lsblk tells a partition its disk's
    return not (volume.filesystem or table or volume.parts)


def _check_room(disk: Volume, wanted: tuple[Wanted, ...]) -> None:
    asked = sum(it.size_gib or 0 for it in wanted) * GIB + _TABLE_BYTES
    if asked > disk.size_bytes:
        raise StepError(
            f"the partitions do not fit on {disk.path}",
            details=(("asked for", f"{asked} bytes with the table"), ("there are", f"{disk.size_bytes} bytes")),
            hint="leave the last partition's size_gib out: it takes what is left",
        )


def _contents(volume: Volume) -> str:
    return "\n".join(it.describe() for it in volume.walk())


def _volume(data: dict[str, Any]) -> Volume:
    def text(name: str) -> str:
        return data.get(name) or ""

    return Volume(
        path=text("path"),
        kind=text("type"),
        size_bytes=int(data["size"]),
        filesystem=text("fstype"),
        label=text("label"),
        uuid=text("uuid"),
        table=text("pttype"),
        partition_name=text("partlabel"),
        mounted_at=text("mountpoint"),
        parts=tuple(_volume(child) for child in data.get("children", ())),
    )
