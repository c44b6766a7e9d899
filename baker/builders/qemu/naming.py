"""What temporary things are called, so that those of a dead bake are found, and told from everything else. Pure."""

import re
import secrets
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

_RUN_ID = r"(?P<run_id>[0-9a-z-]{20})"
_WORK_FOLDER = re.compile(rf"{_RUN_ID}\.[a-z]+\.[0-9a-f]{{8}}")
_PARTIAL_IMAGE = re.compile(rf"\.{_RUN_ID}\.[A-Za-z0-9][A-Za-z0-9._-]*\.partial")
_PROCESS = re.compile(rf"bake-{_RUN_ID}")


def new_work_folder(run_id: str, label: str) -> str:
    """The name of a folder for a machine's files. `label`: what the run has the machine for, of a-z."""
    return f"{run_id}.{label}.{secrets.token_hex(4)}"


def partial_image(run_id: str, image: str) -> str:
    """The name of the folder in which an image is made; the leading dot says that it is none yet."""
    return f".{run_id}.{image}.partial"


def process(run_id: str) -> str:
    """What a machine's QEMU is called in its arguments."""
    return f"bake-{run_id}"


def run_of_work_folder(name: str) -> str | None:
    """The run id in a work folder's name; None when it is no such name."""
    return _run_id(_WORK_FOLDER, name)


def run_of_partial_image(name: str) -> str | None:
    """The run id in the name of a half-made image; None when it is no such name."""
    return _run_id(_PARTIAL_IMAGE, name)


def run_of_process(argv: Sequence[str], work: Path) -> str | None:
    """The run id of a QEMU that uses a work folder in `work`; None for any other process."""
    if not argv or not Path(argv[0]).name.startswith("qemu-system-"):
        return None
    named = [value for option, value in pairwise(argv) if option == "-name"]
    run_id = _run_id(_PROCESS, named[0]) if len(named) == 1 else None
    folder = f"{in_option(work)}/{run_id}."
    return run_id if any(f"file={folder}" in argument for argument in argv) else None


def in_option(path: Path) -> str:
    """A path inside QEMU's `key=value,key=value` lists, where a comma is written twice."""
    return str(path).replace(",", ",,")


def _run_id(pattern: re.Pattern[str], name: str) -> str | None:
    found = pattern.fullmatch(name)
    return found["run_id"] if found else None
