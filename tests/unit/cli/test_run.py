"""`bake RECIPE` as a whole, with a builder of others that has no machines: what is told, kept and returned."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import pytest

from baker.cli.compose import typed_name
from baker.events import BakeFinished, BakeStarted, StageFinished, from_json

PROGRAM = "import sys; from baker.cli.main import main; sys.exit(main())"

BUILDER = """
import contextlib, os, sys, time
from dataclasses import dataclass
from baker.errors import LaunchError
from baker.events import OutputLine
from baker.ports import Finding, Problem

@dataclass(frozen=True, kw_only=True)
class Fog:
    mood: str = "stubborn"
    kind = name = "fog"
    boot_timeout_seconds = 9

class Builder:
    kind = "fog"
    baking_host = None
    def check(self, spec):
        return (Problem(summary="this fog is too thick", exit_code=2),) if spec.mood == "thick" else ()
    def preflight(self, plan, *, until):
        return ()
    @contextlib.contextmanager
    def machine(self, spec, disks, run, emit):
        wants = f"refresh={run.refresh}, wait={run.wait_cleanup}"
        emit(OutputLine(stream="note", text=f"run {run.run_id} as {run.owner}, {wants}"))
        print("a builder that prints", os.environ.get("TOKEN"))
        print("and warns", file=sys.stderr)
        if spec.mood == "buggy":
            raise ZeroDivisionError(f"the secret is {os.environ['TOKEN']}")
        if spec.mood == "slow":
            time.sleep(120)
        details = [("token", os.environ.get("TOKEN", ""))]
        raise LaunchError("no machine came out of the fog", details=details, hint="wait for wind")
        yield
    def launch_image(self, artifact, run, emit, *, spec=None):
        raise NotImplementedError
    def images(self, location):
        return ()
    def diagnose_host(self):
        return (Finding(name="wind", ok=False, text="there is none", hint="apt-get install wind"),)
"""

RECIPE = """
from dataclasses import dataclass
from fog import Fog
from baker import Recipe, Requirements, Secret

@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    name = "a step"
    revision = 1
    def inputs(self): return ()
    def requires(self): return Requirements(secrets=(Secret.from_env("TOKEN"),))
    def apply(self, remote): pass

def recipe(mood: str = "stubborn"):
    return Recipe(name="x", builders=(Fog(mood=mood),), provisioners=(Step(),))
