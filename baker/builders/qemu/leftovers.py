"""What bakes left on this host: QEMU processes, work folders, half-made images. Finds them, and removes one.

Nothing is believed but what is seen at that moment: a folder counts by its place and name, a process when its number,
its start and the run id in its arguments agree. So no list, old or forged, can lead a removal elsewhere.
"""

import errno
import os
import select
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from baker.artifact import Leftover
from baker.builders.qemu import naming
from baker.builders.qemu.errors import explaining
from baker.errors import BuilderError
from baker.home import Home
from baker.owner import PROC, start_ticks

PROCESS = "qemu process"
WORK_FOLDER = "work folder"
PARTIAL_IMAGE = "partial image"
"""The kinds of temporary things, in the ledger too."""

_END_SECONDS = 10.0
_BLOCK_BYTES = 512
_TRIES, _PAUSE_SECONDS = 5, 0.2

_FOLDERS: dict[str, tuple[str, Callable[[str], str | None]]] = {
    WORK_FOLDER: ("work", naming.run_of_work_folder),
    PARTIAL_IMAGE: ("images", naming.run_of_partial_image),
}
"""Where in the home folders of each kind are, and what reads the run id in a name."""


def location_of(home: Home) -> str:
    """Where these things are, as the ledger and `bake sweep` call it."""
    return str(home.path)


def remove_hint(folder: Path) -> str:
    """A command that removes a folder by hand."""
    return f"rm -r {shlex.quote(str(folder))}"


def find_leftovers(home: Home) -> Iterator[Leftover]:
    """What carries a run's name below `home`, and the machines that use it; in the order of removal.

    BuilderError when it cannot be listed.
    """
    with explaining(f"looking for what bakes left in {home.path}"):
        yield from _processes(home)
        for kind in _FOLDERS:
            yield from _folders(home, kind)


def destroy(leftover: Leftover, home: Home) -> None:
    """Remove it, and wait until it is gone. Idempotent. BuilderError when it stays, or is not what it is said to be."""
    if leftover.location != location_of(home):
        raise BuilderError(
            f"{leftover.kind} {leftover.id} is not below {home.path}",
            hint=f"BAKER_HOME={shlex.quote(leftover.location)} bake sweep",
        )
    if leftover.kind == PROCESS:
        _end_process(leftover, home)
    elif leftover.kind in _FOLDERS:
        _remove_folder(leftover, home)
    else:
        raise BuilderError(f"the qemu builder makes no {leftover.kind!r}")


def _processes(home: Home) -> Iterator[Leftover]:
    for folder in PROC.glob("[0-9]*"):
        pid = int(folder.name)
        started = start_ticks(pid)
        run_id = naming.run_of_process(_arguments(pid), home.path / "work")
        if started is not None and run_id is not None:
            yield Leftover(
                builder="qemu",
                kind=PROCESS,
                id=f"{pid}:{started}",
                location=location_of(home),
                run_id=run_id,
                created=_boot_time() + started / os.sysconf("SC_CLK_TCK"),
                expires=None,
                remove_hint=f"kill -KILL {pid}",
            )


def _folders(home: Home, kind: str) -> Iterator[Leftover]:
    """Real folders with a name of ours. A link is none: we make no links there, and removing must not follow one."""
    place, run_of = _FOLDERS[kind]
    parent = home.path / place
    if not parent.is_dir():
        return
    for entry in sorted(os.scandir(parent), key=lambda entry: entry.name):
        run_id = run_of(entry.name)
        if run_id is None or not entry.is_dir(follow_symlinks=False):
            continue
        path = Path(entry.path)
        try:
            created, used_bytes = path.stat().st_mtime, _used_bytes(path)
        except FileNotFoundError:
            continue  # its run has ended in this moment
        yield Leftover(
            builder="qemu",
            kind=kind,
            id=entry.name,
            location=location_of(home),
            run_id=run_id,
            created=created,
            expires=None,
            remove_hint=remove_hint(path),
            cost=f"{used_bytes / 2**20:.0f} MiB of disk",
        )


def _end_process(leftover: Leftover, home: Home) -> None:
    number, _, started = leftover.id.partition(":")
    if not (number.isdecimal() and started.isdecimal()):
        raise BuilderError(f"{leftover.id!r} names no process")
    pid = int(number)
    try:
        process = os.pidfd_open(pid)  # holds on to this very process: its number may be given again from here on
    except ProcessLookupError:
        return
    try:
        if start_ticks(pid) != int(started):
            return  # it has ended, and the number is another's
        if naming.run_of_process(_arguments(pid), home.path / "work") != leftover.run_id:
            raise BuilderError(f"process {pid} is no machine of run {leftover.run_id}")
        with explaining(f"ending process {pid}"):
            signal.pidfd_send_signal(process, signal.SIGKILL)
        if not select.select([process], [], [], _END_SECONDS)[0]:
            raise BuilderError(f"process {pid} does not end", hint=f"look at it with: ps -fp {pid}")
    except ProcessLookupError:
        return
    finally:
        os.close(process)


def _remove_folder(leftover: Leftover, home: Home) -> None:
    place, run_of = _FOLDERS[leftover.kind]
    if run_of(leftover.id) != leftover.run_id:
        raise BuilderError(f"{leftover.id!r} is no {leftover.kind} of run {leftover.run_id}")
    folder = home.path / place / leftover.id
    with explaining(f"removing {folder}"):
        for _ in range(_TRIES):
            try:
                shutil.rmtree(folder)  # which refuses a link, and follows none below
            except OSError as error:
                if not os.path.lexists(folder):
                    return
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):  # somebody is at it as well
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return
    raise BuilderError(f"{folder} is being written to, or removed, by somebody else", hint=remove_hint(folder))


def _arguments(pid: int) -> tuple[str, ...]:
    """What a process was started with; nothing for one that has ended."""
    try:
        return tuple(os.fsdecode((PROC / str(pid) / "cmdline").read_bytes()).split("\0"))
    except (FileNotFoundError, ProcessLookupError):
        return ()


def _boot_time() -> float:
    """When this host was started, in seconds since the epoch."""
    (line,) = [line for line in (PROC / "stat").read_text().splitlines() if line.startswith("btime ")]
    return float(line.split()[1])


def _used_bytes(folder: Path) -> int:
    return sum(path.lstat().st_blocks * _BLOCK_BYTES for path in folder.rglob("*"))
