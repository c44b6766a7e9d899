"""Verification: a machine is started from the image, looked at, restarted, looked at once more, and ended.

What it must be is in a `Promise` and in the image's labels; what it is asked is in `baker.evidence`, beside the
recipe's own checks. Everything that was looked at is told as a check, and all of it is looked at even when something is
wrong. An image that passes is labelled with the digest that it had before and after; one that does not is labelled as
not verified, whatever it was before.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from baker import deadman, evidence, interrupts
from baker.artifact import NOT_VERIFIED, Artifact
from baker.errors import (
    BakeError,
    BuilderError,
    ChecksFailedError,
    ConnectionLostError,
    LaunchError,
    LoginRefusedError,
    MachineDiedError,
    NoAnswerError,
    StepError,
    VerifyError,
)
from baker.events import ArtifactVerified, CheckFinished, Emit, Event, Notice
from baker.evidence import Finding
from baker.interrupts import Interrupts
from baker.ledger import Ledger
from baker.lifetime import attended, log_in
from baker.mirrors import is_loopback
from baker.narrator import Narrator
from baker.ports import Address, Builder, CheckRunner, Clock, Connector, Machine, Promise, RunInfo, Transfer
from baker.remote import MachineRemote
from baker.secret import Secret

_LOGIN_SECONDS = 30.0
"""For one login that must be refused. sshd answers at once, but a machine that has just started may be slow."""

_OF_THE_MACHINE = (LaunchError, MachineDiedError, ConnectionLostError, StepError, ChecksFailedError)
"""What goes wrong with a machine that is there, and so is the image's fault. Else it is the builder's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A `baker.ports.Verifier`."""

    builder: Builder[Any]
    connect: Connector
    transfer: Transfer
    resolve: Callable[[Secret], str]
    run_checks: CheckRunner
    clock: Clock
    interrupts: Interrupts

    def __call__(self, artifact: Artifact, promise: Promise, run: RunInfo, emit: Emit) -> Artifact:
        """See `baker.ports.Verifier`."""
        digest = self.examine(artifact, promise, run, emit)
        at = datetime.fromtimestamp(self.clock.now(), UTC).isoformat(timespec="seconds")
        with interrupts.hold():  # what is written on the image is told, too
            artifact = self.builder.set_labels(artifact, {"verified": digest, "verified-at": at})
            emit(ArtifactVerified(id=artifact.id, digest=digest))
        self.builder.mark_newest(artifact)
        return artifact

    def examine(self, artifact: Artifact, promise: Promise, run: RunInfo, emit: Emit) -> str:
        """Look at a machine from the image, and label nothing as verified; the digest of what was looked at.

        VerifyError when it is not what it should be.
        """
        before = self.builder.digest(artifact)
        results = _Results(emit, self.clock)
        try:
            self._look(_Case(artifact=artifact, promise=promise, run=run, results=results))
            changed = self.builder.digest(artifact) != before
            results.add("the image stays as it is", ("it was changed while it was verified",) if changed else ())
            results.raise_for_failures(artifact)
        except VerifyError:
            self._take_label_away(artifact, emit)
            raise
        return before

    def _look(self, case: "_Case") -> None:
        machines: list[Machine] = []
        launch = self.builder.launch_image(case.artifact, case.run, case.results.emit, spec=case.promise.spec)
        try:
            with attended(launch, interrupts=self.interrupts, clock=self.clock, stage=_within_the_stage) as machine:
                machines.append(machine)
                with self._remote(machine, case) as remote:
                    self._look_at(machine, remote, case)
        except _OF_THE_MACHINE as error:
            if not machines:
                raise  # the builder could not even start one, which says nothing of the image
            raise case.results.gave_up(case.artifact, error) from error

    def _look_at(self, machine: Machine, remote: MachineRemote, case: "_Case") -> None:
        """All that is looked at, in its order: before anything has run there; the recipe's checks; after a restart."""
        artifact, promise, results = case.artifact, case.promise, case.results
        results.emit(Notice(level="info", text="a machine from the image is starting"))
        with results.check("a machine from the image comes up"):
            log_in(machine, remote, timeout=promise.boot_timeout_seconds)
        deadman.arm(remote, case.run.expires, results.emit, self.clock)
        found = evidence.gather(remote, artifact, names=self._unwanted_names(promise), since=promise.since)
        results.add_all(evidence.judge(found, artifact))
        if promise.checks:
            self.run_checks(promise.checks, remote, folder=promise.folder, emit=results.emit)
        if promise.builder is not None:
            with results.check("a login with the builder's key is refused"):
                self._try_to_log_in(machine, promise.builder)
        results.emit(Notice(level="info", text="it is restarted"))
        with results.check("it comes up after a restart"):
            remote.reboot(timeout=promise.boot_timeout_seconds)
        results.add_all(evidence.judge_disks(evidence.ask_disks(remote, artifact), artifact, " after a restart"))

    def _unwanted_names(self, promise: Promise) -> tuple[str, ...]:
        host = self.builder.baking_host
        return (*promise.mirrors, *([host] if host is not None and not is_loopback(host) else []))

    def _try_to_log_in(self, machine: Machine, builder: Address) -> None:
        """As the one who baked, and as the one who may log in here. AssertionError when one is let in.

        An sshd that was told so (MaxAuthTries) hangs up instead of refusing; that it still answers others is seen next.
        Two tries and no more: newer versions of sshd shut out for a while who fails three times.
        """
        for user in dict.fromkeys((builder.user, machine.address.user)):
            address = replace(machine.address, user=user, key=builder.key)
            try:
                self.connect(address, timeout=_LOGIN_SECONDS, check_alive=machine.check_alive).close()
            except (LoginRefusedError, NoAnswerError):
                continue
            raise AssertionError(f"expected it to be refused; it lets {user} in")

    def _remote(self, machine: Machine, case: "_Case") -> MachineRemote:
        return MachineRemote(
            machine=machine,
            connector=self.connect,
            transfer=self.transfer,
            resolve=self.resolve,
            folder=case.promise.folder,
            emit=case.results.emit,
            clock=self.clock,
        )

    def _take_label_away(self, artifact: Artifact, emit: Emit) -> None:
        """An image that does not keep what it promises is not verified, whatever it was before."""
        if not artifact.verified:
            return
        try:
            self.builder.set_labels(artifact, {"verified": NOT_VERIFIED})
        except BuilderError as error:
            emit(Notice(level="warning", text=f"{artifact.name} is still labelled as verified: {error.summary}"))


