"""Everything that happens in a bake, as data. One stream; every reporter is a fold over it.

`Record` gives an event its place and time. `to_json` and `from_json` are each other's inverse, so a log on disk
is as good as the run itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

STAGES = (
    "plan",
    "preflight",
    "launch",
    "connect",
    "provision",
    "check",
    "seal",
    "finalize",
    "capture",
    "pause",
    "terminate",
    "verify",
    "share",
)
"""The stages in their order; each is the `stage` of a StageStarted. Only a bake that failed may pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeStarted:
    """`steps` are the names of the plan's steps, in order; `versions` those of the baker and of Python."""

    run_id: str
    recipe: str
    builder: str
    fingerprint: str
    image_name: str
    run_dir: str
    steps: tuple[str, ...]
    step_fingerprints: tuple[str, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationStarted:
    """An image that is there is verified; in place of BakeStarted. `builder` is a kind."""

    run_id: str
    recipe: str
    builder: str
    fingerprint: str
    image: str
    image_name: str
    run_dir: str
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted:
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinished:
    stage: str
    ok: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """`number` counts from 1."""

    number: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    number: int
    name: str
    ok: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLine:
    """A line that a command printed on the machine (`stdout`, `stderr`), or that the baker says about it (`note`)."""

    stream: Literal["stdout", "stderr", "note"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a person should know."""

    level: Literal["info", "warning"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far long work is; `total` is None while unknown."""

    what: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFinished:
    """`message` says what was expected and what was seen, when the check did not pass."""

    name: str
    outcome: Literal["passed", "failed", "error", "skipped"]
    seconds: float
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactRecorded:
    """A fact for the manifest: `source` is the step or stage that found it."""

    source: str
    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceAcquired:
    """Something now exists that must be gone at the end (or is about to: the undo is registered before the do).

    `id` is the name or tag to find it by, known before it is made. `remove_hint` is a command that removes it.
    """

    kind: str
    id: str
    location: str
    remove_hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReleased:
    kind: str
    id: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceKept:
    """What was acquired is what the bake was for: it is an image now, or part of one, and stays."""

    kind: str
    id: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupFailed:
    """An undo that did not work after all its retries. `remove_hint` is a command that does it by hand."""

    what: str
    error: str
    remove_hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactCaptured:
    builder: str
    id: str
    location: str
    name: str
    fingerprint: str
    created: str
    size_bytes: int | None
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactVerified:
    """A machine started from the image was what it should be. `digest` is the content that this was seen of."""

    id: str
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactShared:
    id: str
    target: str
    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeFinished:
    """The end. `summary` and `hint` are the error's, empty when there was none; `image` is the artifact's id."""

    exit_code: int
    seconds: float
    image: str | None = None
    summary: str = ""
    details: tuple[tuple[str, str], ...] = ()
    hint: str = ""


Event = (
    BakeStarted
    | VerificationStarted
    | StageStarted
    | StageFinished
    | StepStarted
    | StepFinished
    | OutputLine
    | Notice
    | Progress
    | CheckFinished
    | FactRecorded
    | ResourceAcquired
    | ResourceReleased
    | ResourceKept
    | CleanupFailed
    | ArtifactCaptured
    | ArtifactVerified
    | ArtifactShared
    | BakeFinished
)

Emit = Callable[[Event], None]

EVENT_TYPES: Mapping[str, type[Event]] = {cls.__name__: cls for cls in Event.__args__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An event with its number (from 0, without gaps) and its time (seconds since the epoch, UTC)."""

    seq: int
    at: float
    event: Event


Sink = Callable[[Record], None]


def to_json(record: Record) -> dict[str, Any]:
    """One flat object: `seq`, `at`, `event` (its class name) and the event's fields."""
    return {"seq": record.seq, "at": record.at, "event": type(record.event).__name__, **asdict(record.event)}


def from_json(data: Mapping[str, Any]) -> Record:
    """The record that `to_json` wrote. KeyError or TypeError for anything else."""
    cls = EVENT_TYPES[data["event"]]
    values = {field.name: _as_tuples(data[field.name]) for field in fields(cls) if field.name in data}
    return Record(seq=data["seq"], at=data["at"], event=cls(**values))


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list) else value
