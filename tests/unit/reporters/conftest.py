"""A short bake as records, and a clock that stands still."""

from collections.abc import Iterable

import pytest

from baker.events import (
    ArtifactCaptured,
    ArtifactVerified,
    BakeFinished,
    BakeStarted,
    CheckFinished,
    CleanupFailed,
    Event,
    FactRecorded,
    Notice,
    OutputLine,
    Progress,
    Record,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
)


class StillClock:
    """Time that moves only when it is told to."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


STORY: tuple[Event, ...] = (
    BakeStarted(
        run_id="20260101t000000-abcd",
        recipe="ocean",
        builder="qemu",
        fingerprint="f" * 64,
        image_name="ocean-20260101t000000-ffffffff",
        run_dir="/runs/x",
        steps=("system packages git, xfsprogs", "conda environment ocean"),
        step_fingerprints=("1" * 64, "2" * 64),
    ),
    StageStarted(stage="launch"),
    Notice(level="info", text="source image of bookworm is 2 days old"),
    Notice(level="warning", text="no KVM: software emulation\nis 10-30 times slower"),
    StageFinished(stage="launch", ok=True, seconds=41.25),
    StageStarted(stage="provision"),
    StepStarted(number=1, name="system packages git, xfsprogs"),
    OutputLine(stream="note", text="waiting for the package lock"),
    OutputLine(stream="stdout", text="Get:1 \x1b[32mhttp://deb\x1b[0m bookworm"),
    OutputLine(stream="stderr", text="10 %\r50 %\r100 %\r"),
    OutputLine(stream="stdout", text=""),
    StepFinished(number=1, name="system packages git, xfsprogs", ok=True, seconds=12.0),
    StepStarted(number=2, name="conda environment ocean"),
    Progress(what="downloading", done=120 << 20, total=266 << 20, unit="bytes"),
    StepFinished(number=2, name="conda environment ocean", ok=True, seconds=193.4),
    StageFinished(stage="provision", ok=True, seconds=205.6),
    StageStarted(stage="check"),
    CheckFinished(name="mount present /data", outcome="passed", seconds=0.2),
    CheckFinished(name="kernel starts", outcome="failed", seconds=12.0, message="expected: 2\nseen: nothing"),
    StageFinished(stage="check", ok=False, seconds=12.3),
    CleanupFailed(what="vm 17", error="it does not answer", remove_hint="kill 17"),
)
GOOD_END: tuple[Event, ...] = (
    ArtifactCaptured(
        builder="qemu", id="/images/ocean", location="local", name="ocean-20260101t000000-ffffffff",
        fingerprint="f" * 64, created="2026-01-01T00:00:00Z", size_bytes=851443712, labels={},
    ),
    ArtifactVerified(id="/images/ocean"),
    FactRecorded(source="capture", name="next command", value="qemu-system-x86_64 /images/ocean/root.qcow2"),
    BakeFinished(exit_code=0, seconds=4000.0, image="/images/ocean"),
)  # fmt: skip
BAD_END: tuple[Event, ...] = (
    BakeFinished(
        exit_code=7,
        seconds=260.0,
        summary="1 of 2 checks failed",
        details=(("kernel starts", "expected: 2\nseen: nothing"), ("machine", "vm 17")),
        hint="nothing was captured",
    ),
)


def records(events: Iterable[Event]) -> tuple[Record, ...]:
    return tuple(Record(seq=number, at=1_000_000.0 + number, event=event) for number, event in enumerate(events))


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def good_bake() -> tuple[Record, ...]:
    return records((*STORY, *GOOD_END))


@pytest.fixture
def bad_bake() -> tuple[Record, ...]:
    return records((*STORY, *BAD_END))
