"""The clean-up stack: everything is undone, in reverse order, and the first error is the one that is seen."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from baker.cleanup import TRIES, CleanupStack
from baker.errors import Interrupted, LedgerError, StepError
from baker.events import CleanupFailed, Event, Notice, ResourceAcquired, ResourceKept, ResourceReleased
from baker.interrupts import Interrupts, raise_deferred, shield


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
        ResourceAcquired(kind="disk", id="a", location="here", remove_hint="rm a"),
        ResourceAcquired(kind="process", id="b", location="here", remove_hint="kill b"),
        ResourceReleased(kind="process", id="b", location="here"),
        ResourceReleased(kind="disk", id="a", location="here"),
    ]


def test_what_is_kept_is_not_undone_and_said_so(stack: CleanupStack, events: list[Event]) -> None:
    log: list[str] = []
    with stack:
        stack.acquire("image", "a", "here", undo=Undo(log, "a"), remove_hint="rm a")
        stack.keep()
        stack.acquire("process", "b", "here", undo=Undo(log, "b"), remove_hint="kill b")
    assert log == ["b"]
    assert ResourceKept(kind="image", id="a", location="here") in events
    assert ResourceReleased(kind="image", id="a", location="here") not in events


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


def test_what_is_no_resource_and_does_not_end_well_is_a_warning(stack: CleanupStack, events: list[Event]) -> None:
    @contextmanager
    def session() -> Iterator[None]:
        yield
        raise OSError("it hung up")

    with stack:
        stack.acquire("disk", "a", "here", undo=lambda: None, remove_hint="rm a")
        stack.enter(session(), "the session")
    assert [type(event) for event in events] == [ResourceAcquired, Notice, ResourceReleased]
    assert events[1].text.startswith("the session did not end as it should: ")  # type: ignore[union-attr]


def test_what_the_ledger_refuses_is_not_undone_as_it_was_never_made(events: list[Event]) -> None:
    def emit(event: Event) -> None:
        if isinstance(event, ResourceAcquired) and event.id == "b":
            raise LedgerError("no room")
        events.append(event)

    log: list[str] = []
    with pytest.raises(LedgerError, match="no room"), CleanupStack(emit, ImpatientClock()) as stack:
        stack.acquire("disk", "a", "here", undo=Undo(log, "a"), remove_hint="rm a")
        stack.acquire("disk", "b", "here", undo=Undo(log, "b"), remove_hint="rm b")
    assert log == ["a"]
    assert [type(event) for event in events] == [ResourceAcquired, ResourceReleased]


def test_whoever_hears_of_an_end_has_heard_of_its_beginning(events: list[Event]) -> None:
    """However late in the announcement the signal comes, or early."""

    def emit(event: Event) -> None:
        signal.raise_signal(signal.SIGTERM)
        events.append(event)

    log: list[str] = []
    with pytest.raises(Interrupted), Interrupts(), CleanupStack(emit, ImpatientClock()) as stack:
        stack.acquire("disk", "a", "here", undo=Undo(log, "a"), remove_hint="rm a")
    assert log == ["a"]
    assert [type(event) for event in events] == [ResourceAcquired, ResourceReleased]


def test_a_signal_that_waited_until_something_was_kept_goes_on_waiting(stack: CleanupStack) -> None:
    with Interrupts():
        with stack:
            stack.acquire("image", "a", "here", undo=lambda: None, remove_hint="rm a")
            with shield():
                signal.raise_signal(signal.SIGTERM)
                stack.keep()
        with pytest.raises(Interrupted):
            raise_deferred()


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
