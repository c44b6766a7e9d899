"""What code of others prints while a bake runs (a step, a check, a library's log) becomes events like any other.

So it passes the redactor, is in the log, and neither tears the live line nor gets between the lines of `--json`.
"""

import io

from baker.events import Emit, OutputLine


class PrintedLines(io.TextIOBase):
    """A text stream, for sys.stdout and sys.stderr, that emits each line as a note.

    A last line that is not ended is not told: when it is known to be the last one, the bake has told its end.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._emit(OutputLine(stream="note", text=line))
        return len(text)
