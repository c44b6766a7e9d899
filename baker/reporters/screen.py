"""Where the console's lines go: a terminal with one live line at its end, or a plain stream without any codes.

Written over ANSI by hand: all that is needed is colour, "clear this line", and a cut at the window's width. The rich
library does far more, costs 50 ms at every start, and its live display holds back what other code prints.
"""

import os
from collections.abc import Mapping
from typing import Literal, Protocol, TextIO

from baker.reporters.wording import fit

Style = Literal["normal", "heading", "good", "bad", "warning", "dim"]

_SGR: Mapping[str, str] = {"heading": "1", "good": "32", "bad": "1;31", "warning": "33", "dim": "2"}
_CLEAR_LINE = "\r\x1b[K"
_FALLBACK_COLUMNS = 80


class Screen(Protocol):
    """Lines that stay, and one status that does not."""

    @property
    def is_live(self) -> bool:
        """Whether `show_status` shows anything."""
        ...

    def print(self, text: str, style: Style = "normal") -> None:
        """A line that stays. Raises what the stream raises."""
        ...

    def show_status(self, text: str) -> None:
        """Replace the status by `text`; an empty one removes it."""
        ...


class PlainScreen:
    """Lines and nothing else, for pipes, files and CI systems."""

    is_live = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def print(self, text: str, style: Style = "normal") -> None:  # noqa: ARG002  (a plain stream has no styles)
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def show_status(self, text: str) -> None:
        """Nothing: a plain stream cannot take a line back."""


class LiveScreen:
    """A terminal. What has been printed stays plain scrollback; only the last line is ever written again."""

    is_live = True

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self._stream = stream
        self._colour = colour
        self._status = ""

    def print(self, text: str, style: Style = "normal") -> None:
        clear = _CLEAR_LINE if self._status else ""
        self._stream.write(f"{clear}{self._styled(text, style)}\n{self._status_line()}")
        self._stream.flush()

    def show_status(self, text: str) -> None:
        if not text and not self._status:
            return
        self._status = text
        self._stream.write(_CLEAR_LINE + self._status_line())
        self._stream.flush()

    def _status_line(self) -> str:
        # One column short: a full last column wraps on some terminals, and then the line cannot be taken back.
        return self._styled(fit(self._status, self._columns() - 1), "heading") if self._status else ""

    def _styled(self, text: str, style: Style) -> str:
        code = _SGR.get(style) if self._colour else None
        return f"\x1b[{code}m{text}\x1b[0m" if code and text else text

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _FALLBACK_COLUMNS
        except (OSError, ValueError):
            return _FALLBACK_COLUMNS


def screen_for(stream: TextIO, environment: Mapping[str, str]) -> Screen:
    """The screen that fits: live on a terminal that can be written over, plain elsewhere and in CI.

    `NO_COLOR` (set to anything) keeps the live line and drops the colours; `TERM=dumb` drops both.
    """
    if not stream.isatty() or environment.get("TERM", "dumb") in ("", "dumb") or environment.get("CI"):
        return PlainScreen(stream)
    return LiveScreen(stream, colour=not environment.get("NO_COLOR"))
