"""How long the builder waits for what has come already, over states that last as long as those of EC2 do."""

import random
from statistics import mean

from baker.builders.aws.waiting import IMAGE, RUNNING, STOPPED, Pauses, poll
from tests.unit.test_wait import SleptClock

PACES = ((RUNNING, 5, 30), (STOPPED, 10, 60), (IMAGE, 60, 5400), (RUNNING, 5, 30))
"""The waits of a bake that verifies its image, and for how many seconds at least and at most."""


def beyond(pauses: Pauses, comes: float) -> float:
    """Seconds from when it comes until it is seen."""
    clock = SleptClock()
    assert poll(lambda: clock.monotonic() >= comes or None, timeout=7200, clock=clock, pauses=pauses)
    return clock.monotonic() - comes


def test_all_waits_of_a_bake_together_last_ten_seconds_too_long() -> None:
    some = random.Random(4)
    bakes = [sum(beyond(pauses, some.uniform(least, most)) for pauses, least, most in PACES) for _ in range(300)]
    assert mean(bakes) < 10
    assert max(bakes) < 22


def test_an_image_that_comes_soon_is_seen_soon() -> None:
    assert max(beyond(IMAGE, comes) for comes in range(10, 100)) <= 2 + 100 / 20
