"""State that outlives a run, on the baking host: `$BAKER_HOME`, by default `baker` in the XDG data folder.

sources/   source images, made or fetched once        images/   finished images, a folder each
work/      disks of machines that run now, a folder each         ledger/   what runs created and did not yet remove
"""

import os
from dataclasses import dataclass
from pathlib import Path

from baker.errors import BuilderError, DiskFullError, is_disk_full

_FOLDERS = ("sources", "images", "work", "ledger")
_HINT = "export BAKER_HOME=/a/folder/of/yours"


@dataclass(frozen=True, slots=True)
class Home:
    """The folders below `path`; each property makes its folder (0700) when it is missing."""

    path: Path

    @classmethod
    def from_environment(cls) -> "Home":
        """`$BAKER_HOME`, else `$XDG_DATA_HOME/baker`, else `~/.local/share/baker`."""
        if named := os.environ.get("BAKER_HOME"):
            return cls(_absolute(named))
        return cls(_absolute(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "baker")

    def problem(self) -> str | None:
        """Why nothing can be kept here, as far as looking tells; None when it can. Makes nothing."""
        below = [self.path / name for name in _FOLDERS]
        for folder in (self._nearest(), *(path for path in below if os.path.lexists(path))):
            name = "it" if folder == self.path else str(folder)
            if not folder.is_dir():
                return f"nothing can be kept in {self.path}: {name} is not a folder"
            if not os.access(folder, os.W_OK | os.X_OK):
                return f"nothing can be kept in {self.path}: {name} is not writable"
        return None

    @property
    def is_there(self) -> bool:
        """Whether something was kept here before."""
        return os.path.lexists(self.path)

    def free_bytes(self) -> int:
        """Room for this user where the folders are, or will be once they are made."""
        room = os.statvfs(self._nearest())
        return room.f_bavail * room.f_frsize

    @property
    def sources(self) -> Path:
        return self._folder("sources")

    @property
    def images(self) -> Path:
        return self._folder("images")

    @property
    def work(self) -> Path:
        return self._folder("work")

    @property
    def ledger(self) -> Path:
        return self._folder("ledger")

    def _nearest(self) -> Path:
        """The home, or what there is of the way to it."""
        return next(folder for folder in (self.path, *self.path.parents) if os.path.lexists(folder))

    def _folder(self, name: str) -> Path:
        folder = self.path / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            if is_disk_full(error):
                hint = "free some space, or set BAKER_HOME to a folder on a larger disk"
                raise DiskFullError(f"no room is left on the disk for {folder}", hint=hint) from error
            raise BuilderError(
                f"{folder} cannot be made: {(error.strerror or str(error)).lower()}",
                hint=_HINT,
            ) from error
        return folder


def _absolute(named: str) -> Path:
    """`named` as a path; `~` is the user's own folder, also where no shell has seen to it."""
    try:
        return Path(named).expanduser().absolute()
    except RuntimeError as error:  # an account without a home, as in some containers
        raise BuilderError("this account has no home folder to keep images in", hint=_HINT) from error
