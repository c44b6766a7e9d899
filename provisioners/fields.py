"""Rules that the fields of several steps share: absolute paths, owners, modes.

Each raises RecipeError when the step is made, so that a mistake is found with the file and line of the recipe, and
before anything runs. Knows nothing of any one step.
"""

import re

from baker.errors import RecipeError

_OWNER = re.compile(r"(?:[a-z_][a-z0-9_-]*|[0-9]+)(?::(?:[a-z_][a-z0-9_-]*|[0-9]+))?")
_WORD = re.compile(r"\S+")


def require_path(step: str, field: str, path: str) -> None:
    """`path` is absolute, in its shortest form, and of one line: it ends up in commands, logs and fstab."""
    if not path.startswith("/"):
        raise RecipeError(f"{step}: {field} {path!r} is not absolute", hint="paths on the machine begin with /")
    parts = path.split("/")[1:]
    if path != "/" and any(part in ("", ".", "..") for part in parts):
        raise RecipeError(
            f"{step}: {field} {path!r} is not in its shortest form", hint="leave out //, . , .. and a last /"
        )
    if any(ord(character) < 32 for character in path):
        raise RecipeError(f"{step}: {field} {path!r} holds a control character")


def require_owner(step: str, owner: str) -> None:
    """`owner` is `user` or `user:group`, by name or number."""
    if not _OWNER.fullmatch(owner):
        raise RecipeError(f"{step}: owner {owner!r} is none", hint="write user:group, as root:root")


def require_mode(step: str, mode: int | None) -> None:
    """`mode` is a number from 0 to 0o7777."""
    if mode is not None and not 0 <= mode <= 0o7777:
        raise RecipeError(f"{step}: mode {mode} is none", hint="write it in octal, as 0o755")


def require_words(step: str, field: str, words: tuple[str, ...]) -> None:
    """`words` is a tuple of at least one word, each without blanks."""
    if isinstance(words, str):
        raise RecipeError(f"{step}: {field} is text, not a tuple", hint=f'write {field}=("{words}",)')
    if not words:
        raise RecipeError(f"{step}: {field} is empty")
    for word in words:
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            raise RecipeError(f"{step}: {field} holds {word!r}, which is not one word")


def require_at_least(step: str, field: str, value: float | None, least: float) -> None:
    """`value`, when there is one, is `least` or more."""
    if value is not None and value < least:
        raise RecipeError(f"{step}: {field} is {value}; it must be at least {least}")
