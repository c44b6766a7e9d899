"""Names and tags: what is written is read back, and nothing that is not ours is taken for ours."""

from dataclasses import replace
from pathlib import Path

from baker.artifact import Artifact
from baker.builders import tags
from baker.checks import READY_MADE, imports
from baker.labels import recorded, recorded_checks
from baker.ports import RunInfo

RUN = RunInfo(
    run_id="20260102t030405-1a2b",
    recipe="waves",
    fingerprint="0" * 64,
    image_name="waves-20260102t030405-00000000",
    owner="ada@tides <ada>",
    started=1767323045.0,
    expires=1767339245.0,
    run_dir=Path("/nowhere"),
)


def test_a_run_is_read_back_from_its_tags_and_its_names() -> None:
    written = tags.run_tags(RUN, "bake")
    assert tags.run_of(written) == RUN.run_id
    assert tags.expiry(written) == RUN.expires
    assert {tags.run_of_name(tags.resource_name(RUN, role)) for role in ("bake", "image")} == {RUN.run_id}


def test_a_value_is_kept_as_far_as_every_cloud_takes_it() -> None:
    run = replace(RUN, owner="ada@tides\n<ada>")
    assert tags.run_tags(run, "bake")[tags.OWNER] == "ada@tides_<ada>"
    assert len(tags.label_tags({"packages": "x" * 1000})["bake:packages"]) == 256


def test_a_check_that_is_written_on_an_image_can_be_made_from_its_tags() -> None:
    check = imports("utm", prefix="/opt/waves")
    labels = tags.labels_of(tags.label_tags({"check-1": recorded(check) or ""}))
    image = Artifact(
        builder="aws", id="ami-1", location="here", name="waves", fingerprint="0", created=0.0, labels=labels
    )
    assert recorded_checks(image, READY_MADE) == (check,)


def test_labels_are_read_back_and_other_peoples_tags_are_not_labels() -> None:
    assert tags.labels_of({**tags.label_tags({"verified": "abc"}), "team": "ocean"}) == {"verified": "abc"}


def test_what_is_not_ours_is_nobodys() -> None:
    assert tags.run_of({tags.RUN: "yesterday"}) is None
    assert tags.expiry({tags.EXPIRES: "soon"}) is None
    assert tags.run_of_name("bake-bread") is None
