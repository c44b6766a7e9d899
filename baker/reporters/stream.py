"""One stream of events to many sinks: numbered, timed, and free of secrets before any sink sees them.

A sink that breaks (a full disk, a closed pipe) is dropped, and the others are told once. It cannot fail a bake.
"""

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from baker.errors import BakeError
from baker.events import Event, Notice, Record, Sink
from baker.ports import Clock
from baker.secret import Redactor

_STRUCTURAL = frozenset({"stage", "stream", "level", "outcome"})
"""Fields that hold one of a few words of ours; a secret that is spelled like one must not change them."""


@dataclass(frozen=True, slots=True)
class NamedSink:
    """A sink, and how to call it in a warning."""

    name: str
    sink: Sink


class EventStream:
    """Hands every event to every sink. Its `emit` is the `Emit` of a bake; safe from several threads.

    What redacts is here and not in the sinks, so that none can forget it, and so that a secret is found before an
    encoding (JSON, XML) can change how it is spelled.
    """

    def __init__(self, sinks: Iterable[NamedSink], *, clock: Clock, redactor: Redactor) -> None:
        self._sinks = list(sinks)
        self._clock = clock
        self._redactor = redactor
        self._lock = threading.RLock()  # re-entrant: a signal handler may emit
        self._next = 0

    def emit(self, event: Event) -> None:
        """Pass `event` on. Raises nothing of its own; what a signal raises meanwhile comes out after the last sink."""
        stop: BaseException | None = None
        with self._lock:
            waiting = deque([event])
            while waiting:
                record = self._recorded(waiting.popleft())
                for named in tuple(self._sinks):
                    try:
                        named.sink(record)
                    except BakeError as error:  # no sink raises these: the time limit ran out meanwhile
                        stop = error
                    except Exception as error:  # noqa: BLE001  (whatever a sink raises, a bake is worth more)
                        self._sinks.remove(named)
                        waiting.append(_farewell(named, error))
                    except BaseException as error:  # noqa: BLE001  (raised below, when all sinks have the record)
                        stop = error
        if stop is not None:
            raise stop

    def _recorded(self, event: Event) -> Record:
        record = Record(seq=self._next, at=self._clock.now(), event=redacted(event, self._redactor))
        self._next += 1
        return record


def redacted(event: Event, redactor: Redactor) -> Event:
    """`event` with secret values removed from all its text."""
    changes = {
        field.name: _clean(getattr(event, field.name), redactor)
        for field in fields(event)
        if field.name not in _STRUCTURAL
    }
    return replace(event, **changes)


def _clean(value: Any, redactor: Redactor) -> Any:
    match value:
        case str():
            return redactor(value)
        case tuple():
            return tuple(_clean(item, redactor) for item in value)
        case Mapping():
            return {redactor(key): _clean(item, redactor) for key, item in value.items()}
    return value


def _farewell(named: NamedSink, error: Exception) -> Notice:
    reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    return Notice(level="warning", text=f"{named.name} ends here, the bake goes on: {reason}")