def verify_again(
    artifact: Artifact,
    promise: Promise,
    verification: Verification,
    run: RunInfo,
    *,
    ledger: Ledger,
    label: bool,
    versions: Mapping[str, str],
    emit: Emit,
) -> Artifact:
    """The story of `bake verify`: as `baker.engine.bake`, of an image that is there. Raises the first failure.

    `label`: whether an image that passes is verified from then on.
    """
    narrator = Narrator(ledger.recording(run, artifact.builder, emit), verification.clock)
    narrator.begin_verification(artifact, run, versions)
    with narrator.ending():
        with narrator.stage("verify"):
            if label:
                artifact = verification(artifact, promise, run, narrator.emit)
            else:
                narrator.emit(Notice(level="info", text=_without_recipe(artifact, promise)))
                verification.examine(artifact, promise, run, narrator.emit)
        narrator.raise_for_leftovers()
    return artifact


class _Results:
    """What was looked at so far, each told as a check; remembers what was wrong."""

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit = emit
        self._clock = clock
        self._count = 0
        self._failures: list[CheckFinished] = []

    def emit(self, event: Event) -> None:
        """Pass an event on; a check counts, whoever ran it."""
        if isinstance(event, CheckFinished):
            self._count += 1
            if event.outcome != "passed":  # what was skipped was not seen to hold
                self._failures.append(event)
        self._emit(event)

    def add_all(self, findings: tuple[Finding, ...]) -> None:
        for finding in findings:
            self.add(finding.name, finding.problems)

    def add(self, name: str, problems: tuple[str, ...], *, seconds: float = 0.0) -> None:
        """Something that was looked at; all is well when there are no problems."""
        message = "\n".join(problems)
        self.emit(
            CheckFinished(name=name, outcome="failed" if problems else "passed", seconds=seconds, message=message)
        )

    @contextmanager
    def check(self, name: str) -> Iterator[None]:
        """Something to do that must succeed. An AssertionError is no more than a failed check; others pass through."""
        started = self._clock.monotonic()

        def told(*problems: str) -> None:
            self.add(name, problems, seconds=self._clock.monotonic() - started)

        try:
            yield
        except AssertionError as error:
            told(str(error))
        except _OF_THE_MACHINE as error:
            told(error.summary)
            raise
        else:
            told()

    def raise_for_failures(self, artifact: Artifact) -> None:
        """VerifyError with all that failed."""
        if self._failures:
            raise VerifyError(
                f"{len(self._failures)} of {self._count} checks failed on a machine from the image",
                details=self._details(),
                hint=_hint(artifact),
            )

    def gave_up(self, artifact: Artifact, error: BakeError) -> VerifyError:
        """The error for a machine that could not be looked at to the end."""
        return VerifyError(
            f"a machine from the image could not be verified: {error.summary}",
            details=(*self._details(), *error.details),
            hint=_hint(artifact),
        )

    def _details(self) -> tuple[tuple[str, str], ...]:
        return tuple((check.name, check.message or check.outcome) for check in self._failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One image to look at, with what it is held to and what has been seen."""

    artifact: Artifact
    promise: Promise
    run: RunInfo
    results: _Results


def _without_recipe(artifact: Artifact, promise: Promise) -> str:
    checks = f"{len(promise.checks)} of the {artifact.labels.get('checks', 'unknown number of')} checks"
    return f"without the recipe {checks} can be run, and nothing makes the image verified: name it with --recipe"


def _hint(artifact: Artifact) -> str:
    return f"the image stays, and is not verified: {artifact.id}"


def _within_the_stage(_name: str) -> AbstractContextManager[None]:
    return nullcontext()
