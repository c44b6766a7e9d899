"""What others print, as events."""

import contextlib

from baker.events import Event, OutputLine
from baker.reporters.printed import PrintedLines


def test_each_line_is_a_note_however_it_was_written() -> None:
    seen: list[Event] = []
    with PrintedLines(seen.append) as printed, contextlib.redirect_stdout(printed):
        print("one", "two")
        print("thr", end="", flush=True)
        print("ee\nfour\n\nfive", end="")
    assert seen == [OutputLine(stream="note", text=text) for text in ("one two", "three", "four", "")]


def test_it_is_a_text_stream_that_is_no_terminal() -> None:
    with PrintedLines(lambda _event: None) as printed:
        assert printed.writable()
        assert not printed.isatty()
        assert printed.write("abc\n") == 4
