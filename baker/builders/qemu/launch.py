"""Starts a machine: its folder, disks, keys, seed and process, each with its undo registered before it is made."""

import contextlib
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from baker.builders.qemu import qemu_img
from baker.builders.qemu.capture import NamedDisk
from baker.builders.qemu.command import DiskFile, Hardware, qemu_command
from baker.builders.qemu.errors import explain, explaining
from baker.builders.qemu.firmware import Firmware
from baker.builders.qemu.image import ROOT_DISK
from baker.builders.qemu.machine import DescribeImage, MachineParts, QemuMachine, ssh_port
from baker.builders.qemu.monitor import Monitor, MonitorError
from baker.builders.qemu.process import ChildProcess
from baker.builders.qemu.seed import Seed, write_seed
from baker.cleanup import CleanupStack
from baker.errors import LaunchError
from baker.events import Emit
from baker.home import Home
from baker.keys import new_key_pair
from baker.ports import Address, Clock, RunInfo

LOOPBACK = "127.0.0.1"
_EXIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDisk:
    """A disk to make: `name` in the recipe, on top of `backing` (a qcow2 that stays as it is) or empty."""

    name: str
    size_bytes: int
    backing: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A machine to start. The first disk boots. `label` is `bake`, or `image` for one started from an image."""

    label: str
    run: RunInfo
    login_user: str
    memory_mib: int
    cpus: int
    accelerator: tuple[str, ...]
    firmware: Firmware
    disks: tuple[NewDisk, ...]


def launch(
    launch: Launch,
    *,
    home: Home,
    describe: DescribeImage,
    power_off_seconds: float,
    cleanup: CleanupStack,
    emit: Emit,
    clock: Clock,
) -> QemuMachine:
    """Start it, and return as soon as QEMU runs. LaunchError, BuilderError, DiskFullError, BuilderUnavailableError."""
    name = f"bake-{launch.run.run_id}"
    folder = _work_folder(home, cleanup)
    user_key, host_key = new_key_pair(f"{name} login"), new_key_pair(f"{name} host")
    with explaining("preparing the machine's files", LaunchError):
        disks = tuple(_make_disk(disk, folder) for disk in launch.disks)
        seed = Seed(
            instance_id=f"{launch.run.run_id}-{launch.label}",
            host_name=f"{launch.label}-{folder.name}",
            login_user=launch.login_user,
            user_key=user_key.public,
            host_key=host_key,
        )
        write_seed(seed, folder / "seed.iso")
        shutil.copyfile(launch.firmware.variables, folder / "firmware-variables.fd")
        serial_log = launch.run.run_dir / ("serial.log" if launch.label == "bake" else f"serial-{launch.label}.log")
        serial_log.touch(mode=0o600)
    ours, theirs = socket.socketpair()
    monitor = Monitor(ours)
    cleanup.enter(contextlib.closing(monitor), "the machine's monitor")
    with theirs:
        hardware = Hardware(
            process_name=name,
            memory_mib=launch.memory_mib,
            cpus=launch.cpus,
            accelerator=launch.accelerator,
            firmware_code=launch.firmware.code,
            firmware_variables=folder / "firmware-variables.fd",
            disks=tuple(DiskFile(serial=disk.name, path=disk.path) for disk in disks),
            seed=folder / "seed.iso",
            serial_log=serial_log,
            qmp_fd=theirs.fileno(),
        )
        process = _start(hardware, folder, cleanup)
    return QemuMachine(
        MachineParts(
            id=name,
            address=Address(
                host=LOOPBACK,
                port=_opened(monitor, process),
                user=launch.login_user,
                key=user_key,
                host_key=host_key.public,
            ),
            process=process,
            monitor=monitor,
            serial_log=serial_log,
            disks=disks,
            device_paths=_device_paths(disks),
            images=home.images,
            describe=describe,
            emit=emit,
            clock=clock,
            power_off_seconds=power_off_seconds,
        )
    )


def _work_folder(home: Home, cleanup: CleanupStack) -> Path:
    with explaining(f"making a folder in {home.path}", LaunchError):
        folder = home.new_work_folder_path()

        def remove() -> None:
            if folder.exists():
                shutil.rmtree(folder)

        cleanup.acquire("work folder", folder.name, str(folder.parent), undo=remove, remove_hint=f"rm -r {folder}")
        folder.mkdir(mode=0o700)
    return folder


def _make_disk(disk: NewDisk, folder: Path) -> NamedDisk:
    path = folder / f"{disk.name}.qcow2"
    if disk.backing is None:
        qemu_img.create_disk(path, size_bytes=disk.size_bytes)
    else:
        qemu_img.create_overlay(path, backing=disk.backing.absolute(), size_bytes=disk.size_bytes)
    return NamedDisk(name=disk.name, path=path)


def _start(hardware: Hardware, folder: Path, cleanup: CleanupStack) -> ChildProcess:
    process = ChildProcess(qemu_command(hardware), stderr_path=folder / "qemu.stderr")
    cleanup.acquire(
        "qemu process",
        hardware.process_name,
        str(folder),
        undo=process.end,
        remove_hint=f"pkill -KILL -f '{hardware.process_name}.*{folder.name}'",
    )
    process.start(pass_fds=(hardware.qmp_fd,))
    return process


def _opened(monitor: Monitor, process: ChildProcess) -> int:
    """Greet QEMU, and learn the port of the machine's SSH."""
    try:
        monitor.open()
        return ssh_port(monitor)
    except MonitorError as error:
        exit_code = process.wait(_EXIT_SECONDS)
        what = f"QEMU exited with {exit_code}" if exit_code is not None else f"QEMU does not answer: {error}"
        raise explain(process.stderr(), otherwise=LaunchError, summary=f"the machine did not start: {what}") from error


def _device_paths(disks: tuple[NamedDisk, ...]) -> Mapping[str, str]:
    """Where udev puts each disk by its serial, which is the disk's name in the recipe."""
    return {disk.name: f"/dev/disk/by-id/virtio-{disk.name}" for disk in disks if disk.name != ROOT_DISK}
