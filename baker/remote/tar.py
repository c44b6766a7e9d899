"""A folder as a tar stream, made as it is read: no temporary file, no thread, any size.

The GNU form, whose names are bytes, so that any name a file can have arrives as it was.
"""

import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

_BLOCK_BYTES = 512
_CHUNK_BYTES = 256 * 1024

END = bytes(2 * _BLOCK_BYTES)
"""What a tar stream ends with."""


def tar_folder(root: Path, *, uid: int, gid: int) -> Iterator[bytes]:
    """What is below `root`, not `root` itself: folders before their content, in sorted order.

    OSError when something cannot be read, or is no file, folder or link, or changes while it is read.
    """
    for path in _walk(root):
        info = _describe(path, path.relative_to(root).as_posix())
        info.uid, info.gid = uid, gid
        yield header(info)
        if info.isreg():
            yield from content(_read(path), info.size)
    yield END


def header(info: tarfile.TarInfo) -> bytes:
    """The blocks that announce an entry."""
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def content(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """An entry's content, filled up to whole blocks. OSError unless it has `size` bytes."""
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            break
        yield chunk
    if seen != size:
        raise OSError(5, f"changed while it was read: {size} bytes announced, {seen} or more seen", "a file")
    yield bytes(-size % _BLOCK_BYTES)


def _walk(root: Path) -> Iterator[Path]:
    with os.scandir(root) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = Path(entry.path)
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path)


def _describe(path: Path, name: str) -> tarfile.TarInfo:
    status = path.lstat()
    info = tarfile.TarInfo(name)
    info.mode = stat.S_IMODE(status.st_mode)
    info.mtime = status.st_mtime
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
    elif stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISREG(status.st_mode):
        info.size = status.st_size
    else:
        raise OSError(22, "is neither a file, nor a folder, nor a link", str(path))
    return info


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
