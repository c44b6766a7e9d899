"""Finished images on disk: a folder each, with one qcow2 a disk and `image.json`, which says what they are.

Folders are 0700 and files 0600: an image holds whatever its recipe put there, and sharing it is a decision.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from baker.artifact import Artifact
from baker.errors import BuilderError

IMAGE_FILE = "image.json"
MANIFEST_FILE = "manifest.json"
FORMAT = 1
FOLDER_MODE = 0o700
FILE_MODE = 0o600
ROOT_DISK = "root"
PROBLEM_LABEL = "problem"
"""The label of an image in a list that cannot be read; its value says why."""
CHANGED_LABEL = "changed"
"""The label of an image in a list that was verified, and is not any more what was; its value says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDisk:
    """One disk: its name in the recipe (the first is `root`), its file, what a machine sees of it, its content."""

    name: str
    file: str
    virtual_size_bytes: int
    file_size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What `image.json` holds. `created` is ISO 8601 in UTC; `source_digest` is that of the source image.

    `memory_mib` and `cpus` are what the image was baked with: a fair guess of what it needs.
    """

    name: str
    created: str
    fingerprint: str
    labels: Mapping[str, str]
    source_digest: str
    architecture: str
    firmware: str
    memory_mib: int
    cpus: int
    disks: tuple[ImageDisk, ...]


def encode(image: Image) -> str:
    """The text of `image.json`."""
    return json.dumps({"format": FORMAT, **asdict(image)}, indent=2, sort_keys=True) + "\n"


def write_description(folder: Path, image: Image) -> None:
    """Write `image.json`, or replace it: whole, and on the disk when this returns. OSError."""
    write_text(folder / IMAGE_FILE, encode(image))


def write_text(target: Path, text: str) -> None:
    """Write a file of an image, or replace it: whole, and on the disk when this returns. OSError."""
    folder = target.parent
    fresh = folder / f".{target.name}.{secrets.token_hex(4)}"
    try:
        fresh.touch(mode=FILE_MODE)
        fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
        flush(fresh)
        fresh.replace(target)
        flush(folder)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Have the disk hold what was written to a file or folder, so that a crash of the host cannot halve an image."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_image(folder: Path) -> Image:
    """The image in `folder`. BuilderError when there is none, it is not one of ours, or a disk is missing."""
    file = folder / IMAGE_FILE
    try:
        image = _decode(json.loads(file.read_text()))
    except OSError as error:
        raise BuilderError(
            f"no image in {folder}: {error.strerror}", hint="`bake images` lists those there are"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuilderError(f"{file} is damaged: {type(error).__name__}: {error}") from error
    for disk in image.disks:
        if not (folder / disk.file).is_file():
            raise BuilderError(f"image {folder.name} lacks its disk {disk.file}")
    return image


def artifact_of(folder: Path, image: Image) -> Artifact:
    """The image as the engine knows it."""
    return Artifact(
        builder="qemu",
        id=str(folder),
        location=str(folder.parent),
        name=image.name,
        fingerprint=image.fingerprint,
        created=image.created,
        size_bytes=sum(disk.file_size_bytes for disk in image.disks),
        labels=image.labels,
    )


def find_images(location: Path) -> tuple[Artifact, ...]:
    """All images in a folder, newest last. One that cannot be read is listed as well, first, labelled `problem`.

    Links are names for images, and names with a leading dot are images in the making: neither is an image.
    """
    try:
        entries = sorted(location.iterdir())
    except OSError as error:
        raise BuilderError(f"cannot list the images in {location}: {error.strerror}") from error
    folders = [entry for entry in entries if entry.is_dir() and not entry.is_symlink() and entry.name[0] != "."]
    return tuple(sorted(map(_artifact_or_problem, folders), key=lambda artifact: artifact.age))


def digest_of(folder: Path, image: Image) -> str:
    """SHA-256 (hex) over the names of the disks and what is in their files now. OSError."""
    lines = [f"{disk.name} {sha256_of(folder / disk.file)}\n" for disk in image.disks]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256_of(file: Path) -> str:
    """SHA-256 (hex) of a file. OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _artifact_or_problem(folder: Path) -> Artifact:
    try:
        image = read_image(folder)
        artifact = artifact_of(folder, image)
        if artifact.verified and _was_touched(folder, image) and artifact.verified != digest_of(folder, image):
            changed = {CHANGED_LABEL: "its disks are not those that were verified"}
            return replace(artifact, labels={**artifact.labels, **changed})
        return artifact
    except (BuilderError, OSError) as error:
        return Artifact(
            builder="qemu",
            id=str(folder),
            location=str(folder.parent),
            name=folder.name,
            fingerprint="",
            created="",
            labels={PROBLEM_LABEL: error.summary if isinstance(error, BuilderError) else str(error)},
        )


def _was_touched(folder: Path, image: Image) -> bool:
    """Whether a disk may have been written to since it was verified, by size and time: reading all of it takes long."""
    try:
        verified_at = datetime.fromisoformat(image.labels.get("verified-at", "")).timestamp()
    except ValueError:
        return True
    states = [(disk, (folder / disk.file).stat()) for disk in image.disks]
    return any(state.st_size != disk.file_size_bytes or state.st_mtime >= verified_at for disk, state in states)


def _decode(data: Mapping[str, Any]) -> Image:
    values = dict(data)
    if (number := values.pop("format")) != FORMAT:
        raise ValueError(f"format {number!r} is not known")
    disks = tuple(ImageDisk(**disk) for disk in values.pop("disks"))
    for disk in disks:
        if Path(disk.file).name != disk.file:
            raise ValueError(f"disk file {disk.file!r} is not in the image's folder")
    if not disks:
        raise ValueError("it names no disk")
    return Image(**values, disks=disks)
