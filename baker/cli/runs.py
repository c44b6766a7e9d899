"""A run of the command line: its id, its owner, its folder, and new files in there."""

import contextlib
import getpass
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from baker.errors import DiskFullError, UsageError, is_disk_full
from baker.ports import Clock

RUNS_FOLDER = Path(".bake") / "runs"

GRACE_SECONDS = 30 * 60
"""How long after `--timeout` what a dead bake left may still stand, until a machine ends itself."""


def new_run_id(clock: Clock) -> tuple[str, float]:
    """A name for a run that starts now, and when that is."""
    started = clock.now()
    time = datetime.fromtimestamp(started, UTC).strftime("%Y%m%dt%H%M%S")
    return f"{time}-{secrets.token_hex(2)}", started


def run_folder(folder: Path) -> Path:
    """`folder`, made for its owner alone when it is new. One that holds another run's log is refused."""
    hint = "name another one with --run-dir"
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"the run's folder {folder} is a file", hint=hint)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / "events.jsonl").exists():
            raise UsageError(f"{folder} holds the log of another run", hint=hint)
    except OSError as error:
        if is_disk_full(error):
            raise _no_room_for(folder) from error
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the run's folder {folder} cannot be made: {reason}", hint=hint) from error
    return folder.absolute()


def _no_room_for(folder: Path) -> DiskFullError:
    hint = "free some space, or name a folder on another disk with --run-dir"
    return DiskFullError(f"no room is left on the disk for the run's folder {folder}", hint=hint)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """A text file that does not exist yet. What is still in its buffer when the disk is full is lost, without a word:
    the stream has told already that the log ended."""
    try:
        file = path.open("x", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        if is_disk_full(error):
            raise _no_room_for(path.parent) from error
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{path} cannot be written: {reason}", hint="name another --run-dir") from error
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


def owner() -> str:
    """Who bakes; a number where the account has no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
