"""State that outlives a run, on the baking host: `$BAKER_HOME`, by default `baker` in the XDG data folder.

sources/   source images, made or fetched once        images/   finished images, a folder each
work/      disks and sockets of machines that run now, a folder of a short name each
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from baker.errors import BuilderError


@dataclass(frozen=True, slots=True)
class Home:
    """The folders below `path`; each property makes its folder (0700) when it is missing."""

    path: Path

    @classmethod
    def from_environment(cls) -> "Home":
        """`$BAKER_HOME`, else `$XDG_DATA_HOME/baker`, else `~/.local/share/baker`."""
        if named := os.environ.get("BAKER_HOME"):
            return cls(Path(named).absolute())
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return cls(Path(data).absolute() / "baker")

    @property
    def sources(self) -> Path:
        return self._folder("sources")

    @property
    def images(self) -> Path:
        return self._folder("images")

    @property
    def work(self) -> Path:
        return self._folder("work")

    def new_work_folder_path(self) -> Path:
        """A path that does not exist yet, for a machine's files; short, as a socket's path has at most 107 bytes."""
        return self.work / secrets.token_hex(4)

    def _folder(self, name: str) -> Path:
        folder = self.path / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BuilderError(
                f"{folder} cannot be made: {(error.strerror or str(error)).lower()}",
                hint="export BAKER_HOME=/a/folder/of/yours",
            ) from error
        return folder
