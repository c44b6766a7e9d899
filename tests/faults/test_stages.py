"""Whatever fails, in whatever stage: the first failure decides, the machine is gone, and the end is told."""

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

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
    MachineDiedError,
    SealError,
    StepError,
)
from baker.events import ArtifactCaptured, BakeStarted, Emit, OutputLine
from baker.home import Home
from baker.ports import Machine, Problem
from baker.recipe import Check, Share
from tests.faults.baking import ALL_STAGES, NOBODY, STAGES, Act, Outcome, Oven, nothing, reported, unaccounted
from tests.faults.sandbox_builder import SandboxBuilder, SandboxCloud, SandboxSpec

pytestmark = pytest.mark.sandbox

RUN_ID = "20260101t000000-abcd"
IMAGE = f"image:tiny-{RUN_ID}"
SOMEBODY = Share(targets=("somebody",))


def fail_with(error: Exception) -> Act:
    def fault() -> None:
        raise error

    return fault


def send(signum: signal.Signals) -> Act:
    return lambda: signal.raise_signal(signum)


@dataclass
class Visitor:
    """Comes when a machine is held, and does what the test wants; the pause is over when that returns."""

    visit: Act = nothing
    machines: list[Machine] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def __call__(self, machine: Machine, error: Exception, emit: Emit) -> None:
        machine.check_alive()
        self.machines.append(machine)
        self.errors.append(error)
        self.visit()


@pytest.fixture
def run_bake(sandbox_root: Path, tmp_path: Path):
    """`run_bake(stage, fault)`: bakes on a sandbox, with the fault in that stage."""

    def run(
        stage: str = "",
        fault: Act = nothing,
        *,
        timeout: float | None = None,
        checks: tuple[Check, ...] = (),
        problems: tuple[Problem, ...] = (),
        share: Share = NOBODY,
        verified: bool = False,
        lasts: float = 3600,
        pause: Visitor | None = None,
    ) -> Outcome:
        builder = SandboxBuilder(cloud=SandboxCloud(tree=sandbox_root), faults={stage: fault}, problems=problems)
        oven = Oven(builder=builder, spec=SandboxSpec(), home=Home(tmp_path / "home"), folder=tmp_path)
        options: dict[str, Any] = {"checks": checks, "share": share, "timeout": timeout, "lasts": lasts, "pause": pause}
        faults = {stage: fault} | ({"verify": nothing} if verified else {})
        outcome = oven.bake(RUN_ID, faults=faults, **options)
        assert not builder.cloud.running()
        assert unaccounted(outcome.events) == []
        assert bool(reported(outcome)) == bool(list(oven.ledger.runs()))
        run.machines, run.manifests = builder.machines, builder.manifests
        return outcome

    return run


def test_a_bake_without_a_fault_goes_through_all_stages(run_bake) -> None:
    outcome = run_bake()
    assert outcome.error is None
    assert outcome.stages() == [(stage, True) for stage in ALL_STAGES]
    assert isinstance(outcome.events[0], BakeStarted)
    assert outcome.finished.exit_code == 0
    assert outcome.finished.image == IMAGE
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


def test_an_image_gets_what_is_known_of_it_at_once(run_bake) -> None:
    run_bake()
    assert run_bake.manifests == [(IMAGE, "what is known so far")]


def test_an_image_whose_manifest_cannot_be_kept_is_not_passed_over(run_bake) -> None:
    outcome = run_bake("keep manifest", fail_with(BuilderError("no room")))
    assert outcome.finished.exit_code == 4
    assert outcome.finished.image == IMAGE


def test_an_image_is_shared_when_its_machine_is_gone(run_bake) -> None:
    outcome = run_bake(share=SOMEBODY, verified=True)
    assert outcome.stages() == [(stage, True) for stage in (*ALL_STAGES, "verify", "share")]
    assert len(run_bake.manifests) == 2, "the image's manifest does not know that it is verified"


def test_an_image_that_will_not_be_verified_is_not_to_be_shared(run_bake) -> None:
    outcome = run_bake(share=SOMEBODY)
    assert not run_bake.machines
    assert outcome.finished.exit_code == 2
    assert "--no-verify" in outcome.finished.hint


