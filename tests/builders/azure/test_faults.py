"""Every call that an act of a user makes of Azure and that changes something fails in turn; and nothing is left.

The calls are those of the act without a fault, from the journal of the double, so a new one is in the table by itself.
The subscription is full of other people's things that look like ours: they must be there afterwards, as they were.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from baker.ports import RunInfo
from tests.builders.azure.acts import ACTS, FOR_EVER, Act
from tests.builders.azure.fake.client import FakeAzure
from tests.builders.azure.theatre import Theatre, wrong_end
from tests.faults.calls import Call

PARTS = 2
"""The table is cut into so many tests, which can run side by side."""

LEAST_CALLS, LEAST_ROWS, LEAST_ROWS_IN_SOAK = 50, 50, 500
CHANGES = ("PUT ", "POST ", "PATCH ", "DELETE ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """`how` is what the fake is told (`fake.faults.Fault`). A transient one costs nothing but time."""

    name: str
    how: Mapping[str, Any]
    transient: bool = False

    def __str__(self) -> str:
        return self.name


FAILURES = (
    Failure(name="forbidden", how={"error": "AuthorizationFailed", "status": 403, "times": FOR_EVER}),
    Failure(name="reply lost", how={"lose": "reply"}, transient=True),
    Failure(name="failed later", how={"later": "InternalExecutionError"}),
    Failure(name="request lost", how={"lose": "request"}, transient=True),
    Failure(
        name="busy twice", how={"error": "TooManyRequests", "status": 429, "retry_after": 3, "times": 2}, transient=True
    ),
    Failure(name="refused", how={"error": "OperationNotAllowed", "status": 409, "times": FOR_EVER}),
    Failure(name="failed later, for ever", how={"later": "InternalExecutionError", "times": FOR_EVER}),
    Failure(name="replies lost for ever", how={"lose": "reply", "times": FOR_EVER}),
    Failure(name="requests lost for ever", how={"lose": "request", "times": FOR_EVER}),
    Failure(name="busy for ever", how={"error": "TooManyRequests", "status": 429, "retry_after": 3, "times": FOR_EVER}),
    Failure(name="broken", how={"error": "InternalServerError", "status": 500, "times": FOR_EVER}),
    Failure(name="locked", how={"error": "ScopeLocked", "status": 409, "times": FOR_EVER}),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`act`, with its call `call` failing as `failure` says."""

    act: Act
    call: Call
    failure: Failure

    def __str__(self) -> str:
        return f"{self.act}: {self.call}: {self.failure}"


@pytest.fixture
def theatre(
    azure: FakeAzure, as_caller: Callable[[FakeAzure], None], run_info: Callable[..., RunInfo], tmp_path: Path
) -> Theatre:
    as_caller(azure)
    return Theatre(azure, tmp_path, run_info())


@pytest.fixture
def calls(theatre: Theatre) -> dict[Act, list[Call]]:
    """The calls of each act that change something, numbered among those of their name."""
    return {act: sorted(_numbered(entry["call"] for entry in theatre.journal(act)), key=str) for act in ACTS}


def _numbered(names: Iterable[str]) -> Iterator[Call]:
    counts: Counter[str] = Counter()
    for name in names:
        if name.startswith(CHANGES):
            yield Call(name, counts[name])
            counts[name] += 1


def whole_table(calls: dict[Act, list[Call]]) -> list[Row]:
    return [Row(act=act, call=call, failure=it) for act, made in calls.items() for call in made for it in FAILURES]


def sample(calls: dict[Act, list[Call]]) -> list[Row]:
    """Each call of each act once, the failures taking turns."""
    pairs = [(act, call) for act, made in calls.items() for call in made]
    return [
        Row(act=act, call=call, failure=FAILURES[number % len(FAILURES)]) for number, (act, call) in enumerate(pairs)
    ]


def play(theatre: Theatre, rows: list[Row]) -> dict[str, list[str]]:
    """What is wrong, by row."""
    wrong, ends = {}, Counter[str]()
    for row in rows:
        fault = {"call": row.call.name, "skip": row.call.number, **row.failure.how}
        outcome = theatre.play(row.act, theatre.prepare(row.act), fault)
        struck = theatre.is_spoiled()
        problems = wrong_end(outcome, transient=row.failure.transient) + theatre.problems(outcome)
        if not struck:
            problems.append("the call was never made")
        ends[type(outcome.error).__name__] += 1
        if problems:
            wrong[str(row)] = problems
            print(row, *problems, sep="\n    ")
    print(f"{ends.total()} rows by how they ended: {dict(ends)}")
    return wrong


@pytest.mark.parametrize("part", range(PARTS))
def test_a_call_that_fails_leaves_nothing(part: int, theatre: Theatre, calls: dict[Act, list[Call]]) -> None:
    assert len({(act, call) for act, made in calls.items() for call in made}) >= LEAST_CALLS, "acts have lost calls"
    rows = sample(calls)
    assert len(rows) >= LEAST_ROWS, "the table has lost its rows"
    assert play(theatre, rows[part::PARTS]) == {}


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_every_call_that_fails_in_every_way_leaves_nothing(
    part: int, theatre: Theatre, calls: dict[Act, list[Call]]
) -> None:
    rows = whole_table(calls)
    assert len(rows) >= LEAST_ROWS_IN_SOAK, "the table has lost its rows"
    assert play(theatre, rows[part::PARTS]) == {}
