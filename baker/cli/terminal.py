"""The terminal that a command was started from, as far as a bake listens to it."""

import os
import select
import termios
from typing import TextIO


class Keyboard:
    """Asks whether Enter was pressed. Nobody is there when `stdin` is no terminal, or has become another's."""

    def __init__(self, stdin: TextIO | None) -> None:
        self._terminal = stdin.fileno() if stdin is not None and stdin.isatty() else None

    @property
    def is_there(self) -> bool:
        """Whether somebody could press Enter: a job in the background would be stopped for reading."""
        try:
            return self._terminal is not None and os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError:  # not the terminal that controls this process, or gone
            return False

    def forget(self) -> None:
        """Forget what was typed so far: it was not an answer."""
        if self._terminal is not None and self.is_there:
            termios.tcflush(self._terminal, termios.TCIFLUSH)

    def enter_was_pressed(self) -> bool:
        """Since the last time that this was asked, or `forget` was called."""
        if self._terminal is None or not self.is_there or not select.select([self._terminal], [], [], 0)[0]:
            return False
        try:
            return b"\n" in os.read(self._terminal, 4096)
        except OSError:  # hung up in between: who is gone has pressed nothing
            return False
