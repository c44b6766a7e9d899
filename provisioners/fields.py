"""Rules that the fields of several steps share: owners, modes, words.

Each raises RecipeError when the step is made, so that a mistake is found with the file and line of the recipe, and
before anything runs. Knows nothing of any one step. Values are of the right type: `baker.fields` saw to it.
"""

import math
import re
from pathlib import Path

from baker.errors import RecipeError

_OWNER = re.compile(r"(?:[a-z_][a-z0-9_-]*|[0-9]+)(?::(?:[a-z_][a-z0-9_-]*|[0-9]+))?")
_WORD = re.compile(r"\S+")


def require_owner(step: str, owner: str) -> None:
    """`owner` is `user` or `user:group`, by name or number."""
    if not _OWNER.fullmatch(owner):
        raise RecipeError(f"{step}: owner {owner!r} is none", hint="write user:group, as root:root")


def require_mode(step: str, mode: int | None) -> None:
    """`mode` is a number from 0 to 0o7777, and not one in decimal digits that were meant to be octal."""
    if mode is None:
        return
    if not 0 <= mode <= 0o7777:
        raise RecipeError(f"{step}: mode {mode} is none", hint="write it in octal, as 0o755")
    digits = str(mode)
    if set(digits) <= set("01234567") and _is_usual(int(digits, 8)) and not _is_usual(mode):
        raise RecipeError(f"{step}: mode={mode} is a decimal number, 0o{mode:o}", hint=f"write mode=0o{digits}")


def require_words(step: str, field: str, words: tuple[str, ...]) -> None:
    """`words` is a tuple of at least one word, each without blanks."""
    if not words:
        raise RecipeError(f"{step}: {field} is empty")
    for word in words:
        if not _WORD.fullmatch(word):
            raise RecipeError(f"{step}: {field} holds {word!r}, which is not one word")


def require_at_least(step: str, field: str, value: float | None, least: float) -> None:
    """`value`, when there is one, is `least` or more, and a number that can be waited for or counted to."""
    if value is not None and not least <= value < math.inf:  # nor NaN, which is neither less nor more
        raise RecipeError(f"{step}: {field} is {value}; it must be at least {least}")


def require_file(folder: Path, path: Path) -> Path:
    """Where the recipe's file `path` lies, below `folder`; RecipeError when it is a folder itself."""
    if (folder / path).is_dir():
        raise RecipeError(f"{path} is a folder, and a file is wanted")
    return folder / path


def _is_usual(mode: int) -> bool:
    """Whether anybody would want `mode`: the group may nothing that the owner may not, nor others what the group may
    not, and nobody may write what he may not read."""
    owner, group, others = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    return owner >= 4 and not group & ~owner and not others & ~group and not {2, 3} & {group, others}
