"""The program that lists what conda and pip installed, run for real on folders that look like a machine's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from baker.seal.installed import INSTALLED_PROGRAM

MIRROR, PUBLIC = "http://10.0.2.2:8640/conda/", "https://conda.anaconda.org/"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with a conda and one environment in it, and a virtual environment."""
    base = tmp_path / "opt/conda"
    package(base, "conda", ["python"])
    package(base, "python", [])
    ocean = base / "envs/ocean"
    package(ocean, "xarray", ["numpy >=1.23", "python"])
    package(ocean, "numpy", ["python >=3.12,<3.13.0a0", "libblas"])
    package(ocean, "python", ["pip"], files=["lib/python3.12/site-packages/pip-24.0.dist-info/METADATA"])
    package(ocean, "pip", ["python"])
    distribution(ocean / "lib/python3.12/site-packages", "pip", "24.0")
    distribution(ocean / "lib/python3.12/site-packages", "utm", "0.7.0")
    (tmp_path / "srv/deep/er/venv").mkdir(parents=True)
    (tmp_path / "srv/deep/er/venv/pyvenv.cfg").touch()
    distribution(tmp_path / "srv/deep/er/venv/lib/python3.11/site-packages", "Click", "8.1")
    return tmp_path


def package(prefix: Path, name: str, depends: list[str], files: list[str] | None = None, *, origin: str = "") -> None:
    folder = prefix / "conda-meta"
    folder.mkdir(parents=True, exist_ok=True)
    url = f"{origin or MIRROR}conda-forge/linux-64/{name}-1-0.conda"
    record = {"name": name, "version": "1", "url": url, "md5": f"md5of{name}", "depends": depends, "files": files or []}
    (folder / f"{name}-1-0.json").write_text(json.dumps(record, indent=2))
    with (folder / "history").open("a") as history:
        history.write(f"+{MIRROR}conda-forge/linux-64::{name}-1-0\n")


def distribution(packages: Path, name: str, version: str, origin: object = None) -> None:
    folder = packages / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: of what\n")
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps(origin))


def installed(root: Path, mirror: str = MIRROR) -> dict[str, str]:
    program = [sys.executable, "-I", "-S", "-c", INSTALLED_PROGRAM, str(root), mirror, PUBLIC]
    found: dict[str, str] = json.loads(subprocess.run(program, check=True, capture_output=True).stdout)
    return found


def test_every_environment_is_found_and_named_by_its_folder(root: Path) -> None:
    assert list(installed(root)) == [
        "conda list --explicit --md5 (/opt/conda)",
        "conda list --explicit --md5 (/opt/conda/envs/ocean)",
        "pip freeze (/opt/conda/envs/ocean)",
        "pip freeze (/srv/deep/er/venv)",
    ]


def test_packages_are_listed_after_those_they_need_under_their_public_address(root: Path) -> None:
    assert installed(root)["conda list --explicit --md5 (/opt/conda/envs/ocean)"].splitlines() == [
        f"https://conda.anaconda.org/conda-forge/linux-64/{name}-1-0.conda#md5of{name}"
        for name in ("python", "numpy", "pip", "xarray")
    ]


def test_packages_that_need_each_other_are_listed_all_the_same(root: Path) -> None:
    package(root / "opt/conda/envs/ocean", "libblas", ["numpy"])
    listed = installed(root)["conda list --explicit --md5 (/opt/conda/envs/ocean)"]
    assert sorted(line.rsplit("#md5of", 1)[1] for line in listed.splitlines()) == [
        "libblas", "numpy", "pip", "python", "xarray",
    ]  # fmt: skip


@pytest.mark.parametrize("mirror", [MIRROR, MIRROR.replace("//", "//ada:word@")])
def test_no_mirror_stays_in_condas_records(root: Path, mirror: str) -> None:
    installed(root, mirror)
    records = [path for path in root.rglob("conda-meta/*") if path.is_file()]
    assert len(records) == 8
    assert [path for path in records if "10.0.2.2" in path.read_text()] == []
    assert PUBLIC in (root / "opt/conda/conda-meta/history").read_text()


def test_without_a_mirror_nothing_is_written(root: Path) -> None:
    records = {path: path.read_text() for path in root.rglob("conda-meta/*")}
    assert MIRROR in installed(root, PUBLIC)["conda list --explicit --md5 (/opt/conda)"]
    assert {path: path.read_text() for path in records} == records


def test_only_what_conda_does_not_own_is_pips(root: Path) -> None:
    assert installed(root)["pip freeze (/opt/conda/envs/ocean)"] == "utm==0.7.0"


def test_what_is_from_elsewhere_than_an_index_says_so_and_shows_no_login(root: Path) -> None:
    packages = root / "usr/local/lib/python3.11/dist-packages"
    git = {"url": "https://ada:word@example.org/w.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}
    distribution(packages, "waves", "1.0", git)
    distribution(packages, "tides", "1.0", {"url": "file:///srv/tides", "dir_info": {"editable": True}})
    distribution(packages, "foam", "1.0", {"url": "https://example.org/foam.whl", "archive_info": {}})
    distribution(packages, "sand", "1.0", "nonsense")
    (packages / "old.egg-info").write_text("Name: old\nVersion: 0.1\n")
    assert installed(root)["pip freeze (/usr/local/lib/python3.11/dist-packages)"].splitlines() == [
        "-e file:///srv/tides  # tides==1.0",
        "foam @ https://example.org/foam.whl  # 1.0",
        "old==0.1",
        "sand==1.0",
        "waves @ git+https://example.org/w.git@c0ffee",
    ]


def test_a_token_in_a_channels_address_is_not_shown(root: Path) -> None:
    package(root / "opt/other", "waves", [], origin="https://ada:word@repo.example.org/t/abc-123/")
    listed = installed(root)["conda list --explicit --md5 (/opt/other)"]
    assert listed == "https://repo.example.org/conda-forge/linux-64/waves-1-0.conda#md5ofwaves"


@pytest.mark.parametrize(
    "place",
    ["usr/lib/python3/dist-packages", "var/lib/service/venv/lib/python3.11/site-packages", "a/b/c/d/e/f/site-packages"],
)
def test_what_is_the_distributions_or_lies_deep_is_not_looked_for(root: Path, place: str) -> None:
    distribution(root / place, "deb", "1.0")
    assert not any("deb" in text for text in installed(root).values())


def test_links_are_not_followed_and_a_folder_of_this_name_alone_is_no_environment(root: Path) -> None:
    before = installed(root)
    (root / "home").symlink_to("opt")
    (root / "srv/conda-meta").mkdir()
    assert installed(root) == before


def test_a_damaged_record_is_named(root: Path) -> None:
    (root / "opt/conda/conda-meta/conda-1-0.json").write_text("{")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        installed(root)
    assert b"opt/conda/conda-meta/conda-1-0.json cannot be read" in caught.value.stderr
