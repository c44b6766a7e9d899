"""Every call that the QEMU builder and the ledger make fails in turn, on real QEMU processes; and nothing is left.

The calls are those of a bake without a fault, so a new one is in the table by itself.
"""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from baker.artifact import Artifact
from baker.builders.qemu.capture import Images, NamedDisk, write_image
from baker.builders.qemu.image import Image, ImageDisk
from baker.clock import SystemClock
from baker.errors import BuilderError, Interrupted
from baker.events import BakeFinished, Event, StageStarted
from baker.home import Home
from baker.recipe import Disk
from baker.testing.sandbox import Sandbox
from tests.faults.baking import ALL_STAGES, Outcome, Oven, is_port_open, ledger_warned, reported, unaccounted, wrong_end
from tests.faults.calls import MODES, Call, Calls, Fault, Mode
from tests.faults.guestless import SPEC, ConnectTo, error_at, guestless_builder, watch

pytestmark = [pytest.mark.sandbox, pytest.mark.qemu]

PARTS = 8
"""The table is cut into so many tests, which can run side by side."""

LEAST_ROWS = 150
LEAST_CALLS_OF_A_MACHINE = 20

CLOCK = SystemClock()

Pids = Callable[[str], list[int]]


def described(disks: tuple[ImageDisk, ...]) -> Image:
    return Image(
        name="reef",
        created="2026-01-02T03:04:05+00:00",
        fingerprint="f" * 64,
        labels={},
        source_digest="d" * 64,
        architecture="x86_64",
        firmware="uefi",
        memory_mib=256,
        cpus=1,
        disks=disks,
    )


class Kitchen:
    """An oven without a guest, whose home must be empty after each bake."""

    def __init__(self, folder: Path, sandbox: Sandbox, calls: Calls, processes_with: Pids) -> None:
        self.home = Home(folder / "home")
        self.connect = ConnectTo(address=sandbox.address)
        self.calls = calls
        self.processes_with = processes_with
        self.oven = Oven(
            builder=guestless_builder(self.home, folder / "blank.qcow2"),
            spec=SPEC,
            home=self.home,
            folder=folder,
            connect=self.connect,
            disks=(Disk(name="data", size_gib=1),),
        )
        self.number = 0

    def bake(self, fault: Fault | None = None, on_event: Callable[[Event], None] = lambda _event: None) -> Outcome:
        """A bake of its own run, with all calls counted anew."""
        self.number += 1
        self.calls.__init__(fault=fault)  # type: ignore[misc]
        run_id = f"{os.getpid():08}t{self.number:06}-test"  # no other process has one like it
        outcome = self.oven.bake(run_id, on_event=on_event)
        self.calls.lift()
        return outcome

    def image(self) -> Artifact:
        """One that a machine can be started from, elsewhere than in the home."""
        disk = self.oven.folder / "root.qcow2"
        shutil.copyfile(self.oven.folder / "blank.qcow2", disk)
        elsewhere = Images(home=Home(self.oven.folder / "images"), run_id="r", emit=lambda _event: None, clock=CLOCK)
        return write_image(elsewhere, "reef", (NamedDisk(name="root", path=disk),), described)

    def start(self, image: Artifact, fault: Fault | None = None) -> Outcome:
        """A machine from this image, and its end, with all calls counted anew."""
        self.number += 1
        self.calls.__init__(fault=fault)  # type: ignore[misc]
        outcome = Outcome(run_id=f"{os.getpid():08}t{self.number:06}-test")
        run = self.oven.run(outcome.run_id)
        emit = self.oven.ledger.recording(run, "qemu", outcome.events.append)
        try:
            with self.oven.builder.launch_image(image, run, emit) as machine:
                self.connect.ports.append(machine.address.port)
        except Exception as error:  # noqa: BLE001  (looked at by the test)
            outcome.error = error
        emit(BakeFinished(exit_code=0, seconds=0.0))
        self.calls.lift()
        return outcome

    def problems(self, outcome: Outcome) -> list[str]:
        """What is wrong after this bake. Empties the home."""
        wrong = self.problems_of_machine(outcome)
        images = [path.name for path in self.home.images.iterdir()]
        if images != ([f"tiny-{outcome.run_id}"] if outcome.finished.image else []):
            wrong.append(f"images: {images}, and the bake said {outcome.finished.image}")
        for path in self.home.images.iterdir():
            shutil.rmtree(path)
        return wrong

    def problems_of_machine(self, outcome: Outcome) -> list[str]:
        """What is wrong, but for images; nothing is left of the run but these."""
        wrong = unaccounted(outcome.events)
        left = self.left(outcome.run_id)
        if left and not (reported(outcome) or ledger_warned(outcome)):
            wrong.append(f"left and not reported: {left}")
        if reported(outcome) and not left:
            wrong.append("reported and not left")
        wrong += self.oven.sweep()
        wrong += [f"left after a sweep: {it}" for it in self.left(outcome.run_id)]
        return wrong

    def left(self, run_id: str) -> list[str]:
        """Processes, files, ports and ledger entries."""
        processes = [f"process {pid}" for pid in self.processes_with(run_id)]
        ports = [f"port {port}" for port in self.connect.ports if is_port_open(port)]
        partial = [path for path in self.home.images.iterdir() if path.name.startswith(".")]
        files = [*self.home.work.iterdir(), *self.home.ledger.iterdir(), *partial]
        return [*processes, *ports, *(f"{path.parent.name}/{path.name}" for path in files if run_id in path.name)]


