"""`bake` is killed by SIGKILL at random moments on a real virtual machine; after `bake sweep --yes`, nothing is left.

`tests/faults/test_stopped.py` does it many times without a guest, where every moment of a bake can be hit; here are the
moments that only a guest has.
"""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from baker.events import Event, OutputLine, StageStarted
from baker.home import Home
from tests.end_to_end.conftest import BAKE, StartBake, WriteTiny, machines_of

pytestmark = pytest.mark.qemu

KILLS_IN_SOAK = 20

STEP = 'Shell(command="echo begun; for i in $(seq 100); do echo $i; sleep 0.2; done"),'


def launching(event: Event) -> bool:
    return event == StageStarted(stage="launch")


def booting(event: Event) -> bool:
    return event == StageStarted(stage="connect")


def provisioning(event: Event) -> bool:
    return isinstance(event, OutputLine) and event.text == "begun"


MOMENTS: tuple[tuple[Callable[[Event], bool], float], ...] = ((launching, 2.0), (booting, 25.0), (provisioning, 4.0))
"""From which event on, and within how many seconds after it, the kill comes."""


@pytest.fixture
def chosen() -> random.Random:
    """Random moments. The seed is printed: pytest shows it when a test fails."""
    seed = int(os.environ.get("BAKER_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"BAKER_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def sweep(home: Home) -> Callable[[], str]:
    """Sweeps, and looks whether anything is left; what the sweep said."""

    def sweep() -> str:
        swept = subprocess.run(
            [BAKE, "sweep", "--yes"],
            capture_output=True, text=True, check=False, env=os.environ | {"BAKER_HOME": str(home.path)},
        )  # fmt: skip
        assert swept.returncode == 0, swept.stderr
        assert list(_left(home)) == []
        return swept.stdout

    return sweep


def _left(home: Home) -> Iterator[str]:
    yield from (f"process {pid}" for pid in machines_of(home))
    for folder in (home.work, home.ledger):
        yield from map(str, folder.iterdir())
    yield from (str(path) for path in home.images.iterdir() if path.name.startswith("."))


@pytest.mark.parametrize(("begin", "seconds"), MOMENTS, ids=[begin.__name__ for begin, _ in MOMENTS])
def test_a_bake_that_is_killed_leaves_nothing_after_a_sweep(
    begin: Callable[[Event], bool], seconds: float,
    start_bake: StartBake, tiny: WriteTiny, home: Home, sweep: Callable[[], str], chosen: random.Random,
) -> None:  # fmt: skip
    bake = start_bake(tiny(STEP))
    bake.wait_for(begin)
    moment = chosen.uniform(0, seconds)
    print(f"killed {moment:.2f} s after {begin.__name__} began")
    time.sleep(moment)
    bake.process.kill()
    bake.process.wait()
    said = sweep()
    if begin is not launching:  # when it is early in that stage there is nothing yet
        assert "removed  qemu work folder " in said
    assert sweep() == "nothing is left of dead runs\n"


@pytest.mark.soak
def test_kills_at_any_moment_of_whole_bakes(
    start_bake: StartBake, tiny: WriteTiny, home: Home, sweep: Callable[[], str], chosen: random.Random
) -> None:
    recipe = tiny('Shell(command="echo begun; sleep 2"),')
    began = time.monotonic()
    assert start_bake(recipe).finish().exit_code == 0
    duration = time.monotonic() - began
    print(f"a whole bake takes {duration:.1f} s")
    for number in range(KILLS_IN_SOAK):
        bake = start_bake(recipe)
        moment = chosen.uniform(0, duration)
        time.sleep(moment)
        bake.process.kill()
        bake.process.wait()
        print(f"kill {number + 1} after {moment:.2f} s: {sweep()!r}")