"""

TOKEN = "hunter2-and-more"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A folder with a recipe, and the installed builder `fog`."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def bake(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    info = tmp_path / "installed" / "fog-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fog\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[baker.builders]\nfog = fog:Builder\n")
    (info.parent / "fog.py").write_text(BUILDER)
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "x.py").write_text(RECIPE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BAKER_")}
    paths = os.pathsep.join([str(info.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment |= {"PYTHONPATH": paths, "BAKER_HOME": str(tmp_path / "home"), "TOKEN": TOKEN}
    return Bench(folder=folder, environment=environment)


def test_a_bake_that_fails_tells_why_once_and_keeps_everything(bench: Bench) -> None:
    code, out, err = bench.bake("x.py", "--run-dir", "run", "--refresh", "--wait-cleanup")
    assert (code, out) == (4, "")
    assert err.count("error: no machine came out of the fog\n") == 1
    assert "hint: wait for wind\n" in err
    assert "refresh=True, wait=True" in err
    run = bench.folder / "run"
    assert {path.name for path in run.iterdir()} == {"events.jsonl", "manifest.json", "checks.xml", "console.log"}
    assert run.stat().st_mode & 0o777 == 0o700
    records = [from_json(json.loads(line)) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [record.seq for record in records] == list(range(len(records)))
    started, finished = records[0].event, records[-1].event
    assert isinstance(started, BakeStarted)
    assert isinstance(finished, BakeFinished)
    assert len(started.run_id) == 20
    assert started.image_name == f"x-{started.run_id[:15]}-{started.fingerprint[:8]}"
    assert set(started.versions) == {"image-baker", "python", "host"}
    assert (finished.exit_code, finished.image) == (4, None)
    assert json.loads((run / "manifest.json").read_text())["outcome"]["exit_code"] == 4
    assert ET.parse(run / "checks.xml").getroot().tag == "testsuites"
    log = (run / "console.log").read_text()
    assert [line for line in log.splitlines() if line not in err.splitlines()] == []


def test_no_secret_is_in_anything_that_a_bake_leaves_or_shows(bench: Bench) -> None:
    for mood in ("stubborn", "buggy"):
        _, out, err = bench.bake("x.py", "--set", f"mood={mood}", "--run-dir", mood, "--json")
        assert TOKEN not in out + err
        texts = [path.read_text() for path in (bench.folder / mood).iterdir()]
        assert not [text for text in texts if TOKEN in text]
        assert [text for text in texts if "***" in text]


def test_json_is_the_log_and_nothing_else_is_on_standard_output(bench: Bench) -> None:
    code, out, err = bench.bake("x.py", "--json", "--run-dir", "run")
    assert code == 4
    assert out == (bench.folder / "run" / "events.jsonl").read_text()
    assert "    a builder that prints ***\n    and warns\n" in err
    assert "[launch] FAILED" in err


def test_runs_get_folders_of_their_own(bench: Bench) -> None:
    for _ in range(2):
        assert bench.bake("x.py")[0] == 4
    runs = list((bench.folder / ".bake" / "runs").iterdir())
    assert len(runs) == 2
    assert all(run.stat().st_mode & 0o777 == 0o700 for run in runs)


def test_a_folder_of_another_run_is_refused(bench: Bench) -> None:
    bench.bake("x.py", "--run-dir", "run")
    before = (bench.folder / "run" / "events.jsonl").read_text()
    code, _, err = bench.bake("x.py", "--run-dir", "run")
    assert code == 2
    assert "holds the log of another run" in err
    assert (bench.folder / "run" / "events.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("folder", "said"), [("x.py", "is a file"), ("x.py/run", "cannot be made"), ("/proc/run", "cannot be made")]
)
def test_a_folder_that_cannot_be_is_an_error(bench: Bench, folder: str, said: str) -> None:
    code, _, err = bench.bake("x.py", "--run-dir", folder)
    assert code == 2
    assert f"error: the run's folder {folder} {said}" in err
    assert "Traceback" not in err


def test_a_bug_leaves_its_traceback_in_the_runs_folder_and_not_on_the_screen(bench: Bench) -> None:
    code, out, err = bench.bake("x.py", "--set", "mood=buggy", "--run-dir", "run")
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    kept = bench.folder / "run" / "traceback.txt"
    assert f"the traceback is in {kept}" in err
    assert "ZeroDivisionError: the secret is ***" in kept.read_text()


def test_a_spec_that_is_wrong_and_a_secret_that_is_missing_end_with_2(bench: Bench) -> None:
    code, _, err = bench.bake("x.py", "--set", "mood=thick")
    assert (code, "error: x.py: this fog is too thick\n" in err) == (2, True)
    del bench.environment["TOKEN"]
    code, _, err = bench.bake("x.py")
    assert (code, "error: secret env:TOKEN: the environment variable TOKEN is not set\n" in err) == (2, True)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_with_its_code_and_a_whole_log(bench: Bench, signum: int, code: int) -> None:
    process = bench.start("x.py", "--set", "mood=slow", "--run-dir", "run")
    log = bench.folder / "run" / "events.jsonl"
    for _ in range(600):
        if log.exists() and '"event": "OutputLine"' in log.read_text():
            break
        time.sleep(0.05)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    finished = from_json(json.loads(log.read_text().splitlines()[-1])).event
    assert isinstance(finished, BakeFinished)
    assert finished.exit_code == code


def test_the_time_limit_ends_it_with_11(bench: Bench) -> None:
    code, _, err = bench.bake("x.py", "--set", "mood=slow", "--timeout", "2s", "--run-dir", "run")
    assert code == 11
    assert "time limit of 2s" in err


def test_nobody_reading_the_json_fails_nothing(bench: Bench) -> None:
    process = bench.start("x.py", "--json", "--run-dir", "run")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 4
    assert "warning: --json ends here, the bake goes on: Broken pipe" in err
    records = [from_json(json.loads(line)) for line in (bench.folder / "run" / "events.jsonl").read_text().splitlines()]
    stages = [record.event.stage for record in records if isinstance(record.event, StageFinished)]
    assert stages == ["preflight", "launch", "terminate"]


@pytest.mark.parametrize(
    ("called", "on_path", "name"),
    [
        (".venv/bin/bake", False, ".venv/bin/bake"),
        ("a folder/bake", False, "'a folder/bake'"),
        ("{folder}/bin/bake", True, "bake"),
        ("bin/bake", True, "bake"),
        ("-c", False, "bake"),
    ],
)
def test_it_knows_how_to_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, on_path: bool, name: str
) -> None:
    program = tmp_path / "bin" / "bake"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(program.parent) if on_path else "/usr/bin:/bin")
    monkeypatch.setattr(sys, "argv", [called.format(folder=tmp_path)])
    assert typed_name() == name


def test_a_recipe_that_is_wrong_makes_no_folder(bench: Bench) -> None:
    (bench.folder / "x.py").write_text("recipe = 1\n")
    assert bench.bake("x.py")[0] == 2
    assert [path.name for path in bench.folder.iterdir()] == ["x.py"]


def test_doctor_asks_every_builder(bench: Bench) -> None:
    code, out, _ = bench.bake("doctor")
    assert "  NOT OK  wind: there is none\n          hint: apt-get install wind\n" in out
    assert code in (0, 3)
    _, out, _ = bench.bake("doctor", "--json")
    findings = [json.loads(line) for line in out.splitlines()]
    assert {finding["subject"] for finding in findings} >= {"baker", "fog", "qemu"}


def test_images_of_a_builder_without_any(bench: Bench) -> None:
    assert bench.bake("images", "--on", "fog") == (0, "", "no images yet; `bake RECIPE` makes one\n")
    assert bench.bake("images", "--on", "fog", "--json") == (0, "", "")
