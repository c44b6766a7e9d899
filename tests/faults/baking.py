"""One bake through the real engine, connection, remote, checks, clean-up and ledger, and what must be true after it."""

import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from baker.artifact import Artifact
from baker.checks.runner import run_checks
from baker.clock import SystemClock
from baker.communicators.sftp import open_sftp
from baker.communicators.ssh import SshConnector
from baker.engine import Parts, bake
from baker.errors import Interrupted
from baker.events import (
    BakeFinished,
    CleanupFailed,
    Emit,
    Event,
    Notice,
    ResourceAcquired,
    ResourceKept,
    ResourceReleased,
    StageFinished,
)
from baker.home import Home
from baker.interrupts import Interrupts
from baker.ledger import Ledger
from baker.mirrors import NO_MIRRORS
from baker.plan import make_plan
from baker.ports import Builder, Connector, Machine, Promise, RunInfo, Sealer
from baker.provisioner import NOTHING_REQUIRED, Provisioner, Remote, Requirements
from baker.recipe import BuilderSpec, Check, Disk, Recipe, Share
from baker.secret import Redactor
from baker.sweep import look, remove
from baker.vault import Vault
from baker.verify import Verification

STAGES = ("preflight", "launch", "connect", "provision", "check", "seal", "finalize", "capture")
ALL_STAGES = (*STAGES, "terminate")

NOBODY = Share()

Act = Callable[[], None]


def nothing() -> None:
    """No fault."""


@dataclass(frozen=True, kw_only=True)
class FaultyStep:
    """Runs a command on the machine, then does what the test wants."""

    fault: Act
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
    """What became of a bake: all that was told, and what came out of it."""

    run_id: str
    events: list[Event] = field(default_factory=list)
    error: BaseException | None = None

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def stages(self) -> list[tuple[str, bool]]:
        return [(event.stage, event.ok) for event in self.of(StageFinished)]

    @property
    def finished(self) -> BakeFinished:
        assert isinstance(self.events[-1], BakeFinished)
        return self.events[-1]

    def reasons(self) -> str:
        """All that the error says, and what caused it."""
        texts: list[str] = []
        error = self.error
        while error is not None:
            texts += [f"{error}", *(f"{label}: {text}" for label, text in getattr(error, "details", ()))]
            error = error.__cause__
        return "\n".join(texts)


