"""The program that puts an environment's records right, run for real on a folder that looks like an environment."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provisioners.conda_records import RECORDS_PROGRAM

MIRROR, PUBLIC = "http://10.0.2.2:8640/conda/", "https://conda.anaconda.org/"
FOLDER = "/run/baker/steps/conda"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    target = tmp_path / "envs" / "Ocean"
    (target / "conda-meta").mkdir(parents=True)
    _package(target, "xarray", ["numpy >=1.23", "python"])
    _package(target, "numpy", ["python >=3.12,<3.13.0a0", "libblas"])
    _package(target, "python", [], files=["lib/python3.12/site-packages/pip-24.0.dist-info/METADATA"])
    (target / "conda-meta/history").write_text(f"+{MIRROR}conda-forge/linux-64::python-3.12-0\n")
    _distribution(target, "pip", "24.0")
    _distribution(target, "utm", "0.7.0")
    kernel = target / "share/jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    (kernel / "logo-svg.svg").write_text("<svg/>")
    (kernel / "kernel.json").write_text(
        '{"argv": ["python", "-m", "x"], "display_name": "Python 3", "language": "python"}'
    )
    return target


def _package(target: Path, name: str, depends: list[str], files: list[str] | None = None) -> None:
    url = f"{MIRROR}conda-forge/linux-64/{name}-1-0.conda"
    record = {"name": name, "version": "1", "url": url, "md5": f"md5of{name}", "depends": depends, "files": files or []}
    (target / f"conda-meta/{name}-1-0.json").write_text(json.dumps(record, indent=2))


def _distribution(target: Path, name: str, version: str) -> None:
    folder = target / f"lib/python3.12/site-packages/{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def run(*arguments: str) -> Any:
    done = subprocess.run([sys.executable, "-I", "-c", RECORDS_PROGRAM, *arguments], check=True, capture_output=True)
    return json.loads(done.stdout)


def test_packages_are_listed_dependencies_first_under_their_public_address(environment: Path) -> None:
    found = run(str(environment), MIRROR, PUBLIC, FOLDER, "")
    assert found["explicit"] == [
        f"https://conda.anaconda.org/conda-forge/linux-64/{name}-1-0.conda#md5of{name}"
        for name in ("python", "numpy", "xarray")
    ]


def test_no_mirror_stays_in_the_environment(environment: Path) -> None:
    run(str(environment), MIRROR, PUBLIC, FOLDER, "Ocean")
    left = [path for path in environment.rglob("*") if path.is_file() and "10.0.2.2" in path.read_text()]
    assert left == []
    assert PUBLIC in (environment / "conda-meta/history").read_text()


def test_no_file_of_the_bake_is_named_in_the_history(environment: Path) -> None:
    """Conda writes its own command there."""
    history = environment / "conda-meta/history"
    with history.open("a") as file:
        file.write(f"# cmd: conda env create --file {FOLDER}/.image-baker-environment.yml --quiet\n")
    run(str(environment), MIRROR, PUBLIC, FOLDER, "")
    assert history.read_text().endswith("# cmd: conda env create --file .image-baker-environment.yml --quiet\n")


@pytest.mark.parametrize("who", ["http://reader:letmein@10.0.2.2:8640/conda/", "http://reader@10.0.2.2:8640/conda/"])
def test_no_mirror_stays_that_was_asked_with_a_login(environment: Path, who: str) -> None:
    """Conda writes the address without the login into its records, and with it where the recipe gave it."""
    with (environment / "conda-meta/history").open("a") as history:
        history.write(f"# update specs: ['{who}conda-forge::numpy']\n")
    found = run(str(environment), who, PUBLIC, FOLDER, "")
    assert found["explicit"][0].startswith(f"{PUBLIC}conda-forge/linux-64/python-1-0.conda#")
    kept = "".join(path.read_text() for path in environment.glob("conda-meta/*"))
    assert "10.0.2.2" not in kept
    assert "letmein" not in kept


def test_no_mirror_stays_that_was_asked_with_a_token(environment: Path) -> None:
    assert MIRROR == "http://10.0.2.2:8640/conda/"
    run(str(environment), "http://10.0.2.2:8640/t/ab-1234/conda/", PUBLIC, FOLDER, "")
    assert "10.0.2.2" not in "".join(path.read_text() for path in environment.glob("conda-meta/*"))


def test_only_what_conda_does_not_own_is_pips(environment: Path) -> None:
    assert run(str(environment), MIRROR, PUBLIC, FOLDER, "")["pip"] == ["utm==0.7.0"]


def test_packages_that_need_each_other_are_listed_all_the_same(environment: Path) -> None:
    _package(environment, "libblas", ["numpy"])
    _package(environment, "python", ["pip"])
    _package(environment, "pip", ["python"])
    listed = [line.rsplit("#md5of", 1)[1] for line in run(str(environment), MIRROR, PUBLIC, FOLDER, "")["explicit"]]
    assert sorted(listed) == ["libblas", "numpy", "pip", "python", "xarray"]
    assert listed.index("python") < listed.index("pip")
    assert listed.index("numpy") < listed.index("xarray")


def test_the_kernel_has_the_name_and_the_python_of_the_environment_wherever_jupyter_lives(environment: Path) -> None:
    base = environment.parent.parent
    (base / "bin").mkdir()
    assert len(run(str(environment), MIRROR, PUBLIC, FOLDER, "Ocean", str(base))["kernels"]) == 1
    (base / "bin/jupyter").touch()
    for _ in range(2):  # the second time changes nothing
        found = run(str(environment), MIRROR, PUBLIC, FOLDER, "Ocean", str(base))
        assert found["kernels"] == [f"{prefix}/share/jupyter/kernels/ocean" for prefix in (environment, base)]
    for kernel in map(Path, found["kernels"]):
        assert sorted(path.name for path in kernel.iterdir()) == ["kernel.json", "logo-svg.svg"]
        description = json.loads((kernel / "kernel.json").read_text())
        assert description["argv"] == [f"{environment}/bin/python", "-m", "x"]
        assert description["display_name"] == "Ocean"
    own = json.loads((environment / "share/jupyter/kernels/python3/kernel.json").read_text())
    assert own["display_name"] == "Python 3"


def test_without_ipykernel_there_is_no_kernel(environment: Path) -> None:
    (environment / "share/jupyter/kernels/python3/kernel.json").unlink()
    assert run(str(environment), MIRROR, PUBLIC, FOLDER, "Ocean")["kernels"] == []
