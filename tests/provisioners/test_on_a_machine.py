"""What only a real machine has: block devices, systemd, a boot. All tests share one virtual machine.

Each test has a disk of its own, so that they can run alone and in any order, but for the last one, which restarts the
machine and looks at what the others left.
"""

import os
import time
from collections.abc import Iterator

import pytest

from baker.builders.qemu.builder import QemuBuilder
from baker.builders.qemu.spec import Qemu
from baker.clock import SystemClock
from baker.communicators.sftp import open_sftp
from baker.communicators.ssh import SshConnector
from baker.errors import StepError
from baker.events import Event, OutputLine
from baker.ports import RunInfo
from baker.recipe import Disk
from baker.remote import MachineRemote
from provisioners import DiskMount, Partition, Reboot, Shell

pytestmark = [pytest.mark.qemu, pytest.mark.xdist_group("steps-on-a-machine")]

BOOT_SECONDS = 600
DISKS = {"whole": 1, "measurements-2024": 1, "parts": 4, "foreign": 1, "raw": 1, "table": 1, "crowded": 1, "late": 1}


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Iterator[MachineRemote]:
    """The machine with all disks, empty."""
    folder = tmp_path_factory.mktemp("machine")
    run = RunInfo(
        run_id=f"20260101-000000-{os.urandom(2).hex()}",
        recipe="steps",
        fingerprint="0" * 64,
        image_name="unused",
        owner="test",
        started=time.time(),
        expires=time.time() + 3600,
        run_dir=folder,
    )
    disks = tuple(Disk(name=name, size_gib=size) for name, size in DISKS.items())
    clock = SystemClock()
    spec = Qemu(memory_mib=1024, cpus=1, disk_gib=6)
    with QemuBuilder().machine(spec, disks, run, events.append) as launched:
        remote = MachineRemote(
            machine=launched,
            connector=SshConnector(clock=clock),
            transfer=open_sftp,
            resolve=lambda secret: secret.name,
            folder=folder,
            emit=events.append,
            clock=clock,
        )
        with remote:
            remote.connect(timeout=BOOT_SECONDS)
            yield remote


def out(machine: MachineRemote, command: str) -> str:
    return machine.run(command, sudo=True, quiet=True).stdout.strip()


def state(machine: MachineRemote, *paths: str) -> str:
    """What a second run must not change: the disks' signatures, fstab to its inode, mounts, owners."""
    stats = " ".join(paths)
    return out(
        machine,
        f"lsblk -o NAME,SIZE,FSTYPE,LABEL,UUID,PARTUUID; stat -c '%i %Y' /etc/fstab; findmnt -n {paths[0]};"
        f" stat -c '%n %U:%G %a' {stats}; find {stats} -xdev | sort",
    )


def test_a_whole_disk(machine: MachineRemote, events: list[Event]) -> None:
    step = DiskMount(disk="whole", path="/data", owner="1234:1235", mode=0o2775)
    step.apply(machine)
    assert out(machine, "findmnt -n -o FSTYPE,TARGET /data").split() == ["ext4", "/data"]
    assert out(machine, "stat -c '%u:%g %a' /data") == "1234:1235 2775"
    assert out(machine, f"readlink -f {machine.disk('whole')}") == out(machine, "findmnt -n -o SOURCE /data")
    line = out(machine, "grep ' /data ' /etc/fstab")
    assert line.startswith("UUID=" + out(machine, "findmnt -n -o UUID /data"))
    assert ",nofail,x-systemd.device-timeout=" in line
    out(machine, "echo precious >/data/precious")

    before = state(machine, "/data")
    step.apply(machine)
    assert state(machine, "/data") == before
    assert any(isinstance(event, OutputLine) and "keeps the ext4" in event.text for event in events)


def test_a_filesystem_that_was_made_and_not_mounted_is_kept(machine: MachineRemote) -> None:
    """As after a bake that was cut off: the filesystem is there, the line in fstab is not."""
    step = DiskMount(disk="late", path="/late")
    step.apply(machine)
    out(machine, "echo precious >/late/precious && umount /late && sed -i '/ .late /d' /etc/fstab")
    step.apply(machine)
    assert out(machine, "cat /late/precious") == "precious"


def test_xfs_on_a_disk_with_a_long_name(machine: MachineRemote) -> None:
    step = DiskMount(disk="measurements-2024", path="/srv/measurements", filesystem="xfs")
    step.apply(machine)
    assert out(machine, "findmnt -n -o FSTYPE /srv/measurements") == "xfs"
    before = state(machine, "/srv/measurements")
    step.apply(machine)
    assert state(machine, "/srv/measurements") == before


def test_partitions_one_in_the_other(machine: MachineRemote) -> None:
    step = DiskMount(
        disk="parts",
        partitions=(
            Partition(path="/parts/scratch", size_gib=1, mode=0o1777),
            Partition(path="/parts", size_gib=1, filesystem="xfs"),
            Partition(path="/rest", owner="1234"),
        ),
    )
    step.apply(machine)
    kinds = {path: out(machine, f"findmnt -n -o FSTYPE {path}") for path in ("/parts", "/parts/scratch", "/rest")}
    assert kinds == {"/parts": "xfs", "/parts/scratch": "ext4", "/rest": "ext4"}
    assert out(machine, "stat -c %a /parts/scratch") == "1777"
    assert out(machine, "stat -c %u /rest") == "1234"
    disk = machine.disk("parts")
    sizes = [int(size) for size in out(machine, f"lsblk -bnr -o SIZE {disk}").split()]
    assert sizes[1:3] == [1 << 30, 1 << 30]
    assert sizes[3] > (2 << 30) - (4 << 20)
    before = state(machine, "/parts", "/parts/scratch", "/rest")
    step.apply(machine)
    assert state(machine, "/parts", "/parts/scratch", "/rest") == before

    with pytest.raises(StepError, match="in use"):
        DiskMount(disk="parts", path="/elsewhere").apply(machine)
    assert state(machine, "/parts", "/parts/scratch", "/rest") == before


