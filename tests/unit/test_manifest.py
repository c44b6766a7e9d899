"""The manifest as a fold over records."""

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from baker.events import (
    ArtifactCaptured,
    BakeFinished,
    BakeStarted,
    CheckFinished,
    CleanupFailed,
    Event,
    FactRecorded,
    Notice,
    OutputLine,
    Record,
    ResourceAcquired,
    ResourceKept,
    ResourceReleased,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
)
from baker.manifest import EMPTY, Outcome, ResourceEntry, StepEntry, Timed, fold, of_image, to_json

STARTED = BakeStarted(
    run_id="20260101t000000-abcd",
    recipe="ocean",
    builder="qemu",
    fingerprint="f" * 64,
    image_name="ocean-20260101t000000-ffffffff",
    run_dir="/runs/x",
    steps=("packages", "clone"),
    step_fingerprints=("1" * 64, "2" * 64),
    parameters={"size": "3"},
    versions={"python": "3.11"},
)
IMAGE = ArtifactCaptured(
    builder="qemu", id="/images/x", location="local", name="x", fingerprint="f" * 64, created="2026-01-01T00:00:00Z",
    size_bytes=7, labels={"recipe": "ocean"},
)  # fmt: skip
STORY: tuple[Event, ...] = (
    STARTED,
    StageStarted(stage="launch"),
    ResourceAcquired(kind="vm", id="1", location="here"),
    ResourceAcquired(kind="folder", id="2", location="here"),
    StageFinished(stage="launch", ok=True, seconds=2.0),
    StageStarted(stage="provision"),
    StepStarted(number=1, name="packages"),
    OutputLine(stream="stdout", text="noise"),
    FactRecorded(source="packages", name="git", value="2.39"),
    FactRecorded(source="packages", name="xfsprogs", value="6.1"),
    StepFinished(number=1, name="packages", ok=True, seconds=4.0),
    StepStarted(number=2, name="clone"),
    StageFinished(stage="provision", ok=False, seconds=5.0),
    StageStarted(stage="check"),
    CheckFinished(name="mount", outcome="failed", seconds=0.5, message="no"),
    Notice(level="info", text="not kept"),
    Notice(level="warning", text="slow"),
    ResourceReleased(kind="vm", id="1", location="here"),
    CleanupFailed(what="folder 2", error="busy", remove_hint="rm -r 2"),
    IMAGE,
    BakeFinished(exit_code=7, seconds=9.0, summary="a check failed", details=(("mount", "no"),), hint="look"),
)
RECORDS = tuple(Record(seq=number, at=100.0 + number, event=event) for number, event in enumerate(STORY))


def test_the_manifest_holds_the_story() -> None:
    manifest = fold(RECORDS)
    assert (manifest.run_id, manifest.recipe, manifest.parameters) == (STARTED.run_id, "ocean", {"size": "3"})
    assert manifest.started_at == 100.0
    assert manifest.stages == (
        Timed(name="launch", ok=True, seconds=2.0),
        Timed(name="provision", ok=False, seconds=5.0),
        Timed(name="check"),
    )
    assert manifest.steps == (
        StepEntry(number=1, name="packages", fingerprint="1" * 64, started_at=106.0, ok=True, seconds=4.0),
        StepEntry(number=2, name="clone", fingerprint="2" * 64, started_at=111.0),
    )
    assert manifest.facts == {"packages": {"git": "2.39", "xfsprogs": "6.1"}}
    assert [(check.stage, check.name, check.outcome) for check in manifest.checks] == [("check", "mount", "failed")]
    assert manifest.resources == (
        ResourceEntry(kind="vm", id="1", location="here", released=True),
        ResourceEntry(kind="folder", id="2", location="here"),
    )
    assert [it.remove_hint for it in manifest.leftovers] == ["rm -r 2"]
    assert manifest.warnings == ("slow",)
    assert manifest.artifact == IMAGE
    assert manifest.outcome == Outcome(
        exit_code=7, seconds=9.0, finished_at=120.0, summary="a check failed", details=(("mount", "no"),), hint="look"
    )


@given(st.integers(min_value=0, max_value=len(RECORDS)))
def test_folding_in_two_parts_is_folding_at_once(cut: int) -> None:
    assert fold(RECORDS[cut:], fold(RECORDS[:cut])) == fold(RECORDS)


def test_a_resource_made_again_is_held_again() -> None:
    again = (ResourceAcquired(kind="vm", id="1", location="x"), ResourceReleased(kind="vm", id="1", location="x")) * 2
    records = [Record(seq=number, at=0.0, event=event) for number, event in enumerate(again)]
    assert [it.released for it in fold(records[:3]).resources] == [True, False]
    assert [it.released for it in fold(records).resources] == [True, True]


def test_what_is_kept_is_an_image_now() -> None:
    events = (ResourceAcquired(kind="image", id="1", location="x"), ResourceKept(kind="image", id="1", location="x"))
    (entry,) = fold(Record(seq=number, at=0.0, event=event) for number, event in enumerate(events)).resources
    assert (entry.kept, entry.released) == (True, False)


def test_what_goes_with_the_image_says_nothing_of_the_baking_host() -> None:
    whole = fold(RECORDS)
    manifest = of_image(whole)
    assert manifest.artifact == replace(IMAGE, id=IMAGE.name, location="")
    assert (manifest.facts, manifest.checks, manifest.steps) == (whole.facts, whole.checks, whole.steps)
    text = json.dumps(to_json(manifest))
    assert "rm -r 2" in json.dumps(to_json(whole))
    assert [word for word in ("/images", "rm -r 2", '"here"') if word in text] == []
    assert of_image(EMPTY) == EMPTY


def test_it_is_json(tmp_path: Path) -> None:
    data = json.loads(json.dumps(to_json(fold(RECORDS))))
    assert data["format"] == 1
    assert data["artifact"]["id"] == "/images/x"
    assert data["outcome"]["exit_code"] == 7
    assert json.loads(json.dumps(to_json(EMPTY)))["outcome"] is None
