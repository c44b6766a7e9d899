"""Makes what the lab serves, part by part, each when its own definition has changed.

Runs in any Python 3.11 with the standard library alone; parts that need more are made by a child process in the
lab's own virtual environment (`lab.making`).
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.cache import Cache, key_of
from lab.repository import make_repository

PROJECT = Path(__file__).resolve().parent.parent
NOTEBOOKS = PROJECT / "recipes" / "notebooks"

_LAB = Path(__file__).resolve().parent
_DEBIAN_PYTHON = "/usr/bin/python3.11"

_INPUTS: Mapping[str, tuple[str, ...]] = {
    "tools": ("requirements.txt",),
    "channel": (
        "requirements.txt", "names.py", "making/channel.txt", "making/channel.py", "making/conda_package.py",
        "making/package_writer.py", "making/wheels.py", "making/debian_python.py", "making/genuine_conda.py",
    ),
    "installer": ("names.py", "making/installer.py", "making/installer_header.sh"),
    "dataset": ("requirements.txt", "names.py", "making/dataset.py"),
    "repository": ("names.py", "repository.py"),
}  # fmt: skip
"""The definition of each part: files of this folder whose change makes the part anew."""


class LabError(Exception):
    """The lab cannot be made; the text says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """The folders of the parts, made and complete."""

    tools: Path
    channel: Path
    installer: Path
    dataset: Path
    repository: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.channel, self.installer, self.dataset, self.repository)

    @property
    def tools_python(self) -> Path:
        return self.tools / "bin/python"


def build(cache: Cache) -> Lab:
    """Make what is missing. LabError when the host cannot."""
    tools = cache.part("tools", _key("tools"), _make_tools)
    channel_key = _key("channel")
    channel = cache.part("channel", channel_key, lambda folder: _make(tools, "channel", folder))
    return Lab(
        tools=tools,
        channel=channel,
        installer=cache.part(
            "installer",
            _key("installer", channel_key),
            lambda folder: _make(tools, "installer", folder, channel),
        ),
        dataset=cache.part("dataset", _key("dataset"), lambda folder: _make(tools, "dataset", folder)),
        repository=cache.part(
            "repository",
            _key("repository", key_of([NOTEBOOKS])),
            lambda folder: make_repository(folder, NOTEBOOKS),
        ),
    )


def _key(part: str, *values: str) -> str:
    return key_of([_LAB / name for name in _INPUTS[part]], *values)


# lab/apt-packages.txt: gcc, libc6-dev and python3-dev make the wheel of pycosat (conda's SAT solver, on PyPI as source
# only); python3.11-venv holds the lab's tools; patchelf takes absolute paths out of Debian's python; git is git.
def _make_tools(folder: Path) -> None:
    """A virtual environment that stays valid under another path: it is renamed when it is complete."""
    if not Path(_DEBIAN_PYTHON).exists():
        raise LabError(
            f"{_DEBIAN_PYTHON} is missing: the lab is made on Debian 12, of Debian's own Python.\n"
            f"hint: apt-get install $(cat {_LAB}/apt-packages.txt)"
        )
    print("tools: a virtual environment (lab/requirements.txt)", flush=True)
    _run([_DEBIAN_PYTHON, "-m", "venv", str(folder)])
    # `python -m pip`, not `pip`: scripts of a virtual environment name the path that it was made under.
    _run([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "-r", str(_LAB / "requirements.txt")])


def _make(tools: Path, part: str, *folders: Path) -> None:
    arguments = [str(tools / "bin/python"), "-m", "lab.making", part, *map(str, folders)]
    _run(arguments, {"PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"})


def _run(arguments: list[str], environment: Mapping[str, str] | None = None) -> None:
    """Run with its output on ours. Host settings of another Python stay out."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run(arguments, env=kept | dict(environment or {}), check=False)
    if done.returncode:
        raise LabError(
            f"{' '.join(arguments)} exited with {done.returncode}; its last lines are above.\n"
            f"hint: PyPI and Debian packages must be reachable, and these installed: {_LAB}/apt-packages.txt"
        )
