"""What an image says of itself: enough to verify it by, short enough for every cloud, and nobody's to forge."""

from dataclasses import replace
from pathlib import Path

import pytest

from baker.artifact import Artifact
from baker.builders.qemu.spec import Qemu
from baker.checks import READY_MADE, imports, jupyter_runs, kernel_starts, mount_present, notebook_runs
from baker.keys import fingerprint_of, new_key_pair
from baker.labels import LONGEST_VALUE, agrees, disk_labels, labels_of, recorded, recorded_checks
from baker.plan import make_plan
from baker.ports import Address, RunInfo
from baker.recipe import Check, Disk, Recipe

EVERY_READY_MADE = (
    imports("xarray", "utm", prefix="/opt/conda/envs/ocean"),
    jupyter_runs("/opt/conda/envs/ocean", port=8888),
    kernel_starts("ocean", prefix="/opt/conda/envs/ocean"),
    mount_present("/data"),
    notebook_runs("/srv/notebooks/seasons.ipynb", prefix="/opt/conda/envs/ocean", timeout_seconds=60.0),
)

USER_KEY, HOST_KEY = new_key_pair("user"), new_key_pair("host")
BUILDER = Address(host="127.0.0.1", port=22, user="baker", key=USER_KEY, host_key=HOST_KEY.public)
FACTS = {"machine-id": "a" * 64, "disk data": "/data xfs filled", "disk spare": "", "os": "Debian"}


def of_the_recipe(_host: object) -> None:
    """A check that no label can hold."""


def labels(*checks: Check, facts: dict[str, str] = FACTS, tags: dict[str, str] | None = None) -> dict[str, str]:
    recipe = Recipe(
        name="reef", builders=(Qemu(),), disks=(Disk(name="data", size_gib=1),), checks=checks, tags=tags or {}
    )
    run = RunInfo(
        run_id="20260102t030405-abcd", recipe="reef", fingerprint="f", image_name="reef-1", owner="", started=0,
        expires=0, run_dir=Path(),
    )  # fmt: skip
    return labels_of(make_plan(recipe, Qemu()), run, BUILDER, facts)


def image(found: dict[str, str]) -> Artifact:
    return Artifact(
        builder="qemu", id="/reef-1", location="/", name="reef-1", fingerprint="f", created="", labels=found
    )


def test_an_image_says_what_it_can_be_compared_by() -> None:
    found = labels()
    assert found["recipe"] == "reef"
    assert found["run"] == "20260102t030405-abcd"
    assert found["verified"] == "no"
    assert found["user-key"] == fingerprint_of(USER_KEY.public)
    assert found["host-key"] == fingerprint_of(HOST_KEY.public)
    assert found["machine-id"] == "a" * 64
    assert disk_labels(image(found)) == {"data": "/data xfs filled", "spare": ""}
    assert "Debian" not in found.values()
    assert not [value for value in found.values() if USER_KEY.public.split()[1] in value]


def test_no_tag_of_a_recipe_can_say_that_its_image_is_verified() -> None:
    found = labels(tags={"verified": "abc", "recipe": "other", "user-key": "SHA256:x", "project": "waves"})
    assert found["verified"] == "no"
    assert found["recipe"] == "reef"
    assert found["user-key"] == fingerprint_of(USER_KEY.public)
    assert found["project"] == "waves"


def test_a_machine_that_did_not_say_has_no_label() -> None:
    assert "machine-id" not in labels(facts={})


@pytest.mark.parametrize("check", EVERY_READY_MADE, ids=lambda check: check.name)
def test_a_ready_made_check_can_be_made_again_from_its_label(check: Check) -> None:
    text = recorded(check)
    assert text is not None
    assert recorded_checks(image({"checks": "1", "check-1": text}), READY_MADE) == (check,)


def test_every_ready_made_check_is_tried() -> None:
    assert {type(check) for check in EVERY_READY_MADE} == set(READY_MADE)


def test_checks_come_back_in_their_order_and_others_are_counted() -> None:
    checks = tuple(mount_present(f"/data/{number}") for number in range(12))
    found = labels(of_the_recipe, *checks, "checks/ocean.py")
    assert found["checks"] == "14"
    assert recorded_checks(image(found), READY_MADE) == checks


@pytest.mark.parametrize("check", [of_the_recipe, "checks/ocean.py", Path("x.py"), type(EVERY_READY_MADE[0]), print])
def test_what_is_not_ready_made_is_not_written_down(check: Check) -> None:
    assert recorded(check) is None


def test_nothing_is_longer_than_a_cloud_takes() -> None:
    long = imports(*(f"module_{number}" for number in range(40)), prefix="/opt")
    found = labels(long, facts={**FACTS, "disk data": "/a xfs filled," * 40})
    assert max(map(len, found.values())) <= LONGEST_VALUE
    assert "check-1" not in found
    assert found["checks"] == "1"
    assert agrees("/a xfs filled," * 40, found["disk-data"])
    assert not agrees("/b xfs filled," * 40, found["disk-data"])


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "not json", '{"check":"System"}', '{"check":"Imports"}', '"MountPresent"',
     '{"check":"MountPresent","path":"/","x":1}', '{"check":["MountPresent"],"path":"/"}', '{"check":"MountPresent"'],
)  # fmt: skip
def test_a_label_that_is_no_check_is_passed_over(text: str) -> None:
    assert recorded_checks(image({"check-1": text, "check-x": "{}"}), READY_MADE) == ()


def test_a_disk_that_differs_by_one_word_does_not_agree() -> None:
    assert agrees("/data xfs filled", "/data xfs filled")
    assert not agrees("/data xfs empty", "/data xfs filled")
    assert not agrees("", "/data xfs filled")
    assert agrees("", "")


def test_a_label_no_is_not_verified() -> None:
    artifact = image({"verified": "no"})
    assert artifact.verified == ""
    assert replace(artifact, labels={"verified": "abc"}).verified == "abc"
    assert replace(artifact, labels={}).verified == ""
