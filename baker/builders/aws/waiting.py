"""Waiting for EC2: short pauses at first, longer ones later, none in step with other bakes.

Not botocore's waiters: `instance_stopped` and `image_available` fail at once when EC2 does not know yet what it has
just made, and all of them give up after ten minutes, where a large image takes ninety.
"""

from collections.abc import Callable
from typing import TypeVar

from baker.ports import Clock
from baker.wait import wait_until

T = TypeVar("T")

FIRST_SECONDS, LONGEST_SECONDS = 2.0, 15.0
JITTER = 0.2


def poll(
    probe: Callable[[], T | None],
    *,
    timeout: float,
    clock: Clock,
    first: float = FIRST_SECONDS,
    longest: float = LONGEST_SECONDS,
) -> T | None:
    """Ask until the answer is not None, and return that; None when `timeout` seconds are over."""
    return wait_until(probe, timeout=timeout, clock=clock, first=first, longest=longest, jitter=JITTER)
