"""The notebook repository is the same on every host, so that the recipe can name its commit."""

import subprocess
from pathlib import Path

from baker.loader import load_recipe
from lab.build import NOTEBOOKS, PROJECT
from lab.names import REPOSITORY
from lab.repository import commit_of, make_repository


def test_the_same_files_make_the_same_commit_whatever_the_host(tmp_path: Path, monkeypatch) -> None:
    make_repository(tmp_path / "one", NOTEBOOKS)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    make_repository(tmp_path / "two", NOTEBOOKS)
    assert commit_of(tmp_path / "one") == commit_of(tmp_path / "two")


def test_the_ocean_recipe_names_this_repository_and_this_commit(tmp_path: Path) -> None:
    make_repository(tmp_path, NOTEBOOKS)
    parameters = load_recipe(PROJECT / "recipes/ocean.py", {}).parameters
    assert parameters["notebooks"] == f"https://github.com/{REPOSITORY}"
    assert parameters["ref"] == commit_of(tmp_path), "recipes/notebooks changed: put the new commit into the recipe"


def test_the_repository_holds_the_files_and_a_tag(tmp_path: Path) -> None:
    make_repository(tmp_path, NOTEBOOKS)
    bare = tmp_path / "github.com" / f"{REPOSITORY}.git"
    listed = subprocess.run(["git", "ls-tree", "-r", "v1"], cwd=bare, capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    assert {row[0] for row in rows} == {"100644"}
    assert {row[3] for row in rows} == {path.name for path in NOTEBOOKS.iterdir()}
