"""A bake that is told to stop, or is killed, at any moment: the machine is gone, and after a sweep all else is, too.

On real QEMU processes without a guest, so that a whole bake takes a second or two and any moment of it can be hit.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest

from baker.builders.qemu import qemu_img
from baker.home import Home
from baker.testing.sandbox import Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.qemu]

ROOT = Path(__file__).parents[2]
BAKE = Path(sys.executable).with_name("bake")

PATIENCE_SECONDS = 10.0
"""What a CI system gives a job between SIGTERM and SIGKILL."""

KILLS, KILLS_IN_SOAK = 6, 60
STOPS, STOPS_IN_SOAK = 6, 40

Pids = Callable[[str], list[int]]


class Bakery:
    """Starts bakes in processes of their own, in one home, and looks at what they left."""

    def __init__(self, folder: Path, sandbox: Sandbox, processes_with: Pids) -> None:
        self.folder = folder
        self.home = Home(folder / "home")
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.address = json.dumps(asdict(sandbox.address))
        self.processes_with = processes_with
        self.number = 0
        self.running: list[subprocess.Popen[str]] = []
        qemu_img.create_disk(folder / "blank.qcow2", size_bytes=1 << 30)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"BAKER_HOME": str(self.home.path), "TMPDIR": str(self.temporary)}

    def start(self) -> "subprocess.Popen[str]":
        """A bake that has begun in this moment."""
        self.number += 1
        run_id = f"{os.getpid():08}t{self.number:06}-stop"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.guestless_bake", str(self.folder), run_id],
            cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.running.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(self.address)
        process.stdin.close()
        assert process.stdout.readline() == "begun\n"
        return process

    def duration(self) -> float:
        """Of a bake that nobody disturbs, in seconds."""
        process = self.start()
        began = time.monotonic()
        assert process.stdout is not None
        assert process.stdout.readline() == "over\n"
        seconds = time.monotonic() - began
        assert process.wait(60) == 0
        assert self.left() == []
        return seconds

    def sweep(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [BAKE, "sweep", "--yes"], env=self.environment, capture_output=True, text=True, check=False
        )

    def left(self) -> list[str]:
        """Processes, and files that are no image."""
        images = [path for path in self.home.images.iterdir() if path.name.startswith(".")]
        files = [*self.home.work.iterdir(), *self.home.ledger.iterdir(), *self.temporary.iterdir(), *images]
        return [*(f"process {pid}" for pid in self.machines()), *map(str, files)]

    def machines(self) -> list[int]:
        return self.processes_with(f"{self.home.path}/work")


@pytest.fixture
def bakery(tmp_path: Path, shared_sandbox: Sandbox, processes_with: Pids) -> Iterator[Bakery]:
    bakery = Bakery(tmp_path, shared_sandbox, processes_with)
    yield bakery
    for process in bakery.running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def moments(count: int, duration: float) -> Iterator[float]:
    """Random moments of a bake. The seed is printed: pytest shows it when a test fails."""
    seed = int(os.environ.get("BAKER_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"BAKER_TEST_SEED={seed}, a whole bake takes {duration:.2f} s")
    chosen = random.Random(seed)
    for _ in range(count):
        moment = chosen.uniform(0, duration)
        print(f"after {moment:.3f} s")
        yield moment


def kill_and_sweep(bakery: Bakery, count: int) -> None:
    removed = 0
    for moment in moments(count, bakery.duration()):
        process = bakery.start()
        time.sleep(moment)
        process.kill()
        process.wait()
        swept = bakery.sweep()
        assert swept.returncode == 0, swept.stderr
        assert bakery.left() == []
        removed += swept.stdout.count("removed ")
    print(f"{removed} things removed after {count} kills")
    assert removed, "no kill met a bake at work"


def test_a_bake_that_is_killed_at_any_moment_leaves_nothing_after_a_sweep(bakery: Bakery) -> None:
    kill_and_sweep(bakery, KILLS)


@pytest.mark.soak
def test_many_kills(bakery: Bakery) -> None:
    kill_and_sweep(bakery, KILLS_IN_SOAK)


def test_the_next_bake_removes_what_a_killed_one_left(bakery: Bakery, tmp_path: Path) -> None:
    process = bakery.start()
    while not bakery.machines():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert bakery.left() != []
    bake = booting_bake(bakery, tmp_path)
    told = (tmp_path / "run" / "console.log").read_text()
    bake.send_signal(signal.SIGTERM)
    assert bake.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    assert "removed work folder " in told
    assert "stop left" in told
    assert bakery.left() == []


def stop_and_look(bakery: Bakery, count: int) -> None:
    for moment in moments(count, bakery.duration()):
        process = bakery.start()
        time.sleep(moment)
        process.send_signal(signal.SIGTERM)
        # Once it is over nobody minds the signal: it ends the program, or comes too late.
        assert process.wait(PATIENCE_SECONDS) in (128 + signal.SIGTERM, -signal.SIGTERM, 0)
        assert bakery.left() == []


def test_a_bake_that_is_stopped_at_any_moment_leaves_nothing(bakery: Bakery) -> None:
    stop_and_look(bakery, STOPS)


@pytest.mark.soak
def test_many_stops(bakery: Bakery) -> None:
    stop_and_look(bakery, STOPS_IN_SOAK)


def booting_bake(bakery: Bakery, folder: Path) -> "subprocess.Popen[str]":
    """The command `bake` itself, with a machine that runs and never answers."""
    blank = folder / "small.qcow2"
    qemu_img.create_disk(blank, size_bytes=64 << 20)
    (folder / "dead.py").write_text(
        "from baker import Recipe\n"
        "from baker.builders.qemu.spec import CloudImage, Qemu\n"
        f"source = CloudImage(url={blank.as_uri()!r}, sha256={sha256(blank.read_bytes()).hexdigest()!r})\n"
        "spec = Qemu(source=source, memory_mib=256, cpus=1, disk_gib=2, accelerator='tcg')\n"
        "recipe = Recipe(name='dead', builders=(spec,))\n"
    )
    process = subprocess.Popen(
        [BAKE, str(folder / "dead.py"), "--run-dir", str(folder / "run")],
        env=bakery.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    bakery.running.append(process)
    deadline = time.monotonic() + 120
    while not (bakery.machines() and "connect" in (folder / "run" / "console.log").read_text()):
        assert process.poll() is None, (folder / "run" / "console.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_job_that_gets_ten_seconds_ends_in_them(signum: signal.Signals, bakery: Bakery, tmp_path: Path) -> None:
    process = booting_bake(bakery, tmp_path)
    began = time.monotonic()
    process.send_signal(signum)
    assert process.wait(PATIENCE_SECONDS) == 128 + signum
    print(f"it took {time.monotonic() - began:.2f} s")
    assert bakery.left() == []


def test_a_second_ctrl_c_takes_the_shortest_way(bakery: Bakery, tmp_path: Path) -> None:
    """In the midst of the clean-up: the machine must be gone, whatever else the clean-up still waits for."""
    process = booting_bake(bakery, tmp_path)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    while bakery.machines():
        assert time.monotonic() - began < PATIENCE_SECONDS / 2
        time.sleep(0.01)
    assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGINT
    assert bakery.left() == []
