"""Virtual machines behind the API: what a sandbox cannot show, as systemd, a kernel, and disks that are found by udev.

A volume and a snapshot are qcow2 files, by their ids; a root volume stands on a source image of the QEMU builder, a
snapshot is a copy. A data volume is an NVMe disk whose serial is the volume's id without its hyphen, as on a Nitro
instance. QEMU gives its disks another model, which udev takes into their names; so the machine's first boot command
brings a rule, in memory, that names them as EC2's do.
"""

import shutil
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from baker.builders.qemu import accelerator, qemu_img
from baker.builders.qemu.command import DiskFile, Hardware, qemu_command
from baker.builders.qemu.firmware import find_firmware
from baker.builders.qemu.machine import ssh_port
from baker.builders.qemu.monitor import Monitor, MonitorError
from baker.builders.qemu.process import ChildProcess
from baker.builders.qemu.seed import write_files
from baker.errors import BakeError, LaunchError
from baker.home import Home
from tests.builders.aws.fake.machines import DataVolume, RunningMachine
from tests.builders.aws.fake.user_data import Told

_GIB = 1 << 30
_ROOT_GIB = 8
_MEMORY_MIB = 1024
_STOP_SECONDS = 900
_PRESS_SECONDS = 20
_LAST_WORDS_BYTES = 4000

_NAME_DISKS = """
mkdir -p /run/udev/rules.d
echo 'KERNEL=="nvme*n1", ATTRS{serial}=="vol*", SYMLINK+="disk/by-id/nvme-Amazon_Elastic_Block_Store_$attr{serial}"' \
  >/run/udev/rules.d/61-elastic-block-store.rules
udevadm control --reload
udevadm trigger --subsystem-match=block --action=change --settle
"""


class VirtualMachine:
    """One QEMU process, with its files in `folder`."""

    def __init__(self, process: ChildProcess, monitor: Monitor, folder: Path) -> None:
        self._process = process
        self._monitor = monitor
        self._folder = folder
        self._ending = threading.Lock()
        self.port = ssh_port(monitor)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def last_words(self) -> str:
        serial = self._folder / "serial"
        return serial.read_bytes()[-_LAST_WORDS_BYTES:].decode(errors="replace") if serial.exists() else ""

    def stop(self) -> None:
        """By its power button, which a machine that still starts does not hear at once."""
        for _ in range(_STOP_SECONDS // _PRESS_SECONDS):
            try:
                self._monitor.execute("system_powerdown")
            except MonitorError:
                break  # it is gone
            if self._process.wait(_PRESS_SECONDS) is not None:
                break
        self.kill()

    def restart(self) -> None:
        self._monitor.execute("system_reset")

    def kill(self) -> None:
        with self._ending:
            self._process.end()
            self._monitor.close()
            shutil.rmtree(self._folder, ignore_errors=True)


class VirtualMachines:
    """Machines whose public images are all the qcow2 file `source`."""

    def __init__(self, source: Path, folder: Path, home: Home) -> None:
        self._source = source.absolute()
        self._folder = folder
        self._accelerator = accelerator.choose("auto", home).qemu_arguments
        self._starter = ThreadPoolExecutor(max_workers=1)  # QEMU ends with the thread that started it

    def start(self, told: Told, root_volume: str, data_volumes: tuple[DataVolume, ...]) -> RunningMachine:
        return self._starter.submit(self._start, told, root_volume, data_volumes).result()

    def new_volume(self, volume: str, snapshot: str | None) -> None:
        if snapshot is not None and self.folder(snapshot).exists():
            self._copy(snapshot, volume)

    def take_snapshot(self, snapshot: str, volume: str) -> None:
        self._copy(volume, snapshot)

    def copy_snapshot(self, snapshot: str, source: str) -> None:
        self._copy(source, snapshot)

    def forget(self, id: str) -> None:
        self.folder(id).unlink(missing_ok=True)

    def _start(self, told: Told, root_volume: str, data_volumes: tuple[DataVolume, ...]) -> VirtualMachine:
        folder = self._folder / told.instance_id
        folder.mkdir(exist_ok=True)
        firmware = find_firmware()
        shutil.copyfile(firmware.variables, folder / "variables.fd")
        write_files(told.as_no_cloud(("/bin/sh", "-c", _NAME_DISKS)), folder / "seed.iso")
        if not self.folder(root_volume).exists():
            qemu_img.create_overlay(self.folder(root_volume), backing=self._source, size_bytes=_ROOT_GIB * _GIB)
        ours, theirs = socket.socketpair()
        with theirs:
            hardware = Hardware(
                process_name=told.instance_id,
                memory_mib=_MEMORY_MIB,
                cpus=1,
                accelerator=self._accelerator,
                firmware_code=firmware.code,
                firmware_variables=folder / "variables.fd",
                disks=(DiskFile(serial=_serial(root_volume), path=self.folder(root_volume)),),
                seed=folder / "seed.iso",
                serial_log=folder / "serial",
                qmp_fd=theirs.fileno(),
            )
            process = ChildProcess((*qemu_command(hardware), *self._nvme(data_volumes)))
            process.start(pass_fds=(theirs.fileno(),))
        monitor = Monitor(ours)
        try:
            monitor.open()
            return VirtualMachine(process, monitor, folder)
        except (MonitorError, BakeError) as error:
            process.end()
            raise LaunchError(f"QEMU does not start: {process.stderr()}") from error

    def _nvme(self, volumes: tuple[DataVolume, ...]) -> list[str]:
        arguments: list[str] = []
        for volume in volumes:
            if not self.folder(volume.id).exists():
                qemu_img.create_disk(self.folder(volume.id), size_bytes=volume.size_gib * _GIB)
            drive = f"if=none,format=qcow2,cache=unsafe,discard=unmap,id={volume.id},file={self.folder(volume.id)}"
            arguments += ["-drive", drive, "-device", f"nvme,drive={volume.id},serial={_serial(volume.id)}"]
        return arguments

    def folder(self, id: str) -> Path:
        """A file here."""
        return self._folder / f"{id}.qcow2"

    def _copy(self, source: str, target: str) -> None:
        if self.folder(source).exists():
            subprocess.run(["cp", "--sparse=always", str(self.folder(source)), str(self.folder(target))], check=True)


def _serial(volume: str) -> str:
    return volume.replace("-", "")
