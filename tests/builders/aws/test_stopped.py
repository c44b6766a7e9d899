"""The command `bake` is killed, or told to stop, after any of its calls of EC2: a sweep, or it itself, leaves nothing.

Where the double's instances run nothing, a bake gets as far as the connection, and waits there; with sandbox machines
it goes through all stages, and what it leaves at the most is a finished image.
"""

import json
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
CALLS_TO_CONNECT, CALLS_OF_A_BAKE = 40, 160
PATIENCE_SECONDS = 120.0

RECIPE = """
from baker import Recipe, Share
from baker.builders.aws.spec import Aws

machine = Aws(source="debian-12", instance_types=("t3.micro",), caller_service={service!r})
recipe = Recipe(name="reef", builders=(machine,), share=Share(regions=("us-east-1",)))
"""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Bakery:
    """Starts bakes one after the other, in an account full of other people's things.

    `has_machines` says whether they come further than to the connection.
    """

    def __init__(self, fake: FakeAws, folder: Path, *, has_machines: bool) -> None:
        self.fake = fake
        self.folder = folder
        self.has_machines = has_machines
        self.running: list[subprocess.Popen[str]] = []
        (folder / "reef.py").write_text(RECIPE.format(service=fake.caller_address_url))
        own = {"BAKER_HOME": str(folder / "home"), "HOME": str(folder)}
        self.environment = {**fake.environment, **own}
        fake.settings(hidden_calls={"instance": 0}, shutting_down={"polls": 0})
        fake.look_alikes()
        self.before = fake.account()

    def bake_until(self, calls: int) -> "subprocess.Popen[str]":
        """A bake that has made so many calls, or as many as it makes: until it waits for a machine, or is over."""
        began = len(self.fake.calls())
        process = subprocess.Popen(
            [BAKE, "reef.py"], env=self.environment, cwd=self.folder, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(self.folder / "told").open("w"),
        )  # fmt: skip
        self.running.append(process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while process.poll() != 0 and len(self.fake.calls()) - began < calls:
            told = (self.folder / "told").read_text()
            if not self.has_machines and "connect" in told:
                break
            assert process.poll() in (None, 0), told
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    def sweep(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [BAKE, "sweep", "--on", "aws", "--yes"],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def assert_nothing_is_left(self) -> None:
        assert_clean(self.fake, self.before, kept=self._finished())
        assert list((self.folder / "home" / "ledger").glob("*")) == []

    def _finished(self) -> list[str]:
        """The images that bakes have finished."""
        listed = subprocess.run(
            [BAKE, "images", "--on", "aws", "--location", "all", "--json"],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return [json.loads(line)["id"] for line in listed.splitlines()]

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


@pytest.fixture
def bakery(aws: FakeAws, tmp_path: Path) -> Iterator[Bakery]:
    bakery = Bakery(aws, tmp_path, has_machines=False)
    yield bakery
    bakery.end()


@pytest.fixture
def bakery_with_machines(aws_with_machines: FakeAws, tmp_path: Path) -> Iterator[Bakery]:
    bakery = Bakery(aws_with_machines, tmp_path, has_machines=True)
    yield bakery
    bakery.end()


def moments(times: int, bakery: Bakery) -> Iterator[int]:
    """After how many calls. The seed is printed: pytest shows it when a test fails."""
    seed = int(os.environ.get("BAKER_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"BAKER_TEST_SEED={seed}")
    chosen = random.Random(seed)
    for _ in range(times):
        moment = chosen.randrange(1, CALLS_OF_A_BAKE if bakery.has_machines else CALLS_TO_CONNECT)
        print(f"after {moment} calls")
        yield moment


def kill_and_sweep(bakery: Bakery, times: int) -> None:
    for moment in moments(times, bakery):
        process = bakery.bake_until(moment)
        process.kill()
        process.wait()
        swept = bakery.sweep()
        assert swept.returncode == 0, swept.stderr
        bakery.assert_nothing_is_left()


def stop(bakery: Bakery, times: int) -> None:
    for number, moment in enumerate(moments(times, bakery)):
        signum = SIGNALS[number % len(SIGNALS)]
        process = bakery.bake_until(moment)
        process.send_signal(signum)
        ended = process.wait(PATIENCE_SECONDS)
        assert ended in (128 + signum, -signum, *((0,) if bakery.has_machines else ())), (
            bakery.folder / "told"
        ).read_text()
        bakery.assert_nothing_is_left()


WAYS = pytest.mark.parametrize("end", [kill_and_sweep, stop])


@WAYS
def test_a_bake_that_ends_at_any_call_leaves_nothing(end: Callable[[Bakery, int], None], bakery: Bakery) -> None:
    end(bakery, TIMES)


@pytest.mark.sandbox
@pytest.mark.xdist_group("aws-machines")
@WAYS
def test_a_bake_that_ends_in_any_stage_leaves_nothing(
    end: Callable[[Bakery, int], None], bakery_with_machines: Bakery
) -> None:
    end(bakery_with_machines, TIMES)


@pytest.mark.soak
@WAYS
def test_many_ends(end: Callable[[Bakery, int], None], bakery: Bakery) -> None:
    end(bakery, TIMES_IN_SOAK)


@pytest.mark.soak
@pytest.mark.sandbox
@pytest.mark.xdist_group("aws-machines")
@WAYS
def test_many_ends_in_all_stages(end: Callable[[Bakery, int], None], bakery_with_machines: Bakery) -> None:
    end(bakery_with_machines, TIMES_IN_SOAK)
