"""Makes the disks of a machine that has been switched off into an image: all of it, or nothing.

The image is written beside its place and moved there by one rename, so no one ever sees half of it.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from baker import interrupts
from baker.artifact import Artifact
from baker.builders.qemu import leftovers, naming, qemu_img
from baker.builders.qemu.errors import explaining
from baker.builders.qemu.image import (
    FILE_MODE,
    FOLDER_MODE,
    Image,
    ImageDisk,
    artifact_of,
    flush,
    sha256_of,
    write_description,
)
from baker.cleanup import CleanupStack
from baker.errors import CaptureError
from baker.events import Emit, Progress
from baker.home import Home
from baker.ports import Clock

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

Describe = Callable[[tuple[ImageDisk, ...]], Image]
"""Completes the image's description once its disks are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDisk:
    """A disk of the machine: its name in the recipe (`root` for the first), and its file."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Where images are written, for which run, and who hears of it."""

    home: Home
    run_id: str
    emit: Emit
    clock: Clock

    @property
    def folder(self) -> Path:
        return self.home.images


def refuse_name(images: Path, name: str) -> None:
    """CaptureError when an image cannot be called `name`: it is taken, or no file name."""
    if not _NAME.fullmatch(name):
        raise CaptureError(f"{name!r} cannot be the name of an image", hint="letters, digits, '.', '_' and '-'")
    if os.path.lexists(images / name):
        raise CaptureError(f"an image called {name} exists already", hint=f"see {images / name}")


def write_image(images: Images, name: str, disks: tuple[NamedDisk, ...], describe: Describe) -> Artifact:
    """Write the image `name`. CaptureError, DiskFullError; then nothing is left.

    The machine must be off. Each disk is read once, flattened and compressed, checked, and hashed.
    """
    refuse_name(images.folder, name)
    with explaining(f"writing image {name}", CaptureError), _staged(images, name) as (folder, publish):
        image = describe(tuple(_write_disk(disk, folder, images.emit) for disk in disks))
        write_description(folder, image)
        return publish(image)


@contextmanager
def _staged(images: Images, name: str) -> Iterator[tuple[Path, Callable[[Image], Artifact]]]:
    """A new folder to write to, and what moves it to its place; gone afterwards when it was not moved."""
    target = images.folder / name
    folder = images.folder / naming.partial_image(images.run_id, name)

    def remove() -> None:
        if folder.exists():
            shutil.rmtree(folder)

    def publish(image: Image) -> Artifact:
        flush(folder)
        with interrupts.shield():  # from here on the image exists, and must be reported
            try:
                folder.rename(target)
                flush(target.parent)
            except OSError:
                if target.exists() and not folder.exists():
                    target.rename(folder)
                raise
            cleanup.keep()
            return artifact_of(target, image)

    with CleanupStack(images.emit, images.clock) as cleanup:
        cleanup.acquire(
            leftovers.PARTIAL_IMAGE,
            folder.name,
            leftovers.location_of(images.home),
            undo=remove,
            remove_hint=leftovers.remove_hint(folder),
        )
        folder.mkdir(mode=FOLDER_MODE)
        yield folder, publish


def _write_disk(disk: NamedDisk, folder: Path, emit: Emit) -> ImageDisk:
    target = folder / f"{disk.name}.qcow2"
    target.touch(mode=FILE_MODE)  # qemu-img keeps the mode of a file that is there

    def progress(percent: float) -> None:
        emit(Progress(what=f"disk {disk.name}", done=int(percent), total=100, unit="%"))

    qemu_img.flatten(disk.path, target, on_percent=progress)
    qemu_img.check(target)
    flush(target)
    return ImageDisk(
        name=disk.name,
        file=target.name,
        virtual_size_bytes=qemu_img.virtual_size(target),
        file_size_bytes=target.stat().st_size,
        sha256=sha256_of(target),
    )
