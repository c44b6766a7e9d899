"""A tiny image of a real virtual machine: baked without a look at it, and verified by a host that did not bake it.

`test_ocean.py` has a bake that verifies its image itself.
"""

import json
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from baker.builders.qemu.builder import QemuBuilder
from baker.home import Home
from tests.end_to_end.conftest import BAKE, StartBake

pytestmark = pytest.mark.qemu

RECIPE = """
from baker import Disk, Recipe
from baker.builders.qemu.spec import Qemu
from baker.checks import mount_present
from provisioners import DiskMount, Shell


def data_is_whole(host):
    assert host.file("/data/catch").content_string == "the catch of the day\\n"


recipe = Recipe(
    name="tiny",
    builders=(Qemu(memory_mib=1024, cpus=1, disk_gib=4),),
    disks=(Disk(name="data", size_gib=1),),
    provisioners=(
        DiskMount(disk="data", path="/data"),
        Shell(command="echo 'the catch of the day' >/data/catch", sudo=True),
    ),
    checks=(mount_present("/data"), data_is_whole),
)
"""

LOOKS = {
    "a machine from the image comes up",
    "nobody gets in by the builder's login key",
    "the host keys are new",
    "the machine-id is new",
    "disk data is there with its data",
    "no setting names a mirror or a file of the bake",
    "nothing temporary is left of the bake",
    "/data is mounted",
    "data_is_whole",
    "it comes up after a restart",
    "disk data is there with its data after a restart",
    "the image stays as it is",
}


def test_an_image_is_verified_by_a_host_that_did_not_bake_it(start_bake: StartBake, home: Home, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.py"
    recipe.write_text(RECIPE)
    bake = start_bake(recipe, "--no-verify").finish()
    assert bake.exit_code == 0, bake.stderr[-6000:]
    assert ", not verified\n" in bake.stderr
    image = Path(bake.stdout.splitlines()[-1])
    (artifact,) = QemuBuilder(home=lambda: home).images()
    assert artifact.labels["disk-data"] == "/data ext4 filled"
    assert not artifact.verified
    assert list(home.images.iterdir()) == [image], "a link leads to an image that nobody has verified"

    elsewhere = tmp_path / "elsewhere" / "an image of somebody else"
    shutil.copytree(image, elsewhere)
    other = Home(tmp_path / "other home")
    again = _bake(other, "verify", str(elsewhere), "--recipe", str(recipe), "--run-dir", str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr[-6000:]
    assert again.stdout.splitlines()[-1] == str(elsewhere)
    assert _labels(elsewhere)["verified"] == QemuBuilder(home=lambda: home).digest(artifact)
    manifest = json.loads((tmp_path / "again" / "manifest.json").read_text())
    assert {check["name"] for check in manifest["checks"]} == LOOKS
    assert manifest["verified"]
    cases = ET.parse(tmp_path / "again" / "checks.xml").getroot().findall(".//testcase[@classname='tiny.verify']")
    assert {case.get("name") for case in cases} == LOOKS
    assert list(other.work.iterdir()) == []
    assert list(other.images.iterdir()) == [], "a link was made for an image that is elsewhere"


def _bake(home: Home, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"BAKER_HOME": str(home.path)}
    return subprocess.run([BAKE, *arguments], env=environment, capture_output=True, text=True, check=False)


def _labels(image: Path) -> dict[str, str]:
    labels: dict[str, str] = json.loads((image / "image.json").read_text())["labels"]
    return labels
