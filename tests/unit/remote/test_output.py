"""Bytes as they come -> lines, and a bounded result."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from baker.remote.output import LONGEST_LINE, LineSplitter, Tail


def split(*chunks: bytes) -> list[str]:
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    for chunk in chunks:
        splitter.feed(chunk)
    splitter.feed(b"", final=True)
    return lines


def test_lines_end_with_any_of_the_three():
    assert split(b"a\nb\r\nc\rd") == ["a", "b", "c", "d"]


def test_a_line_break_may_be_cut_in_two():
    assert split(b"a\r", b"\nb\r", b"c\r") == ["a", "b", "c"]


def test_a_progress_bar_is_a_line_for_each_state():
    assert split(b"10%\r", b"20%\r", b"done\n") == ["10%", "20%", "done"]


def test_empty_lines_stay():
    assert split(b"a\n\n\nb\n") == ["a", "", "", "b"]


def test_bytes_that_are_not_utf8_are_replaced_and_letters_cut_in_two_are_not():
    assert split("ü".encode()[:1], "ü".encode()[1:], b"\xff\n") == ["ü\N{REPLACEMENT CHARACTER}"]


def test_a_line_without_end_comes_in_pieces_before_it_ends():
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    splitter.feed(b"x" * (3 * LONGEST_LINE))
    assert len(lines) == 2
    splitter.feed(b"", final=True)
    assert "".join(lines) == "x" * (3 * LONGEST_LINE)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_how_the_bytes_are_cut_changes_nothing(data, cuts):
    places = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    assert split(*(data[a:b] for a, b in pairwise(places))) == split(data)


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(1, 50))
def test_the_tail_is_the_end_of_all(chunks, limit):
    tail = Tail(limit)
    for chunk in chunks:
        tail.feed(chunk)
    assert tail.text() == b"".join(chunks)[-limit:].decode("utf-8", "replace")
