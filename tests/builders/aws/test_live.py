"""`make live-aws` itself, at EC2's double: that it works, and that it leaves nothing when what it tests does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.aws.fake import loop
from tests.builders.aws.fake.client import FakeAws
from tests.live_aws import CALLER, ON, TAG

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.xdist_group("aws-machines"),
    pytest.mark.skipif(not loop.available(), reason="this host has no loop devices, so the double has no data disks"),
]

ROOT = Path(__file__).parents[3]


def live(fake: FakeAws, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {**fake.environment, ON: "1", CALLER: fake.caller_address_url, **more}
    command = [sys.executable, "-m", "tests.live_aws"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_an_image_comes_and_goes(aws_with_machines: FakeAws) -> None:
    aws_with_machines.look_alikes()
    before = aws_with_machines.account()
    ended = live(aws_with_machines)
    assert ended.returncode == 0, ended.stderr
    aws_with_machines.assert_clean(before)
    launches = [it for it in aws_with_machines.calls("RunInstances") if it["status"] == 200]
    assert len(launches) == 2
    assert all(TAG in str(launch["parameters"]["TagSpecifications"]) for launch in launches)
    (shared,) = [it["parameters"]["LaunchPermission"] for it in _sharing(aws_with_machines)]
    assert shared["Add"] == [{"UserId": "123456789012"}]


def test_what_is_left_behind_is_removed_and_told(aws_with_machines: FakeAws) -> None:
    before = aws_with_machines.account()
    aws_with_machines.fault("DeleteKeyPair", error="UnauthorizedOperation", times=3)
    aws_with_machines.fault("CreateTags", error="UnauthorizedOperation", times=1)  # the image cannot be labelled
    ended = live(aws_with_machines)
    assert ended.returncode == 1, ended.stderr
    assert "error: `bake run` ended with exit code 4" in ended.stderr
    (left,) = [line for line in ended.stderr.splitlines() if line.startswith("error: left behind: ")]
    assert all(f"{kind} " in left for kind in ("ImageId", "KeyPairId", "SnapshotId"))
    assert left.endswith("; still there: nothing")
    aws_with_machines.assert_clean(before)


def test_it_asks_for_leave(aws_with_machines: FakeAws) -> None:
    ended = live(aws_with_machines, **{ON: ""})
    assert ended.returncode == 2
    assert f"{ON}=1" in ended.stdout
    assert aws_with_machines.calls() == []


def _sharing(fake: FakeAws) -> list[dict[str, object]]:
    return [it for it in fake.calls("ModifyImageAttribute") if "LaunchPermission" in it["parameters"]]
