"""What a bake made, and of what: a fold over its records, as good from a log on disk as from the run itself.

Pure. Times are seconds since the epoch (UTC), durations are seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from baker.events import (
    ArtifactCaptured,
    ArtifactShared,
    ArtifactVerified,
    BakeFinished,
    BakeStarted,
    CheckFinished,
    CleanupFailed,
    FactRecorded,
    Notice,
    Record,
    ResourceAcquired,
    ResourceKept,
    ResourceReleased,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
    VerificationStarted,
)

FORMAT = 1
"""Raised when a key of the manifest changes its meaning or goes away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A stage. `ok` and `seconds` are None when it did not end."""

    name: str
    ok: bool | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEntry:
    """A step of the plan. `ok` is None when it was not reached or did not end."""

    number: int
    name: str
    fingerprint: str
    started_at: float | None = None
    ok: bool | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEntry:
    stage: str
    name: str
    outcome: str
    seconds: float
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceEntry:
    """Something that existed during the bake. It may still exist, unwanted, unless it was `released` or `kept`."""

    kind: str
    id: str
    location: str
    released: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended. `summary`, `details` and `hint` are the error's, where there was one."""

    exit_code: int
    seconds: float
    finished_at: float
    summary: str = ""
    details: tuple[tuple[str, str], ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All of a bake that is worth keeping. `outcome` is None while it runs, and for one that was killed.

    `facts` are grouped by the step or stage that found them. `leftovers` are undos that did not work, with the
    command that does each by hand. `digest` is the content of the image that was verified.
    """

    format: int = FORMAT
    run_id: str = ""
    recipe: str = ""
    builder: str = ""
    fingerprint: str = ""
    image_name: str = ""
    started_at: float | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[Timed, ...] = ()
    steps: tuple[StepEntry, ...] = ()
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    checks: tuple[CheckEntry, ...] = ()
    resources: tuple[ResourceEntry, ...] = ()
    leftovers: tuple[CleanupFailed, ...] = ()
    warnings: tuple[str, ...] = ()
    artifact: ArtifactCaptured | None = None
    verified: bool = False
    digest: str = ""
    shared: tuple[ArtifactShared, ...] = ()
    outcome: Outcome | None = None


EMPTY = Manifest()


def fold(records: Iterable[Record], manifest: Manifest = EMPTY) -> Manifest:
    """The manifest after `records`, from `manifest` on: folding in two parts gives what folding at once gives."""
    for record in records:
        manifest = _after(manifest, record)
    return manifest


def of_image(manifest: Manifest) -> Manifest:
    """What goes with the image wherever it goes: all but what tells of the baking host, its files and processes."""
    artifact = manifest.artifact and replace(manifest.artifact, id=manifest.artifact.name, location="")
    return replace(manifest, artifact=artifact, resources=(), leftovers=(), shared=())


def to_json(manifest: Manifest) -> dict[str, Any]:
    """Plain data for `json.dumps`."""
    return asdict(manifest)


def _after(manifest: Manifest, record: Record) -> Manifest:
    match record.event:
        case BakeStarted() as started:
            return _begun(started, record.at)
        case VerificationStarted() as started:
            return Manifest(
                run_id=started.run_id,
                recipe=started.recipe,
                builder=started.builder,
                fingerprint=started.fingerprint,
                image_name=started.image_name,
                started_at=record.at,
                versions=started.versions,
            )
        case StageStarted(stage=stage):
            return replace(manifest, stages=(*manifest.stages, Timed(name=stage)))
        case StageFinished(stage=stage, ok=ok, seconds=seconds):
            others = tuple(entry for entry in manifest.stages if entry != Timed(name=stage))
            return replace(manifest, stages=(*others, Timed(name=stage, ok=ok, seconds=seconds)))
        case StepStarted(number=number):
            return _with_step(manifest, number, started_at=record.at)
        case StepFinished(number=number, ok=ok, seconds=seconds):
            return _with_step(manifest, number, ok=ok, seconds=seconds)
        case CheckFinished() as check:
            stage = manifest.stages[-1].name if manifest.stages else ""
            return replace(manifest, checks=(*manifest.checks, CheckEntry(stage=stage, **asdict(check))))
        case FactRecorded(source=source, name=name, value=value):
            facts = {**manifest.facts, source: {**manifest.facts.get(source, {}), name: value}}
            return replace(manifest, facts=facts)
        case Notice(level="warning", text=text):
            return replace(manifest, warnings=(*manifest.warnings, text))
        case BakeFinished() as end:
            return replace(manifest, outcome=_outcome(end, record.at))
        case event:
            return _with_things(manifest, event)


def _with_things(manifest: Manifest, event: object) -> Manifest:
    """The part of the fold that is about what exists: resources and the image."""
    match event:
        case ResourceAcquired() as resource:
            entry = ResourceEntry(kind=resource.kind, id=resource.id, location=resource.location)
            return replace(manifest, resources=(*manifest.resources, entry))
        case ResourceReleased() as resource:
            return _with_resource(manifest, ResourceEntry(**asdict(resource)), released=True)
        case ResourceKept() as resource:
            return _with_resource(manifest, ResourceEntry(**asdict(resource)), kept=True)
        case CleanupFailed() as failed:
            return replace(manifest, leftovers=(*manifest.leftovers, failed))
        case ArtifactCaptured() as artifact:
            return replace(manifest, artifact=artifact)
        case ArtifactVerified(digest=digest):
            return replace(manifest, verified=True, digest=digest)
        case ArtifactShared() as shared:
            return replace(manifest, shared=(*manifest.shared, shared))
    return manifest


def _begun(started: BakeStarted, at: float) -> Manifest:
    return Manifest(
        run_id=started.run_id,
        recipe=started.recipe,
        builder=started.builder,
        fingerprint=started.fingerprint,
        image_name=started.image_name,
        started_at=at,
        parameters=started.parameters,
        versions=started.versions,
        steps=tuple(
            StepEntry(number=number, name=name, fingerprint=fingerprint)
            for number, (name, fingerprint) in enumerate(
                zip(started.steps, started.step_fingerprints, strict=True), start=1
            )
        ),
    )


def _with_resource(manifest: Manifest, held: ResourceEntry, **changes: Any) -> Manifest:
    resources = tuple(replace(it, **changes) if it == held else it for it in manifest.resources)
    return replace(manifest, resources=resources)


def _with_step(manifest: Manifest, number: int, **changes: Any) -> Manifest:
    steps = tuple(replace(step, **changes) if step.number == number else step for step in manifest.steps)
    return replace(manifest, steps=steps)


def _outcome(end: BakeFinished, at: float) -> Outcome:
    return Outcome(
        exit_code=end.exit_code,
        seconds=end.seconds,
        finished_at=at,
        summary=end.summary,
        details=end.details,
        hint=end.hint,
    )
