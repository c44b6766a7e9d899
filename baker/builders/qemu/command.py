"""Command lines of QEMU and qemu-img, as pure functions of plain data: nothing here is run, read or written.

Golden files under tests/ hold whole command lines, so that a change in what is started shows as a diff.
"""

from dataclasses import dataclass
from pathlib import Path

from baker.builders.qemu.naming import in_option

SERIAL_LENGTH = 20
"""Bytes that virtio-blk has for a disk's serial; a longer one is cut off silently."""

GUEST_SSH_PORT = 22

_LAYOUT = "cluster_size=4k,lazy_refcounts=on"
# A cluster is what a discard can free. At the size of a file system's block no freed block stays readable in the
# image; the default of 64k would keep a deleted key that lies beside live data.


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFile:
    """A disk of the machine: what the machine finds it by, and its qcow2 file."""

    serial: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A machine to start. `accelerator` are QEMU's arguments for it; the first disk is the one that boots.

    `qmp_fd` is a connected socket that QEMU inherits. `process_name` can be read in its argv by whoever looks for
    what a dead bake left.
    """

    process_name: str
    memory_mib: int
    cpus: int
    accelerator: tuple[str, ...]
    firmware_code: Path
    firmware_variables: Path
    disks: tuple[DiskFile, ...]
    seed: Path
    serial_log: Path
    qmp_fd: int


def qemu_command(hardware: Hardware) -> tuple[str, ...]:
    """The command line that starts the machine."""
    return (
        "qemu-system-x86_64",
        "-name", hardware.process_name,
        # Nothing but what stands here: no default devices, no files of the user's.
        "-no-user-config", "-nodefaults", "-display", "none",
        # The emulator of an untrusted guest may not start programs, nor gain rights.
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-machine", "q35",
        *hardware.accelerator,
        "-m", f"{hardware.memory_mib}M",
        "-smp", str(hardware.cpus),
        *_firmware(hardware),
        *_drives(hardware),
        # The port is QEMU's choice (0), so no two machines can want the same one. No IPv6: the guest would try it
        # first for each fetch, and give up late where the host has none.
        "-netdev", f"user,id=net0,ipv6=off,hostfwd=tcp:127.0.0.1:0-:{GUEST_SSH_PORT}",
        "-device", "virtio-net-pci,netdev=net0,romfile=",  # no network boot: the firmware need not load it
        # Keys are made early in a boot, when an idle machine has little randomness of its own.
        "-device", "virtio-rng-pci",
        "-chardev", f"file,id=serial0,path={in_option(hardware.serial_log)},append=on",
        "-serial", "chardev:serial0",
        # A socket that is inherited needs no path: none that is too long, and none that others could open.
        "-chardev", f"socket,id=qmp0,fd={hardware.qmp_fd}",
        "-mon", "chardev=qmp0,mode=control",
    )  # fmt: skip


def _firmware(hardware: Hardware) -> tuple[str, ...]:
    return (
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={in_option(hardware.firmware_code)}",
        "-drive", f"if=pflash,format=raw,unit=1,file={in_option(hardware.firmware_variables)}",
    )  # fmt: skip


def _drives(hardware: Hardware) -> tuple[str, ...]:
    arguments: list[str] = []
    for number, disk in enumerate(hardware.disks):
        if len(disk.serial.encode()) > SERIAL_LENGTH:
            raise ValueError(f"disk serial {disk.serial!r} is longer than {SERIAL_LENGTH} bytes")
        boot = ",bootindex=1" if number == 0 else ""
        # cache=unsafe ignores the guest's flushes, and is several times faster. A crash of the host would lose the
        # disk, but then the bake has failed and the disk is thrown away; the image is made after a clean poweroff
        # and is flushed by us. discard and detect-zeroes: what the guest frees takes no room in the image.
        options = "if=none,format=qcow2,cache=unsafe,aio=threads,discard=unmap,detect-zeroes=unmap"
        arguments += ["-drive", f"{options},id=disk{number},file={in_option(disk.path)}"]
        arguments += ["-device", f"virtio-blk-pci,drive=disk{number},serial={disk.serial}{boot}"]
    arguments += ["-drive", f"if=none,format=raw,readonly=on,id=seed,file={in_option(hardware.seed)}"]
    arguments += ["-device", "virtio-blk-pci,drive=seed"]
    return tuple(arguments)


def create_overlay_command(path: Path, *, backing: Path, size_bytes: int) -> tuple[str, ...]:
    """Make a disk that starts as `backing` (qcow2) and takes all writes itself."""
    standing_on = ("-F", "qcow2", "-b", str(backing))
    return ("qemu-img", "create", "-q", "-f", "qcow2", "-o", _LAYOUT, *standing_on, str(path), str(size_bytes))


def create_disk_command(path: Path, *, size_bytes: int) -> tuple[str, ...]:
    """Make an empty disk."""
    return ("qemu-img", "create", "-q", "-f", "qcow2", "-o", _LAYOUT, str(path), str(size_bytes))


def convert_command(source: Path, target: Path) -> tuple[str, ...]:
    """Make one standalone compressed qcow2 of a disk and all that it stands on, in one pass, saying how far it is."""
    parallel = ("-m", "16", "-W")  # the most coroutines that qemu-img takes; order does not matter in a qcow2
    return (
        "qemu-img", "convert", "-p", "-c", *parallel,
        "-f", "qcow2", "-O", "qcow2", "-o", "compression_type=zstd", str(source), str(target),
    )  # fmt: skip


def check_command(path: Path) -> tuple[str, ...]:
    """Look for damage in a qcow2 file; exits with 0 only when there is none."""
    return ("qemu-img", "check", "-q", "-f", "qcow2", str(path))


def info_command(path: Path) -> tuple[str, ...]:
    """Describe a disk file as JSON, also while a machine uses it."""
    return ("qemu-img", "info", "-U", "--output=json", "-f", "qcow2", str(path))
