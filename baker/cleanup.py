"""Undoing what was done: an exit stack that records, retries, and never hides the first error.

The order that everything here rests on: **register the undo, then do**. A call whose reply is lost may still have
made the thing, so the undo must find it by a name that was chosen before, and must be idempotent.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from baker import interrupts
from baker.errors import BuilderError
from baker.events import CleanupFailed, Emit, Notice, ResourceAcquired, ResourceKept, ResourceReleased
from baker.ports import Clock

T = TypeVar("T")

TRIES = 3
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class _Undo:
    kind: str
    id: str
    location: str
    run: Callable[[], None]
    remove_hint: str


class CleanupStack:
    """Undoes in reverse order what was registered, each with retries, all of it whatever fails.

    A failed undo of a resource is emitted as `CleanupFailed` and never raised: the engine counts those and ends with
    exit code 8 when nothing else failed.
    """

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit = emit
        self._clock = clock
        self._undos: list[_Undo] = []
        self._kept = False

    def __enter__(self) -> "CleanupStack":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with interrupts.shield():
            while self._undos:
                self._undo(self._undos.pop())
        if error is None and not self._kept:
            interrupts.raise_deferred()

    def acquire(self, kind: str, id: str, location: str, *, undo: Callable[[], None], remove_hint: str) -> None:
        """Register `undo` for a resource that is about to be made, and say so. `remove_hint` is a shell command.

        `kind`, `id` and `location` together are its name in the ledger: no two open resources of a run have the same.
        LedgerError or DiskFullError when it cannot be written down there; it must not be made then.
        """
        with interrupts.hold():  # a signal comes after both, so that whoever hears of an end has heard of its beginning
            self._undos.append(_Undo(kind, id, location, undo, remove_hint))
            try:
                self._emit(ResourceAcquired(kind=kind, id=id, location=location, remove_hint=remove_hint))
            except BuilderError:  # the ledger refused, before anybody was told: there is nothing to undo
                self._undos.pop()
                raise

    def enter(self, context: AbstractContextManager[T], what: str) -> T:
        """Enter a context whose end is part of this clean-up, in its place in the order; no resource is recorded."""
        value = context.__enter__()
        self._undos.append(_Undo("", what, "", lambda: _leave(context), ""))
        return value

    def keep(self) -> None:
        """What was acquired so far is wanted after all, as an image is: forget how to undo it, and say so.

        A signal that has waited goes on waiting when the stack is left, so that what was kept reaches who asked for it.
        """
        self._kept = True
        for undo in self._undos:
            if undo.kind:
                self._emit(ResourceKept(kind=undo.kind, id=undo.id, location=undo.location))
        self._undos.clear()

    def _undo(self, undo: _Undo) -> None:
        tries = TRIES if undo.kind else 1  # a context can be left once
        for attempt in range(1, tries + 1):
            try:
                undo.run()
            except Exception as error:  # noqa: BLE001  (whatever it is, the rest must still be undone)
                if attempt == tries:
                    self._emit(_failed(undo, error))
                    return
                self._clock.sleep(PAUSE_SECONDS * attempt)
            else:
                if undo.kind:
                    self._emit(ResourceReleased(kind=undo.kind, id=undo.id, location=undo.location))
                return


def _leave(context: AbstractContextManager[object]) -> None:
    context.__exit__(None, None, None)


def _failed(undo: _Undo, error: Exception) -> CleanupFailed | Notice:
    """What is told of an undo that never worked: a resource is left behind; anything else goes with this process."""
    reason = f"{type(error).__name__}: {error}"
    if not undo.kind:
        return Notice(level="warning", text=f"{undo.id} did not end as it should: {reason}")
    return CleanupFailed(what=f"{undo.kind} {undo.id}", error=reason, remove_hint=undo.remove_hint)
