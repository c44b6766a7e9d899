"""What an exception out of a check means: for the whole bake, or for the check alone."""

import pytest

from baker.errors import BakeError, Interrupted, StepError


def ends_the_bake(error: BaseException) -> bool:
    """Whether `error` is about more than one check: an interrupt, the time limit, a lost machine.

    A command that failed or timed out (StepError) concerns its check alone.
    """
    if isinstance(error, BakeError):
        return not isinstance(error, StepError)
    return isinstance(error, Interrupted | KeyboardInterrupt)


def is_verdict(error: BaseException | None) -> bool:
    """Whether the check looked and found something wrong, rather than broke down itself."""
    return isinstance(error, AssertionError | StepError | pytest.fail.Exception)
