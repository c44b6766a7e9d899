"""Folders that are made once: never half-made, never by two makers at once, made again when their inputs change.

    cache/
      lock              held while something is made
      channel-1a2b3c4d/ a part, named by what it is made from

Knows nothing of what the parts are.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cache:
    """Parts below `path`."""

    path: Path

    @classmethod
    def from_environment(cls, project: Path) -> "Cache":
        """`$BAKER_LAB`, else `.lab` in the project."""
        return cls(Path(os.environ.get("BAKER_LAB") or project / ".lab").absolute())

    def part(self, name: str, key: str, make: Callable[[Path], None]) -> Path:
        """The folder of part `name` as made from the inputs of `key`; `make` fills it when it is not there.

        A `make` that fails, or is killed, leaves nothing that a later call would take for the part.
        """
        target = self.path / f"{name}-{key}"
        if target.is_dir():
            return target
        self.path.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if target.is_dir():  # another maker was first
                return target
            partial = self.path / f"{target.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                make(partial)
                partial.rename(target)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            self._drop_older(name, target)
        return target

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting for another maker of {self.path}", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _drop_older(self, name: str, newest: Path) -> None:
        """Remove the part's earlier versions, but none that somebody has `in_use`."""
        for older in self.path.glob(f"{name}-" + "[0-9a-f]" * _KEY_LENGTH):
            if older == newest:
                continue
            descriptor = os.open(older, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(older, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)


_KEY_LENGTH = 10


def key_of(files: Iterable[Path], *values: str) -> str:
    """A short name for the content of `files` (folders with all that is in them) and for `values`."""
    digest = hashlib.sha256()
    for file in files:
        for path in sorted(file.rglob("*")) if file.is_dir() else [file]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(file.parent)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    digest.update("\0".join(values).encode())
    return digest.hexdigest()[:_KEY_LENGTH]


@contextmanager
def in_use(folders: Iterable[Path]) -> Iterator[None]:
    """Keep makers of newer versions from removing these parts meanwhile."""
    descriptors = [os.open(folder, os.O_RDONLY) for folder in folders]
    try:
        for descriptor in descriptors:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
