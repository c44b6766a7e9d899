"""Whatever fails, in whatever stage: the first failure decides, the machine is gone, and the end is told."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from baker.checks.runner import run_checks
from baker.clock import SystemClock
from baker.communicators.sftp import open_sftp
from baker.communicators.ssh import SshConnector
from baker.engine import Parts, bake
from baker.errors import (
    BakeError,
    BakeTimeoutError,
    BuilderError,
    CaptureError,
    ConnectionLostError,
    FetchError,
    Interrupted,
    LaunchError,
    LeftoverError,
    SealError,
    StepError,
)
from baker.events import (
    ArtifactCaptured,
    BakeFinished,
    BakeStarted,
    CleanupFailed,
    Event,
    OutputLine,
    ResourceAcquired,
    ResourceReleased,
    StageFinished,
)
from baker.interrupts import Interrupts
from baker.mirrors import NO_MIRRORS
from baker.plan import make_plan
from baker.ports import Problem, RunInfo
from baker.provisioner import NOTHING_REQUIRED, Remote, Requirements
from baker.recipe import Check, Recipe
from baker.secret import Redactor
from baker.vault import Vault
from tests.faults.sandbox_builder import SandboxBuilder, SandboxSpec

pytestmark = pytest.mark.sandbox

STAGES = ["preflight", "launch", "connect", "provision", "check", "seal", "finalize", "capture"]
ALL_STAGES = [*STAGES, "terminate"]

Fault = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class FaultyStep:
    """Runs a command on the machine, then does what the test wants."""

    fault: Fault
    name: str = "the step"
    revision: int = 1
    not_fingerprinted: ClassVar = {"fault": "a function of the test"}

    def inputs(self) -> tuple[Path, ...]:
        return ()

    def requires(self) -> Requirements:
        return NOTHING_REQUIRED

    def apply(self, remote: Remote) -> None:
        remote.run("echo the step runs as $(id -un)")
        self.fault()


@dataclass(kw_only=True)
class Outcome:
    builder: SandboxBuilder
    events: list[Event] = field(default_factory=list)
    error: BaseException | None = None

    def stages(self) -> list[tuple[str, bool]]:
        return [(event.stage, event.ok) for event in self.events if isinstance(event, StageFinished)]

    @property
    def finished(self) -> BakeFinished:
        assert isinstance(self.events[-1], BakeFinished)
        return self.events[-1]


def nothing() -> None:
    pass


def fail_with(error: Exception) -> Fault:
    def fault() -> None:
        raise error

    return fault


def send(signum: signal.Signals) -> Fault:
    return lambda: signal.raise_signal(signum)


@pytest.fixture
def run_bake(sandbox_root: Path, tmp_path: Path):
    """`run_bake(stage, fault)`: bakes on a sandbox, with the fault in that stage."""

    def run(
        stage: str = "",
        fault: Fault = nothing,
        *,
        timeout: float | None = None,
        checks: tuple[Check, ...] = (),
        problems: tuple[Problem, ...] = (),
    ) -> Outcome:
        def at(name: str) -> Fault:
            return fault if name == stage else nothing

        builder = SandboxBuilder(tree=sandbox_root, faults={stage: fault}, problems=problems)
        recipe = Recipe(
            name="tiny",
            builders=(SandboxSpec(),),
            provisioners=(FaultyStep(fault=at("provision")),),
            checks=(lambda host: host.file("/etc/passwd").exists and at("check")(), *checks),
            folder=tmp_path,
        )
        outcome = Outcome(builder=builder)
        with Interrupts(timeout=timeout) as interrupts:
            parts = Parts(
                builder=builder,
                connect=SshConnector(clock=SystemClock()),
                transfer=open_sftp,
                run_checks=run_checks,
                seal=lambda remote, **_: at("seal")(),
                reach=lambda plan, mirrors: at("reach")(),
                vault=Vault(Redactor()),
                clock=SystemClock(),
                interrupts=interrupts,
            )
            started = time.time()
            info = RunInfo(
                run_id="20260101t000000-abcd",
                recipe="tiny",
                fingerprint="f",
                image_name="tiny-1",
                owner="test",
                started=started,
                expires=started + 3600,
                run_dir=tmp_path,
            )
            try:
                bake(
                    make_plan(recipe, SandboxSpec()),
                    parts,
                    info,
                    mirrors=NO_MIRRORS,
                    versions={},
                    emit=outcome.events.append,
                )
            except (BakeError, Interrupted) as error:
                outcome.error = error
        _every_machine_is_gone(outcome)
        return outcome

    return run


def _every_machine_is_gone(outcome: Outcome) -> None:
    for machine in outcome.builder.machines:
        assert machine.sandbox._process.poll() is not None
    acquired = [event.id for event in outcome.events if isinstance(event, ResourceAcquired)]
    released = [event.id for event in outcome.events if isinstance(event, ResourceReleased)]
    reported = [event for event in outcome.events if isinstance(event, CleanupFailed)]
    assert len(acquired) == len(released) + len(reported)


def test_a_bake_without_a_fault_goes_through_all_stages(run_bake) -> None:
    outcome = run_bake()
    assert outcome.error is None
    assert outcome.stages() == [(stage, True) for stage in ALL_STAGES]
    assert isinstance(outcome.events[0], BakeStarted)
    assert outcome.finished.exit_code == 0
    assert outcome.finished.image == "image:tiny-1"
    assert OutputLine(stream="stdout", text="the step runs as baker") in outcome.events


FAULTS = [
    ("preflight", BuilderError("no quota"), 4),
    ("reach", FetchError("no channel"), 5),
    ("launch", LaunchError("no room"), 4),
    ("launched", LaunchError("no console"), 4),
    ("connect", ConnectionLostError("wrong host key"), 5),
    ("provision", StepError("conda exited with 1"), 6),
    ("seal", SealError("a private key"), 9),
    ("finalize", BuilderError("not flushed"), 4),
    ("capture", CaptureError("no space"), 4),
]


@pytest.mark.parametrize(("stage", "error", "exit_code"), FAULTS, ids=[stage for stage, _, _ in FAULTS])
def test_the_failure_of_a_stage_ends_the_bake(run_bake, stage: str, error: BakeError, exit_code: int) -> None:
    outcome = run_bake(stage, fail_with(error))
    assert outcome.error is error
    assert outcome.finished.exit_code == exit_code
    assert outcome.finished.image is None
    failed = [name for name, ok in outcome.stages() if not ok]
    assert failed == [{"reach": "preflight", "launched": "launch"}.get(stage, stage)]
    assert not [event for event in outcome.events if isinstance(event, ArtifactCaptured)]


def test_a_bug_in_a_step_is_named_with_its_place(run_bake) -> None:
    outcome = run_bake("provision", fail_with(ZeroDivisionError("division by zero")))
    assert isinstance(outcome.error, StepError)
    assert outcome.error.summary == "step 1 'the step' failed: ZeroDivisionError: division by zero"
    assert "test_stages.py" in outcome.error.details[0][1]


def test_all_checks_run_and_all_that_fail_are_named(run_bake) -> None:
    def second(host) -> None:
        assert host.file("/etc/shadow").mode == 0o777, "shadow is not for all"

    def third(host) -> None:
        assert host.user("baker").exists

    outcome = run_bake("check", fail_with(AssertionError("the first")), checks=(second, third))
    assert outcome.finished.exit_code == 7
    assert outcome.finished.summary == "2 of 3 checks failed"
    assert "the first" in outcome.finished.details[0][1]
    assert "shadow is not for all" in outcome.finished.details[1][1]


def test_a_check_that_was_skipped_was_not_seen_to_hold(run_bake) -> None:
    outcome = run_bake(checks=(lambda host: host.run("true") and pytest.skip("no time"),))
    assert outcome.finished.exit_code == 7
    assert "no time" in outcome.finished.details[0][1]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_in_any_stage_ends_the_machine(run_bake, stage: str, signum: signal.Signals) -> None:
    outcome = run_bake(stage, send(signum))
    assert isinstance(outcome.error, Interrupted)
    assert outcome.finished.exit_code == 128 + signum


def test_a_signal_while_the_machine_is_ended_does_not_stop_that(run_bake) -> None:
    outcome = run_bake("terminate", send(signal.SIGINT))
    assert isinstance(outcome.error, Interrupted)
    assert outcome.finished.image == "image:tiny-1", "the image was there already, and the end must say so"


def test_the_time_limit_holds_while_a_command_hangs(run_bake) -> None:
    outcome = run_bake("provision", lambda: time.sleep(3600), timeout=3)
    assert isinstance(outcome.error, BakeTimeoutError)
    assert outcome.finished.exit_code == 11


def test_what_cannot_be_removed_is_listed_and_counts_when_nothing_else_failed(run_bake) -> None:
    outcome = run_bake("terminate", fail_with(OSError("busy")))
    assert isinstance(outcome.error, LeftoverError)
    assert outcome.finished.exit_code == 8
    assert outcome.finished.image == "image:tiny-1"
    assert "kill the sandbox" in outcome.finished.details[0][1]


def test_all_problems_of_the_preflight_are_shown_at_once(run_bake) -> None:
    problems = (Problem(summary="no quota", hint="ask"), Problem(summary="name taken"))
    outcome = run_bake(problems=problems)
    assert not outcome.builder.machines
    assert outcome.finished.summary == "no quota"
    assert outcome.finished.details == (("also", "name taken"),)
    assert outcome.finished.hint == "ask"
