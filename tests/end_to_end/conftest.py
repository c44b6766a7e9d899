"""The command `bake` as a user runs it, on real virtual machines, in a BAKER_HOME of each test's own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from baker.events import Record, from_json
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

    def finish(self, timeout: float = 1800) -> Finished:
        stdout, stderr = self.process.communicate(timeout=timeout)
        return Finished(exit_code=self.process.returncode, stdout=stdout, stderr=stderr, run_dir=self.run_dir)


StartBake = Callable[..., RunningBake]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Empty, but for the source images, which all tests share with `make demo`."""
    sources = Home.from_environment().sources
    own = Home(tmp_path / "home")
    own.path.mkdir()
    (own.path / "sources").symlink_to(sources)
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
