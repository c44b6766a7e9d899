"""The console: approved as text for a pipe, and on a real pseudo-terminal.

`BAKER_APPROVE=1 pytest tests/unit/reporters` rewrites the golden files.
"""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from baker.events import (
    ArtifactVerified,
    CheckFinished,
    FactRecorded,
    OutputLine,
    Progress,
    Record,
    StageStarted,
    StepStarted,
)
from baker.reporters.console import QUIET_SECONDS, Console
from baker.reporters.screen import LiveScreen, PlainScreen, screen_for
from baker.reporters.textlog import text_log
from baker.reporters.ticker import Ticker

GOLDEN = Path(__file__).parent / "golden"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _approve(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("BAKER_APPROVE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def _told(bake: tuple[Record, ...], clock: Any, *command: str) -> str:
    stream = io.StringIO()
    console = Console(PlainScreen(stream), clock, *command)
    for record in bake:
        console(record)
    return stream.getvalue()


class Terminal:
    """A pseudo-terminal and what was written to it."""

    def __init__(self, columns: int) -> None:
        self._reader, writer = pty.openpty()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream: TextIO = os.fdopen(writer, "w", encoding="utf-8")
        self._seen = bytearray()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the other side has been closed
            while chunk := os.read(self._reader, 65536):
                self._seen += chunk

    def close(self) -> str:
        self.stream.close()
        self._thread.join()
        os.close(self._reader)
        return self._seen.decode().replace("\r\n", "\n")


@contextlib.contextmanager
def _terminal(columns: int = 80) -> Iterator[tuple[Terminal, list[str]]]:
    """A terminal; when the block is over, the list holds what was written to it."""
    terminal, seen = Terminal(columns), []
    try:
        yield terminal, seen
    finally:
        seen.append(terminal.close())


def test_an_image_that_was_not_looked_at_is_said_to_be_so(good_bake: tuple[Record, ...], clock: Any) -> None:
    unverified = tuple(record for record in good_bake if not isinstance(record.event, ArtifactVerified))
    assert "image ocean-20260101t000000-ffffffff (812 MiB), not verified\n" in _told(unverified, clock)
    assert ", not verified" not in _told(good_bake, clock)


def test_a_good_bake_in_a_pipe(good_bake: tuple[Record, ...], clock: Any) -> None:
    _approve("good.txt", _told(good_bake, clock))


def test_a_bad_bake_in_a_pipe(bad_bake: tuple[Record, ...], clock: Any) -> None:
    _approve("bad.txt", _told(bad_bake, clock))


def test_nothing_but_text_goes_into_a_pipe(good_bake: tuple[Record, ...], clock: Any) -> None:
    text = _told(good_bake, clock)
    assert "\x1b" not in text
    assert "\r" not in text


def test_what_to_type_next_can_be_typed_here(good_bake: tuple[Record, ...], clock: Any) -> None:
    assert "\nnext: qemu-system-x86_64 " in _told(good_bake, clock, ".venv/bin/bake"), "the builder knows more"
    of_another = tuple(record for record in good_bake if not isinstance(record.event, FactRecorded))
    assert _told(of_another, clock, ".venv/bin/bake").endswith("\nnext: .venv/bin/bake images\n")


def test_the_log_is_the_console(good_bake: tuple[Record, ...], clock: Any) -> None:
    stream = io.StringIO()
    log = text_log(stream, clock)
    for record in good_bake:
        log(record)
    assert stream.getvalue() == _told(good_bake, clock)


def test_on_a_terminal_what_stays_is_what_a_pipe_gets(good_bake: tuple[Record, ...], clock: Any) -> None:
    with _terminal() as (terminal, seen):
        console = Console(screen_for(terminal.stream, {"TERM": "xterm"}), clock)
        for record in good_bake:
            console(record)
    (text,) = seen
    assert COLOUR.search(text)
    assert "\x1b[K" in text
    assert _scrollback(text) == _told(good_bake, clock)


def _scrollback(text: str) -> str:
    """What stays on the screen: each line after its last return to the start."""
    lines = COLOUR.sub("", text).split("\n")
    return "\n".join(line.rpartition("\r\x1b[K")[2] for line in lines)


def test_the_live_line_says_what_how_long_and_how_far(clock: Any) -> None:
    with _terminal() as (terminal, seen):
        console = Console(LiveScreen(terminal.stream, colour=False), clock)
        for event in (
            StageStarted(stage="provision"),
            StepStarted(number=3, name="conda environment ocean"),
            Progress(what="downloading", done=45, total=100, unit="bytes"),
        ):
            console(Record(seq=0, at=0.0, event=event))
        clock.sleep(72)
        console.tick()
    last = seen[0].rpartition("\r\x1b[K")[2]
    assert last == "provision  3/0 conda environment ocean  downloading 45 % of 100 bytes  1m 12s"


def test_a_check_that_is_over_is_not_what_goes_on(clock: Any) -> None:
    """After the checks of a verification its machine is restarted, which takes minutes."""
    with _terminal() as (terminal, seen):
        console = Console(LiveScreen(terminal.stream, colour=False), clock)
        for event in (
            StageStarted(stage="verify"),
            Progress(what="kernel ocean starts", done=7, total=8, unit="checks"),
            CheckFinished(name="kernel ocean starts", outcome="passed", seconds=18.0),
        ):
            console(Record(seq=0, at=0.0, event=event))
        clock.sleep(30)
        console.tick()
    assert seen[0].rpartition("\r\x1b[K")[2] == "verify  30 s"


@pytest.mark.parametrize("name", ["x" * 500, "波" * 200, "e\u0301" * 300])
def test_the_live_line_never_wraps(clock: Any, name: str) -> None:
    with _terminal(columns=40) as (terminal, seen):
        console = Console(LiveScreen(terminal.stream, colour=False), clock)
        console(Record(seq=0, at=0.0, event=StageStarted(stage="provision")))
        terminal.stream.write("\n<")
        screen = LiveScreen(terminal.stream, colour=False)
        screen.show_status(name)
    shown = seen[0].rpartition("\x1b[K")[2]
    columns = sum(2 if character == "波" else 0 if character == "\u0301" else 1 for character in shown)
    assert 38 <= columns <= 39


@pytest.mark.parametrize(
    ("environment", "live", "colour"),
    [
        ({"TERM": "xterm-256color"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
        ({"TERM": "xterm", "CI": "true"}, False, False),
    ],
)
def test_what_the_terminal_is_decides(environment: dict[str, str], live: bool, colour: bool, clock: Any) -> None:
    with _terminal() as (terminal, seen):
        screen = screen_for(terminal.stream, environment)
        Console(screen, clock)(Record(seq=0, at=0.0, event=StageStarted(stage="launch")))
    assert screen.is_live is live
    assert bool(COLOUR.search(seen[0])) is colour
    assert ("\x1b" in seen[0]) is live


def test_a_pipe_is_plain_whatever_the_terminal_is(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        assert screen_for(file, {"TERM": "xterm"}).is_live is False


def test_a_silent_pipe_hears_something_now_and_then(clock: Any) -> None:
    stream = io.StringIO()
    console = Console(PlainScreen(stream), clock)
    console.tick()
    console(Record(seq=0, at=0.0, event=StageStarted(stage="launch")))
    before = stream.getvalue()
    clock.sleep(QUIET_SECONDS - 1)
    console.tick()
    assert stream.getvalue() == before
    clock.sleep(1)
    console.tick()
    console.tick()
    assert stream.getvalue() == f"{before}  ... launch  30 s\n"
    console(Record(seq=1, at=0.0, event=OutputLine(stream="stdout", text="here I am")))
    clock.sleep(QUIET_SECONDS - 1)
    console.tick()
    assert stream.getvalue().endswith("here I am\n")


def test_a_ticker_ticks_until_it_is_closed() -> None:
    ticked = threading.Semaphore(0)
    with Ticker(ticked.release, seconds=0.001):
        for _ in range(3):
            assert ticked.acquire(timeout=30)


def test_a_tick_that_fails_ends_the_ticking_and_nothing_else() -> None:
    reached = threading.Event()

    def tick() -> None:
        reached.set()
        raise BrokenPipeError

    with Ticker(tick, seconds=0.001):
        assert reached.wait(timeout=30)