@pytest.fixture
def kitchen(tmp_path: Path, shared_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, processes_with: Pids) -> Kitchen:
    calls = Calls()
    kitchen = Kitchen(tmp_path, shared_sandbox, calls, processes_with)
    watch(calls, monkeypatch)
    return kitchen


def raising(call: Call) -> Callable[[], None]:
    def act() -> None:
        raise error_at(call)

    return act


def table(kitchen: Kitchen) -> list[tuple[Call, Mode]]:
    """A row for each call of a bake without a fault, and each way in which it can fail."""
    good = kitchen.bake()
    rows = [(call, mode) for call in kitchen.calls.seen for mode in MODES]
    assert good.error is None
    assert kitchen.problems(good) == []
    assert len(rows) >= LEAST_ROWS, "the table has lost its rows"
    return rows


@pytest.mark.parametrize("part", range(PARTS))
def test_every_call_that_fails_leaves_nothing(part: int, kitchen: Kitchen) -> None:
    wrong, ends = {}, Counter[int]()
    for call, mode in table(kitchen)[part::PARTS]:
        outcome = kitchen.bake(Fault(call=call, mode=mode, act=raising(call)))
        problems = kitchen.problems(outcome)
        if not kitchen.calls.is_reached:
            problems.append("the fault was never reached")
        problems += wrong_end(outcome, f"fault at {call.name}")
        ends[outcome.finished.exit_code] += 1
        if problems:
            wrong[f"{call} {mode}"] = problems
    print(f"{ends.total()} rows by exit code: {dict(ends)}")
    assert wrong == {}


@pytest.mark.parametrize("mode", MODES)
def test_every_call_that_fails_while_an_image_is_started_leaves_nothing(mode: Mode, kitchen: Kitchen) -> None:
    """The machine of a verification: its launch and its end, with the same clean-up and ledger."""
    image = kitchen.image()
    good = kitchen.start(image)
    calls = list(kitchen.calls.seen)
    assert good.error is None
    assert kitchen.problems_of_machine(good) == []
    assert len(calls) >= LEAST_CALLS_OF_A_MACHINE, "the table has lost its rows"
    wrong = {}
    for call in calls:
        outcome = kitchen.start(image, Fault(call=call, mode=mode, act=raising(call)))
        problems = kitchen.problems_of_machine(outcome)
        if not kitchen.calls.is_reached:
            problems.append("the fault was never reached")
        if not isinstance(outcome.error, BuilderError | None):
            problems.append(f"it ended with {outcome.error!r}")
        if problems:
            wrong[f"{call} {mode}"] = problems
    assert wrong == {}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_any_stage_leaves_nothing(signum: signal.Signals, kitchen: Kitchen) -> None:
    wrong = {}
    for stage in ALL_STAGES:

        def strike(event: Event, stage: str = stage) -> None:
            if event == StageStarted(stage=stage):
                signal.raise_signal(signum)

        outcome = kitchen.bake(on_event=strike)
        problems = kitchen.problems(outcome)
        if not isinstance(outcome.error, Interrupted) or outcome.finished.exit_code != 128 + signum:
            problems.append(f"it ended with {outcome.error!r}")
        if problems:
            wrong[stage] = problems
    assert wrong == {}
