"""Tells a bake as events: its beginning, each stage and step with its time, and its end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from baker.artifact import Artifact
from baker.errors import BakeError, Interrupted, LeftoverError, TimeLimitReached
from baker.events import (
    ArtifactCaptured,
    BakeFinished,
    BakeStarted,
    CleanupFailed,
    Emit,
    Event,
    FactRecorded,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
    VerificationStarted,
)
from baker.plan import Plan, PlannedStep
from baker.ports import Clock, RunInfo


class Narrator:
    """One for each bake. Remembers what the end has to say (the image, what could not be removed), and facts.

    `failed` is the first stage that ended with an exception; empty before.
    """

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._sink = emit
        self._clock = clock
        self._started = clock.monotonic()
        self._image: Artifact | None = None
        self._leftovers: list[CleanupFailed] = []
        self._facts: dict[str, dict[str, str]] = {}
        self.failed = ""

    def emit(self, event: Event) -> None:
        """Pass an event on; everything that a bake emits goes through here."""
        match event:
            case CleanupFailed():
                self._leftovers.append(event)
            case FactRecorded(source=source, name=name, value=value):
                self._facts.setdefault(source, {})[name] = value
        self._sink(event)

    def facts(self, source: str) -> Mapping[str, str]:
        """What a step or stage has found so far."""
        return self._facts.get(source, {})

    def begin(self, plan: Plan, run: RunInfo, versions: Mapping[str, str]) -> None:
        self.emit(
            BakeStarted(
                run_id=run.run_id,
                recipe=run.recipe,
                builder=plan.spec.name,
                fingerprint=plan.fingerprint,
                image_name=run.image_name,
                run_dir=str(run.run_dir),
                steps=tuple(step.name for step in plan.steps),
                step_fingerprints=tuple(step.fingerprint for step in plan.steps),
                parameters={name: str(value) for name, value in plan.recipe.parameters.items()},
                versions=versions,
            )
        )

    def begin_verification(self, artifact: Artifact, run: RunInfo, versions: Mapping[str, str]) -> None:
        self._image = artifact
        self.emit(
            VerificationStarted(
                run_id=run.run_id,
                recipe=artifact.recipe,
                builder=artifact.builder,
                fingerprint=artifact.fingerprint,
                image=artifact.id,
                image_name=artifact.name,
                run_dir=str(run.run_dir),
                versions=versions,
            )
        )

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Tell the end, whatever it is. What ended it comes out, the time limit as the error that it is."""
        try:
            yield
        except TimeLimitReached as limit:
            self.fail(limit.error)
            raise limit.error from None
        except BaseException as error:
            self.fail(error)
            raise
        self.end()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage, from its first event to its last; `ok` is whether it ended without an exception."""
        self.emit(StageStarted(stage=name))
        started, ok = self._clock.monotonic(), False
        try:
            yield
            ok = True
        finally:
            if not ok:
                self.failed = self.failed or name
            self.emit(StageFinished(stage=name, ok=ok, seconds=self._clock.monotonic() - started))

    @contextmanager
    def step(self, step: PlannedStep) -> Iterator[None]:
        """A step of the provision stage."""
        self.emit(StepStarted(number=step.number, name=step.name))
        started, ok = self._clock.monotonic(), False
        try:
            yield
            ok = True
        finally:
            seconds = self._clock.monotonic() - started
            self.emit(StepFinished(number=step.number, name=step.name, ok=ok, seconds=seconds))

    def captured(self, artifact: Artifact) -> None:
        """The image exists from here on; the end says so even when the bake fails later."""
        self._image = artifact
        self.emit(
            ArtifactCaptured(
                builder=artifact.builder,
                id=artifact.id,
                location=artifact.location,
                name=artifact.name,
                fingerprint=artifact.fingerprint,
                created=artifact.created,
                size_bytes=artifact.size_bytes,
                labels=artifact.labels,
            )
        )

    def raise_for_leftovers(self) -> None:
        """LeftoverError when something could not be removed. Only to be asked when nothing else failed."""
        if self._leftovers:
            raise LeftoverError(
                f"the image is there, but {_things(len(self._leftovers))} could not be removed",
                details=[
                    (failed.what, f"{failed.error}\nremove it with: {failed.remove_hint}") for failed in self._leftovers
                ],
            )

    def end(self) -> None:
        self._finish(exit_code=0)

    def fail(self, error: BaseException) -> None:
        """The end of a bake that failed: `error` is what it failed with."""
        match error:
            case BakeError():
                self._finish(error.exit_code, error.summary, error.details, error.hint or "")
            case Interrupted():
                self._finish(error.exit_code, str(error))
            case _:
                self._finish(1, f"{type(error).__name__}: {error}")

    def _finish(
        self, exit_code: int, summary: str = "", details: tuple[tuple[str, str], ...] = (), hint: str = ""
    ) -> None:
        self.emit(
            BakeFinished(
                exit_code=exit_code,
                seconds=self._clock.monotonic() - self._started,
                image=self._image.id if self._image else None,
                summary=summary,
                details=details,
                hint=hint,
            )
        )


def _things(number: int) -> str:
    return "one thing" if number == 1 else f"{number} things"