@dataclass(frozen=True, kw_only=True)
class Oven:
    """Bakes with one builder, in a home and a folder of the test's own.

    `connect`, `seal`, and `faults` by stage, are what a test puts in the place of the real thing.
    """

    builder: Builder[Any]
    spec: BuilderSpec
    home: Home
    folder: Path
    connect: Connector = field(default_factory=lambda: SshConnector(clock=SystemClock()))
    disks: tuple[Disk, ...] = ()
    steps: tuple[Provisioner, ...] = ()
    seal: Sealer | None = None
    is_verifying: bool = False

    @property
    def ledger(self) -> Ledger:
        return Ledger(folder=lambda: self.home.ledger, clock=SystemClock())

    def bake(
        self,
        run_id: str = "20260101t000000-abcd",
        *,
        faults: dict[str, Act] | None = None,
        on_event: Callable[[Event], None] = lambda _event: None,
        checks: tuple[Check, ...] = (),
        share: Share = NOBODY,
        timeout: float | None = None,
        lasts: float = 3600,
        pause: Callable[[Machine, Exception, Emit], None] | None = None,
        keep: int | None = None,
    ) -> Outcome:
        """A recipe of one step and one check. What it raises is in the outcome, whatever it is.

        `lasts` is for how long the machine may stand, in seconds.
        """
        at = (faults or {}).get
        recipe = Recipe(
            name="tiny",
            builders=(self.spec,),
            disks=self.disks,
            provisioners=(FaultyStep(fault=at("provision", nothing)), *self.steps),
            checks=(lambda host: host.file("/etc/passwd").exists and at("check", nothing)(), *checks),
            share=share,
            folder=self.folder,
            keep=keep,
        )
        outcome = Outcome(run_id=run_id)

        def emit(event: Event) -> None:
            outcome.events.append(event)
            on_event(event)

        with Interrupts(timeout=timeout) as interrupts:
            parts = Parts(
                builder=self.builder,
                connect=self.connect,
                transfer=open_sftp,
                run_checks=run_checks,
                seal=self.seal or (lambda remote, **_: at("seal", nothing)()),
                reach=lambda plan, mirrors: at("reach", nothing)(),
                vault=Vault(Redactor()),
                clock=SystemClock(),
                interrupts=interrupts,
                ledger=self.ledger,
                sweep=lambda emit: None,
                manifest=lambda: "what is known so far",
                verify=self.verification(interrupts) if self.is_verifying else at("verify") and _believe,
                share=lambda artifact, share, emit: at("share", nothing)(),
                pause=pause,
            )
            plan = make_plan(recipe, self.spec)
            try:
                bake(plan, parts, self.run(run_id, lasts), mirrors=NO_MIRRORS, versions={}, emit=emit)
            except (Exception, Interrupted) as error:  # noqa: BLE001  (looked at by the test)
                outcome.error = error
        return outcome

    def verification(self, interrupts: Interrupts) -> Verification:
        return Verification(
            builder=self.builder,
            connect=self.connect,
            transfer=open_sftp,
            resolve=Vault(Redactor()).value,
            run_checks=run_checks,
            clock=SystemClock(),
            interrupts=interrupts,
        )

    def sweep(self) -> list[str]:
        """Remove what is left of runs that are over, as `bake sweep --yes`; why not, of what stays."""
        found = look(self.ledger, (self.builder.kind,), lambda _kind: self.builder, location=None, clock=SystemClock())
        assert not found.unconfirmed
        assert not found.unasked
        return [it.error.summary for it in remove(found, self.ledger, lambda _kind: self.builder) if it.error]

    def run(self, run_id: str, lasts: float = 3600) -> RunInfo:
        started = time.time()
        return RunInfo(
            run_id=run_id,
            recipe="tiny",
            fingerprint="f" * 64,
            image_name=f"tiny-{run_id}",
            owner="test",
            started=started,
            expires=started + lasts,
            run_dir=self.folder,
        )


def _believe(artifact: Artifact, _promise: Promise, _run: RunInfo, _emit: Emit) -> Artifact:
    """A verification that looks at nothing."""
    return artifact


def unaccounted(events: Iterable[Event]) -> list[str]:
    """What was acquired and is neither released, nor kept, nor reported with how to remove it; and the reverse."""
    open_: dict[tuple[str, str, str], ResourceAcquired] = {}
    wrong: list[str] = []
    for event in events:
        match event:
            case ResourceAcquired(kind=kind, id=id_, location=location):
                if (kind, id_, location) in open_:
                    wrong.append(f"{kind} {id_} was acquired twice")
                open_[kind, id_, location] = event
            case (
                ResourceReleased(kind=kind, id=id_, location=location)
                | ResourceKept(kind=kind, id=id_, location=location)
            ):
                if open_.pop((kind, id_, location), None) is None:
                    wrong.append(f"{kind} {id_} was let go and never acquired")
            case CleanupFailed(what=what, remove_hint=hint):
                reported = [key for key, it in open_.items() if f"{it.kind} {it.id}" == what and it.remove_hint == hint]
                for key in reported:
                    del open_[key]
    return wrong + [f"{kind} {id_} is not accounted for" for kind, id_, _ in open_]


def reported(outcome: Outcome) -> list[CleanupFailed]:
    """What the bake said that it could not remove."""
    return outcome.of(CleanupFailed)


def ledger_warned(outcome: Outcome) -> bool:
    """Whether the bake said that its ledger is behind."""
    return any("ledger" in notice.text for notice in outcome.of(Notice) if notice.level == "warning")


def wrong_end(outcome: Outcome, fault: str) -> list[str]:
    """What is wrong with the end, when `fault` is the text of what failed, in a builder's call.

    Right is: the bake succeeded all the same; the fault is what it ended with; or what it could not remove.
    """
    code = outcome.finished.exit_code
    if outcome.error is None:
        return [] if code == 0 else [f"exit code {code} and no error"]
    if reported(outcome) and code == 8:
        return []
    if fault not in outcome.reasons():
        return [f"it ended with something else: {outcome.reasons()}"]
    return [] if code == 4 else [f"exit code {code}: {outcome.reasons()}"]


def is_port_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
