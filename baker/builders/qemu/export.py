"""Shares an image of this host: copies its files to a folder, here or on a server, all of them or none.

They are written to a hidden folder beside their place, whose name has the image's digest in it, and moved there by one
rename when the checksum of each, taken where it now lies, is what it is here. So a copy that broke goes on, with the
right image: what had arrived is not sent again, and not trusted either. `sha256sum -c SHA256SUMS` tells a receiver the
same.

An image is what is on its disks. One that got other labels since it was shared, as by being verified once more, is
there already.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from baker.artifact import Artifact, ShareResult
from baker.builders.qemu.errors import explaining
from baker.builders.qemu.folder import Folder
from baker.builders.qemu.image import read_image, sha256_of
from baker.errors import BakeError, BuilderError, DiskFullError
from baker.events import Emit, Progress
from baker.ports import Drop, Problem, Uploader
from baker.recipe import Share

SUMS_FILE = "SHA256SUMS"

_CHUNK_BYTES = 1 << 20
_DIGITS_IN_NAME = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """A file of the image: its name, size in bytes, and sha256 (hex)."""

    name: str
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """An image as it is copied. `files` in the order in which they are sent; `disks` are those that make the image."""

    name: str
    files: tuple[ImageFile, ...]
    disks: tuple[ImageFile, ...]

    @property
    def partial(self) -> str:
        """Where it is written to."""
        return f".{self.name}.{hashlib.sha256(sums_of(self.disks)).hexdigest()[:_DIGITS_IN_NAME]}.partial"


def share_problems(share: Share) -> Iterator[Problem]:
    """What in a share list cannot be meant here."""
    for target in share.targets:
        if problem := _problem_of(target):
            yield Problem(
                summary=f"an image of this host cannot be shared with {_without_password(target)!r}: {problem}",
                hint="a folder (/srv/images), file:///srv/images, or sftp://[user@]host[:port]/folder",
                exit_code=2,
            )
    for asked, what in (
        (share.regions, "copied to regions"),
        (share.public, "made public"),
        (share.copyable, "copyable"),
    ):
        if asked:
            yield Problem(
                summary=f"an image of this host cannot be {what}",
                hint="clouds can; name folders as targets",
                exit_code=2,
            )


def export(artifact: Artifact, share: Share, *, upload: Uploader, emit: Emit) -> tuple[ShareResult, ...]:
    """Copy the image to each target. BuilderError when the image itself cannot be read."""
    shared = look_at(Path(artifact.id))
    return tuple(_result(target, shared, upload, emit) for target in share.targets)


def look_at(folder: Path) -> Shared:
    """All that belongs to an image. BuilderError when it is none, or cannot be read."""
    image = read_image(folder)
    with explaining(f"reading {folder}"):
        paths = [path for path in folder.iterdir() if path.is_file() and path.name[0] != "." and path.name != SUMS_FILE]
        files = [
            ImageFile(name=path.name, path=path, size=path.stat().st_size, sha256=sha256_of(path)) for path in paths
        ]
    files.sort(key=lambda file: (file.size, file.name))  # what cannot be written is met with a small one
    own = {disk.file for disk in image.disks}
    return Shared(name=image.name, files=tuple(files), disks=tuple(file for file in files if file.name in own))


def sums_of(files: Iterable[ImageFile]) -> bytes:
    """As `sha256sum` writes them."""
    return "".join(f"{file.sha256}  {file.name}\n" for file in sorted(files, key=lambda file: file.name)).encode()


def _result(target: str, shared: Shared, upload: Uploader, emit: Emit) -> ShareResult:
    try:
        with _opened(target, upload) as drop:
            return ShareResult(target=target, ok=True, message=_put(drop, shared, emit))
    except BakeError as error:
        reason = "; ".join(text for label, text in error.details if label == "reason")
        said = f"{error.summary}: {reason}" if reason else error.summary
        return ShareResult(target=target, ok=False, message=f"{said} ({error.hint})" if error.hint else said)


def _put(drop: Drop, shared: Shared, emit: Emit) -> str:
    """Copy the image there; where it is now, in words."""
    place = f"{drop.name.rstrip('/')}/{shared.name}"
    if drop.size(shared.name) is not None:
        _require_same(drop, shared, place)
        return f"{place} (was there already)"
    _require_room(drop, shared)
    drop.make_folder(shared.partial)
    tell = _Telling(emit, drop.name, sum(file.size for file in shared.files))
    for file in shared.files:
        _put_file(drop, f"{shared.partial}/{file.name}", file, tell)
        tell.before += file.size
    drop.remove(f"{shared.partial}/{SUMS_FILE}")
    drop.write(f"{shared.partial}/{SUMS_FILE}", [sums_of(shared.files)])
    drop.rename(shared.partial, shared.name)
    return place


def _require_same(drop: Drop, shared: Shared, place: str) -> None:
    """BuilderError unless the image that is there has these disks, all of them in their full size."""
    sums = f"{shared.name}/{SUMS_FILE}"
    lines = drop.read(sums).splitlines() if drop.size(sums) is not None else []
    there = {file.name: drop.size(f"{shared.name}/{file.name}") for file in shared.disks}
    wanted = sums_of(shared.disks).splitlines()
    if not set(wanted) <= set(lines) or any(there[file.name] != file.size for file in shared.disks):
        raise BuilderError(f"something else called {shared.name} is there already", hint=f"look at {place}")


def _require_room(drop: Drop, shared: Shared) -> None:
    """DiskFullError when it is known beforehand; a server that tells no more than "failure" would say nothing."""
    room = drop.room()
    there = (min(drop.size(f"{shared.partial}/{file.name}") or 0, file.size) for file in shared.files)
    missing = sum(file.size for file in shared.files) - sum(there)
    if room is not None and room < missing:
        raise DiskFullError(f"{drop.name} has room for {_mib(room)}, and {_mib(missing)} are to go there")


@dataclass(slots=True)
class _Telling:
    """Says how far a copy is, at each full percent; `before` are the bytes of the files before this one."""

    emit: Emit
    target: str
    total: int
    before: int = 0
    percent: int = -1

    def __call__(self, done: int) -> None:
        percent = 100 * (self.before + done) // self.total
        if percent != self.percent:
            self.percent = percent
            progress = Progress(what=f"copy to {self.target}", done=self.before + done, total=self.total, unit="bytes")
            self.emit(progress)


def _put_file(drop: Drop, path: str, file: ImageFile, tell: _Telling) -> None:
    there = drop.size(path) or 0
    if 0 < there <= file.size:
        if there < file.size:
            drop.write(path, _chunks(file.path, there, tell), offset=there)
        if drop.sha256(path) == file.sha256:
            return
        # What an earlier try left is not what it should be, so none of it is worth keeping.
    drop.remove(path)
    drop.write(path, _chunks(file.path, 0, tell))
    if drop.sha256(path) != file.sha256:
        raise BuilderError(
            f"{file.name} did not arrive in {drop.name} as it is here", hint="it may have been changed: share it again"
        )


def _chunks(path: Path, offset: int, tell: _Telling) -> Iterator[bytes]:
    with explaining(f"reading {path}"), path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
            tell(file.tell())


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"


def _problem_of(target: str) -> str | None:
    try:
        parts = urlsplit(target)
        _ = parts.port
    except ValueError as error:
        return str(error).lower()
    match parts.scheme:
        case "":
            return None if target.startswith("/") else "a folder is named by its whole path"
        case "file":
            return None if parts.path.startswith("/") and not parts.netloc else "write file:///folder"
        case "sftp" if parts.password is not None:
            return "it has a password in it, which would end up in logs"
        case "sftp":
            return None if parts.hostname and parts.path.startswith("/") else "write sftp://[user@]host[:port]/folder"
    return f"{parts.scheme}:// is not known"


def _without_password(target: str) -> str:
    before, at, after = target.rpartition("@")
    user, colon, _ = before.partition("://")[2].partition(":")
    return f"{before.partition('://')[0]}://{user}:***@{after}" if at and colon else target


@contextmanager
def _opened(target: str, upload: Uploader) -> Iterator[Drop]:
    parts = urlsplit(target)
    if parts.scheme == "sftp":
        with upload(target) as drop:
            yield drop
    else:
        yield Folder(Path(unquote(parts.path) if parts.scheme else target))
