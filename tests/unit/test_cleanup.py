"""The clean-up stack: everything is undone, in reverse order, and the first error is the one that is seen."""

import signal

import pytest

from baker.cleanup import TRIES, CleanupStack
from baker.errors import Interrupted, StepError
from baker.events import CleanupFailed, Event, ResourceAcquired, ResourceReleased
from baker.interrupts import Interrupts


class ImpatientClock:
    """Time passes at once, so that retries cost nothing."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Undo:
    """Fails a number of times, then works; knows how often it was asked."""

    def __init__(self, log: list[str], name: str, failures: int = 0) -> None:
        self.log, self.name, self.failures = log, name, failures

    def __call__(self) -> None:
        self.log.append(self.name)
        if self.failures:
            self.failures -= 1
            raise OSError(f"{self.name} is busy")


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def stack(events: list[Event]) -> CleanupStack:
    return CleanupStack(events.append, ImpatientClock())


def test_undoes_in_reverse_order_and_says_so(stack: CleanupStack, events: list[Event]) -> None:
    log: list[str] = []
    with stack:
        stack.acquire("disk", "a", "here", undo=Undo(log, "a"), remove_hint="rm a")
        stack.acquire("process", "b", "here", undo=Undo(log, "b"), remove_hint="kill b")
    assert log == ["b", "a"]
    assert events == [
        ResourceAcquired(kind="disk", id="a", location="here"),
        ResourceAcquired(kind="process", id="b", location="here"),
        ResourceReleased(kind="process", id="b", location="here"),
        ResourceReleased(kind="disk", id="a", location="here"),
    ]


def test_retries_an_undo(stack: CleanupStack, events: list[Event]) -> None:
    log: list[str] = []
    with stack:
        stack.acquire("disk", "a", "here", undo=Undo(log, "a", failures=TRIES - 1), remove_hint="rm a")
    assert len(log) == TRIES
    assert isinstance(events[-1], ResourceReleased)


def test_an_undo_that_never_works_is_reported_and_hides_nothing(stack: CleanupStack, events: list[Event]) -> None:
    log: list[str] = []
    with pytest.raises(StepError, match="the first error"), stack:
        stack.acquire("disk", "a", "here", undo=Undo(log, "a"), remove_hint="rm a")
        stack.acquire("process", "b", "here", undo=Undo(log, "b", failures=TRIES), remove_hint="kill b")
        raise StepError("the first error")
    assert log == ["b"] * TRIES + ["a"]
    assert CleanupFailed(what="process b", error="OSError: b is busy", remove_hint="kill b") in events
    assert ResourceReleased(kind="process", id="b", location="here") not in events


def test_a_signal_during_clean_up_waits_and_hurries(stack: CleanupStack) -> None:
    log: list[str] = []

    def interrupted_undo() -> None:
        signal.raise_signal(signal.SIGINT)
        log.append("still undone")

    with (
        Interrupts() as interrupts,
        interrupts.hurrying(lambda: log.append("killed")),
        pytest.raises(Interrupted) as stopped,
        stack,
    ):
        stack.acquire("disk", "a", "here", undo=interrupted_undo, remove_hint="rm a")
    assert log == ["killed", "still undone"]
    assert stopped.value.exit_code == 130


def test_a_signal_during_clean_up_does_not_hide_the_error_that_caused_it(stack: CleanupStack) -> None:
    with Interrupts(), pytest.raises(StepError, match="the first error"), stack:
        stack.acquire("disk", "a", "here", undo=lambda: signal.raise_signal(signal.SIGTERM), remove_hint="rm a")
        raise StepError("the first error")
