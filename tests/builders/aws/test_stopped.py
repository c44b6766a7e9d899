"""The command `bake` is killed, or told to stop, after any of its calls of EC2: a sweep, or it itself, leaves nothing.

The instances of this double run nothing, so a bake gets as far as the connection, and waits there.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders.aws.fake.client import FakeAws
from tests.builders.aws.test_builder import assert_clean

BAKE = Path(sys.executable).with_name("bake")

TIMES, TIMES_IN_SOAK = 5, 30
PATIENCE_SECONDS = 120.0

RECIPE = """
from baker import Recipe
from baker.builders.aws.spec import Aws

machine = Aws(source="debian-12", instance_types=("t3.micro",), caller_service={service!r})
recipe = Recipe(name="reef", builders=(machine,))
"""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Bakery:
    """Starts bakes one after the other, in an account full of other people's things."""

    def __init__(self, fake: FakeAws, folder: Path) -> None:
        self.fake = fake
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []
        (folder / "reef.py").write_text(RECIPE.format(service=fake.caller_address_url))
        own = {"BAKER_HOME": str(folder / "home"), "HOME": str(folder)}
        self.environment = {**fake.environment, **own}
        fake.settings(hidden_calls={"instance": 0}, shutting_down={"polls": 0})
        fake.look_alikes()
        self.before = fake.account()

    def bake_until(self, calls: int) -> "subprocess.Popen[str]":
        """A bake that has made so many calls, or as many as it makes until it waits for the machine to answer."""
        began = len(self.fake.calls())
        process = subprocess.Popen(
            [BAKE, "reef.py"], env=self.environment, cwd=self.folder, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(self.folder / "told").open("w"),
        )  # fmt: skip
        self.running.append(process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.fake.calls()) - began < calls and "connect" not in (self.folder / "told").read_text():
            assert process.poll() is None, (self.folder / "told").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    def sweep(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [BAKE, "sweep", "--on", "aws", "--yes"],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def assert_nothing_is_left(self) -> None:
        assert_clean(self.fake, self.before)
        assert list((self.folder / "home" / "ledger").glob("*")) == []


@pytest.fixture
def bakery(aws: FakeAws, tmp_path: Path) -> Iterator[Bakery]:
    bakery = Bakery(aws, tmp_path)
    yield bakery
    for process in bakery.running:
        process.kill()
        process.wait()


def moments(times: int) -> Iterator[int]:
    """After how many calls. The seed is printed: pytest shows it when a test fails."""
    seed = int(os.environ.get("BAKER_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"BAKER_TEST_SEED={seed}")
    chosen = random.Random(seed)
    for _ in range(times):
        moment = chosen.randrange(1, 40)
        print(f"after {moment} calls")
        yield moment


def kill_and_sweep(bakery: Bakery, times: int) -> None:
    for moment in moments(times):
        process = bakery.bake_until(moment)
        process.kill()
        process.wait()
        swept = bakery.sweep()
        assert swept.returncode == 0, swept.stderr
        bakery.assert_nothing_is_left()


def stop(bakery: Bakery, times: int) -> None:
    for number, moment in enumerate(moments(times)):
        signum = SIGNALS[number % len(SIGNALS)]
        process = bakery.bake_until(moment)
        process.send_signal(signum)
        assert process.wait(PATIENCE_SECONDS) in (128 + signum, -signum), (bakery.folder / "told").read_text()
        bakery.assert_nothing_is_left()


WAYS = pytest.mark.parametrize("end", [kill_and_sweep, stop])


@WAYS
def test_a_bake_that_ends_at_any_call_leaves_nothing(end: Callable[[Bakery, int], None], bakery: Bakery) -> None:
    end(bakery, TIMES)


@pytest.mark.soak
@WAYS
def test_many_ends(end: Callable[[Bakery, int], None], bakery: Bakery) -> None:
    end(bakery, TIMES_IN_SOAK)
