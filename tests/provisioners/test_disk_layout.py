"""Whether a disk may be formatted, decided over what lsblk said: answers recorded on a machine, and changed ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from baker.errors import StepError
from provisioners.disk_layout import (
    COLUMNS,
    Wanted,
    decide_filesystem,
    decide_table,
    fstab_line,
    parse_lsblk,
    partition_script,
    refuse_used,
    with_fstab_line,
)

GIB = 1 << 30
DATA = Wanted(name="data", mount_at="/data", filesystem="ext4")
PARTS = (
    Wanted(name="data-1", mount_at="/data", filesystem="ext4", size_gib=1),
    Wanted(name="data-2", mount_at="/scratch", filesystem="xfs"),
)


RECORDED = Path(__file__).with_name("lsblk")
"""What `lsblk --json --bytes --output ...` (util-linux 2.38.1) printed on a virtual machine."""


def recorded(name: str) -> str:
    return (RECORDED / f"{name}.json").read_text()


def lsblk(*children: dict[str, Any], **facts: Any) -> str:
    """The recorded answer for an empty disk, changed: of 4 GiB, with `facts`, and with `children` where lsblk nests."""
    disk = json.loads(recorded("blank"))["blockdevices"][0] | {"path": "/dev/vdb", "size": 4 * GIB} | facts
    return json.dumps({"blockdevices": [disk | ({"children": list(children)} if children else {})]})


def part(number: int, **facts: Any) -> dict[str, Any]:
    """The recorded answer for a partition, changed."""
    first: dict[str, Any] = json.loads(recorded("partitioned"))["blockdevices"][0]["children"][0]
    return first | {"path": f"/dev/vdb{number}", "partlabel": f"data-{number}"} | facts


@pytest.mark.parametrize("name", ["blank", "whole", "partitioned", "filesystems"])
def test_the_recordings_are_of_what_we_ask_for(name: str) -> None:
    (disk,) = json.loads(recorded(name))["blockdevices"]
    for it in (disk, *disk.get("children", ())):
        assert {key.upper() for key in it} - {"CHILDREN"} == set(COLUMNS)


def test_disks_as_they_were_recorded() -> None:
    names = (
        Wanted(name="parts-1", mount_at="/a", filesystem="ext4", size_gib=1),
        Wanted(name="parts-2", mount_at="/b", filesystem="xfs"),
    )
    assert decide_filesystem(parse_lsblk(recorded("blank")), DATA) == "make"
    assert decide_filesystem(parse_lsblk(recorded("whole")), DATA) == "keep"
    bare = parse_lsblk(recorded("partitioned"))
    assert decide_table(bare, names) == "keep"
    assert [decide_filesystem(*pair) for pair in zip(bare.parts, names, strict=True)] == ["make", "make"]
    filled = parse_lsblk(recorded("filesystems"))
    assert [decide_filesystem(*pair) for pair in zip(filled.parts, names, strict=True)] == ["keep", "keep"]
    refuse_used(filled, names)
    with pytest.raises(StepError, match=r"/dev/vdb1 is mounted on /a"):
        refuse_used(filled, (DATA,))


def test_partitions_listed_beside_their_disk_are_not_overlooked() -> None:
    """As lsblk does without NAME: read as one disk, it would seem to have no partitions."""
    with pytest.raises(StepError, match="tells of 3 devices"):
        parse_lsblk(recorded("without-name"))


def test_an_empty_disk_is_formatted() -> None:
    assert decide_filesystem(parse_lsblk(lsblk()), DATA) == "make"


def test_sizes_as_text_are_understood() -> None:
    assert parse_lsblk(lsblk(size=str(4 * GIB))).size_bytes == 4 * GIB  # util-linux before 2.33 quotes numbers


def test_our_own_filesystem_is_kept() -> None:
    assert decide_filesystem(parse_lsblk(lsblk(fstype="ext4", label="data", uuid="u")), DATA) == "keep"


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(lsblk(fstype="ext4", label="data2"), id="another label"),
        pytest.param(lsblk(fstype="ext4"), id="no label"),
        pytest.param(lsblk(fstype="xfs", label="data"), id="another filesystem"),
        pytest.param(lsblk(fstype="swap"), id="swap"),
        pytest.param(lsblk(fstype="LVM2_member"), id="lvm"),
        pytest.param(lsblk(fstype="crypto_LUKS"), id="luks"),
        pytest.param(lsblk(fstype="linux_raid_member"), id="raid"),
        pytest.param(lsblk(pttype="gpt"), id="an empty table"),
        pytest.param(lsblk(pttype="dos"), id="an old table"),
        pytest.param(lsblk(part(1), pttype="gpt"), id="a partition"),
        pytest.param(lsblk(part(1), fstype="ext4", label="data"), id="our label above a partition"),
    ],
)
def test_a_disk_that_holds_anything_else_is_refused_with_what_it_holds(found: str) -> None:
    with pytest.raises(StepError, match="holds data and is not formatted") as caught:
        decide_filesystem(parse_lsblk(found), DATA)
    (label, text), *_ = caught.value.details
    assert label == "it holds"
    assert text.startswith("/dev/vdb: ")


def test_what_it_holds_names_each_partition() -> None:
    found = lsblk(part(1, fstype="vfat", partlabel="EFI"), part(2, fstype="ext4", label="old"), pttype="gpt")
    with pytest.raises(StepError) as caught:
        decide_filesystem(parse_lsblk(found), DATA)
    assert caught.value.details[0][1].splitlines() == [
        f"/dev/vdb: gpt partition table, {4 * GIB} bytes",
        f"/dev/vdb1: vfat, partition name EFI, {GIB} bytes",
        f"/dev/vdb2: ext4, label old, partition name data-2, {GIB} bytes",
    ]


def test_a_new_partition_is_empty_though_it_lies_in_a_table() -> None:
    disk = parse_lsblk(lsblk(part(1), pttype="gpt"))
    assert decide_filesystem(disk.parts[0], PARTS[0]) == "make"


def test_an_empty_disk_is_partitioned() -> None:
    assert decide_table(parse_lsblk(lsblk()), PARTS) == "make"


def test_our_own_partitions_are_kept() -> None:
    disk = parse_lsblk(lsblk(part(1), part(2, size=3 * GIB - 4096), pttype="gpt"))
    assert decide_table(disk, PARTS) == "keep"


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(lsblk(part(1), pttype="gpt"), id="one is missing"),
        pytest.param(lsblk(part(1), part(2), part(3), pttype="gpt"), id="one too many"),
        pytest.param(lsblk(part(1, size=2 * GIB), part(2), pttype="gpt"), id="another size"),
        pytest.param(lsblk(part(1, partlabel="a"), part(2), pttype="gpt"), id="another name"),
        pytest.param(lsblk(part(1), part(2), pttype="dos"), id="an old table"),
        pytest.param(lsblk(fstype="ext4", label="data"), id="a filesystem on the whole disk"),
    ],
)
def test_a_disk_with_other_partitions_is_refused(found: str) -> None:
    with pytest.raises(StepError, match="holds data"):
        decide_table(parse_lsblk(found), PARTS)


def test_partitions_that_do_not_fit_are_refused_before_anything_is_written() -> None:
    wanted = (Wanted(name="data-1", mount_at="/a", filesystem="ext4", size_gib=4),)
    with pytest.raises(StepError, match="do not fit") as caught:
        decide_table(parse_lsblk(lsblk()), wanted)
    assert "size_gib" in (caught.value.hint or "")


def test_the_script_for_sfdisk() -> None:
    linux = "type=0FC63DAF-8483-4772-8E79-3D69D8477DE4"
    assert partition_script(PARTS) == f'label: gpt\nsize=1GiB, {linux}, name="data-1"\n{linux}, name="data-2"\n'


def test_a_disk_in_use_elsewhere_is_refused() -> None:
    root = parse_lsblk(lsblk(part(1, mountpoint="/"), pttype="gpt"))
    with pytest.raises(StepError, match=r"/dev/vdb1 is mounted on /$"):
        refuse_used(root, (DATA,))
    swap = parse_lsblk(lsblk(fstype="swap", mountpoint="[SWAP]"))
    with pytest.raises(StepError, match="in use"):
        refuse_used(swap, (DATA,))


def test_a_disk_mounted_where_it_is_wanted_is_not_in_use_elsewhere() -> None:
    refuse_used(parse_lsblk(lsblk(fstype="ext4", label="data", mountpoint="/data")), (DATA,))


def test_a_partition_is_no_disk() -> None:
    with pytest.raises(StepError, match="is a part, not a disk"):
        refuse_used(parse_lsblk(lsblk(type="part")), (DATA,))


def test_labels_fit_xfs_and_stay_apart() -> None:
    names = ("data", "measurements", "measurements-2024", "measurements-2025")
    labels = [Wanted(name=name, mount_at="/a", filesystem="xfs").label for name in names]
    assert labels[:2] == ["data", "measurements"]
    assert all(len(label) <= 12 for label in labels)
    assert len(set(labels)) == 4


OLD = "# static file system information\nUUID=root / ext4 errors=remount-ro 0 1\n"
LINE = fstab_line("abc", DATA, "data")


def test_the_line_in_fstab() -> None:
    assert LINE == "UUID=abc /data ext4 defaults,nofail,x-systemd.device-timeout=5min,x-baker.disk=data 0 2"
    assert fstab_line("abc", Wanted(name="d", mount_at="/d", filesystem="xfs"), "d").endswith(" 0 0")


def test_fstab_keeps_its_other_lines() -> None:
    assert with_fstab_line(OLD, LINE) == f"{OLD}{LINE}\n"
    assert with_fstab_line("", LINE) == f"{LINE}\n"
    assert with_fstab_line(OLD.rstrip("\n"), LINE) == f"{OLD}{LINE}\n"


def test_fstab_does_not_change_when_the_line_is_there() -> None:
    fstab = f"{OLD}{LINE}\nUUID=x /srv ext4 defaults 0 2"
    assert with_fstab_line(fstab, LINE) == fstab


def test_our_line_for_a_disk_of_before_is_replaced() -> None:
    assert with_fstab_line(f"{OLD}{fstab_line('gone', DATA, 'data')}\n", LINE) == f"{OLD}{LINE}\n"


def test_a_line_of_somebody_else_is_refused() -> None:
    with pytest.raises(StepError, match="something else on /data") as caught:
        with_fstab_line(f"{OLD}/dev/sdb1 /data ext4 defaults 0 2\n", LINE)
    assert caught.value.details == (("its line", "/dev/sdb1 /data ext4 defaults 0 2"),)


def test_a_comment_is_no_line() -> None:
    fstab = "# /dev/sdb1 /data ext4 defaults\n"
    assert with_fstab_line(fstab, LINE) == f"{fstab}{LINE}\n"
