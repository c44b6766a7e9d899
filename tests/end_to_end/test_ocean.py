"""The main job: recipes/ocean.py becomes an image of a real virtual machine, and the image works."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from baker.deadman import DESCRIPTION
from baker.events import BakeStarted, ResourceAcquired, ResourceKept, ResourceReleased, StageFinished
from baker.home import Home
from tests.end_to_end.conftest import ROOT, Finished, StartBake
from tests.end_to_end.disks import found_on_disk

pytestmark = [pytest.mark.qemu, pytest.mark.lab, pytest.mark.xdist_group("ocean")]

STAGES_OF_A_BAKE = [
    "preflight", "launch", "connect", "provision", "check", "seal", "finalize", "capture", "terminate", "verify",
]  # fmt: skip


def test_the_ocean_recipe_becomes_an_image_that_works(start_bake: StartBake, home: Home, tmp_path: Path) -> None:
    lab = (sys.executable, "-m", "lab", "run", "--")
    bake = start_bake(ROOT / "recipes" / "ocean.py", prefix=lab, cwd=ROOT).finish(timeout=5000)
    assert bake.exit_code == 0, bake.stderr[-6000:]

    image = Path(bake.stdout.splitlines()[-1])
    _every_stage_went_well(bake)
    _nothing_is_left_but_the_image(bake, home, image)
    _the_reports_agree(bake, image)
    _the_disks_are_sound(image)
    _no_trace_of_the_bake_is_on_them(bake, image, tmp_path)
    _a_second_machine_was_seen_to_work(bake, image)


def _every_stage_went_well(bake: Finished) -> None:
    finished = bake.events(StageFinished)
    assert [event.stage for event in finished] == STAGES_OF_A_BAKE
    assert all(event.ok for event in finished)


def _nothing_is_left_but_the_image(bake: Finished, home: Home, image: Path) -> None:
    acquired = {(event.kind, event.id) for event in bake.events(ResourceAcquired)}
    assert acquired
    let_go = (*bake.events(ResourceReleased), *bake.events(ResourceKept))
    assert acquired == {(event.kind, event.id) for event in let_go}
    assert list(home.work.iterdir()) == []
    assert sorted(home.images.iterdir()) == [home.images / "ocean", image]
    assert (home.images / "ocean").resolve() == image
    assert "\x1b" not in bake.stderr, "a colour code was written to a pipe"


def _the_reports_agree(bake: Finished, image: Path) -> None:
    manifest = json.loads((bake.run_dir / "manifest.json").read_text())
    assert manifest["artifact"]["id"] == str(image)
    cases = ET.parse(bake.run_dir / "checks.xml").getroot().findall(".//testcase")
    assert len(cases) >= 5
    assert not [case for case in cases if len(case)], "a check did not pass"
    assert (bake.run_dir / "serial.log").stat().st_size > 0
    assert (bake.run_dir / "console.log").stat().st_size > 0


def _the_disks_are_sound(image: Path) -> None:
    description = json.loads((image / "image.json").read_text())
    assert [disk["name"] for disk in description["disks"]] == ["root", "data"]
    for disk in description["disks"]:
        subprocess.run(["qemu-img", "check", image / disk["file"]], check=True, capture_output=True)


def _no_trace_of_the_bake_is_on_them(bake: Finished, image: Path, tmp_path: Path) -> None:
    """What its keys are called, the mirrors' address, which is the baking host's, and its switch.

    Not its id alone: names of files that are gone may stand in the journal of the file system.
    """
    (started,) = bake.events(BakeStarted)
    traces, there = (f"{started.run_id} login", "10.0.2.2", DESCRIPTION), "conda.anaconda.org"
    found = found_on_disk(image / "root.qcow2", (*traces, there), tmp_path)
    assert found, "what is there is not found, so nothing is proved"
    assert [place for place in found if not place.startswith(there)] == []
    assert found_on_disk(image / "data.qcow2", traces, tmp_path) == []


def _a_second_machine_was_seen_to_work(bake: Finished, image: Path) -> None:
    """Every check of the recipe, JupyterLab and the data among them, and its disk before and after a restart."""
    checks = json.loads((bake.run_dir / "manifest.json").read_text())["checks"]
    builders = [check["name"] for check in checks if check["stage"] == "check"]
    second = [check["name"] for check in checks if check["stage"] == "verify"]
    assert len(builders) >= 6
    assert set(builders) < set(second)
    assert {f"disk data is there with its data{when}" for when in ("", " after a restart")} < set(second)
    labels = json.loads((image / "image.json").read_text())["labels"]
    assert labels["disk-data"] == "/data xfs filled"
    assert labels["verified"] not in ("", "no")
    assert (bake.run_dir / "serial-image.log").stat().st_size > 0
