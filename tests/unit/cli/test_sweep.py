"""`bake sweep` as a user runs it, on what a bake left that was killed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from baker.builders.qemu.naming import new_work_folder
from baker.clock import SystemClock
from baker.events import ResourceAcquired
from baker.home import Home
from baker.ledger import Ledger
from baker.owner import this_process
from baker.ports import RunInfo

BAKE = Path(sys.executable).with_name("bake")
RUN_ID = "20260102t030405-abcd"

Sweep = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def sweep(home: Home) -> Sweep:
    def sweep(*arguments: str, prefix: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*prefix, BAKE, "sweep", *arguments],
            capture_output=True, text=True, check=False, env=os.environ | {"BAKER_HOME": str(home.path)},
        )  # fmt: skip

    return sweep


@pytest.fixture
def left(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """`left(builder)`: what a run that was killed left, in the ledger and in the work folder."""

    def left(builder: str = "qemu") -> Path:
        run = RunInfo(
            run_id=RUN_ID, recipe="reef", fingerprint="f", image_name="reef", owner="ada", started=0.0, expires=0.0,
            run_dir=home.path,
        )  # fmt: skip
        gone = replace(this_process(), started=1)
        monkeypatch.setattr("baker.ledger.this_process", lambda: gone)
        emit = Ledger(folder=lambda: home.ledger, clock=SystemClock()).recording(run, builder, lambda _event: None)
        folder = home.work / new_work_folder(RUN_ID, "bake")
        hint = f"rm -r {folder}"
        emit(ResourceAcquired(kind="work folder", id=folder.name, location=str(home.path), remove_hint=hint))
        folder.mkdir()
        return folder

    return left


def files(home: Home) -> list[Path]:
    return [path for path in home.path.rglob("*") if path.parent != home.path]


def test_nothing_left_is_said_and_is_fine(sweep: Sweep) -> None:
    swept = sweep()
    assert (swept.returncode, swept.stdout, swept.stderr) == (0, "nothing is left of dead runs\n", "")
    assert sweep("--json").stdout == ""


def test_what_is_left_is_listed_until_it_is_removed(sweep: Sweep, left: Callable[..., Path], home: Home) -> None:
    folder = left()
    for _ in range(2):
        swept = sweep()
        assert swept.returncode == 8
        assert swept.stdout.startswith(f"left     qemu work folder {folder.name}, in {home.path}, ")
        assert " old, 0 MiB of disk\n" in swept.stdout
        assert "bake sweep --yes" in swept.stderr
        assert folder.exists()
    swept = sweep("--yes")
    assert (swept.returncode, swept.stderr) == (0, "")
    assert swept.stdout.startswith(f"removed  qemu work folder {folder.name}, ")
    assert files(home) == []
    assert sweep("--yes").returncode == 0


def test_a_program_can_read_it(sweep: Sweep, left: Callable[..., Path], home: Home) -> None:
    folder = left()
    (line,) = sweep("--json").stdout.splitlines()
    told = json.loads(line)
    assert (told["state"], told["kind"], told["id"], told["run_id"]) == ("left", "work folder", folder.name, RUN_ID)
    assert told["age_seconds"] < 600
    assert told["remove_hint"] == f"rm -r {folder}"
    (line,) = sweep("--json", "--yes").stdout.splitlines()
    assert json.loads(line)["state"] == "removed"


def test_what_lives_is_left_alone_and_named(sweep: Sweep, home: Home) -> None:
    folder = home.work / new_work_folder(RUN_ID, "bake")
    folder.mkdir()
    swept = sweep("--yes")
    assert swept.returncode == 0
    assert f"left alone: qemu work folder {folder.name}: its run may be alive on another host" in swept.stderr
    assert folder.exists()


def test_what_a_builder_made_that_is_not_installed_is_told_with_its_command(
    sweep: Sweep, left: Callable[..., Path], home: Home
) -> None:
    folder = left("nimbus")
    for arguments in ((), ("--yes",), ("--on", "nimbus")):
        swept = sweep(*arguments)
        assert swept.returncode == 8
        assert swept.stdout.startswith(f"unknown  nimbus work folder {folder.name}")
        assert f"error: nimbus work folder {folder.name} may be left\n" in swept.stderr
        assert "no builder 'nimbus' is installed" in swept.stderr
        assert f"remove it with: rm -r {folder}\n" in swept.stderr
    assert folder.exists()


def test_what_cannot_be_removed_is_told_with_its_command(sweep: Sweep, left: Callable[..., Path], home: Home) -> None:
    folder = left()
    mount_and_run = 'mount -t tmpfs none "$0" && exec "$@"'  # which nobody can remove: it is in use
    in_use = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount_and_run, str(folder)]
    swept = sweep("--yes", prefix=in_use)
    assert swept.returncode == 8, swept.stderr
    assert swept.stdout.startswith(f"failed   qemu work folder {folder.name}")
    assert f"remove it with: rm -r {folder}\n" in swept.stderr
    assert sweep("--yes").returncode == 0
    assert files(home) == []


def test_a_builder_that_nobody_knows_is_an_error_of_its_own(sweep: Sweep) -> None:
    swept = sweep("--on", "qemo")
    assert swept.returncode == 3
    assert "did you mean qemu?" in swept.stderr


def test_the_places_of_its_options_are_no_recipe(sweep: Sweep, home: Home) -> None:
    swept = subprocess.run(
        [BAKE, "--location", "all", "sweep"],
        capture_output=True, text=True, check=False, env=os.environ | {"BAKER_HOME": str(home.path)},
    )  # fmt: skip
    assert (swept.returncode, swept.stdout) == (0, "nothing is left of dead runs\n")
