"""Files and folders of the recipe, and short texts of its own, put on the machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from baker.errors import RecipeError, StepError
from baker.fields import require_path, require_types
from baker.provisioner import NOTHING_REQUIRED, Remote, Requirements
from provisioners.fields import require_mode, require_owner

_FILE_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Put a file, a folder's content, or a text at `target`.

    Exactly one of `source` (a file or a folder, relative to the recipe's folder) and `content` (the text of a file)
    is given. A file appears whole or not at all, with `mode` (0o644 unless said). A folder's content is put into
    `target`, where other files stay as they are; everything in it keeps the mode that it has in the recipe, and `mode`
    is that of `target` itself. All of it belongs to `owner`. Missing folders above `target` are made.
    """

    target: str
    source: str | None = None
    content: str | None = None
    owner: str = "root:root"
    mode: int | None = None

    revision: ClassVar[int] = 1
    not_fingerprinted: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        require_types(self)
        require_path("Files", "target", self.target)
        require_owner("Files", self.owner)
        require_mode("Files", self.mode)
        if (self.source is None) == (self.content is None):
            raise RecipeError(
                f"Files: {self.target} needs either a source or a content",
                hint='write source="a file or folder of the recipe" or content="text"',
            )
        if self.source is not None and (not self.source or Path(self.source).is_absolute()):
            raise RecipeError(
                f"Files: source {self.source!r} is not relative to the recipe's folder",
                hint="an image can be made again only from what lies beside its recipe",
            )

    @property
    def name(self) -> str:
        return f"file {self.target}" if self.source is None else f"copy {self.source} to {self.target}"

    def inputs(self) -> tuple[Path, ...]:
        return () if self.source is None else (Path(self.source),)

    def requires(self) -> Requirements:
        return NOTHING_REQUIRED

    def apply(self, remote: Remote) -> None:
        if self.source is not None and remote.recipe_path(Path(self.source)).is_dir():
            self._refuse_a_file(remote)
            remote.put_tree(Path(self.source), self.target, owner=self.owner)
            if self.mode is not None:
                remote.run(["chmod", f"{self.mode:o}", self.target], sudo=True)
            return
        self._refuse_a_folder(remote)
        what = Path(self.source) if self.source is not None else (self.content or "").encode()
        remote.put(what, self.target, owner=self.owner, mode=_FILE_MODE if self.mode is None else self.mode)

    def _refuse_a_file(self, remote: Remote) -> None:
        script = """test -d "$0" || ! test -e "$0" """
        if remote.run(["sh", "-c", script, self.target], sudo=True, check=False, quiet=True).exit_code:
            raise StepError(
                f"{self.target} is a file on the machine, and {self.source} is a folder",
                hint="name a folder as target",
            )

    def _refuse_a_folder(self, remote: Remote) -> None:
        if remote.run(["test", "-d", self.target], sudo=True, check=False, quiet=True).exit_code == 0:
            named = Path(self.source).name if self.source is not None else "NAME"
            raise StepError(
                f"{self.target} is a folder on the machine, and a file was to be put there",
                hint=f'name the file too: target="{self.target.rstrip("/")}/{named}"',
            )
