"""`python -m lab`: what a person types, and what is left afterwards."""

import json
import os
import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from baker.cli.mirrors_file import parse_mirrors
from lab.build import PROJECT

lab = pytest.mark.lab
in_one_process = pytest.mark.xdist_group("lab")

SHOW = """
import json, os, sys, tomllib
with open(os.environ["BAKER_MIRRORS"], "rb") as file:
    print(json.dumps({"mirrors": tomllib.load(file), "file": file.name, "password": os.environ["OCEAN_DATA_PASSWORD"]}))
sys.exit(9)
"""


def start(*arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "lab", *arguments],
        cwd=PROJECT,
        env=os.environ | (env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@lab
@in_one_process
def test_run_serves_while_the_command_runs_and_no_longer() -> None:
    process = start("run", "--", sys.executable, "-c", SHOW)
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 9, stderr
    shown = json.loads(stdout.splitlines()[-1])
    mirrors = parse_mirrors(shown["mirrors"], "lab").seen_from("127.0.0.1")
    assert len(shown["password"]) >= 16
    assert not Path(shown["file"]).exists()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{mirrors.conda_channel_alias}/conda-forge/noarch/repodata.json", timeout=5)


@lab
@in_one_process
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_serve_stops_when_asked_to(tmp_path: Path, signum: signal.Signals) -> None:
    mirrors = tmp_path / "folder" / "mirrors.toml"
    process = start("serve", "--mirrors", str(mirrors), env={"OCEAN_DATA_PASSWORD": "chosen-password"})
    assert process.stdout is not None
    seen: list[str] = []
    while not seen or "OCEAN_DATA_PASSWORD=" not in seen[-1]:
        seen.append(process.stdout.readline())
        assert seen[-1], "it ended too early"
    alias = parse_mirrors(tomllib.loads(mirrors.read_text()), "lab").seen_from("127.0.0.1").conda_channel_alias
    with urllib.request.urlopen(f"{alias}/conda-forge/linux-64/repodata.json") as reply:
        assert json.load(reply)["packages.conda"]
    process.send_signal(signum)
    rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "the lab has stopped\n", "")
    assert [line.strip() for line in seen[-2:]] == [
        f"export BAKER_MIRRORS={mirrors}",
        "export OCEAN_DATA_PASSWORD=chosen-password",
    ]
    assert not mirrors.exists()


@lab
def test_a_lab_that_cannot_be_made_says_why_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    nowhere = {
        "BAKER_LAB": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
    }
    process = start("build", env=nowhere)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "error: " in stderr
    assert "hint: PyPI and Debian packages must be reachable" in stderr
    assert "Traceback" not in stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize("arguments", [[], ["run"], ["serve", "--nonsense"], ["bild"]])
def test_a_wrong_command_line_is_explained(arguments: list[str]) -> None:
    process = start(*arguments)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "usage: python -m lab" in stderr
