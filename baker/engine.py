"""The story of a bake, and nothing else.

    preflight -> launch -> connect -> provision -> check -> seal -> finalize -> capture -> [builder gone]
              -> verify -> share

What happens in each stage is done by the parts that are handed in; this module decides the order, and sees to it
that the machine is gone at the end, whatever happened. It names no builder.
"""

import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from baker import deadman
from baker.artifact import Artifact
from baker.errors import (
    BakeError,
    ChecksFailedError,
    Interrupted,
    MachineDiedError,
    StepError,
    UsageError,
)
from baker.events import Emit
from baker.interrupts import Interrupts
from baker.labels import labels_of
from baker.ledger import Ledger
from baker.lifetime import attended, log_in
from baker.mirrors import Mirrors
from baker.narrator import Narrator
from baker.plan import Plan, PlannedStep
from baker.ports import (
    Builder,
    CheckRunner,
    Clock,
    Connector,
    Machine,
    Promise,
    RunInfo,
    Sealer,
    Transfer,
    Verifier,
)
from baker.recipe import Share
from baker.refusal import refuse
from baker.remote import MachineRemote
from baker.retention import retire
from baker.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Who does the work of each stage.

    `reach` probes what the plan fetches and raises FetchError for what is out of reach. `sweep` removes what dead runs
    left where this one will make things; it raises nothing. `manifest` is what is known of the bake so far, as it goes
    with the image. `share` raises when one target did not get the image, or none did because it is not verified.
    Without `verify` the image stays labelled as not verified. `pause` holds a machine on which something failed for a
    person, and returns when the wait is over; it raises nothing either. Without it the machine goes at once.
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
    ledger: Ledger
    sweep: Callable[[Emit], None]
    manifest: Callable[[], str]
    share: Callable[[Artifact, Share, Emit], object]
    verify: Verifier | None = None
    pause: Callable[[Machine, Exception, Emit], None] | None = None


_STAGES_TO_PAUSE_IN = ("provision", "check", "seal")
"""Before them nobody can log in, and after them nobody can any more."""


def bake(
    plan: Plan, parts: Parts, run: RunInfo, *, mirrors: Mirrors, versions: Mapping[str, str], emit: Emit
) -> Artifact:
    """Bake one image. Raises the first failure (BakeError, Interrupted); the machine is gone either way.

    Emits BakeStarted first and BakeFinished last, whatever happens between.
    """
    narrator = Narrator(parts.ledger.recording(run, plan.spec.kind, emit), parts.clock)
    narrator.begin(plan, run, versions)
    with narrator.ending():
        with narrator.stage("preflight"):
            parts.sweep(narrator.emit)
            _preflight(plan, parts, run, mirrors)
        artifact, promise = _build(plan, parts, run, mirrors, narrator)
        if parts.verify is not None:
            with narrator.stage("verify"):
                artifact = parts.verify(artifact, promise, run, narrator.emit)
                parts.builder.keep_manifest(artifact, parts.manifest())
        if plan.recipe.share:
            with narrator.stage("share"):
                parts.share(artifact, plan.recipe.share, narrator.emit)
        if parts.verify is not None:
            retire(parts.builder, artifact, plan.recipe.keep, narrator.emit)
        narrator.raise_for_leftovers()
    return artifact


def _build(plan: Plan, parts: Parts, run: RunInfo, mirrors: Mirrors, narrator: Narrator) -> tuple[Artifact, Promise]:
    """The image, and what it promises; its builder is gone."""
    launch = parts.builder.machine(plan.spec, plan.disks, run, narrator.emit)
    failed = partial(_look_at_failure, parts=parts, run=run, narrator=narrator)
    with attended(
        launch, interrupts=parts.interrupts, clock=parts.clock, stage=narrator.stage, failed=failed
    ) as machine:
        with _remote(machine, plan, parts, mirrors, narrator.emit) as remote:
            with narrator.stage("connect"):
                log_in(machine, remote, timeout=plan.spec.boot_timeout_seconds)
                deadman.arm(remote, run.expires, narrator.emit, parts.clock)
            promise = _promise(plan, parts, mirrors, machine)
            with narrator.stage("provision"):
                for step in plan.steps:
                    with narrator.step(step):
                        _provision(step, remote)
            with narrator.stage("check"):
                _check(plan, parts, remote, narrator.emit)
            with narrator.stage("seal"):
                parts.seal(
                    remote,
                    disks=plan.disks,
                    allow=plan.recipe.allow_secrets,
                    secrets=_secrets(plan, parts.vault, mirrors),
                    own_keys=_own_keys(machine),
                    removed_later=machine.removed_by_finalize,
                    emit=narrator.emit,
                )
            with narrator.stage("finalize"):
                machine.finalize(remote)
        with narrator.stage("capture"):
            artifact = machine.capture(run.image_name, labels_of(plan, run, machine.address, narrator.facts("seal")))
            narrator.captured(artifact)
            parts.builder.keep_manifest(artifact, parts.manifest())
    return artifact, promise


def _preflight(plan: Plan, parts: Parts, run: RunInfo, mirrors: Mirrors) -> None:
    """All that can be known before anything is created. The cheapest question first."""
    refuse(parts.builder.check(plan.spec))
    if plan.recipe.share:
        refuse(parts.builder.check_share(plan.recipe.share))
        if parts.verify is None:
            raise UsageError(
                "the recipe shares its image, and an image that is not verified is not shared",
                hint="bake it without --no-verify, or take `share` out of the recipe",
            )
    parts.vault.resolve(plan.secrets)
    refuse(parts.builder.preflight(plan, until=run.expires))
    parts.reach(plan, mirrors)


def _look_at_failure(machine: Machine, error: Exception, *, parts: Parts, run: RunInfo, narrator: Narrator) -> None:
    """What there is to do or to say about a failure while its machine is still there. Signals come by here never."""
    if isinstance(error, MachineDiedError):
        if (
            parts.clock.now() >= run.expires
        ):  # `--timeout` comes long before, but does not count while a computer sleeps
            error.hint = "its dead-man switch ended it when its time was over: was this computer asleep meanwhile?"
    elif parts.pause is not None and narrator.failed in _STAGES_TO_PAUSE_IN:
        with suppress(Interrupted), narrator.stage("pause"):  # a signal ends the pause; the failure is what is told
            parts.pause(machine, error, narrator.emit)


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


def _secrets(plan: Plan, vault: Vault, mirrors: Mirrors) -> dict[str, str]:
    """All values that this bake must keep to itself, each by how it is called: the recipe's, and the mirrors'."""
    passwords = {f"password of mirror {number}": value for number, value in enumerate(mirrors.passwords(), start=1)}
    return {secret.name: vault.value(secret) for secret in plan.secrets} | passwords


def _own_keys(machine: Machine) -> dict[str, str]:
    """The public halves of the keys that were made for this bake, each by how it is called."""
    address = machine.address
    return {"the bake's own login key": address.key.public, "the bake's own host key": address.host_key}


def _promise(plan: Plan, parts: Parts, mirrors: Mirrors, machine: Machine) -> Promise:
    """What the image will be held to, of which this machine is the builder. To be made before the first step."""
    names = () if plan.recipe.keep_mirrors else mirrors.seen_from(parts.builder.baking_host).addresses()
    return Promise(
        checks=plan.recipe.checks,
        folder=plan.recipe.folder,
        boot_timeout_seconds=plan.spec.boot_timeout_seconds,
        spec=plan.spec,
        builder=machine.address,
        mirrors=names,
        since=parts.clock.now(),
    )