def test_a_filesystem_of_somebody_else_is_refused(machine: MachineRemote) -> None:
    device = machine.disk("foreign")
    out(machine, f"mkfs.ext4 -q -L photographs {device} && udevadm settle")
    begin = f"dd if={device} bs=1M count=16 status=none | sha256sum"
    before = out(machine, begin)
    with pytest.raises(StepError, match="holds data and is not formatted") as caught:
        DiskMount(disk="foreign", path="/foreign").apply(machine)
    assert "ext4, label photographs" in dict(caught.value.details)["it holds"]
    with pytest.raises(StepError, match="holds data"):
        DiskMount(disk="foreign", partitions=(Partition(path="/foreign"),)).apply(machine)
    assert out(machine, begin) == before
    assert "/foreign" not in out(machine, "cat /etc/fstab")


@pytest.mark.parametrize("at_mib", [0, 1023])
def test_bytes_without_a_known_signature_are_data_too(machine: MachineRemote, at_mib: int) -> None:
    device = machine.disk("raw")
    out(machine, f"echo something | dd of={device} bs=1M seek={at_mib} conv=notrunc oflag=sync status=none")
    with pytest.raises(StepError, match="holds data") as caught:
        DiskMount(disk="raw", path="/raw").apply(machine)
    assert f"not zero in MiB {at_mib}" in dict(caught.value.details)["it holds"]
    assert out(machine, f"dd if={device} bs=1M skip={at_mib} count=1 status=none | head -c 9") == "something"
    out(machine, f"dd if=/dev/zero of={device} bs=1M seek={at_mib} count=1 conv=notrunc oflag=sync status=none")


def test_an_empty_partition_table_is_data(machine: MachineRemote) -> None:
    device = machine.disk("table")
    out(machine, f"echo 'label: gpt' | sfdisk -q {device} && udevadm settle")
    with pytest.raises(StepError, match="holds data") as caught:
        DiskMount(disk="table", path="/table").apply(machine)
    assert "gpt partition table" in dict(caught.value.details)["it holds"]


def test_a_folder_with_content_is_not_hidden(machine: MachineRemote) -> None:
    out(machine, "mkdir -p /crowded && echo mine >/crowded/file")
    with pytest.raises(StepError, match="would hide what is in it") as caught:
        DiskMount(disk="crowded", path="/crowded").apply(machine)
    assert dict(caught.value.details)["it holds"] == "file"
    assert "/crowded" not in out(machine, "cat /etc/fstab")
    out(machine, "rm -r /crowded")
    DiskMount(disk="crowded", path="/crowded").apply(machine)  # once it is empty, what was made before is used


def test_without_the_program_for_it_nothing_is_touched(machine: MachineRemote) -> None:
    out(machine, "mv $(command -v mkfs.ext4) /root/mkfs.away")
    try:
        with pytest.raises(StepError, match=r"mkfs.ext4 is not on the machine") as caught:
            DiskMount(disk="table", path="/table").apply(machine)
        assert "e2fsprogs" in (caught.value.hint or "")
    finally:
        out(machine, "mv /root/mkfs.away /sbin/mkfs.ext4")


def test_a_script_runs_though_run_is_mounted_noexec(machine: MachineRemote, events: list[Event]) -> None:
    assert "noexec" in out(machine, "findmnt -n -o OPTIONS /run")
    (machine.folder / "where.sh").write_text('#!/bin/sh\necho "ran as $(whoami) from $0"\n')
    Shell(script="where.sh", sudo=True).apply(machine)
    assert OutputLine(stream="stdout", text="ran as root from /dev/shm/baker/script") in events
    assert out(machine, "find /dev/shm/baker -type f") == ""


def test_after_a_restart_all_is_where_it_was(machine: MachineRemote) -> None:
    """And a disk whose filesystem is gone does not stop the start."""
    mounted = out(machine, "findmnt -rn -o TARGET,SOURCE,FSTYPE -t ext4,xfs | sort")
    boot = out(machine, "cat /proc/sys/kernel/random/boot_id")
    gone = "UUID=0b0b0b0b-0000-4000-8000-000000000000 /gone ext4 defaults,nofail,x-systemd.device-timeout=5s 0 2"
    out(machine, f"echo '{gone}' >>/etc/fstab")
    armed = "systemctl show --property ActiveState,NextElapseUSecRealtime bake-deadman.timer"
    instant = out(machine, armed)
    assert "ActiveState=active" in instant, "cloud-init arms the dead-man switch before anybody can log in"
    Reboot(timeout_seconds=BOOT_SECONDS).apply(machine)
    assert out(machine, armed) == instant
    assert out(machine, "cat /proc/sys/kernel/random/boot_id") != boot
    assert out(machine, "systemctl is-system-running --wait; true") in ("running", "degraded")
    assert out(machine, "findmnt -rn -o TARGET,FSTYPE -t ext4,xfs | sort") == "\n".join(
        " ".join((line.split()[0], line.split()[2])) for line in mounted.splitlines()
    )
    if "/data" in mounted.split():
        assert out(machine, "cat /data/precious") == "precious"
