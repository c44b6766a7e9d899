"""What the machine's script writes, read; in whatever pieces it comes. What the script finds is in `test_scan`."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baker.errors import SealError
from baker.seal.passages import LINES_AFTER, Passage, Place, RecordReader

BLOB = "4525e1104da5" + 28 * "0"


def record(label: str, number: int, text: str, sign: str = ":") -> bytes:
    return f"{label}\0{number}{sign}{text}\n".encode()


HEAD = record("view:0", 1, "/") + record("view:1", 1, "/data") + record("files", 1, "7")
END = record("end", 1, "")


def read(*records: bytes, size: int = 1 << 20) -> tuple[list[Passage], RecordReader]:
    found: list[Passage] = []
    reader = RecordReader(found.append)
    text = b"".join(records)
    for start in range(0, len(text), size):
        reader.feed(text[start : start + size])
    return found, reader


@given(size=st.integers(1, 40))
def test_lines_that_follow_belong_to_the_one_before_in_whatever_pieces_they_come(size: int) -> None:
    found, reader = read(
        HEAD,
        record("view/0/etc/a", 3, "first"),
        record("view/0/etc/a", 4, "after", "-"),
        record("view/1/odd\nname", 9, "second"),
        record("name:view/1/.netrc", 1, ""),
        END,
        size=size,
    )
    searched = reader.end()
    assert found == [
        Passage(place=Place(path="/etc/a", line=3), line=b"first", after=(b"after",)),
        Passage(place=Place(path="/data/odd\nname", line=9), line=b"second", after=()),
    ]
    assert (searched.files, searched.named, searched.unsearched) == (7, ("/data/.netrc",), ())


def test_a_match_within_what_follows_another_is_a_passage_too() -> None:
    lines = [record("view/0/x", number, f"line {number}", ":" if number in (1, 3) else "-") for number in range(1, 15)]
    found, reader = read(HEAD, *lines, END)
    reader.end()
    assert [(it.place.line, len(it.after)) for it in found] == [(1, LINES_AFTER), (3, LINES_AFTER)]


def test_lines_with_a_gap_between_do_not_follow() -> None:
    found, reader = read(HEAD, record("view/0/x", 1, "one"), record("view/0/x", 40, "forty"), END)
    reader.end()
    assert [it.after for it in found] == [(), ()]


def test_a_line_of_an_object_is_counted_from_its_beginning() -> None:
    found, reader = read(
        HEAD,
        record("history:view/0/srv/x/.git", 500, f"{BLOB} blob 90"),
        record("history:view/0/srv/x/.git", 503, "found"),
        END,
    )
    reader.end()
    place = Place(path="/srv/x/.git", line=3, source="history", part=BLOB)
    assert found == [Passage(place=place, line=b"found", after=())]


def test_what_was_not_searched_is_told() -> None:
    _, reader = read(HEAD, record("unsearched:view/0/srv/x/.git", 1, "git is not installed"), END)
    assert reader.end().unsearched == (("/srv/x/.git", "git is not installed"),)


def test_a_file_that_could_not_be_read_is_no_clean_file() -> None:
    _, reader = read(HEAD, record("error", 1, "grep: view/0/x: Input/output error"), END)
    with pytest.raises(SealError, match="cannot be read") as caught:
        reader.end()
    assert caught.value.details == (("grep said", "grep: /x: Input/output error"),)


def test_an_answer_that_was_cut_off_is_no_clean_machine() -> None:
    _, reader = read(HEAD)
    with pytest.raises(SealError, match="no end"):
        reader.end()


def test_a_line_of_megabytes_that_comes_in_pieces_costs_no_minutes() -> None:
    started = time.monotonic()
    found, reader = read(HEAD, record("view/0/x", 1, "{}\t" * 4_000_000), END, size=1 << 15)
    reader.end()
    assert len(found[0].line) == 12_000_000
    assert time.monotonic() - started < 20, "a minute or an hour when each piece is looked at again"
