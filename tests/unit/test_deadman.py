"""The dead-man switch: what it is made of, and that arming it is harmless where it cannot be held.

That it ends a machine is seen on a virtual machine, in tests/builders/qemu/test_boot.py.
"""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from baker.clock import SystemClock
from baker.deadman import UNIT, arm, arming_script, cloud_config, make_transient, units
from baker.events import Event, Notice
from baker.provisioner import CommandResult
from baker.testing.sandbox import Sandbox
from tests.conftest import MakeRemote

EXPIRES = 1_790_000_000.7
"""2026-09-21 14:13:20 UTC"""


def test_the_instant_is_fixed_and_in_utc() -> None:
    timer = units(EXPIRES)[f"{UNIT}.timer"]
    assert "OnCalendar=2026-09-21 14:13:20 UTC\n" in timer
    assert "Persistent" not in timer, "a stamp of it would stay in the image"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name, text in units(EXPIRES).items():
        (tmp_path / name).write_text(text)
    command = ["systemd-analyze", "verify", *(tmp_path / name for name in units(EXPIRES))]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_cloud_init_arms_it_at_each_boot_before_anybody_can_log_in() -> None:
    (command,) = cloud_config(EXPIRES)["bootcmd"]
    assert command == ["/bin/sh", "-c", arming_script(EXPIRES)]


def test_nothing_that_hangs_or_fails_on_the_machine_disarms_it() -> None:
    for name, text in units(EXPIRES).items():
        assert "DefaultDependencies=no\n" in text, f"{name} would wait for a time server that may never answer"
        assert "IgnoreOnIsolate=yes\n" in text, f"{name} would be stopped by the emergency shell"


@dataclass
class Armed:
    """A machine on which the switch is armed, and whose clock is `ahead` seconds ahead of this host's."""

    ahead: float

    def run(self, command: list[str], **_options: object) -> CommandResult:
        assert "date +%s" in command[-1]
        return CommandResult(command="", exit_code=0, stdout=f"{int(time.time() + self.ahead)}\n", stderr="", seconds=0)


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (0, None),
        (-100, None),
        (100, None),
        (-7200, "120 min behind this host's: its dead-man switch would end it that much later"),
        (1800, "30 min ahead of this host's: its dead-man switch would end it that much earlier"),
    ],
)
def test_a_clock_that_is_wrong_is_told_of(ahead: float, said: str | None) -> None:
    told: list[Event] = []
    arm(Armed(ahead), EXPIRES, told.append, SystemClock())  # type: ignore[arg-type]
    assert [event.text for event in told if isinstance(event, Notice)] == (
        [f"the machine's clock is {said}"] if said else []
    )


@pytest.mark.sandbox
def test_a_machine_without_systemd_is_warned_of_and_can_be_sealed(sandbox: Sandbox, make_remote: MakeRemote) -> None:
    remote, told = make_remote(sandbox), list[Event]()
    arm(remote, EXPIRES, told.append, SystemClock())
    (notice,) = told
    assert isinstance(notice, Notice)
    assert notice.level == "warning"
    assert "it has no systemd" in notice.text
    assert remote.run("ls /etc/systemd/system/bake-deadman.timer", check=False).exit_code != 0
    make_transient(remote)
