"""The main job: recipes/ocean.py becomes an image of a real virtual machine, and the image works."""

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from baker.builders.qemu.builder import QemuBuilder
from baker.events import ResourceAcquired, ResourceReleased, StageFinished
from baker.home import Home
from baker.ports import RunInfo
from baker.remote import MachineRemote
from tests.end_to_end.conftest import ROOT, Finished, StartBake

pytestmark = [pytest.mark.qemu, pytest.mark.lab, pytest.mark.xdist_group("ocean")]

STAGES_OF_A_BAKE = [
    "preflight", "launch", "connect", "provision", "check", "seal", "finalize", "capture", "terminate",
]  # fmt: skip


def test_the_ocean_recipe_becomes_an_image_that_works(
    start_bake: StartBake, home: Home, tmp_path: Path, make_remote: Callable[..., MachineRemote]
) -> None:
    lab = (sys.executable, "-m", "lab", "run", "--")
    bake = start_bake(ROOT / "recipes" / "ocean.py", prefix=lab, cwd=ROOT).finish(timeout=3000)
    assert bake.exit_code == 0, bake.stderr[-6000:]

    image = Path(bake.stdout.splitlines()[-1])
    _every_stage_went_well(bake)
    _nothing_is_left_but_the_image(bake, home, image)
    _the_reports_agree(bake, image)
    _the_disks_are_sound(image)
    _it_boots_again_with_its_data(image, home, tmp_path, make_remote, bake)


def _every_stage_went_well(bake: Finished) -> None:
    finished = bake.events(StageFinished)
    assert [event.stage for event in finished] == STAGES_OF_A_BAKE
    assert all(event.ok for event in finished)


def _nothing_is_left_but_the_image(bake: Finished, home: Home, image: Path) -> None:
    acquired = {(event.kind, event.id) for event in bake.events(ResourceAcquired)}
    assert acquired
    assert acquired == {(event.kind, event.id) for event in bake.events(ResourceReleased)}
    assert list(home.work.iterdir()) == []
    assert list(home.images.iterdir()) == [image]
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


def _it_boots_again_with_its_data(
    image: Path, home: Home, tmp_path: Path, make_remote: Callable[..., MachineRemote], bake: Finished
) -> None:
    builder = QemuBuilder(home=lambda: home)
    (artifact,) = builder.images()
    assert artifact.id == str(image)
    run = RunInfo(
        run_id="20260101t000000z-test",
        recipe="ocean",
        fingerprint=artifact.fingerprint,
        image_name="unused",
        owner="test",
        started=time.time(),
        expires=time.time() + 3600,
        run_dir=tmp_path,
    )
    with builder.launch_image(artifact, run, lambda _event: None) as machine:
        remote = make_remote(machine, timeout=900)
        assert remote.run("findmnt -no FSTYPE /data").stdout.strip() in ("ext4", "xfs")
        assert "OK" in remote.run("cd /data/ocean && sha256sum -c SHA256SUMS").stdout
        assert remote.run("ls /srv/notebooks").stdout.strip()
        run_id = bake.records[0].event.run_id  # type: ignore[union-attr]
        traces = "grep -rlsE '{}' /etc /home /root /opt /srv /data /var/lib; true"
        assert remote.run(traces.format(run_id), sudo=True).stdout == "", "a trace of the builder's keys is left"
        assert remote.run("getent passwd baker", check=False).exit_code != 0, "the build account is left"
        assert remote.run("grep -rls 10.0.2.2 /etc /root; true", sudo=True).stdout == "", "a mirror's address is left"
