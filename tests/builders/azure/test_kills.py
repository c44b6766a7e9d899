"""A whole `bake --on azure` is stopped at random moments; after `bake sweep --on azure --yes` nothing is left.

By a signal that it hears it leaves nothing itself. What it was killed for, a sweep finds by the ledger or by its tags.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from baker.builders.azure.builder import AzureBuilder
from baker.clock import SystemClock
from tests.builders.azure.acts import furnish
from tests.builders.azure.fake.client import FakeAzure

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("azure-machines")]

BAKE = Path(sys.executable).with_name("bake")
STOPS, STOPS_IN_SOAK = 5, 30
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)

RECIPE = """
import os

from baker import Recipe
from baker.builders.azure.spec import Azure, Gallery
from provisioners import Files


def there(host):
    assert host.file("/srv/mark").exists


def recipe(group: str = ""):
    machine = Azure(
        source="Debian:debian-12:12-gen2:latest",
        login_user="builder",
        gallery=Gallery(group="images", name="reefs"),
        resource_group=group or None,
        caller_service=os.environ["REEF_CALLER_SERVICE"],
    )
    return Recipe(
        name="reef", builders=(machine,), provisioners=(Files(target="/srv/mark", content="here"),), checks=(there,)
    )
"""


@pytest.fixture
def chosen() -> random.Random:
    """Random moments. The seed is printed: pytest shows it when a test fails."""
    seed = int(os.environ.get("BAKER_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"BAKER_TEST_SEED={seed}")
    return random.Random(seed)


@dataclass(kw_only=True)
class Desk:
    """A folder with a recipe, and a shell whose environment leads to the double."""

    fake: FakeAzure
    folder: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin `bake WORDS`."""
        own = {
            "BAKER_HOME": str(self.folder / "home"),
            "HOME": str(self.folder),
            "REEF_CALLER_SERVICE": self.fake.caller_address_url,
        }
        return subprocess.Popen(
            [str(BAKE), *words], env={**self.fake.environment, **own}, cwd=self.folder, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *words: str) -> tuple[int, str]:
        """How it ended, and what it said."""
        with self.start(*words) as process:
            said, _ = process.communicate(timeout=600)
        return process.returncode, said

    def images(self) -> list[str]:
        """Those that bakes have finished."""
        return [it.id for it in AzureBuilder(clock=SystemClock()).images(None)]

    def swept(self) -> str:
        """After groups that are on their way have gone, and a sweep; what it said."""
        self.fake.finish()
        code, said = self.run("sweep", "--on", "azure", "--yes")
        assert code == 0, said
        self.fake.finish()
        return said


@pytest.fixture
def desk(azure_with_machines: FakeAzure, as_caller: Callable[[FakeAzure], None], tmp_path: Path) -> Desk:
    as_caller(azure_with_machines)
    furnish(azure_with_machines)
    azure_with_machines.look_alikes()
    (tmp_path / "reef.py").write_text(RECIPE)
    return Desk(fake=azure_with_machines, folder=tmp_path)


def stop_often(desk: Desk, chosen: random.Random, times: int) -> None:
    """Bakes, stopped one after the other, in a group of their own and in one of the user's."""
    before = desk.fake.account()
    began = time.monotonic()
    code, said = desk.run("reef.py", "--on", "azure")
    assert code == 0, said
    duration = time.monotonic() - began
    print(f"a whole bake takes {duration:.1f} s")
    kept = assert_nothing_but_images(desk, before)
    assert len(kept) == 1
    for number in range(times):
        signum, group = SIGNALS[number % len(SIGNALS)], ("", "mine")[number % 2]
        moment = chosen.uniform(0.3, duration)
        process = desk.start("reef.py", "--on", "azure", "--set", f"group={group}")
        time.sleep(moment)
        process.send_signal(signum)
        said, _ = process.communicate(timeout=300)
        print(f"{signum.name} after {moment:.2f} s in {group or 'a group of its own'}: {process.returncode}")
        if process.returncode == -signum:
            assert signum == signal.SIGKILL or "[" not in said, said  # before Python had got as far as to listen
        elif process.returncode != 0:
            assert process.returncode == 128 + signum, said
            desk.fake.finish()
            assert_nothing_but_images(desk, before)
        desk.swept()
        assert_nothing_but_images(desk, before)


def assert_nothing_but_images(desk: Desk, before: list[dict[str, Any]]) -> list[str]:
    """Of ours; and nothing of others was touched. The images."""
    desk.fake.finish()
    images = desk.images()
    desk.fake.assert_clean(before, kept=images)
    assert desk.fake.not_deprovisioned() == []
    return images


def test_a_bake_that_is_stopped_leaves_nothing_after_a_sweep(desk: Desk, chosen: random.Random) -> None:
    stop_often(desk, chosen, STOPS)


@pytest.mark.soak
def test_a_bake_that_is_stopped_often_leaves_nothing_after_a_sweep(desk: Desk, chosen: random.Random) -> None:
    stop_often(desk, chosen, STOPS_IN_SOAK)
