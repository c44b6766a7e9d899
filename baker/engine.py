"""The story of a bake, and nothing else.

    preflight -> launch -> connect -> provision -> check -> seal -> finalize -> capture -> [builder gone]

What happens in each stage is done by the parts that are handed in; this module decides the order, and sees to it
that the machine is gone at the end, whatever happened. It names no builder.
"""

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from baker.artifact import Artifact
from baker.errors import (
    BakeError,
    BuilderError,
    BuilderUnavailableError,
    ChecksFailedError,
    CommandTimeoutError,
    ConnectionLostError,
    LaunchError,
    NoAnswerError,
    ReachError,
    RecipeError,
    StepError,
    TimeLimitReached,
)
from baker.events import Emit
from baker.interrupts import Interrupts, raise_deferred, shield
from baker.mirrors import Mirrors
from baker.narrator import Narrator
from baker.plan import Plan, PlannedStep
from baker.ports import Builder, CheckRunner, Clock, Connector, Machine, Problem, RunInfo, Sealer, Transfer
from baker.remote import MachineRemote
from baker.vault import Vault
from baker.wait import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Who does the work of each stage.

    `reach` probes what the plan fetches and raises FetchError for what is out of reach.
    """

    builder: Builder[Any]
    connect: Connector
    transfer: Transfer
    run_checks: CheckRunner
    seal: Sealer
    reach: Callable[[Plan, Mirrors], None]
    vault: Vault
    clock: Clock
    interrupts: Interrupts


_DYING_SECONDS = 5.0

_REFUSALS: Mapping[int, type[BakeError]] = {
    error.exit_code: error for error in (RecipeError, BuilderUnavailableError, BuilderError, ReachError)
}


def bake(
    plan: Plan, parts: Parts, run: RunInfo, *, mirrors: Mirrors, versions: Mapping[str, str], emit: Emit
) -> Artifact:
    """Bake one image. Raises the first failure (BakeError, Interrupted); the machine is gone either way.

    Emits BakeStarted first and BakeFinished last, whatever happens between.
    """
    narrator = Narrator(emit, parts.clock)
    narrator.begin(plan, run, versions)
    try:
        with narrator.stage("preflight"):
            _preflight(plan, parts, mirrors)
        artifact = _build(plan, parts, run, mirrors, narrator)
        narrator.raise_for_leftovers()
    except TimeLimitReached as limit:
        narrator.fail(limit.error)
        raise limit.error from None
    except BaseException as error:
        narrator.fail(error)
        raise
    narrator.end()
    return artifact


def _build(plan: Plan, parts: Parts, run: RunInfo, mirrors: Mirrors, narrator: Narrator) -> Artifact:
    with _machine(plan, parts, run, narrator) as machine:
        with _remote(machine, plan, parts, mirrors, narrator.emit) as remote:
            with narrator.stage("connect"):
                _connect(machine, remote, plan.spec.boot_timeout_seconds)
            with narrator.stage("provision"):
                for step in plan.steps:
                    with narrator.step(step):
                        _provision(step, remote)
            with narrator.stage("check"):
                _check(plan, parts, remote, narrator.emit)
            with narrator.stage("seal"):
                parts.seal(remote, disks=plan.disks, emit=narrator.emit)
            with narrator.stage("finalize"):
                machine.finalize(remote)
        with narrator.stage("capture"):
            artifact = machine.capture(run.image_name, _labels(plan, run))
            narrator.captured(artifact)
    return artifact


def _preflight(plan: Plan, parts: Parts, mirrors: Mirrors) -> None:
    """All that can be known before anything is created. The cheapest question first."""
    _refuse(parts.builder.check(plan.spec))
    parts.vault.resolve(plan.secrets)
    _refuse(parts.builder.preflight(plan))
    parts.reach(plan, mirrors)


def _refuse(problems: Iterable[Problem]) -> None:
    """Raise for problems, all of them in one error; the first one decides which."""
    found = tuple(problems)
    if found:
        first, *others = found
        details = [("also", problem.summary) for problem in others]
        raise _REFUSALS.get(first.exit_code, BuilderError)(first.summary, details=details, hint=first.hint)


@contextmanager
def _machine(plan: Plan, parts: Parts, run: RunInfo, narrator: Narrator) -> Iterator[Machine]:
    """The machine, launched in one stage and ended in another, so that the log has the time of both."""
    stack = ExitStack()
    try:
        with narrator.stage("launch"):
            machine = stack.enter_context(parts.builder.machine(plan.spec, plan.disks, run, narrator.emit))
        with parts.interrupts.hurrying(machine.kill), _blaming(machine, parts.clock):
            yield machine
    except BaseException:
        with shield(), narrator.stage("terminate"):
            stack.__exit__(*sys.exc_info())
        raise
    with shield(), narrator.stage("terminate"):
        stack.close()
    raise_deferred()


@contextmanager
def _blaming(machine: Machine, clock: Clock) -> Iterator[None]:
    """What goes wrong with a machine that is dead, or stopped, is the machine's fault: say that instead.

    sshd goes some seconds before a machine that switches itself off, so a lost connection is asked about for a while.
    """
    try:
        yield
    except ConnectionLostError:
        wait_until(machine.check_alive, timeout=_DYING_SECONDS, clock=clock)
        raise
    except (LaunchError, CommandTimeoutError):
        machine.check_alive()
        raise


def _remote(machine: Machine, plan: Plan, parts: Parts, mirrors: Mirrors, emit: Emit) -> MachineRemote:
    return MachineRemote(
        machine=machine,
        connector=parts.connect,
        transfer=parts.transfer,
        resolve=parts.vault.value,
        folder=plan.recipe.folder,
        emit=emit,
        clock=parts.clock,
        mirrors=mirrors.seen_from(parts.builder.baking_host),
    )


def _connect(machine: Machine, remote: MachineRemote, timeout: float) -> None:
    """Log in. A machine that never answers is the builder's failure, and its console says most about it."""
    try:
        remote.connect(timeout=timeout)
    except NoAnswerError as error:
        raise LaunchError(
            f"the machine never came up: {error.summary}",
            details=(*error.details, ("the machine", machine.diagnose())),
            hint="give it longer with boot_timeout_seconds, or find out from its console what it waits for",
        ) from error
    except (LaunchError, ConnectionLostError) as error:
        raise error.with_details(("the machine", machine.diagnose())) from error.__cause__


