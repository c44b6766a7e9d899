"""A command's output as it comes: bytes into lines for the log, and a bounded result for the step."""

import codecs
from collections import deque
from collections.abc import Callable

LONGEST_LINE = 16 * 1024
"""Characters. A longer line is cut in pieces: a log is for people."""

LARGEST_OUTPUT = 32 * 1024 * 1024
"""Bytes of each stream kept in a CommandResult; of more, the last ones."""


class LineSplitter:
    """Calls `emit` with each line, in order. A line ends with \\n, \\r\\n, or \\r (a progress bar's next state).

    Bytes that are not UTF-8 are replaced.
    """

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, chunk: bytes, *, final: bool = False) -> None:
        """Take the next bytes; with `final`, what is left is a line too."""
        text = self._rest + self._decoder.decode(chunk, final)
        held = "\r" if text.endswith("\r") and not final else ""  # its \n may be in the next chunk
        *lines, self._rest = text.removesuffix(held).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if held:
            self._rest += held
        for line in lines:
            self._emit_cut(line)
        if final and self._rest:
            self._emit_cut(self._rest)
            self._rest = ""
        while len(self._rest) > LONGEST_LINE:
            self._emit(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]

    def _emit_cut(self, line: str) -> None:
        for start in range(0, len(line) or 1, LONGEST_LINE):
            self._emit(line[start : start + LONGEST_LINE])


class Tail:
    """The last `limit` bytes of what was fed."""

    def __init__(self, limit: int = LARGEST_OUTPUT) -> None:
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._chunks[0]) >= self._limit:
            self._size -= len(self._chunks.popleft())

    def text(self) -> str:
        """As UTF-8, with replacements."""
        return b"".join(self._chunks)[-self._limit :].decode("utf-8", "replace")
