"""console.log: what the console shows, as plain lines in a file."""

from typing import TextIO

from baker.ports import Clock
from baker.reporters.console import Console
from baker.reporters.screen import PlainScreen


def text_log(stream: TextIO, clock: Clock, command: str = "bake") -> Console:
    """A console on `stream`, which it does not close. Nobody ticks it: a file does not look hung."""
    return Console(PlainScreen(stream), clock, command)