def _provision(step: PlannedStep, remote: MachineRemote) -> None:
    where = f"step {step.number} {step.name!r}"
    try:
        step.provisioner.apply(remote.for_step(step.name))
    except BakeError as error:
        error.summary = f"{where} failed: {error.summary}"
        raise
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise StepError(
            f"{where} failed: {type(error).__name__}: {error}",
            details=(("at", f"{at.filename}:{at.lineno}, in {at.name}"),),
            hint="this is a bug in the step, not in the recipe",
        ) from error


def _check(plan: Plan, parts: Parts, remote: MachineRemote, emit: Emit) -> None:
    """Run all checks, then refuse when one did not pass. Without mirrors, as the user of the image will be."""
    checks = plan.recipe.checks
    if not checks:
        return
    results = parts.run_checks(checks, remote.without_mirrors(), folder=plan.recipe.folder, emit=emit)
    failed = [result for result in results if result.outcome != "passed"]  # what was skipped was not seen to hold
    if failed:
        raise ChecksFailedError(
            f"{len(failed)} of {len(results)} checks failed",
            details=[(result.name, result.message or result.outcome) for result in failed],
            hint="nothing was captured; the full output of each check is in checks.xml",
        )


def _labels(plan: Plan, run: RunInfo) -> dict[str, str]:
    """What is written on the image. A tag of the recipe cannot change what the baker says."""
    return {
        **plan.recipe.tags,
        "recipe": run.recipe,
        "fingerprint": plan.fingerprint,
        "run": run.run_id,
        "verified": "no",
    }
