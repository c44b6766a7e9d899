"""Genuine conda, from the lab's installer, makes environments from the lab's channel, and what is in them works.

On this host, in folders of the test's own; nothing of the host's conda or Jupyter settings is seen or touched.
"""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest

from lab.build import NOTEBOOKS, PROJECT, build
from lab.cache import Cache
from lab.making.conda_package import PLACEHOLDER
from lab.names import DATASET
from lab.serving import Serving, serving

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conda")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Serving]:
    lab = build(Cache.from_environment(PROJECT))
    with ExitStack() as stack:
        yield stack.enter_context(serving(lab, folder / "mirrors.toml"))


class Prefix:
    """A conda prefix, and a world in which only the lab exists."""

    def __init__(self, path: Path, served: Serving, home: Path) -> None:
        self.path = path
        self._environment = {
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "CONDA_CHANNEL_ALIAS": f"http://127.0.0.1:{served.endpoints.http_port}/conda",
            "no_proxy": "127.0.0.1",
        }

    def run(self, *command: str | Path, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, env=self._environment | more, cwd=self.path.parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or not check, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done


@pytest.fixture(scope="module")
def conda(served: Serving, folder: Path) -> Prefix:
    """conda as the installer of the lab leaves it, fetched as a machine fetches it."""
    url = f"http://127.0.0.1:{served.endpoints.http_port}/installer/{served.endpoints.installer_name}"
    with urllib.request.urlopen(url) as reply:
        content = reply.read()
    assert sha256(content).hexdigest() == served.endpoints.installer_sha256
    installer = folder / "installer.sh"
    installer.write_bytes(content)
    prefix = Prefix(folder / "opt/conda", served, folder)
    prefix.path.parent.mkdir()
    prefix.run("/bin/sh", installer, "-b", "-u", "-f", "-p", prefix.path)
    return prefix


@pytest.fixture(scope="module")
def ocean(conda: Prefix) -> Path:
    """The environment of recipes/ocean.py."""
    file = PROJECT / "recipes/environments/ocean.yml"
    conda.run(conda.path / "bin/conda", "env", "create", "--quiet", "--file", file)
    return conda.path / "envs/ocean"


def test_the_installer_has_miniforges_manners(conda: Prefix, folder: Path) -> None:
    installer = folder / "installer.sh"
    again = conda.run("/bin/sh", installer, "-b", "-p", conda.path, check=False)
    assert again.returncode == 1
    assert "already exists" in again.stderr
    assert conda.run("/bin/sh", installer, "-b", "-p", "/no spaces", check=False).returncode == 1
    assert conda.run("/bin/sh", installer, "--nonsense", check=False).returncode == 2


def test_an_installer_that_is_cut_off_leaves_no_prefix(conda: Prefix, folder: Path) -> None:
    cut = folder / "cut.sh"
    cut.write_bytes((folder / "installer.sh").read_bytes()[:2_000_000])
    assert conda.run("/bin/sh", cut, "-b", "-p", folder / "cut-prefix", check=False).returncode != 0
    assert not (folder / "cut-prefix").exists()


def test_conda_is_genuine_and_knows_only_conda_forge(conda: Prefix) -> None:
    info = json.loads(conda.run(conda.path / "bin/conda", "info", "--json").stdout)
    assert info["conda_version"] == "24.7.1"
    assert info["root_prefix"] == str(conda.path)
    assert all("/conda/conda-forge/" in channel for channel in info["channels"])


def test_nothing_of_the_host_that_made_it_is_in_the_prefix(conda: Prefix) -> None:
    grep = ("grep", "-rlIE", "--exclude-dir=envs")
    assert conda.run(*grep, f"lab-installer-|{PROJECT}", conda.path, check=False).stdout == ""
    placeholders = conda.run(*grep, "--exclude-dir=conda-meta", PLACEHOLDER, conda.path, check=False)
    assert placeholders.stdout == "", "scripts that conda did not give their prefix"


def test_a_shell_can_activate_an_environment(conda: Prefix) -> None:
    file = Path(__file__).with_name("tiny.yml")
    conda.run(conda.path / "bin/conda", "env", "create", "--quiet", "--file", file)
    script = '. "$0/etc/profile.d/conda.sh" && conda activate tiny && which python && python -c "import networkx"'
    for shell in ("/bin/sh", "/bin/bash"):
        assert conda.run(shell, "-c", script, conda.path).stdout.strip() == str(conda.path / "envs/tiny/bin/python")
    assert conda.run(conda.path / "bin/conda", "run", "-n", "tiny", "python", "-c", "print(6*7)").stdout.strip() == "42"


def test_conda_says_what_cannot_be_solved(conda: Prefix) -> None:
    create = (conda.path / "bin/conda", "create", "--yes", "--name", "x", "--dry-run")
    assert "networkx" in conda.run(*create, "networkx<2", check=False).stderr
    assert "no-such-thing" in conda.run(*create, "no-such-thing", check=False).stderr


def test_the_ocean_environment_is_complete_and_consistent(conda: Prefix, ocean: Path) -> None:
    python = ocean / "bin/python"
    modules = "xarray, netCDF4, cmocean, networkx, matplotlib, numpy, pandas, sqlite3, ssl, ctypes, lzma, bz2, curses"
    conda.run(python, "-c", f"import {modules}")
    conda.run(python, "-m", "pip", "check")
    where = conda.run(python, "-c", "import sys, sysconfig; print(sysconfig.get_path('purelib'), sys.prefix)").stdout
    assert where.split() == [f"{ocean}/lib/python3.11/site-packages", str(ocean)]
    assert "libx264" in conda.run(ocean / "bin/ffmpeg", "-hide_banner", "-encoders").stdout


def test_modules_come_compiled(ocean: Path) -> None:
    site_packages = ocean / "lib/python3.11/site-packages"
    source = site_packages / "xarray/__init__.py"
    compiled = (site_packages / "xarray/__pycache__/__init__.cpython-311.pyc").read_bytes()
    stated = int.from_bytes(compiled[8:12], "little")
    assert stated == int(source.stat().st_mtime), "the compiled module is stale: Python would compile it again"


def test_jupyter_runs_the_notebook_against_the_data(conda: Prefix, ocean: Path, served: Serving, folder: Path) -> None:
    uv = (ocean / "bin/uv", "pip", "install", "--quiet", "--python", ocean / "bin/python")
    settings = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_"))}
    conda.run(*uv, "utm", **settings)
    data = build(Cache.from_environment(PROJECT)).dataset / DATASET
    output = folder / "executed.ipynb"
    notebook = NOTEBOOKS / "seasons.ipynb"
    conda.run(ocean / "bin/jupyter", "execute", f"--output={output}", notebook, OCEAN_DATA=str(data))
    cells = json.loads(output.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", ()) for output in outputs) == 2
    assert "km in all" in "".join("".join(output.get("text", ())) for output in outputs)


@pytest.mark.parametrize(("probe", "arguments"), [("jupyter_lab", ("{prefix}", "0")), ("kernel", ("python3",))])
def test_the_checks_of_a_bake_pass(
    conda: Prefix, ocean: Path, folder: Path, probe: str, arguments: tuple[str, ...]
) -> None:
    """JupyterLab answers 403 without its token and 200 with it, a kernel computes: here as on a machine."""
    settings = folder / ".jupyter/jupyter_server_config.json"  # tests run as root, checks on a machine do not
    settings.parent.mkdir(exist_ok=True)
    settings.write_text('{"ServerApp": {"allow_root": true}}')
    words = [argument.format(prefix=ocean) for argument in arguments]
    program = PROJECT / f"baker/checks/probes/{probe}.py"
    conda.run(ocean / "bin/python", program, *words, PATH=f"{ocean}/bin:/usr/bin:/bin")
