"""Waiting for Azure: short pauses at first, longer ones later, none in step with other bakes.

Not the SDK's pollers: they ask every 30 seconds, whatever is waited for, tell nothing meanwhile, and return without a
word when the time is over.
"""

from collections.abc import Callable
from typing import TypeVar

from baker.builders.azure.calls import Cloud
from baker.builders.azure.errors import TIMED_OUT, AzureError
from baker.builders.azure.operations import Operation
from baker.ports import Clock
from baker.wait import wait_until

T = TypeVar("T")

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 10.0
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


def finish(
    cloud: Cloud,
    operation: Operation | None,
    *,
    timeout: float,
    clock: Clock,
    tell: Callable[[], object] = lambda: None,
) -> None:
    """Wait until an operation has succeeded; nothing to do for None. AzureError when it failed, or takes too long.

    `tell` is called between looks, to say how far it is.
    """
    if operation is None or operation.has_ended:
        return

    def probe() -> bool | None:
        ended, _ = cloud.state(operation)
        if not ended:
            tell()
        return True if ended else None

    if poll(probe, timeout=timeout, clock=clock) is None:
        raise AzureError("wait for the end", TIMED_OUT, f"not finished after {timeout:.0f} s")
