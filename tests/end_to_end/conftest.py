"""The command `bake` as a user runs it, on real virtual machines, in a BAKER_HOME of each test's own."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from baker.builders.qemu import accelerator
from baker.events import Event, Record, from_json
from baker.home import Home

ROOT = Path(__file__).parents[2]
BAKE = Path(sys.executable).with_name("bake")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A bake that has ended: what it printed, and what stands in its run folder."""

    exit_code: int
    stdout: str
    stderr: str
    run_dir: Path

    @property
    def records(self) -> list[Record]:
        lines = (self.run_dir / "events.jsonl").read_text().splitlines()
        return [from_json(json.loads(line)) for line in lines]

    def events(self, kind: type) -> list[Any]:
        return [record.event for record in self.records if isinstance(record.event, kind)]


class RunningBake:
    """A bake in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", run_dir: Path) -> None:
        self.process = process
        self.run_dir = run_dir

    def wait_for(self, wanted: Callable[[Event], bool]) -> None:
        """Until the bake's own log has an event that is `wanted`."""
        deadline = time.monotonic() + 1200
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                pytest.fail(f"the bake ended too early: {self.finish().stderr[-3000:]}")
            if any(wanted(event) for event in self.events_so_far()):
                return
            time.sleep(0.1)
        pytest.fail("the bake never came so far")

    def events_so_far(self) -> Iterator[Event]:
        log = self.run_dir / "events.jsonl"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        for line in lines:
            if line.endswith("\n"):
                yield from_json(json.loads(line)).event

    def finish(self, timeout: float = 1800) -> Finished:
        stdout, stderr = self.process.communicate(timeout=timeout)
        return Finished(exit_code=self.process.returncode, stdout=stdout, stderr=stderr, run_dir=self.run_dir)


StartBake = Callable[..., RunningBake]
WriteTiny = Callable[..., Path]

TINY = """
from baker import Disk, Recipe
from baker.builders.qemu.spec import Qemu
from provisioners import Shell

recipe = Recipe(
    name="tiny",
    builders=(Qemu(memory_mib=1024, cpus=1, disk_gib=4),),
    provisioners=({steps}),
    checks=({checks}),
)
"""


def machines_of(home: Home) -> list[int]:
    """Pids of QEMU processes that use files of this BAKER_HOME."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"qemu-system" in command.split(b"\0", 1)[0] and str(home.path).encode() in command:
            pids.append(int(folder.name))
    return pids


@pytest.fixture(scope="session")
def shared_home() -> Home:
    """The user's, where it is known whether KVM works: finding out takes 20 seconds where it does not."""
    shared = Home.from_environment()
    accelerator.choose("auto", shared)
    return shared


@pytest.fixture
def home(shared_home: Home, tmp_path: Path) -> Home:
    """Empty, but for the source images, which all tests share with `make demo`, and what is known of KVM."""
    own = Home(tmp_path / "home")
    own.path.mkdir()
    (own.path / "sources").symlink_to(shared_home.sources)
    if (known := shared_home.path / accelerator.RECORD_NAME).exists():
        shutil.copy2(known, own.path)
    return own


@pytest.fixture
def start_bake(home: Home, tmp_path: Path) -> Iterator[StartBake]:
    """`start_bake(recipe, *options, prefix=...)`; whatever still runs at the end of the test is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(recipe: Path, *options: str, prefix: tuple[str, ...] = (), cwd: Path = tmp_path) -> RunningBake:
        run_dir = tmp_path / f"run-{len(started)}"
        process = subprocess.Popen(
            [*prefix, str(BAKE), str(recipe), "--run-dir", str(run_dir), *options],
            cwd=cwd,
            env=os.environ | {"BAKER_HOME": str(home.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return RunningBake(process, run_dir)

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def tiny(tmp_path: Path) -> WriteTiny:
    """Writes a recipe of one step."""

    def write(steps: str, checks: str = "") -> Path:
        path = tmp_path / "tiny.py"
        path.write_text(TINY.format(steps=steps, checks=checks))
        return path

    return write
