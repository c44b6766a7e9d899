"""Where things are kept: found, made, and told why they cannot be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from baker.errors import BuilderError
from baker.home import Home

AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Root, but bound by permissions as anybody is."""


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"BAKER_HOME": "/srv/images"}, "/srv/images"),
        ({"BAKER_HOME": "~/images"}, "/home/ada/images"),
        ({"BAKER_HOME": "", "XDG_DATA_HOME": "/srv/data"}, "/srv/data/baker"),
        ({"XDG_DATA_HOME": "~/data"}, "/home/ada/data/baker"),
        ({}, "/home/ada/.local/share/baker"),
    ],
)
def test_it_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], path: str
) -> None:
    for name in ("BAKER_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/ada"} | environment).items():
        monkeypatch.setenv(name, value)
    assert Home.from_environment().path == Path(path)


def test_an_account_without_a_home_is_an_error_and_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKER_HOME", "~nobody-of-this-name/images")
    with pytest.raises(BuilderError, match="no home folder") as caught:
        Home.from_environment()
    assert caught.value.hint is not None


@pytest.mark.parametrize("below", ["", "not/there/yet"])
def test_a_folder_that_can_be_made_is_no_problem(tmp_path: Path, below: str) -> None:
    home = Home(tmp_path / below)
    assert home.problem() is None
    assert home.free_bytes() > 0
    assert home.is_there == (not below)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "images", "not/there/yet"])
def test_a_file_in_the_way_is_one(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    home = Home(tmp_path / "file" / below)
    name = f"{tmp_path}/file" if below else "it"
    assert home.problem() == f"nothing can be kept in {home.path}: {name} is not a folder"


def test_a_file_in_the_place_of_a_folder_of_its_own_is_one(tmp_path: Path) -> None:
    (tmp_path / "images").touch()
    assert Home(tmp_path).problem() == f"nothing can be kept in {tmp_path}: {tmp_path}/images is not a folder"


def test_a_link_to_nowhere_is_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert Home(tmp_path / "link").problem() == f"nothing can be kept in {tmp_path}/link: it is not a folder"


@pytest.mark.parametrize("locked", ["home", "home/sources"])
def test_a_folder_that_was_made_by_another_is_one(tmp_path: Path, locked: str) -> None:
    (tmp_path / "home" / "sources").mkdir(parents=True)
    (tmp_path / locked).chmod(0o555)
    said = _problem_as_anybody(tmp_path / "home")
    name = "it" if locked == "home" else tmp_path / locked
    assert said == f"nothing can be kept in {tmp_path}/home: {name} is not writable"


def test_a_folder_that_cannot_even_be_looked_into_is_one(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o000)
    said = _problem_as_anybody(tmp_path / "home" / "baker")
    assert said == f"nothing can be kept in {tmp_path}/home/baker: {tmp_path}/home is not writable"


def _problem_as_anybody(home: Path) -> str:
    program = (
        "import sys; from pathlib import Path; from baker.home import Home; print(Home(Path(sys.argv[1])).problem())"
    )
    command = [*AS_ANYBODY, sys.executable, "-c", program, str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
