"""Every error that a user can meet, each with its exit code.

    BakeError                       summary, details, hint; 1 when it is a bug of ours
    ├── RecipeError                 2   the recipe, the command line, a secret that cannot be resolved
    │   ├── UsageError
    │   └── SecretError
    ├── BuilderUnavailableError     3   unknown builder, or one whose parts are not installed
    ├── BuilderError                4   the builder refused or failed
    │   ├── NoAccountError              nothing says whose account, or which part of it, a cloud's builder shall use
    │   ├── LaunchError                 the machine never came up
    │   ├── MachineDiedError            the machine ended before its time
    │   ├── DiskFullError               no room left on the baking host
    │   ├── LedgerError                 what is about to be created cannot be written down, or what was cannot be read
    │   └── CaptureError                the image could not be made
    ├── ReachError                  5   something that must be reached is out of reach
    │   ├── ConnectionLostError         SSH: refused, dropped, wrong host key
    │   │   ├── NoAnswerError           nothing answered in time
    │   │   └── LoginRefusedError       the machine does not let this user in with this key
    │   └── FetchError                  what a recipe fetches
    ├── StepError                   6   a provisioner failed
    │   └── CommandTimeoutError         ... because a command outlived its time-out
    ├── ChecksFailedError           7
    ├── LeftoverError               8
    ├── SealError                   9
    ├── VerifyError                 10
    └── BakeTimeoutError            11  --timeout

    Interrupted (BaseException)     129 / 130 / 143   SIGHUP, SIGINT, SIGTERM
    └── TimeLimitReached                the same for --timeout; the engine makes a BakeTimeoutError of it

An error reads: what failed, the details that a person needs, and a hint of what to do.
The first failure of a bake decides its exit code; what fails during clean-up never does.
"""

import errno
import signal
from typing import ClassVar

Details = tuple[tuple[str, str], ...] | list[tuple[str, str]]


class BakeError(Exception):
    """A failure that has been understood.

    `summary` is one line; `details` are (label, text) pairs, where the text may have several lines;
    `hint` says what to do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, summary: str, *, details: Details = (), hint: str | None = None) -> None:
        super().__init__(summary)
        self.summary = summary
        self.details = tuple(details)
        self.hint = hint

    def with_details(self, *details: tuple[str, str]) -> "BakeError":
        """The same error with more details appended, for a caller who knows more."""
        self.details = (*self.details, *details)
        return self


class RecipeError(BakeError):
    """The recipe is wrong, or what was asked of it."""

    exit_code = 2


class UsageError(RecipeError):
    """The command line is wrong."""


class SecretError(RecipeError):
    """A secret cannot be resolved, or is unfit to be one."""


class BuilderUnavailableError(BakeError):
    """The builder is unknown, or something that it needs is not installed."""

    exit_code = 3


class BuilderError(BakeError):
    """The builder refused, or failed at its part."""

    exit_code = 4


class NoAccountError(BuilderError):
    """Nothing says whose account, or which part of it, the builder shall use: it may well not be used here at all."""


NOT_USED_HERE = (BuilderUnavailableError, NoAccountError)
"""What a builder says that is not used on this host. Who asked all builders, and not this one, need not hear of it."""


class LaunchError(BuilderError):
    """The machine never came up."""


class MachineDiedError(BuilderError):
    """The machine ended before the bake was done with it."""


class DiskFullError(BuilderError):
    """The baking host has no room left."""


class LedgerError(BuilderError):
    """The record of what runs have created cannot be written or read; nothing is created without it."""


def is_disk_full(error: OSError) -> bool:
    """Whether a disk has no room any more, or this user's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class CaptureError(BuilderError):
    """The machine could not be made into an image."""


class ReachError(BakeError):
    """A machine or a server that is needed cannot be reached."""

    exit_code = 5


class ConnectionLostError(ReachError):
    """SSH: refused, dropped, not authenticated, or the wrong host key."""


class NoAnswerError(ConnectionLostError):
    """Nothing that speaks SSH answered in time."""


class LoginRefusedError(ConnectionLostError):
    """The server of an SSH connection, which was the right one, refused the login."""


class FetchError(ReachError):
    """Something that the recipe fetches cannot be had."""


class StepError(BakeError):
    """A provisioner failed."""

    exit_code = 6


class CommandTimeoutError(StepError):
    """A command outlived its time-out; it has been ended."""


class ChecksFailedError(BakeError):
    """The machine is not what the recipe promised."""

    exit_code = 7


class LeftoverError(BakeError):
    """Nothing failed, but something that was created could not be removed."""

    exit_code = 8


class SealError(BakeError):
    """The machine holds something that must not go into an image."""

    exit_code = 9


class VerifyError(BakeError):
    """A machine started from the image is not what the recipe promised."""

    exit_code = 10


class BakeTimeoutError(BakeError):
    """The whole bake outlived `--timeout`."""

    exit_code = 11


class Interrupted(BaseException):
    """A person or a CI system asked the bake to stop; `signum` says how.

    No Exception, so that no `except Exception` on the way up can eat it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells have it."""
        return 128 + self.signum


class TimeLimitReached(Interrupted):
    """`--timeout` is over. On its way up nobody may take it for a failure of their own; `error` is what it becomes."""

    def __init__(self, signum: int, error: BakeTimeoutError) -> None:
        super().__init__(signum)
        self.error = error

    @property
    def exit_code(self) -> int:
        """That of the error."""
        return self.error.exit_code
