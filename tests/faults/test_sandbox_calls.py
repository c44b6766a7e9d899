"""Every call to a cloud fails in turn: not sent, accepted with the reply lost, or never again; and nothing is left.

The builder asks as the builders of clouds do; its machines are sandboxes, so a row takes a second.
"""

import os
from pathlib import Path

import pytest

from baker.errors import BuilderError
from baker.home import Home
from tests.faults.baking import Outcome, Oven, ledger_warned, reported, unaccounted, wrong_end
from tests.faults.calls import MODES, Call, Fault, Mode
from tests.faults.sandbox_builder import SandboxBuilder, SandboxCloud, SandboxSpec

pytestmark = pytest.mark.sandbox

CALLS = (
    "describe quota", "create key pair", "create network", "start machine", "describe machine", "stop machine",
    "create image", "describe image", "delete machine", "delete network", "delete key pair",
)  # fmt: skip
"""Those of a bake without a fault, in their order."""

UNDONE_AFTER = ("create image", "describe image")
"""When one of these fails, the image that is half made is deleted: a call that a good bake does not make."""

ROWS = [(Call(name, 0), mode) for name in CALLS for mode in MODES]


@pytest.fixture
def cloud(sandbox_root: Path) -> SandboxCloud:
    return SandboxCloud(tree=sandbox_root)


@pytest.fixture
def oven(cloud: SandboxCloud, tmp_path: Path) -> Oven:
    return Oven(builder=SandboxBuilder(cloud=cloud), spec=SandboxSpec(), home=Home(tmp_path / "home"), folder=tmp_path)


def run_id(number: int) -> str:
    return f"{os.getpid():08}t{number:06}-test"


def failing(call: Call, mode: Mode) -> Fault:
    def act() -> None:
        raise BuilderError(f"fault at {call}")

    return Fault(call=call, mode=mode, act=act)


def left(cloud: SandboxCloud, oven: Oven) -> list[str]:
    things = [f"{kind} of {run}" for kind, run in cloud.things if kind != "image"]
    return [*things, *cloud.running(), *(record.path.name for record in oven.ledger.runs())]


def check(cloud: SandboxCloud, oven: Oven, outcome: Outcome, fault: str) -> None:
    """What must be true after any bake; nothing is left after a sweep."""
    assert unaccounted(outcome.events) == []
    assert bool(left(cloud, oven)) == bool(reported(outcome))
    assert not ledger_warned(outcome)
    assert all(event.remove_hint for event in reported(outcome))
    assert wrong_end(outcome, fault) == []
    has_image = ("image", outcome.run_id) in cloud.things
    assert has_image == (outcome.finished.image is not None)
    cloud.calls.lift()
    assert oven.sweep() == []
    assert left(cloud, oven) == []


def test_the_table_has_a_row_for_each_call(cloud: SandboxCloud, oven: Oven) -> None:
    outcome = oven.bake(run_id(0))
    assert outcome.error is None
    assert tuple(call.name for call in cloud.calls.seen) == CALLS
    check(cloud, oven, outcome, "")


@pytest.mark.parametrize(("call", "mode"), ROWS, ids=str)
def test_a_call_that_fails_leaves_nothing(call: Call, mode: Mode, cloud: SandboxCloud, oven: Oven) -> None:
    cloud.calls.fault = failing(call, mode)
    outcome = oven.bake(run_id(1))
    assert cloud.calls.is_reached
    if call.name.startswith("delete "):
        assert outcome.finished.exit_code == (8 if mode == "always" else 0), "what fails once is tried again"
    else:
        assert outcome.finished.exit_code == 4
    check(cloud, oven, outcome, f"fault at {call}")


@pytest.mark.parametrize("name", UNDONE_AFTER)
@pytest.mark.parametrize("mode", MODES)
def test_an_undo_that_fails_hides_no_first_error(
    name: str, mode: Mode, cloud: SandboxCloud, oven: Oven, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two faults: one makes the bake fail, the other its clean-up."""
    first, second = failing(Call(name, 0), "after"), failing(Call("delete image", 0), mode)
    cloud.calls.fault = first
    undone: list[str] = []
    real = cloud.delete

    def delete(kind: str, run: str) -> None:
        if kind == "image":
            cloud.calls.fault = second
            undone.append(kind)
        real(kind, run)

    monkeypatch.setattr(cloud, "delete", delete)
    outcome = oven.bake(run_id(2))
    assert undone
    assert outcome.finished.exit_code == 4
    assert outcome.finished.summary == f"fault at {first.call}"
    assert len(reported(outcome)) == (1 if mode == "always" else 0)
