"""`make live-azure` itself, at the fake: that it works, and that it leaves nothing when what it tests does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.aws.fake import loop
from tests.builders.azure.fake.client import FakeAzure
from tests.live_azure import CALLER, ON, PRINCIPAL, TAG

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.xdist_group("azure-machines"),
    pytest.mark.skipif(not loop.available(), reason="this host has no loop devices, so the fake has no data disks"),
]

ROOT = Path(__file__).parents[3]
SOMEBODY = "12345678-1234-4234-8234-123456789abc"


def live(fake: FakeAzure, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {**fake.environment, ON: "1", CALLER: fake.caller_address_url, PRINCIPAL: SOMEBODY, **more}
    command = [sys.executable, "-m", "tests.live_azure"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_an_image_comes_and_goes(azure_with_machines: FakeAzure) -> None:
    azure_with_machines.look_alikes()
    before = azure_with_machines.account()
    ended = live(azure_with_machines)
    assert ended.returncode == 0, ended.stderr
    azure_with_machines.assert_clean(before)
    machines = azure_with_machines.calls("PUT Microsoft.Compute/virtualMachines")
    assert len(machines) == 2
    assert all(TAG in machine["body"]["tags"] for machine in machines)
    (shared,) = azure_with_machines.calls("PUT Microsoft.Authorization/roleAssignments")
    assert shared["body"]["properties"]["principalId"] == SOMEBODY


def test_what_is_left_behind_is_removed_and_told(azure_with_machines: FakeAzure) -> None:
    before = azure_with_machines.account()
    forbidden = {"error": "AuthorizationFailed", "status": 403}
    azure_with_machines.fault("DELETE Microsoft.Resources/resourceGroups", name="bake-*", times=3, **forbidden)
    azure_with_machines.fault("PATCH Microsoft.Resources/tags", skip=2, times=9, **forbidden)  # no label any more
    ended = live(azure_with_machines)
    assert ended.returncode == 1, ended.stderr
    assert "error: `bake run` ended with exit code 4" in ended.stderr
    (left,) = [line for line in ended.stderr.splitlines() if line.startswith("error: left behind: ")]
    assert "/resourceGroups/bake-" in left
    assert "/versions/" in left
    assert left.endswith("; still there: nothing")
    azure_with_machines.assert_clean(before)


def test_it_asks_for_leave(azure_with_machines: FakeAzure) -> None:
    ended = live(azure_with_machines, **{ON: ""})
    assert ended.returncode == 2
    assert f"{ON}=1" in ended.stdout
    assert azure_with_machines.calls() == []
