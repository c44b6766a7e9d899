"""The table itself, and the script that is made of it. What it does to a machine is in `test_seal`."""

import subprocess
from pathlib import Path

from baker.seal.scrub import SCRUBS, Scrub, scrub_script


def run(*scrubs: Scrub) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["/bin/sh", "-c", scrub_script(scrubs)], capture_output=True, text=True, check=False)


def test_each_entry_says_what_and_why_once() -> None:
    assert len({entry.what for entry in SCRUBS}) == len(SCRUBS)
    assert all(len(entry.why) > 15 for entry in SCRUBS)


def test_nothing_of_settings_or_packages_is_in_the_table() -> None:
    paths = [path for entry in SCRUBS for path in (*entry.empty, *entry.remove)]
    assert all(path.startswith("/") for path in paths)
    assert not [path for path in paths if path.startswith(("/etc", "/usr", "/opt", "/srv", "/home", "/data"))]


def test_the_script_is_valid_for_a_posix_shell() -> None:
    subprocess.run(["dash", "-n"], input=scrub_script(), text=True, check=True)


def test_all_entries_are_tried_and_the_failed_ones_named(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "below" / ".hidden").mkdir(parents=True)
    file = tmp_path / "file.log"
    file.touch()
    done = run(
        Scrub(what="first's", why="...", script="echo because >&2; false; echo not reached"),
        Scrub(what="second", why="...", empty=(str(folder), str(tmp_path / "missing"))),
        Scrub(what="third", why="...", remove=(f"{tmp_path}/*.log", f"{tmp_path}/*.none")),
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "first's: because\n", "")
    assert list(tmp_path.iterdir()) == [folder]
    assert list(folder.iterdir()) == []


def test_nothing_to_do_is_no_failure() -> None:
    done = run(Scrub(what="nothing", why="...", empty=("/nonexistent",), remove=("/nonexistent/*",)))
    assert (done.returncode, done.stdout) == (0, "")


def test_only_conda_s_own_cache_is_emptied() -> None:
    """An environment's `pkgs` folder belongs to conda only where conda-meta stands beside it."""
    (entry,) = [entry for entry in SCRUBS if entry.what == "conda's package caches"]
    assert "conda-meta" in entry.script
    assert "urls.txt" in entry.script
