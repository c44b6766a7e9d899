"""A whole bake in EC2's double with virtual machines behind it: what sandboxes cannot show.

cloud-init of a real system acts on the user data, systemd holds the dead-man switch, udev names the volumes, and the
image starts with both of its disks.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baker.builders.qemu.sources import cache
from baker.builders.qemu.spec import Qemu
from baker.builders.user_data import user_data
from baker.clock import SystemClock
from baker.home import Home
from baker.keys import new_key_pair
from baker.wait import wait_until
from tests.builders.aws.fake.client import FakeAws

pytestmark = [pytest.mark.qemu, pytest.mark.xdist_group("aws-virtual")]

BOOT_SECONDS = 1800

RECIPE = """
from baker import Disk, Recipe
from baker.builders.aws.spec import Aws
from baker.checks import mount_present
from provisioners import DiskMount, Shell


def data_is_whole(host):
    assert host.file("/data/catch").content_string == "the catch of the day\\n"


recipe = Recipe(
    name="tiny",
    builders=(
        Aws(
            source="debian-12", login_user="debian", root_gib=8, instance_types=("t3.micro",),
            caller_service="CALLER", boot_timeout_seconds=1800,
        ),
    ),
    disks=(Disk(name="data", size_gib=1),),
    provisioners=(
        DiskMount(disk="data", path="/data"),
        Shell(command="echo 'the catch of the day' >/data/catch", sudo=True),
    ),
    checks=(mount_present("/data"), data_is_whole),
)
"""


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeAws]:
    """With virtual machines on the source image that all tests share."""
    source = cache.prepare(Qemu().source, Home.from_environment(), refresh=False, emit=lambda _event: None)
    folder = tmp_path / "aws"
    folder.mkdir()
    with FakeAws.start(folder, machines="qemu", tree=source.path) as started:
        started.settings(hidden_calls={"instance": 0}, shutting_down={"polls": 0})
        yield started


def test_a_bake_of_virtual_machines_and_the_end_of_a_forgotten_one(fake: FakeAws, tmp_path: Path) -> None:
    before = fake.account()
    image = _bake(fake, tmp_path)
    checks = json.loads((tmp_path / "run" / "manifest.json").read_text())["checks"]
    seen = {check["name"] for check in checks if check["stage"] == "verify"}
    assert {"/data is mounted", "data_is_whole", "disk data is there with its data after a restart"} <= seen
    _switches_itself_off(fake, image)
    fake.assert_clean(before, kept=[image])


def _bake(fake: FakeAws, tmp_path: Path) -> str:
    recipe = tmp_path / "tiny.py"
    recipe.write_text(RECIPE.replace("CALLER", fake.caller_address_url))
    ended = subprocess.run(
        [Path(sys.executable).with_name("bake"), recipe, "--on", "aws", "--run-dir", tmp_path / "run"],
        env={**fake.environment, "BAKER_HOME": str(tmp_path / "home")},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-6000:]
    assert "would not switch itself off" not in ended.stderr
    return ended.stdout.splitlines()[-1]


def _switches_itself_off(fake: FakeAws, image: str) -> None:
    """A machine from the image, whose instant passes while it starts: a poweroff from inside, which terminates it."""
    ec2 = fake.client()
    told = user_data(new_key_pair("host"), host_name="forgotten", expires=time.time() + 20)
    (launched,) = ec2.run_instances(
        ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=told,
        InstanceInitiatedShutdownBehavior="terminate",
    )["Instances"]  # fmt: skip

    def ended() -> str | None:
        (reservation,) = ec2.describe_instances(InstanceIds=[launched["InstanceId"]])["Reservations"]
        (instance,) = reservation["Instances"]
        return str(instance["StateReason"]["Code"]) if instance["State"]["Name"] == "terminated" else None

    reason = wait_until(ended, timeout=BOOT_SECONDS, clock=SystemClock(), longest=2.0)
    said = ec2.get_console_output(InstanceId=launched["InstanceId"], Latest=True).get("Output", "")
    assert reason == "Client.InstanceInitiatedShutdown", str(said)[-3000:]
