"""Keeps source images, so that each is made once: by whoever comes first, whole or not at all.

    sources/<key>/lock                      held by the one that makes
    sources/<key>/download                  a download that is not whole yet, to go on with
    sources/<key>/<random>.part/            being made; without a holder of the lock, what a killed maker left
    sources/<key>/<UTC time>-<digest8>/     a version: image.qcow2, source.json, and the kernel where we made it

A version is never written again, as overlays of running machines stand on it. A new one gets a new folder; an old
one is removed when no overlay below work/ stands on it and none was handed out in the last hour (a machine's overlay
is made a moment after its source was).
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from baker import interrupts
from baker.builders.qemu.errors import explaining
from baker.builders.qemu.sources import cloud_image, debian, disk_image, workshop
from baker.builders.qemu.sources.download import shown
from baker.builders.qemu.sources.qcow2 import backing_file
from baker.builders.qemu.spec import CloudImage, DebianPackages, SourceImage
from baker.errors import BuilderError
from baker.events import Emit, Notice
from baker.fingerprint import digest_file
from baker.home import Home

LONGEST_AGE_SECONDS = 7 * 24 * 3600.0
"""After which an image of Debian packages is made anew, for the sake of security updates."""

HANDED_OUT_SECONDS = 3600.0

IMAGE_NAME = "image.qcow2"
RECORD_NAME = "source.json"
_PART = ".part"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSource:
    """A source image that is there: a qcow2 without a backing file, to be read only.

    `digest` is a SHA-256 (hex): of the file at the URL for a CloudImage, of the image itself for what is made here.
    `made` is when, in seconds since the epoch, UTC. `kernel` is a copy of the image's own, where there is one.
    """

    path: Path
    digest: str
    made: float
    description: str
    kernel: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What was made besides the image: see `PreparedSource`."""

    digest: str
    kernel: Path | None = None


class Make(Protocol):
    """Makes `image`, working in `folder`; `download` is where a download that is not whole may stay."""

    def __call__(self, source: SourceImage, folder: Path, image: Path, download: Path, emit: Emit) -> Product: ...


def prepare(
    source: SourceImage,
    home: Home,
    *,
    refresh: bool,
    emit: Emit,
    now: Callable[[], float] = time.time,
    make: Make | None = None,
) -> PreparedSource:
    """The image of `source`: the kept one when it is young enough and no `refresh` is asked for, else a new one.

    A CloudImage never ages: its sum says what it is. When another bake is making the same image, waits for it and
    takes that. `now` and `make` are for tests. BuilderError, DiskFullError, FetchError, RecipeError; nothing stays
    then but a partial download.
    """
    shelf = home.sources / shelf_name(source)
    with explaining("keeping source images"):
        shelf.mkdir(mode=0o700, exist_ok=True)
        kept = None if _wants_anew(source, refresh) else _fresh(source, shelf, now())
        if kept and _hand_out(kept, now()):
            return kept
        asked = now()
        with _lock(shelf, source, emit):
            _remove_parts(shelf)
            current = _fresh(source, shelf, now())
            # One that was finished while we waited for the lock is as new as what was asked for.
            if current and (not _wants_anew(source, refresh) or current.made >= asked) and _hand_out(current, now()):
                return current
            made = _make(source, shelf, emit, now, make or produce)
            _remove_unused(shelf, home.work, keep=made.path.parent, now=now())
            return made


def is_kept(source: SourceImage, home: Home, *, now: Callable[[], float] = time.time) -> bool:
    """Whether `prepare` would hand out an image that is there, unless asked for a new one. Makes no folder."""
    shelf = home.path / "sources" / shelf_name(source)
    return shelf.is_dir() and _fresh(source, shelf, now()) is not None


def shelf_name(source: SourceImage) -> str:
    """The folder of all versions of one source."""
    match source:
        case DebianPackages():
            return f"debian-{source.suite}-{debian.content_key(source)[:12]}"
        case CloudImage():
            return f"cloud-{source.sha256[:16].lower()}"


def describe(source: SourceImage) -> str:
    """The source, for a log."""
    match source:
        case DebianPackages():
            return f"Debian {source.suite}, from packages"
        case CloudImage():
            return shown(source.url)


def find_kernels(home: Home) -> tuple[Path, ...]:
    """The kernels of the images that are kept, newest first."""
    versions = [version for shelf in _folders(home.sources) for version in _versions(shelf)]
    kernels = (
        folder / disk_image.KERNEL_NAME for folder in sorted(versions, key=lambda found: found.name, reverse=True)
    )
    return tuple(kernel for kernel in kernels if kernel.is_file())