def test_an_image_that_could_not_be_shared_stays(run_bake) -> None:
    outcome = run_bake("share", fail_with(BuilderError("not with 1 of 2")), share=SOMEBODY, verified=True)
    assert outcome.finished.exit_code == 4
    assert outcome.finished.summary == "not with 1 of 2"
    assert outcome.finished.image == IMAGE


def test_whom_it_cannot_be_shared_with_is_known_before_anything_is_made(run_bake) -> None:
    outcome = run_bake(share=Share(targets=("nobody",)))
    assert not run_bake.machines
    assert outcome.finished.exit_code == 2
    assert outcome.finished.summary == "nobody is nobody"


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
    assert run_bake.machines[0].killed, "the shortest way was not taken"
    assert outcome.finished.image == IMAGE, "the image was there already, and the end must say so"


def test_the_time_limit_holds_while_a_command_hangs(run_bake) -> None:
    outcome = run_bake("provision", lambda: time.sleep(3600), timeout=3)
    assert isinstance(outcome.error, BakeTimeoutError)
    assert outcome.finished.exit_code == 11


@pytest.mark.parametrize("stage", ["provision", "seal"])
def test_a_machine_is_held_that_lets_somebody_in(run_bake, stage: str) -> None:
    visitor, error = Visitor(), StepError("conda exited with 1")
    outcome = run_bake(stage, fail_with(error), pause=visitor)
    assert visitor.errors == [error]
    assert outcome.error is error
    assert outcome.finished.exit_code == 6
    assert [name for name, _ in outcome.stages()][-3:] == [stage, "pause", "terminate"]


def test_a_machine_whose_checks_fail_is_held(run_bake) -> None:
    visitor = Visitor()
    outcome = run_bake("check", fail_with(AssertionError("no kernel")), pause=visitor)
    assert visitor.errors == [outcome.error]
    assert outcome.finished.exit_code == 7


@pytest.mark.parametrize("stage", ["preflight", "launch", "launched", "connect", "finalize", "capture", ""])
def test_a_machine_that_lets_nobody_in_or_did_not_fail_is_not_held(run_bake, stage: str) -> None:
    visitor = Visitor()
    run_bake(stage, fail_with(BuilderError("no")), pause=visitor)
    assert visitor.machines == []


@pytest.mark.parametrize("stop", [send(signal.SIGINT), send(signal.SIGTERM), lambda: time.sleep(3600)])
def test_who_wants_an_end_gets_no_pause(run_bake, stop: Act) -> None:
    visitor = Visitor()
    outcome = run_bake("provision", stop, timeout=3, pause=visitor)
    assert visitor.machines == []
    assert outcome.finished.exit_code in (11, 130, 143)


@pytest.mark.parametrize("stop", [send(signal.SIGINT), send(signal.SIGTERM), lambda: time.sleep(3600)])
def test_what_ends_a_pause_does_not_become_the_failure(run_bake, stop: Act) -> None:
    error = StepError("conda exited with 1")
    outcome = run_bake("provision", fail_with(error), timeout=4, pause=Visitor(visit=stop))
    assert outcome.error is error
    assert outcome.finished.exit_code == 6


@pytest.mark.parametrize("lasts", [3600, -1])
def test_a_machine_that_ends_after_its_time_was_ended_by_its_deadman_switch(run_bake, lasts: float) -> None:
    outcome = run_bake("provision", fail_with(MachineDiedError("it switched itself off")), lasts=lasts)
    assert outcome.finished.exit_code == 4
    assert ("dead-man switch" in outcome.finished.hint) == (lasts < 0)


def test_what_cannot_be_removed_is_listed_and_counts_when_nothing_else_failed(run_bake) -> None:
    outcome = run_bake("terminate", fail_with(OSError("busy")))
    assert isinstance(outcome.error, LeftoverError)
    assert outcome.finished.exit_code == 8
    assert outcome.finished.image == IMAGE
    assert "kill the sandbox" in outcome.finished.details[0][1]


def test_all_problems_of_the_preflight_are_shown_at_once(run_bake) -> None:
    problems = (Problem(summary="no quota", hint="ask"), Problem(summary="name taken"))
    outcome = run_bake(problems=problems)
    assert not run_bake.machines
    assert outcome.finished.summary == "no quota"
    assert outcome.finished.details == (("also", "name taken"),)
    assert outcome.finished.hint == "ask"
