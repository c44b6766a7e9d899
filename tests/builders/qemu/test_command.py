"""Whole command lines, against golden files: a change in what is started shows as a diff."""

import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from baker.builders.qemu import command
from baker.builders.qemu.command import DiskFile, Hardware

GOLDEN = Path(__file__).parent / "golden"

HARDWARE = Hardware(
    process_name="bake-20260102-030405-abcd",
    memory_mib=4096,
    cpus=2,
    accelerator=("-accel", "tcg,thread=multi", "-cpu", "max"),
    firmware_code=Path("/usr/share/OVMF/OVMF_CODE_4M.fd"),
    firmware_variables=Path("/home/user/baker/work/1a2b3c4d/firmware-variables.fd"),
    disks=(
        DiskFile(serial="root", path=Path("/home/user/baker/work/1a2b3c4d/root.qcow2")),
        DiskFile(serial="data", path=Path("/home/user/baker/work/1a2b3c4d/data.qcow2")),
    ),
    seed=Path("/home/user/baker/work/1a2b3c4d/seed.iso"),
    serial_log=Path("/home/user/recipes/.bake/runs/x/serial.log"),
    qmp_fd=7,
)

FOLDER = Path("/home/user/baker/work/1a2b3c4d")
SOURCE = Path("/home/user/baker/sources/debian/image.qcow2")

COMMANDS = {
    "qemu": command.qemu_command(HARDWARE),
    "qemu-kvm-no-data-disk": command.qemu_command(
        replace(HARDWARE, accelerator=("-accel", "kvm", "-cpu", "host"), disks=HARDWARE.disks[:1])
    ),
    "create-overlay": command.create_overlay_command(FOLDER / "root.qcow2", backing=SOURCE, size_bytes=12 << 30),
    "create-disk": command.create_disk_command(FOLDER / "data.qcow2", size_bytes=1 << 30),
    "convert": command.convert_command(FOLDER / "root.qcow2", Path("/home/user/baker/images/.reef.partial/root.qcow2")),
    "check": command.check_command(FOLDER / "root.qcow2"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_line_is_the_approved_one(name: str) -> None:
    """Approve a change with BAKER_APPROVE=1, and look at the diff."""
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("BAKER_APPROVE"):
        golden.write_text(lines(COMMANDS[name]))
    assert lines(COMMANDS[name]) == golden.read_text()


def lines(argv: tuple[str, ...]) -> str:
    """One option a line."""
    return shlex.join(argv).replace(" -", " \\\n  -") + "\n"


def test_a_golden_file_belongs_to_a_command() -> None:
    assert {file.stem for file in GOLDEN.glob("*.txt")} == set(COMMANDS)


def test_a_comma_in_a_path_is_no_separator() -> None:
    argv = command.qemu_command(replace(HARDWARE, seed=Path("/a,b/seed.iso")))
    assert any(word.endswith("file=/a,,b/seed.iso") for word in argv)


def test_a_serial_that_would_be_cut_off_is_refused() -> None:
    disk = DiskFile(serial="x" * 21, path=FOLDER / "x.qcow2")
    with pytest.raises(ValueError, match="longer than 20"):
        command.qemu_command(replace(HARDWARE, disks=(disk,)))


def test_a_port_is_opened_on_loopback_alone() -> None:
    forwarded = [word for word in command.qemu_command(HARDWARE) if "hostfwd" in word]
    assert len(forwarded) == 1
    assert "hostfwd=tcp:127.0.0.1:0-:22" in forwarded[0]


def test_what_a_guest_frees_can_no_longer_be_read(tmp_path: Path) -> None:
    """Down to one block of a file system: a deleted key beside live data must not stay in the image."""
    disk = tmp_path / "disk.qcow2"
    subprocess.run(command.create_disk_command(disk, size_bytes=1 << 30), check=True)
    block = 4096
    write, free = ["-c", "write -q -P 0x41 0 64k"], ["-c", f"discard {block} {block}"]
    subprocess.run(["qemu-io", "-f", "qcow2", "-d", "unmap", *write, *free, disk], check=True, capture_output=True)
    read = ["-c", f"read -P 0 {block} {block}", "-c", f"read -P 0x41 0 {block}", "-c", "read -P 0x41 8k 56k"]
    result = subprocess.run(["qemu-io", "-f", "qcow2", *read, disk], check=True, capture_output=True, text=True)
    assert "verification failed" not in result.stdout
