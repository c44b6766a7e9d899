"""A bake that fails or is stopped: the right exit code, words that help, the machine gone, nothing left."""

import os
import signal
import subprocess
import time
from hashlib import sha256
from pathlib import Path

import pytest

from baker.events import BakeFinished, Event, OutputLine, ResourceAcquired, ResourceReleased, StageStarted
from baker.home import Home
from tests.end_to_end.conftest import StartBake, machines_of

pytestmark = pytest.mark.qemu


def test_a_failing_step_says_what_failed_and_leaves_nothing(start_bake: StartBake, home: Home, tiny) -> None:
    recipe = tiny('Shell(command="echo the salt is missing >&2; exit 3", title="season"),')
    bake = start_bake(recipe).finish()
    assert bake.exit_code == 6
    assert "error: step 1 'season' failed" in bake.stderr
    assert "the salt is missing" in bake.stderr
    assert "Traceback" not in bake.stderr
    _nothing_is_left(bake.events(ResourceAcquired), bake.events(ResourceReleased), home)


def test_a_machine_that_never_boots_is_given_up_with_what_its_console_said(
    start_bake: StartBake, home: Home, tmp_path: Path
) -> None:
    (home.path / "sources").unlink()  # not among the sources that all tests share
    blank = tmp_path / "blank.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", blank, "64M"], check=True)
    recipe = tmp_path / "dead.py"
    recipe.write_text(
        "from baker import Recipe\n"
        "from baker.builders.qemu.spec import CloudImage, Qemu\n"
        f"source = CloudImage(url={blank.as_uri()!r}, sha256={sha256(blank.read_bytes()).hexdigest()!r})\n"
        "spec = Qemu(source=source, memory_mib=512, disk_gib=2, boot_timeout_seconds=40)\n"
        "recipe = Recipe(name='dead', builders=(spec,))\n"
    )
    bake = start_bake(recipe).finish(timeout=300)
    assert bake.exit_code == 4, bake.stderr
    assert "error: the machine never came up" in bake.stderr
    assert "BdsDxe" in bake.stderr, "the firmware's last words are missing"
    _nothing_is_left(bake.events(ResourceAcquired), bake.events(ResourceReleased), home)


@pytest.mark.parametrize(
    ("stage", "signum", "exit_code"),
    [
        ("launch", signal.SIGTERM, 143),
        ("connect", signal.SIGHUP, 129),
        pytest.param("provision", signal.SIGINT, 130, marks=pytest.mark.soak),  # a whole boot for one signal
    ],
)
def test_a_signal_ends_the_bake_and_the_machine(
    start_bake: StartBake, home: Home, tiny, stage: str, signum: signal.Signals, exit_code: int
) -> None:
    bake = start_bake(tiny('Shell(command="echo begun; sleep 900"),'))
    bake.wait_for(lambda event: _begun(event, stage))
    bake.process.send_signal(signum)
    ended = bake.finish(timeout=120)
    assert ended.exit_code == exit_code
    assert "Traceback" not in ended.stderr
    (finished,) = ended.events(BakeFinished)
    assert finished.exit_code == exit_code
    _nothing_is_left(ended.events(ResourceAcquired), ended.events(ResourceReleased), home)


def test_the_machine_dies_with_a_bake_that_is_killed(start_bake: StartBake, home: Home, tiny) -> None:
    bake = start_bake(tiny('Shell(command="sleep 900"),'))
    bake.wait_for(lambda event: isinstance(event, StageStarted) and event.stage == "connect")
    assert machines_of(home)
    bake.process.kill()
    bake.process.wait()
    deadline = time.monotonic() + 10
    while machines_of(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not machines_of(home)


def test_a_machine_that_dies_is_noticed_and_named(start_bake: StartBake, home: Home, tiny) -> None:
    bake = start_bake(tiny('Shell(command="sleep 900"),'))
    bake.wait_for(lambda event: isinstance(event, StageStarted) and event.stage == "connect")
    (pid,) = machines_of(home)
    os.kill(pid, signal.SIGKILL)
    ended = bake.finish(timeout=120)
    assert ended.exit_code == 4
    assert "the machine ended unexpectedly" in ended.stderr
    _nothing_is_left(ended.events(ResourceAcquired), ended.events(ResourceReleased), home)


def test_the_time_limit_ends_the_bake(start_bake: StartBake, home: Home, tiny) -> None:
    ended = start_bake(tiny('Shell(command="sleep 900"),'), "--timeout", "15s").finish(timeout=180)
    assert ended.exit_code == 11
    assert "time limit of 15s" in ended.stderr
    _nothing_is_left(ended.events(ResourceAcquired), ended.events(ResourceReleased), home)


def _begun(event: Event, stage: str) -> bool:
    if stage == "provision":
        return isinstance(event, OutputLine) and event.text == "begun"
    return isinstance(event, StageStarted) and event.stage == stage


def _nothing_is_left(acquired: list[ResourceAcquired], released: list[ResourceReleased], home: Home) -> None:
    assert {(event.kind, event.id) for event in acquired} == {(event.kind, event.id) for event in released}
    assert machines_of(home) == []
    assert list(home.work.iterdir()) == []
    assert list(home.ledger.iterdir()) == []
    assert list(home.images.iterdir()) == []
