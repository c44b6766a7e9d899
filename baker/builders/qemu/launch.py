"""Starts a machine: its folder, disks, keys, seed and process, each with its undo registered before it is made."""

import contextlib
import shlex
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from baker.builders.qemu import leftovers, naming, qemu_img
from baker.builders.qemu.capture import NamedDisk
from baker.builders.qemu.command import DiskFile, Hardware, qemu_command
from baker.builders.qemu.errors import explain, explaining
from baker.builders.qemu.firmware import Firmware
from baker.builders.qemu.machine import Started, ssh_port
from baker.builders.qemu.monitor import Monitor, MonitorError
from baker.builders.qemu.process import ChildProcess
from baker.builders.qemu.seed import Seed, write_seed
from baker.builders.qemu.serial import kept_redacted
from baker.cleanup import CleanupStack
from baker.errors import LaunchError
from baker.events import Emit
from baker.home import Home
from baker.keys import new_key_pair
from baker.ports import Address, KeyPair, RunInfo

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

    @property
    def serial_log_name(self) -> str:
        """In the run's folder; both machines of a run have one."""
        return "serial.log" if self.label == "bake" else f"serial-{self.label}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """What a machine is made of, in its work folder; where its console can be read later; and the keys."""

    disks: tuple[NamedDisk, ...]
    seed: Path
    firmware_variables: Path
    serial: Path
    serial_log: Path
    user_key: KeyPair
    host_key: KeyPair


def launch(launch: Launch, home: Home, cleanup: CleanupStack, emit: Emit) -> Started:
    """Start it, and return as soon as QEMU runs. LaunchError, BuilderError, DiskFullError, BuilderUnavailableError."""
    folder = _work_folder(launch, home, cleanup)
    with explaining("preparing the machine's files", LaunchError):
        files = _make_files(launch, folder)
    cleanup.enter(kept_redacted(files.serial, files.serial_log, launch.run.redact, emit), "the serial log")
    with explaining("opening a connection for QEMU", LaunchError):
        ours, theirs = socket.socketpair()
    monitor = Monitor(ours)
    cleanup.enter(contextlib.closing(monitor), "the machine's monitor")
    with theirs:
        process = _start(_hardware(launch, files, theirs), folder, home, cleanup)
    address = Address(
        host=LOOPBACK,
        port=_greeted(monitor, process),
        user=launch.login_user,
        key=files.user_key,
        host_key=files.host_key.public,
    )
    return Started(
        id=naming.process(launch.run.run_id),
        run_id=launch.run.run_id,
        home=home,
        address=address,
        process=process,
        monitor=monitor,
        serial=files.serial,
        serial_log=files.serial_log,
        disks=files.disks,
    )


def _work_folder(launch: Launch, home: Home, cleanup: CleanupStack) -> Path:
    with explaining(f"making a folder in {home.path}", LaunchError):
        folder = home.work / naming.new_work_folder(launch.run.run_id, launch.label)

        def remove() -> None:
            if folder.exists():
                shutil.rmtree(folder)

        hint = leftovers.remove_hint(folder)
        cleanup.acquire(leftovers.WORK_FOLDER, folder.name, leftovers.location_of(home), undo=remove, remove_hint=hint)
        folder.mkdir(mode=0o700)
    return folder


def _make_files(launch: Launch, folder: Path) -> _Files:
    """All that QEMU needs; OSError when a file cannot be written."""
    name = naming.process(launch.run.run_id)
    files = _Files(
        disks=tuple(_make_disk(disk, folder) for disk in launch.disks),
        seed=folder / "seed.iso",
        firmware_variables=folder / "firmware-variables.fd",
        serial=folder / "serial",
        serial_log=launch.run.run_dir / launch.serial_log_name,
        user_key=new_key_pair(f"{name} login"),
        host_key=new_key_pair(f"{name} host"),
    )
    seed = Seed(
        instance_id=f"{launch.run.run_id}-{launch.label}",
        host_name=f"{launch.label}-{folder.suffix[1:]}",
        login_user=launch.login_user,
        user_key=files.user_key.public,
        host_key=files.host_key,
        expires=launch.run.expires,
    )
    write_seed(seed, files.seed)
    shutil.copyfile(launch.firmware.variables, files.firmware_variables)
    files.serial.touch(mode=0o600)
    files.serial_log.touch(mode=0o600)  # written at the end: that it cannot be must be known before
    return files


def _make_disk(disk: NewDisk, folder: Path) -> NamedDisk:
    path = folder / f"{disk.name}.qcow2"
    if disk.backing is None:
        qemu_img.create_disk(path, size_bytes=disk.size_bytes)
    else:
        qemu_img.create_overlay(path, backing=disk.backing.absolute(), size_bytes=disk.size_bytes)
    return NamedDisk(name=disk.name, path=path)


def _hardware(launch: Launch, files: _Files, qmp: socket.socket) -> Hardware:
    return Hardware(
        process_name=naming.process(launch.run.run_id),
        memory_mib=launch.memory_mib,
        cpus=launch.cpus,
        accelerator=launch.accelerator,
        firmware_code=launch.firmware.code,
        firmware_variables=files.firmware_variables,
        disks=tuple(DiskFile(serial=disk.name, path=disk.path) for disk in files.disks),
        seed=files.seed,
        serial_log=files.serial,
        qmp_fd=qmp.fileno(),
    )


def _start(hardware: Hardware, folder: Path, home: Home, cleanup: CleanupStack) -> ChildProcess:
    process = ChildProcess(qemu_command(hardware))
    hint = f"pkill -KILL -f {shlex.quote(f'{hardware.process_name}.*{folder.name}')}"
    cleanup.acquire(leftovers.PROCESS, folder.name, leftovers.location_of(home), undo=process.end, remove_hint=hint)
    process.start(pass_fds=(hardware.qmp_fd,))
    return process


def _greeted(monitor: Monitor, process: ChildProcess) -> int:
    """Greet QEMU, and learn the port of the machine's SSH."""
    try:
        monitor.open()
        return ssh_port(monitor)
    except MonitorError as error:
        exit_code = process.wait(_EXIT_SECONDS)
        what = f"QEMU exited with {exit_code}" if exit_code is not None else f"QEMU does not answer: {error}"
        raise explain(process.stderr(), otherwise=LaunchError, summary=f"the machine did not start: {what}") from error
