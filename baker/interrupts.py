"""Signals and the bake's time limit, turned into one exception at one place.

While an `Interrupts` is open, the first SIGINT, SIGTERM or SIGHUP raises `Interrupted` in the main thread, wherever
it is, so that everything unwinds. The time limit does the same with `TimeLimitReached`. Clean-up runs under
`shield()`: nothing is raised inside it, and a signal that arrives there calls the `hurry` functions instead, the
shortest way to "the machine is gone".

Signals belong to the process, and so does the state here: one `Interrupts` is open at a time.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from baker.errors import BakeTimeoutError, Interrupted, TimeLimitReached

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_open: "Interrupts | None" = None


class Interrupts:
    """Installs the handlers for as long as it is open. Only in the main thread (ValueError elsewhere).

    `timeout` is the bake's limit in seconds; `limit_text` is how a person wrote it.
    """

    def __init__(self, *, timeout: float | None = None, limit_text: str = "") -> None:
        self._timeout = timeout
        self._limit_text = limit_text or f"{timeout} s"
        self._before: dict[signal.Signals, Any] = {}
        self._shields = 0
        self._holds = 0
        self._stop: BaseException | None = None
        self._deferred: BaseException | None = None
        self._hurry: list[Callable[[], None]] = []

    def __enter__(self) -> "Interrupts":
        global _open  # noqa: PLW0603  (signal handlers are the process's, see the module's docstring)
        for signum in SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup stays nohup
                self._before[signum] = signal.signal(signum, self._on_signal)
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_alarm)
        if self._timeout is not None:
            signal.setitimer(signal.ITIMER_REAL, self._timeout)
        _open = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _open  # noqa: PLW0603
        _open = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    @contextmanager
    def hurrying(self, kill: Callable[[], None]) -> Iterator[None]:
        """While open, a signal during clean-up calls `kill`, which must be idempotent and must not raise."""
        self._hurry.append(kill)
        try:
            yield
        finally:
            self._hurry.remove(kill)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self._stop is not None or self._shields:
            for kill in self._hurry:
                kill()
        self._stop_with(Interrupted(signum))

    def _on_alarm(self, signum: int, _frame: FrameType | None) -> None:
        error = BakeTimeoutError(
            f"the bake took longer than its time limit of {self._limit_text}",
            hint="give it more with --timeout, or look in events.jsonl where the time went",
        )
        self._stop_with(TimeLimitReached(signum, error))

    def _stop_with(self, stop: BaseException) -> None:
        if self._stop is not None:
            return  # already unwinding: the first reason stands
        if self._shields or self._holds:
            self._deferred = self._deferred or stop
            return
        self._stop = stop
        raise stop

    def _raise_deferred(self) -> None:
        if self._deferred is not None and self._shields == 0 and self._holds == 0:
            self._stop, self._deferred = self._deferred, None
            raise self._stop


@contextmanager
def shield() -> Iterator[None]:
    """Nothing is raised by a signal inside; `raise_deferred` makes up for it afterwards.

    Without an open `Interrupts` it does nothing.
    """
    interrupts = _open
    if interrupts is None:
        yield
        return
    interrupts._shields += 1
    try:
        yield
    finally:
        interrupts._shields -= 1


@contextmanager
def hold() -> Iterator[None]:
    """For a few instructions of other people's code that must not be cut in two, as when they take a lock.

    What a signal asks for meanwhile is raised at the end; unlike in a shield, a first signal hurries nobody.
    """
    interrupts = _open
    if interrupts is None:
        yield
        return
    interrupts._holds += 1
    try:
        yield
    finally:
        interrupts._holds -= 1
    raise_deferred()


def raise_deferred() -> None:
    """Raise what a signal asked for during a shield. To be called where no other error is on its way up."""
    if _open is not None:
        _open._raise_deferred()
