"""Every call of EC2 that an act of a user makes fails in turn, in every way that AWS has; and nothing is left.

The calls are those of the act without a fault, from the journal of the double, so a new one is in the table by itself.
The account is full of other people's things that look like ours: they must be there afterwards, as they were.
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.session import Session

from baker.builders.aws import builder
from baker.ports import RunInfo
from tests.builders.aws.acts import ACTS, Act
from tests.builders.aws.failures import ALL, DEATHS, SAMPLE, SPECIFIC, Failure
from tests.builders.aws.fake.client import FakeAws
from tests.builders.aws.theatre import Theatre, wrong_end
from tests.faults.calls import Call

PARTS = 3
"""The table is cut into so many tests, which can run side by side."""

LEAST_CALLS, LEAST_ROWS, LEAST_ROWS_IN_SOAK = 80, 180, 2000

UNASKED = {
    "get_console_output": "only for the last words of a machine that died; a failure there is part of these words",
    "delete_network_interface": "an interface goes with its instance; only one that is detached by hand stays",
    "get_ebs_default_kms_key_id": "only in accounts that encrypt by default",
}
"""What the builder asks for, and no act here does."""


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
    aws: FakeAws, as_caller: Callable[[FakeAws], None], run_info: Callable[..., RunInfo], tmp_path: Path
) -> Theatre:
    as_caller(aws)
    return Theatre(aws, tmp_path, run_info())


@pytest.fixture
def calls(theatre: Theatre) -> dict[Act, list[Call]]:
    """The calls of each act, in their order, numbered among those of their name."""
    return {act: list(_numbered(entry["action"] for entry in theatre.journal(act))) for act in ACTS}


def _numbered(actions: Iterable[str]) -> Iterator[Call]:
    counts: Counter[str] = Counter()
    for action in actions:
        yield Call(action, counts[action])
        counts[action] += 1


def whole_table(calls: dict[Act, list[Call]]) -> list[Row]:
    """A row for each call of each act, and each way in which it can fail; in an order that no thread changes."""
    return [
        Row(act=act, call=call, failure=failure)
        for act, made in calls.items()
        for call in sorted(made, key=str)
        for failure in ALL
        if failure.fits(call.name)
    ]


def sample(calls: dict[Act, list[Call]]) -> list[Row]:
    """Each call in the first act that makes it, failing in the ways of the sample, and in those that only it has."""
    first = {call: act for act, made in reversed(calls.items()) for call in made}
    chosen = (*SAMPLE, *SPECIFIC)
    return [row for row in whole_table(calls) if first[row.call] is row.act and row.failure in chosen]


def play(theatre: Theatre, rows: list[Row]) -> dict[str, list[str]]:
    """What is wrong, by row."""
    wrong, ends = {}, Counter[str]()
    for row in rows:
        faults = row.failure.faults(row.call.name, row.call.number)
        outcome = theatre.play(row.act, theatre.prepare(row.act), *faults)
        is_spoiled = theatre.is_spoiled(len(faults))
        problems = wrong_end(outcome, row.failure) + theatre.problems(outcome)
        if not is_spoiled:
            problems.append("the call was never made")
        ends[type(outcome.error).__name__] += 1
        if problems:
            wrong[str(row)] = problems
            print(row, *problems, sep="\n    ")
    print(f"{ends.total()} rows by how they ended: {dict(ends)}")
    return wrong


@pytest.mark.parametrize("part", range(PARTS))
def test_a_call_that_fails_leaves_nothing(part: int, theatre: Theatre, calls: dict[Act, list[Call]]) -> None:
    rows = sample(calls)
    assert {row.call for row in rows} == {call for made in calls.values() for call in made}
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


def test_the_acts_make_every_call_that_the_builder_can_make(calls: dict[Act, list[Call]]) -> None:
    made = {call for of_act in calls.values() for call in of_act}
    assert len(made) >= LEAST_CALLS, "the acts have lost calls"
    assert set(_asked_in_the_source()) - {xform_name(call.name) for call in made} == set(UNASKED)


def _asked_in_the_source() -> Iterator[str]:
    """All actions that are spelled out in the builder: names of methods of boto3's clients."""
    known = {xform_name(name) for service in ("ec2", "ssm", "sts") for name in _service_model(service)}
    for path in Path(builder.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in known:
                yield str(node.value)


def _service_model(service: str) -> list[str]:
    return list(Session().get_service_model(service).operation_names)


@pytest.mark.parametrize(("death", "name"), [(DEATHS[0], "bake"), (DEATHS[1], "bake on spot")], ids=str)
def test_a_machine_that_dies_between_two_calls_is_not_captured(death: Failure, name: str, theatre: Theatre) -> None:
    (act,) = (act for act in ACTS if act.name == name)
    journal = theatre.journal(act)
    calls = list(_numbered(entry["action"] for entry in journal))
    started, captured = calls.index(Call("RunInstances", 0)), calls.index(Call("CreateImage", 0))
    off = captured - 1 if Call("StopInstances", 0) in calls else captured
    """From here on the machine is stopped, and cannot die any more."""
    wrong = {}
    for number, call in enumerate(calls):
        if number <= started or journal[number]["error"]:  # it dies once a call has been answered
            continue
        outcome = theatre.play(act, theatre.prepare(act), *death.faults(call.name, call.number))
        problems = wrong_end(outcome, death) + theatre.problems(outcome)
        if number < off and outcome.error is None:
            problems.append("a machine that was dead is an image")
        if problems:
            wrong[str(call)] = problems
    assert wrong == {}
