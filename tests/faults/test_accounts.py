"""Whatever is acquired is released, kept, or reported with the command that removes it; and the ledger says the same.

For any program of acquiring, failing and undoing. The rows of the tables beside this file hold the same of whole bakes.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from baker.cleanup import TRIES, CleanupStack
from baker.clock import SystemClock
from baker.errors import BakeError, StepError
from baker.events import BakeFinished, CleanupFailed, Event, ResourceAcquired
from baker.ledger import Ledger
from baker.ports import RunInfo
from tests.faults.baking import unaccounted
from tests.unit.test_cleanup import ImpatientClock


@dataclass(frozen=True)
class Acquire:
    """Something whose undo fails so many times."""

    failures: int


@dataclass(frozen=True)
class Keep:
    pass


@dataclass(frozen=True)
class Fail:
    pass


@dataclass(frozen=True)
class Inside:
    """A clean-up of its own; what fails in it is caught, or not."""

    steps: "tuple[Acquire | Keep | Fail | Inside, ...]"
    is_caught: bool


Step = Acquire | Keep | Fail | Inside

ACQUIRE = st.builds(Acquire, st.integers(0, TRIES + 1))
STEPS = st.recursive(
    st.lists(st.one_of(ACQUIRE, ACQUIRE, st.just(Keep()), st.just(Fail())), max_size=6).map(tuple),
    lambda steps: st.lists(
        st.one_of(ACQUIRE, st.builds(Inside, steps, st.booleans()), st.just(Keep()), st.just(Fail())), max_size=5
    ).map(tuple),
    max_leaves=4,
)


class Program:
    """Runs the steps with a real clean-up and a real ledger."""

    def __init__(self, folder: Path) -> None:
        self.events: list[Event] = []
        self.number = 0
        self.ledger = Ledger(folder=lambda: folder, clock=SystemClock())
        run = RunInfo(
            run_id="20260101t000000-abcd", recipe="r", fingerprint="f", image_name="i", owner="o", started=0.0,
            expires=0.0, run_dir=folder,
        )  # fmt: skip
        self.emit = self.ledger.recording(run, "any", self.events.append)

    def run(self, steps: tuple[Step, ...]) -> None:
        with CleanupStack(self.emit, ImpatientClock()) as stack:
            for step in steps:
                match step:
                    case Acquire(failures=failures):
                        self.acquire(stack, failures)
                    case Keep():
                        stack.keep()
                    case Fail():
                        raise StepError("no")
                    case Inside(steps=inner, is_caught=is_caught):
                        try:
                            self.run(inner)
                        except StepError:
                            if not is_caught:
                                raise

    def acquire(self, stack: CleanupStack, failures: int) -> None:
        self.number += 1
        left = [failures]

        def undo() -> None:
            if left[0]:
                left[0] -= 1
                raise OSError("busy")

        id_ = str(self.number)
        stack.acquire("thing", id_, "here", undo=undo, remove_hint=f"rm {id_}")


@settings(deadline=None, max_examples=200)
@given(STEPS)
def test_everything_acquired_is_accounted_for(steps: tuple[Step, ...]) -> None:
    with tempfile.TemporaryDirectory() as name:
        program = Program(Path(name))
        try:
            program.run(steps)
        except BakeError:
            pass
        finally:
            program.emit(BakeFinished(exit_code=0, seconds=0.0))
        assert unaccounted(program.events) == []
        failed = {event.what for event in program.events if isinstance(event, CleanupFailed)}
        in_ledger = {f"{entry.kind} {entry.id}" for record in program.ledger.runs() for entry in record.open}
        assert in_ledger == failed
        assert bool(list(Path(name).iterdir())) == bool(failed)


def test_the_accounts_notice_what_is_missing() -> None:
    acquired = ResourceAcquired(kind="disk", id="a", location="here", remove_hint="rm a")
    assert unaccounted([acquired]) == ["disk a is not accounted for"]
    assert unaccounted([acquired, CleanupFailed(what="disk a", error="", remove_hint="")]) != []
    assert unaccounted([acquired, CleanupFailed(what="disk a", error="", remove_hint="rm a")]) == []
