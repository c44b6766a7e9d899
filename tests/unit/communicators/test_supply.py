"""What a command reads, made in a thread of its own while the command runs."""

import time
from collections.abc import Iterator

import pytest

from baker.communicators.supply import Supply, supply_of

PATIENCE_SECONDS = 20.0


def all_of(supply: Supply) -> list[bytes]:
    """What is taken until the end, but for the empty answers of a supply that has nothing yet."""
    taken, deadline = [], time.monotonic() + PATIENCE_SECONDS
    while (chunk := supply.take()) is not None:
        assert time.monotonic() < deadline, f"nothing more comes after {len(taken)} chunks"
        if chunk:
            taken.append(chunk)
        else:
            time.sleep(0.001)
    return taken


def test_chunks_come_in_their_order_however_many() -> None:
    chunks = [b"%d" % number for number in range(100)]
    assert all_of(supply_of(iter(chunks))) == chunks
    assert all_of(supply_of(chunks)) == chunks


def test_empty_chunks_take_no_room() -> None:
    """A tar stream has one for each file that fills its blocks, as each empty file does."""
    assert all_of(supply_of(iter([b"first", *[b""] * 50, b"last", *[b""] * 50]))) == [b"first", b"last"]


def test_what_the_maker_raises_comes_after_what_it_made() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first"
        raise ValueError("it broke")

    supply = supply_of(chunks())
    with pytest.raises(ValueError, match="it broke"):
        all_of(supply)


def test_a_maker_that_nobody_takes_from_is_ended_by_closing() -> None:
    ended = []

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield b"more"
        finally:
            ended.append(True)

    supply = supply_of(chunks())
    supply.close()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ended and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ended
