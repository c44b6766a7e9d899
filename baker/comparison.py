"""What a machine from an image is compared with: its builder's machine-id, and what was on the builder's disks.

The same question is asked on both machines, in the same words; so the answers can be compared as they are. On the
builder it is part of the inventory before the seal, and its answers become labels of the image.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from baker.recipe import Disk

MACHINE_ID = "machine-id"
"""The name of the fact, and of the label: the SHA-256 of the machine-id, which itself is nobody's business."""

_DISK = "disk "

QUESTION = r"""
contents() {
  if [ -n "$(find "$1/" -xdev -mindepth 1 ! -name lost+found -print -quit)" ]; then echo filled; else echo empty; fi
}
# A disk is mounted with its partitions, and whatever else lies on it; the kernel knows where and as what.
mounted() {
  lsblk --raw --noheadings --paths --output NAME "$1" 2>/dev/null | while read -r device; do
    findmnt --raw --noheadings --output TARGET,FSTYPE --source "$device" | while read -r path type; do
      echo "$path $type $(contents "$path")"
    done
  done | sort -u | paste -sd, -
}
compare() {
  echo "machine-id=$(sha256sum </etc/machine-id | cut -d' ' -f1)"
  while [ $# -ge 2 ]; do
    echo "disk $1=$(mounted "$2")"
    shift 2
  done
}
"""
"""For /bin/sh as root: a function `compare`, whose arguments are the names and devices of disks in turn. It prints
`name=value` lines, such as `disk data=/data xfs filled`."""


class HasDisks(Protocol):
    """The part of a `Remote` that knows devices."""

    def disk(self, name: str) -> str: ...


def arguments(remote: HasDisks, disks: Sequence[Disk]) -> list[str]:
    """The arguments of `compare` for these disks."""
    return [word for disk in disks for word in (disk.name, remote.disk(disk.name))]


def disk_fact(name: str) -> str:
    """The name of the fact that says where a disk of the recipe is mounted."""
    return f"{_DISK}{name}"


def disks_in(facts: Mapping[str, str]) -> Mapping[str, str]:
    """By the name of the disk: `/data xfs filled`, or several of these with commas between; empty when not mounted."""
    return {name.removeprefix(_DISK): value for name, value in facts.items() if name.startswith(_DISK)}
