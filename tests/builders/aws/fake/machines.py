"""The machines behind the API: a sandbox for each running instance, on copies of its image's disks.

A volume and a snapshot are folders, by their ids, on a file system in memory that only this process sees and that ends
with it. The folder of a root volume is the disk of `baker.testing.sandbox.PrivateRoot`: what differs from the tree that
all sandboxes stand on. That of a data volume holds one sparse file, which a machine has as a loop device under the name
that a Nitro instance would have it by. A snapshot is a copy of such a folder; the public images are the empty one.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from baker.testing.sandbox import BlockDevice, PrivateRoot
from tests.builders.aws.fake import loop
from tests.builders.aws.fake.user_data import Told


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVolume:
    """A volume beside the root one. `names`: what else it is found by, below /dev."""

    id: str
    size_gib: int
    names: tuple[str, ...] = ()


class RunningMachine(Protocol):
    """What an instance needs of its machine."""

    @property
    def port(self) -> int:
        """Where its sshd listens, on 127.0.0.1."""
        ...

    @property
    def running(self) -> bool: ...

    def last_words(self) -> str: ...

    def stop(self) -> None: ...

    def restart(self) -> None: ...

    def kill(self) -> None:
        """Also where it has ended by itself: what it held is free, and on its disks, when this returns."""
        ...


class Machines(Protocol):
    """A kind of machines, and the contents of their volumes."""

    def start(self, told: Told, root_volume: str, data_volumes: tuple[DataVolume, ...]) -> RunningMachine: ...

    def new_volume(self, volume: str, snapshot: str | None) -> None:
        """Empty, or as the snapshot is."""
        ...

    def take_snapshot(self, snapshot: str, volume: str) -> None: ...

    def copy_snapshot(self, snapshot: str, source: str) -> None: ...

    def forget(self, id: str) -> None:
        """A volume or snapshot is deleted."""
        ...

    def folder(self, id: str) -> Path:
        """Where the content of a volume or snapshot is."""
        ...


class NoMachines:
    """For tests of the API alone: instances that run nothing."""

    def start(self, told: Told, root_volume: str, data_volumes: tuple[DataVolume, ...]) -> RunningMachine:
        raise NotImplementedError

    def new_volume(self, volume: str, snapshot: str | None) -> None: ...

    def take_snapshot(self, snapshot: str, volume: str) -> None: ...

    def copy_snapshot(self, snapshot: str, source: str) -> None: ...

    def forget(self, id: str) -> None: ...

    def folder(self, id: str) -> Path:
        raise NotImplementedError


class SandboxMachine:
    """A private root with its loop devices."""

    def __init__(self, root: PrivateRoot, devices: list[loop.LoopDevice]) -> None:
        self._root = root
        self._devices = devices

    @property
    def port(self) -> int:
        return self._root.port

    @property
    def running(self) -> bool:
        return self._root.running

    def last_words(self) -> str:
        return self._root.last_words()

    def stop(self) -> None:
        self._root.stop()
        self.kill()

    def restart(self) -> None:
        self._root.restart()

    def kill(self) -> None:
        self._root.kill()
        for device in self._devices:
            device.close()


class Sandboxes:
    """Machines that are `PrivateRoot`s on `tree`. Data volumes are there where the host has loop devices."""

    def __init__(self, tree: Path, folder: Path) -> None:
        self._tree = tree
        self._folder = folder
        self._loops = loop.available()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "aws-fake", str(self._folder)], check=True)

    def start(self, told: Told, root_volume: str, data_volumes: tuple[DataVolume, ...]) -> RunningMachine:
        devices: list[loop.LoopDevice] = []
        try:
            for volume in data_volumes if self._loops else ():
                devices.append(loop.LoopDevice(self.folder(volume.id) / "content", volume.size_gib))
            given = tuple(
                BlockDevice(name=device.name, aliases=volume.names)
                for device, volume in zip(devices, data_volumes, strict=False)
            )
            disk = self.folder(root_volume)
            root = PrivateRoot.start(self._tree, told.as_seed(), may_mount=True, disk=disk, devices=given)
        except BaseException:
            for device in devices:
                device.close()
            raise
        return SandboxMachine(root, devices)

    def new_volume(self, volume: str, snapshot: str | None) -> None:
        if snapshot is not None and self.folder(snapshot).exists():
            self._copy(snapshot, volume)
        else:
            self.folder(volume).mkdir()

    def take_snapshot(self, snapshot: str, volume: str) -> None:
        self._copy(volume, snapshot)

    def copy_snapshot(self, snapshot: str, source: str) -> None:
        if self.folder(source).exists():
            self._copy(source, snapshot)

    def forget(self, id: str) -> None:
        if self.folder(id).exists():
            shutil.rmtree(self.folder(id))

    def folder(self, id: str) -> Path:
        return self._folder / id

    def _copy(self, source: str, target: str) -> None:
        """With what overlayfs notes in extended attributes; a machine that runs may change files meanwhile."""
        ended = subprocess.run(
            ["cp", "-a", "--sparse=always", str(self.folder(source)), str(self.folder(target))],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        vanished = all("No such file or directory" in line for line in ended.stderr.splitlines())
        if ended.returncode and not vanished:
            raise RuntimeError(f"a snapshot of {source} failed: {ended.stderr[-500:]}")


def names_on_nitro(number: int, volume: str) -> tuple[str, ...]:
    """As udev names an EBS volume on a Nitro instance (`nvme id-ctrl` gives the volume's id without its hyphen)."""
    by_id = f"disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    return (f"nvme{number}n1", by_id, f"{by_id}_1")
