"""A folder of this host, as a place to put files: a `baker.ports.Drop`."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from baker.builders.qemu.image import flush
from baker.errors import BuilderError, DiskFullError

FOLDER_MODE, FILE_MODE = 0o755, 0o644
"""Who may read the folder that these lie in decides who gets an image; the files do not stand in the way."""


@dataclass(frozen=True, slots=True)
class Folder:
    """See `baker.ports.Drop`. `path` is made when something is written to it."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def size(self, path: str) -> int | None:
        with self._refusals():
            try:
                return (self.path / path).lstat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def room(self) -> int | None:
        with self._refusals():
            there = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
            state = os.statvfs(there)
            return state.f_bavail * state.f_frsize

    def make_folder(self, path: str) -> None:
        folder = self.path / path
        with self._refusals():
            folder.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            try:
                folder.mkdir()
            except FileExistsError:
                there = folder.lstat()
                if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.geteuid():
                    raise BuilderError(f"{folder} is not yours", hint="remove it, or have it removed") from None
            folder.chmod(FOLDER_MODE)

    def write(self, path: str, chunks: Iterable[bytes], *, offset: int = 0) -> None:
        how = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | (0 if offset else os.O_CREAT | os.O_EXCL)
        with self._refusals(), os.fdopen(os.open(self.path / path, how, FILE_MODE), "wb") as file:
            file.seek(offset)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fchmod(file.fileno(), FILE_MODE)
            os.fsync(file.fileno())

    def read(self, path: str) -> bytes:
        with self._refusals():
            return (self.path / path).read_bytes()

    def sha256(self, path: str) -> str:
        with self._refusals(), (self.path / path).open("rb") as file:
            # What was written is still in memory; what counts is what the disk has.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def rename(self, old: str, new: str) -> None:
        with self._refusals():
            flush(self.path / old)
            if os.path.lexists(self.path / new):  # an empty folder would be replaced without a word
                raise FileExistsError(errno.EEXIST, "is there already", str(self.path / new))
            (self.path / old).rename(self.path / new)
            flush(self.path)

    def remove(self, path: str) -> None:
        with self._refusals():
            (self.path / path).unlink(missing_ok=True)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(f"no room is left in {self.path}") from error
            reason = (error.strerror or str(error)).lower()
            raise BuilderError(f"{error.filename or self.path}: {reason}") from error
