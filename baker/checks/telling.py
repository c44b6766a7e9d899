"""Says in a few lines why a check did not pass: where, what was expected, what was seen."""

import linecache
from pathlib import Path
from types import TracebackType

import pytest

from baker.errors import BakeError

LONGEST_MESSAGE = 40
"""Lines. Of a longer one the middle is left out."""


def message_of(error: BaseException, folder: Path) -> str:
    """The error, after the file and line where it happened when that is in the recipe's `folder`."""
    place = _place(error.__traceback__, folder)
    text = _shortened(_text(error, place))
    return f"{place[0].relative_to(folder)}:{place[1]}: {text}" if place else text


def _text(error: BaseException, place: tuple[Path, int] | None) -> str:
    if isinstance(error, BakeError):
        return "\n".join([error.summary, *(f"{label}: {text}" for label, text in error.details)])
    if isinstance(error, AssertionError):
        return str(error) or (linecache.getline(str(place[0]), place[1]).strip() if place else "") or "assertion failed"
    if isinstance(error, pytest.FixtureLookupError):
        return f"fixture {error.argname!r} not found; a check takes `host`"
    if isinstance(error, pytest.fail.Exception | pytest.skip.Exception):
        return str(error)
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _place(traceback: TracebackType | None, folder: Path) -> tuple[Path, int] | None:
    """The innermost frame whose code lies in `folder`."""
    found = None
    while traceback is not None:
        path = Path(traceback.tb_frame.f_code.co_filename)
        if path.is_relative_to(folder) and "site-packages" not in path.parts:
            found = (path, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def _shortened(text: str) -> str:
    lines = text.splitlines()
    if len(lines) <= LONGEST_MESSAGE:
        return text
    half = LONGEST_MESSAGE // 2
    return "\n".join([*lines[:half], f"... {len(lines) - 2 * half} lines ...", *lines[-half:]])
