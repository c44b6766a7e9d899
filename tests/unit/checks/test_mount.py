"""What findmnt and lsblk say, judged. That they are asked rightly is tried on machines."""

from typing import Any

import pytest

from baker.checks.mount import problems_of

GOOD: dict[str, Any] = {
    "mounted": {"filesystems": [{"source": "/dev/vdb", "fstype": "xfs", "options": "rw,relatime", "uuid": "1-2-3"}]},
    "root_disks": {"blockdevices": [{"name": "/dev/vda2", "type": "part"}, {"name": "/dev/vda", "type": "disk"}]},
    "disks": {"blockdevices": [{"name": "/dev/vdb", "type": "disk"}]},
    "fstab": {"filesystems": [{"source": "UUID=1-2-3", "options": "defaults,nofail"}]},
    "folder": "root:users 2775",
}

ROOT_DISK = {"blockdevices": [{"name": "/dev/vda3", "type": "part"}, {"name": "/dev/vda", "type": "disk"}]}


def fstab(source: str, options: str) -> dict[str, Any]:
    return {"filesystems": [{"source": source, "options": options}]}


def test_a_data_disk_is_as_it_must_be() -> None:
    assert problems_of("/data", GOOD) == []


def test_an_unknown_uuid_of_what_is_mounted_is_no_problem() -> None:
    mounted = {"filesystems": [{**GOOD["mounted"]["filesystems"][0], "uuid": None}]}
    assert problems_of("/data", {**GOOD, "mounted": mounted}) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mounted": {}}, "expected /data to be a mount point; it is not"),
        ({"disks": ROOT_DISK}, "expected /data on a disk of its own; it lies on the root disk /dev/vda"),
        ({"disks": {}}, "expected /data to lie on a disk; saw /dev/vdb (xfs, rw,relatime; folder root:users 2775)"),
        (
            {"fstab": {}},
            "expected a line for /data in /etc/fstab, or it will be gone after a boot; there is none",
        ),
        (
            {"fstab": fstab("/dev/vdb", "nofail")},
            "expected /data in /etc/fstab by its UUID, as device names change; saw /dev/vdb",
        ),
        (
            {"fstab": fstab("UUID=9-9-9", "nofail")},
            "expected the file system of /etc/fstab (UUID=9-9-9) on /data; UUID=1-2-3 is there",
        ),
        (
            {"fstab": fstab("UUID=1-2-3", "defaults")},
            "expected nofail for /data in /etc/fstab, or a machine without the disk does not boot; saw defaults",
        ),
    ],
)
def test_each_fault_is_told_with_what_was_seen(changes: dict[str, Any], problem: str) -> None:
    assert problems_of("/data", {**GOOD, **changes})[0] == problem
