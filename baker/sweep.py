"""What dead runs left: found in the ledger and by every builder's names and tags, and removed.

A run is alive as long as its process is. Where that process cannot be seen from here (another host, another container)
the run counts as alive until the instant at which its machine ends itself. A thing that no ledger knows counts as alive
until its own instant, or where it carries none for longer than any bake may take; what nobody can date is left alone.

Neither ledger nor builder is enough: a ledger may be lost, and a thing may carry no name until it is made. So both are
asked, and an entry of the ledger is closed only when its builder was asked there, and nothing of its run has stayed.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baker.artifact import Leftover
from baker.errors import BakeError, BuilderError, LedgerError
from baker.events import Emit, Notice
from baker.ledger import Entry, Ledger, RunRecord, Unreadable
from baker.owner import state_of
from baker.ports import Builder, Clock

LONGEST_RUN_SECONDS = 8 * 24 * 3600.0
"""Longer than any bake may take: `--timeout` takes at most seven days."""

ALL = "all"
"""The location that is every location."""

_BEING_WRITTEN_SECONDS = 60.0
"""A blank file in the ledger that is younger may be one that a bake is about to write to."""

_MAY_BE_ALIVE = "its run may be alive on another host"

FindBuilder = Callable[[str], Builder[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unconfirmed:
    """What the ledger says is left, and why nobody could be asked whether it is."""

    leftover: Leftover
    reason: BakeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared:
    """What is left alone, and why."""

    leftover: Leftover
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What there is. `dead` can be removed, in this order; of `unasked` builders the ledger knows nothing either.

    `entries` are those open in the ledger whose builder was asked, of runs that are over; `spent` are files of the
    ledger in which nothing is open.
    """

    dead: tuple[Leftover, ...] = ()
    spared: tuple[Spared, ...] = ()
    unconfirmed: tuple[Unconfirmed, ...] = ()
    entries: tuple[tuple[RunRecord, Entry], ...] = ()
    spent: tuple[Path, ...] = ()
    unasked: tuple[tuple[str, BakeError], ...] = ()

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(
            dead=self.dead + other.dead,
            spared=self.spared + other.spared,
            unconfirmed=self.unconfirmed + other.unconfirmed,
            entries=self.entries + other.entries,
            spent=self.spent + other.spent,
            unasked=self.unasked + other.unasked,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What became of one thing: `error` is None when it is gone."""

    leftover: Leftover
    error: BakeError | None = None


def look(
    ledger: Ledger, kinds: Iterable[str], find_builder: FindBuilder, *, location: str | None, clock: Clock
) -> Findings:
    """Find out; changes nothing. `kinds` are the builders to ask. LedgerError when the ledger cannot be read.

    `location` None is each builder's default one and those that the ledger names; "all" is every one.
    """
    now = clock.now()
    records = ledger.runs()
    dead = tuple(record for record in records if _is_over(record, now))
    alive = {record.run_id: _why_alive(record) for record in records if record not in dead}
    found = Findings()
    for kind in kinds:
        own = tuple(record for record in dead if record.builder == kind)
        places = (None, *_places_of(own)) if location is None else (location,)
        found += _look_at(_ask(kind, places, find_builder), own, alive, now)
    return found + _look_at_unreadable(ledger, now)


def remove(found: Findings, ledger: Ledger, find_builder: FindBuilder) -> Iterator[Removal]:
    """Remove what is dead, one thing after the other; one that stays keeps no other. Then close what is gone.

    LedgerError, after everything has been tried, when the ledger cannot be told.
    """
    stayed: set[str] = set()
    for leftover in found.dead:
        removal = Removal(leftover=leftover, error=_destroy(leftover, find_builder))
        if removal.error is not None:
            stayed.add(leftover.run_id)
        yield removal
    for record, entry in found.entries:
        if record.run_id not in stayed:
            ledger.close(record, entry)
    for path in found.spent:
        ledger.discard(path)


def sweep_own_runs(ledger: Ledger, builder: Builder[Any], emit: Emit, clock: Clock) -> None:
    """At the start of a bake: remove what dead runs left on the same builder, and say so.

    Only runs in this ledger whose process is known to be gone; what no ledger knows, and what runs of other hosts left,
    is for `bake sweep`. What goes wrong is a warning, and fails no bake.
    """
    try:
        dead = tuple(it for it in ledger.runs() if it.builder == builder.kind and _has_ended(it))
        if dead:
            _sweep_runs(dead, ledger, builder, emit, clock.now())
    except Exception as error:  # noqa: BLE001  (whatever it is: the bake that was asked for is another matter)
        text = f"what dead runs left was not all removed: {_in_words(error)}; see `bake sweep`"
        emit(Notice(level="warning", text=text))


def _sweep_runs(dead: tuple[RunRecord, ...], ledger: Ledger, builder: Builder[Any], emit: Emit, now: float) -> None:
    run_ids = {record.run_id for record in dead}
    answer = _ask(builder.kind, _places_of(dead), lambda _kind: builder)
    found = _look_at(answer, dead, {}, now)
    own = replace(found, dead=tuple(leftover for leftover in found.dead if leftover.run_id in run_ids))
    for removal in remove(own, ledger, lambda _kind: builder):
        emit(_told(removal))
    for item in own.unconfirmed:
        emit(_told(Removal(leftover=item.leftover, error=item.reason)))


def _told(removal: Removal) -> Notice:
    leftover = removal.leftover
    what = f"{leftover.kind} {leftover.id}, which dead run {leftover.run_id} left"
    if removal.error is None:
        return Notice(level="info", text=f"removed {what}")
    hint = f"; remove it with: {leftover.remove_hint}" if leftover.remove_hint else ""
    return Notice(level="warning", text=f"cannot remove {what}: {removal.error.summary}{hint}")


def _has_ended(record: RunRecord) -> bool:
    """Whether a run is known to be over."""
    return record.ended or state_of(record.owner) == "gone"


def _is_over(record: RunRecord, now: float) -> bool:
    """Whether a run is known to be over, or cannot be seen and is past the instant at which its machine is."""
    return _has_ended(record) or (state_of(record.owner) == "unknown" and now > record.expires)


def _why_alive(record: RunRecord) -> str:
    seen = state_of(record.owner) == "alive"
    return f"its run is alive, as process {record.owner.pid}" if seen else _MAY_BE_ALIVE


def _places_of(records: Iterable[RunRecord]) -> tuple[str, ...]:
    return tuple(sorted({entry.location for record in records for entry in record.open}))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What a builder says of the `places` that it was asked about; of those in `refusals` it cannot say anything."""

    kind: str
    places: tuple[str | None, ...]
    leftovers: tuple[Leftover, ...]
    refusals: Mapping[str | None, BakeError]


def _ask(kind: str, places: tuple[str | None, ...], find_builder: FindBuilder) -> _Answer:
    found: dict[tuple[str, str, str], Leftover] = {}  # by what it is: places may overlap
    refusals: dict[str | None, BakeError] = {}
    for place in places:
        try:
            for leftover in find_builder(kind).leftovers(place):
                found[leftover.kind, leftover.id, leftover.location] = leftover
        except BakeError as error:
            refusals[place] = error
    return _Answer(kind=kind, places=places, leftovers=tuple(found.values()), refusals=refusals)


def _look_at(answer: _Answer, dead: tuple[RunRecord, ...], alive: Mapping[str, str], now: float) -> Findings:
    """One builder: what it has, and of what its `dead` runs have open, what it could be asked.

    `alive` says of the other runs in the ledger, by their ids, why they are not dead.
    """
    dead_ids = frozenset(record.run_id for record in dead)
    verdicts = [(leftover, _why_spared(leftover, dead_ids, alive, now)) for leftover in answer.leftovers]
    entries: list[tuple[RunRecord, Entry]] = []
    unconfirmed: list[Unconfirmed] = []
    for record in dead:
        for entry in record.open:
            place = ALL if ALL in answer.places else entry.location
            if place in answer.refusals:
                reason = answer.refusals[place]
                unconfirmed.append(Unconfirmed(leftover=_as_leftover(record, entry), reason=reason))
            elif place in answer.places:
                entries.append((record, entry))
    return Findings(
        dead=tuple(leftover for leftover, why in verdicts if not why),
        spared=tuple(Spared(leftover=leftover, why=why) for leftover, why in verdicts if why),
        unconfirmed=tuple(unconfirmed),
        entries=tuple(entries),
        spent=tuple(record.path for record in dead if not record.open),
        unasked=tuple((answer.kind, error) for error in list(answer.refusals.values())[:1] if not unconfirmed),
    )


def _why_spared(leftover: Leftover, dead: frozenset[str], alive: Mapping[str, str], now: float) -> str:
    """Why a thing is left alone; empty when it is a dead run's."""
    if leftover.run_id in dead:
        return ""
    if leftover.run_id in alive:
        return alive[leftover.run_id]
    until = leftover.expires
    if until is None and leftover.created is not None:
        until = leftover.created + LONGEST_RUN_SECONDS
    if until is None:
        return "nobody can say how old it is"
    return _MAY_BE_ALIVE if now <= until else ""


def _as_leftover(record: RunRecord, entry: Entry) -> Leftover:
    return Leftover(
        builder=record.builder,
        kind=entry.kind,
        id=entry.id,
        location=entry.location,
        run_id=record.run_id,
        created=entry.acquired,
        expires=record.expires,
        remove_hint=entry.remove_hint,
    )


def _look_at_unreadable(ledger: Ledger, now: float) -> Findings:
    unconfirmed: list[Unconfirmed] = []
    blank: list[Path] = []
    for file in ledger.unreadable():
        if not file.is_blank:
            unconfirmed.append(Unconfirmed(leftover=_as_thing(file), reason=_cannot_be_read(file)))
        elif now - file.changed > _BEING_WRITTEN_SECONDS:
            blank.append(file.path)
    return Findings(unconfirmed=tuple(unconfirmed), spent=tuple(blank))


def _as_thing(file: Unreadable) -> Leftover:
    return Leftover(
        builder="",
        kind="file of the ledger",
        id=file.path.name,
        location=str(file.path.parent),
        run_id="",
        created=file.changed,
        expires=None,
        remove_hint=f"rm {shlex.quote(str(file.path))}",
    )


def _cannot_be_read(file: Unreadable) -> LedgerError:
    return LedgerError(
        f"{file.path.name} cannot be read: {file.reason}",
        hint="a newer baker may have written it; look into it before you remove it: it names what a run created",
    )


def _destroy(leftover: Leftover, find_builder: FindBuilder) -> BakeError | None:
    """What kept it from being removed, if anything."""
    try:
        find_builder(leftover.builder).destroy(leftover)
    except BakeError as error:
        return error
    except Exception as error:  # noqa: BLE001  (a bug in one builder must not keep the rest running)
        return BuilderError(_in_words(error))
    return None


def _in_words(error: Exception) -> str:
    return error.summary if isinstance(error, BakeError) else f"{type(error).__name__}: {error}"
