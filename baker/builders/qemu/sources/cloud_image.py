"""Turns a published disk image into a source image: fetched, verified, and looked at before QEMU opens it."""

import shutil
from pathlib import Path

from baker.builders.qemu.sources import disk_image, qcow2
from baker.builders.qemu.sources.download import download as fetch
from baker.builders.qemu.sources.download import shown
from baker.builders.qemu.spec import CloudImage
from baker.errors import BuilderError
from baker.events import Emit, OutputLine

_SECTOR_BYTES = 512
_BOOT_SIGNATURE = b"\x55\xaa"
"""The last bytes of the first sector of a disk with an MBR or a GPT."""

_NO_DISKS = (
    (b"\xfd7zXZ", "xz archive"),
    (b"\x1f\x8b", "gzip archive"),
    (b"BZh", "bzip2 archive"),
    (b"PK\x03\x04", "zip archive"),
    (b"\x28\xb5\x2f\xfd", "zstd archive"),
    (b"KDMV", "VMDK disk"),
    (b"vhdxfile", "VHDX disk"),
    (b"conectix", "VHD disk"),
    (b"<", "web page"),
)


def make(source: CloudImage, image: Path, *, download: Path, emit: Emit) -> None:
    """Fetch `source` and make `image` (qcow2) of it. FetchError, BuilderError, DiskFullError.

    A part that was fetched stays in `download` to go on with; a file with a wrong sum does not.
    """
    fetch(source.url, download, sha256=source.sha256, emit=emit)
    try:
        _take(source, download, image, emit)
    finally:
        download.unlink(missing_ok=True)


def _take(source: CloudImage, file: Path, image: Path, emit: Emit) -> None:
    with file.open("rb") as opened:
        first = opened.read(_SECTOR_BYTES)
    if first.startswith(qcow2.MAGIC):
        refuse_unless_standalone(file, shown(source.url))
        shutil.move(file, image)
    elif first[-2:] == _BOOT_SIGNATURE and len(first) == _SECTOR_BYTES:
        emit(OutputLine(stream="note", text="the image is a raw disk; making a qcow2 of it"))
        disk_image.convert(file, image)
    else:
        kind = next((name for magic, name in _NO_DISKS if first.startswith(magic)), "file of an unknown kind")
        raise BuilderError(
            f"{shown(source.url)} is a {kind}, not a disk image",
            hint="name a qcow2 or raw disk image that boots by UEFI; unpack an archive first",
        )


def refuse_unless_standalone(image: Path, name: str) -> None:
    """BuilderError unless a qcow2 file holds all its data itself, and in the clear."""
    try:
        header = qcow2.read_header(image)
    except ValueError as error:
        raise BuilderError(f"{name} is a damaged qcow2 file", details=(("message", str(error)),)) from error
    if header.backing_file or header.has_external_data:
        what = f"stands on another file ({header.backing_file})" if header.backing_file else "keeps its data elsewhere"
        raise BuilderError(
            f"{name} {what}: refused, as it could read any file of this host",
            hint="make it stand alone where you trust it: qemu-img convert -O qcow2 IMAGE STANDALONE",
        )
    if header.is_encrypted:
        raise BuilderError(f"{name} is encrypted", hint="name an image that is not")