def produce(source: SourceImage, folder: Path, image: Path, download: Path, emit: Emit) -> Product:
    """Make `image`, working in `folder`."""
    match source:
        case DebianPackages():
            kernel = debian.make(source, folder, image, emit=emit)
            return Product(digest=digest_file(image), kernel=kernel)
        case CloudImage():
            cloud_image.make(source, image, download=download, emit=emit)
            return Product(digest=source.sha256.lower())


def _wants_anew(source: SourceImage, refresh: bool) -> bool:
    return refresh and isinstance(source, DebianPackages)


def _fresh(source: SourceImage, shelf: Path, now: float) -> PreparedSource | None:
    """The newest version; None when there is none, or it is too old."""
    newest_first = sorted(_versions(shelf), key=lambda folder: folder.name, reverse=True)
    found = next(filter(None, map(_read, newest_first)), None)
    if found and isinstance(source, DebianPackages) and not 0 <= now - found.made < LONGEST_AGE_SECONDS:
        return None
    return found


def _hand_out(version: PreparedSource, now: float) -> bool:
    """Mark a version as about to be used; False when it was removed in this moment."""
    try:
        os.utime(version.path.parent, (now, now))
    except FileNotFoundError:
        return False
    return True


def _read(version: Path) -> PreparedSource | None:
    """A version as its record describes it; None when either is not what it should be."""
    image = version / IMAGE_NAME
    kernel = version / disk_image.KERNEL_NAME
    try:
        record = json.loads((version / RECORD_NAME).read_text())
        if image.stat().st_size != record["size_bytes"]:
            return None
        return PreparedSource(
            path=image,
            digest=str(record["digest"]),
            made=float(record["made"]),
            description=str(record["description"]),
            kernel=kernel if kernel.is_file() else None,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(source: SourceImage, shelf: Path, emit: Emit, now: Callable[[], float], make: Make) -> PreparedSource:
    part = shelf / f"{secrets.token_hex(4)}{_PART}"
    finished = part / "finished"
    try:
        finished.mkdir(mode=0o700, parents=True)
        product = make(source, part, finished / IMAGE_NAME, shelf / "download", emit)
        if product.kernel:
            product.kernel.replace(finished / disk_image.KERNEL_NAME)
        made = now()
        _write_record(finished, source, product, made)
        name = f"{datetime.fromtimestamp(made, UTC):%Y%m%dT%H%M%SZ}-{product.digest[:8]}"
        with interrupts.shield():
            version = shelf / name
            if version.exists():  # the same second and the same content: what is there was not good enough to be used
                workshop.remove_tree(version)
            finished.rename(version)
            os.utime(version, (made, made))
    finally:
        with interrupts.shield():
            workshop.remove_tree(part)
    interrupts.raise_deferred()
    kept = _read(version)
    if kept is None:
        raise BuilderError(f"the source image in {version} cannot be read back")
    return kept


def _write_record(folder: Path, source: SourceImage, product: Product, made: float) -> None:
    """source.json, and everything on the disk: the rename that follows makes it count."""
    image = folder / IMAGE_NAME
    record = {
        "description": describe(source),
        "source": {"kind": type(source).__name__, **asdict(source)},
        "digest": product.digest,
        "made": made,
        "made_utc": datetime.fromtimestamp(made, UTC).isoformat(timespec="seconds"),
        "size_bytes": image.stat().st_size,
    }
    with image.open("rb") as file:
        os.fsync(file.fileno())
    with (folder / RECORD_NAME).open("w") as file:
        json.dump(record, file, indent=2)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _lock(shelf: Path, source: SourceImage, emit: Emit) -> Iterator[None]:
    """Alone with the shelf. Ends with the process, however that ends."""
    with (shelf / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            emit(Notice(level="info", text=f"another bake is making the source image ({describe(source)}); waiting"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_parts(shelf: Path) -> None:
    for folder in _folders(shelf):
        if folder.suffix == _PART:
            workshop.remove_tree(folder)


def _remove_unused(shelf: Path, work: Path, *, keep: Path, now: float) -> None:
    """Remove versions that nobody stands on, nor is about to."""
    stood_on = set(_backing_files(work))
    for version in _versions(shelf):
        handed_out = version.stat().st_mtime
        if version != keep and (version / IMAGE_NAME) not in stood_on and now - handed_out > HANDED_OUT_SECONDS:
            workshop.remove_tree(version)


def _backing_files(work: Path) -> Iterator[Path]:
    """What the disks of machines that run now stand on."""
    for disk in work.glob("*/*.qcow2"):
        with suppress(OSError, ValueError):  # gone in this moment, or being made
            if backing := backing_file(disk):
                yield Path(backing)


def _versions(shelf: Path) -> Iterator[Path]:
    return (folder for folder in _folders(shelf) if folder.suffix != _PART)


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()]
