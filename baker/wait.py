"""Waiting for something outside, without fixed sleeps."""

import random
from collections.abc import Callable, Iterator
from typing import TypeVar

from baker.ports import Clock

T = TypeVar("T")


def wait_until(
    probe: Callable[[], T | None],
    *,
    timeout: float,
    clock: Clock,
    first: float = 0.05,
    longest: float = 1.0,
    growth: float = 1.5,
    jitter: float = 0.0,
) -> T | None:
    """Call `probe` until it returns something that is not None, and return that; None when `timeout` seconds are over.

    Pauses grow from `first` to `longest` seconds, each `growth` times the one before; by chance each is shorter by up
    to `jitter` of it, so that many who ask the same service do not ask it in step. What `probe` raises ends the wait.
    """
    deadline = clock.monotonic() + timeout
    for pause in pauses(first, longest, growth):
        if (found := probe()) is not None:
            return found
        remaining = deadline - clock.monotonic()
        if remaining <= 0:
            return None
        clock.sleep(min(pause * (1 - jitter * random.random()), remaining))  # noqa: S311  (spreads load, hides nothing)
    raise AssertionError("pauses() never ends")


def pauses(first: float, longest: float, growth: float = 1.5) -> Iterator[float]:
    """Seconds to wait between tries: growing, without end."""
    pause = first
    while True:
        yield pause
        pause = min(pause * growth, longest)
