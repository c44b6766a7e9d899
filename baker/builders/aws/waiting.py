"""Waiting for EC2: short pauses at first, longer ones later, none in step with other bakes.

Not botocore's waiters: `instance_stopped` and `image_available` fail at once when EC2 does not know yet what it has
just made, and all of them give up after ten minutes, where a large image takes ninety.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from baker.ports import Clock
from baker.wait import wait_until

T = TypeVar("T")

JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Seconds from one question to the next. The last of them is what a wait may last too long, so it is short where
    the thing comes within a minute, and longer where it may take an hour and each question more is one of hundreds."""

    first: float
    longest: float
    growth: float = 1.5


RUNNING = Pauses(first=0.5, longest=1.5)
STOPPED = Pauses(first=1.0, longest=2.0)
RELEASED = Pauses(first=0.5, longest=5.0)
IMAGE = Pauses(first=2.0, longest=15.0, growth=1.05)
"""A twentieth of the time so far: 5 seconds after a minute, 15 after four."""


def poll(probe: Callable[[], T | None], *, timeout: float, clock: Clock, pauses: Pauses = IMAGE) -> T | None:
    """Ask until the answer is not None, and return that; None when `timeout` seconds are over."""
    return wait_until(
        probe,
        timeout=timeout,
        clock=clock,
        first=pauses.first,
        longest=pauses.longest,
        growth=pauses.growth,
        jitter=JITTER,
    )
