"""`make setup`, with the Makefile itself, in a project that is small and needs no network."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import zipfile
from pathlib import Path

METADATA = "Metadata-Version: 2.1\\nName: small\\nVersion: 1\\nProvides-Extra: dev\\n"

def build_editable(folder, config_settings=None, metadata_directory=None):
    wants = "".join(f"Requires-Dist: {name}\\n" for name in Path("dependencies").read_text().split())
    name = "small-1-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        wheel.writestr("small-1.dist-info/METADATA", METADATA + wants)
        wheel.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("small-1.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "apt-packages.txt").touch()
    (tmp_path / "constraints.txt").touch()
    (tmp_path / "dependencies").touch()
    (tmp_path / "backend.py").write_text(BACKEND)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    return tmp_path


def _make(project: Path, target: str) -> subprocess.CompletedProcess[str]:
    """On a host whose pip has settings of its own, one of which it warns about. Debian packages are not this test's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    settings = {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/nowhere",
    }
    return subprocess.run(
        ["make", "-C", str(project), "--no-print-directory", target, "APT_RUN=", "APT_LAB=", "APT_TEST="],
        env=own | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def test_setup_mends_what_was_interrupted_is_quiet_and_shows_errors(project: Path) -> None:
    ready = project / ".venv" / ".ready"
    venv = ["python3", "-m", "venv", "--without-pip", str(project / ".venv")]  # stopped while `venv` brought pip
    subprocess.run(venv, check=True)
    made = _make(project, "setup")
    assert (made.returncode, made.stderr, made.stdout) == (0, "", "installing the baker into .venv\n")
    assert ready.exists()

    ready.unlink()
    (project / "dependencies").write_text("no-such-package-anywhere")
    refused = _make(project, "setup")
    assert refused.returncode != 0
    assert "ERROR: No matching distribution found for no-such-package-anywhere" in refused.stderr
    assert not ready.exists()


def test_clean_says_what_it_removes() -> None:
    text = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in text.splitlines() if line.startswith("clean "))
    recipe = subprocess.run(["make", "-n", "-C", str(ROOT), "clean"], capture_output=True, text=True, check=True).stdout
    for folder in (".venv", ".lab", ".bake"):
        assert folder in line
        assert folder in recipe
