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
from baker.events import CleanupFailed, Emit, ResourceAcquired, ResourceReleased
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

    A failed undo is emitted as `CleanupFailed` and never raised: the engine counts those and ends with exit code 8
    when nothing else failed.
    """

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit = emit
        self._clock = clock
        self._undos: list[_Undo] = []

    def __enter__(self) -> "CleanupStack":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with interrupts.shield():
            while self._undos:
                self._undo(self._undos.pop())
        if error is None:
            interrupts.raise_deferred()

    def acquire(self, kind: str, id: str, location: str, *, undo: Callable[[], None], remove_hint: str) -> None:
        """Register `undo` for a resource that is about to be made, and say so. `remove_hint` is a shell command."""
        self._undos.append(_Undo(kind, id, location, undo, remove_hint))
        self._emit(ResourceAcquired(kind=kind, id=id, location=location))

    def enter(self, context: AbstractContextManager[T], what: str) -> T:
        """Enter a context whose end is part of this clean-up, in its place in the order; no resource is recorded."""
        value = context.__enter__()
        self._undos.append(_Undo("", what, "", lambda: _leave(context), ""))
        return value

    def _undo(self, undo: _Undo) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                undo.run()
            except Exception as error:  # noqa: BLE001  (whatever it is, the rest must still be undone)
                if attempt == TRIES:
                    what = f"{undo.kind} {undo.id}".strip()
                    self._emit(CleanupFailed(what=what, error=_reason(error), remove_hint=undo.remove_hint))
                    return
                self._clock.sleep(PAUSE_SECONDS * attempt)
            else:
                if undo.kind:
                    self._emit(ResourceReleased(kind=undo.kind, id=undo.id, location=undo.location))
                return


def _leave(context: AbstractContextManager[object]) -> None:
    context.__exit__(None, None, None)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
