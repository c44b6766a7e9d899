"""Makes the disks of a machine that has been switched off into an image: all of it, or nothing.

The image is written beside its place and moved there by one rename, so no one ever sees half of it.
"""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from baker import interrupts
from baker.artifact import Artifact
from baker.builders.qemu import qemu_img
from baker.builders.qemu.errors import explaining
from baker.builders.qemu.image import FILE_MODE, FOLDER_MODE, IMAGE_FILE, Image, ImageDisk, artifact_of, encode
from baker.errors import CaptureError
from baker.events import Emit, Progress

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

Describe = Callable[[tuple[ImageDisk, ...]], Image]
"""Completes the image's description once its disks are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDisk:
    """A disk of the machine: its name in the recipe (`root` for the first), and its file."""

    name: str
    path: Path


def refuse_name(images: Path, name: str) -> None:
    """CaptureError when an image cannot be called `name`: it is taken, or no file name."""
    if not _NAME.fullmatch(name):
        raise CaptureError(f"{name!r} cannot be the name of an image", hint="letters, digits, '.', '_' and '-'")
    if os.path.lexists(images / name):
        raise CaptureError(f"an image called {name} exists already", hint=f"see {images / name}")


def write_image(images: Path, name: str, disks: tuple[NamedDisk, ...], describe: Describe, emit: Emit) -> Artifact:
    """Write the image `name` into the folder `images`. CaptureError, DiskFullError; then nothing is left.

    The machine must be off. Each disk is read once, flattened and compressed, checked, and hashed.
    """
    refuse_name(images, name)
    with explaining(f"writing image {name}", CaptureError), _staged(images, name) as (folder, publish):
        image = describe(tuple(_write_disk(disk, folder, emit) for disk in disks))
        _write_text(folder / IMAGE_FILE, encode(image))
        return publish(image)


@contextmanager
def _staged(images: Path, name: str) -> Iterator[tuple[Path, Callable[[Image], Artifact]]]:
    """A new folder to write to, and what moves it to its place; gone afterwards when it was not moved."""
    folder = images / f".{name}.{secrets.token_hex(4)}.partial"

    def publish(image: Image) -> Artifact:
        _flush(folder)
        with interrupts.shield():  # from here on the image exists, and must be reported
            folder.rename(images / name)
            _flush(images)
            return artifact_of(images / name, image)

    try:
        folder.mkdir(mode=FOLDER_MODE)
        yield folder, publish
    finally:
        with interrupts.shield():
            shutil.rmtree(folder, ignore_errors=True)


def _write_disk(disk: NamedDisk, folder: Path, emit: Emit) -> ImageDisk:
    target = folder / f"{disk.name}.qcow2"
    target.touch(mode=FILE_MODE)  # qemu-img keeps the mode of a file that is there

    def progress(percent: float) -> None:
        emit(Progress(what=f"disk {disk.name}", done=int(percent), total=100, unit="%"))

    qemu_img.flatten(disk.path, target, on_percent=progress)
    qemu_img.check(target)
    _flush(target)
    return ImageDisk(
        name=disk.name,
        file=target.name,
        virtual_size_bytes=qemu_img.virtual_size(target),
        file_size_bytes=target.stat().st_size,
        sha256=_sha256(target),
    )


def _write_text(path: Path, text: str) -> None:
    path.touch(mode=FILE_MODE)
    path.write_text(text)
    _flush(path)


def _flush(path: Path) -> None:
    """Have the disk hold what was written to a file or folder, so that a crash of the host cannot halve an image."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
