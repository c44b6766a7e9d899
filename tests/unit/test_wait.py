"""Waiting without fixed sleeps."""

import pytest

from baker.clock import SystemClock
from baker.wait import wait_until


class SleptClock(SystemClock):
    """Time passes by sleeping alone."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_it_ends_with_the_first_answer() -> None:
    clock, answers = SleptClock(), iter([None, None, "yes", "no"])
    assert wait_until(lambda: next(answers), timeout=100, clock=clock, first=1, longest=2) == "yes"
    assert clock.slept == [1, 1.5]


def test_pauses_grow_to_the_longest_and_end_at_the_deadline() -> None:
    clock = SleptClock()
    assert wait_until(lambda: None, timeout=6, clock=clock, first=1, longest=2) is None
    assert clock.slept == [1, 1.5, 2, 1.5]


def test_what_the_probe_raises_ends_it() -> None:
    def probe() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        wait_until(probe, timeout=6, clock=SleptClock())


def test_those_who_wait_do_not_ask_in_step() -> None:
    clocks = [SleptClock() for _ in range(20)]
    for clock in clocks:
        wait_until(lambda: None, timeout=8, clock=clock, first=2, longest=2, jitter=0.2)
    pauses = [pause for clock in clocks for pause in clock.slept[:-1]]
    assert all(1.6 <= pause <= 2 for pause in pauses)
    assert len(set(pauses)) > 1
