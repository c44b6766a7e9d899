"""The ledger: what every run has asked for and not yet seen gone, on disk before it is asked for.

A file for each run, `<run id>.jsonl`, of one JSON object a line: first who runs, then what was acquired, released, kept
or could not be removed. It is there exactly as long as something is open, so an empty folder says that nothing is.

The order is what counts: the line is on the disk (fsync) when `ResourceAcquired` returns to the builder, and when it
cannot be written that raises, so nothing is created that nobody would know of. A line cut short by a crash was never
acted on, and is passed over wherever it stands. The refused alternatives: one file for all runs, where two bakes would
have to wait for each other; and a database, which a person with a broken machine cannot read.

It holds names, never secrets.
"""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from baker import interrupts
from baker.errors import DiskFullError, Interrupted, LedgerError, is_disk_full
from baker.events import (
    BakeFinished,
    CleanupFailed,
    Emit,
    Event,
    Notice,
    ResourceAcquired,
    ResourceKept,
    ResourceReleased,
)
from baker.owner import Owner, this_process
from baker.ports import Clock, RunInfo

FORMAT = 1
_SUFFIX = ".jsonl"
_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that a run asked for. `acquired` is in seconds since the epoch, UTC."""

    kind: str
    id: str
    location: str
    remove_hint: str
    acquired: float

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.kind, self.id, self.location)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as its file tells. `builder` is a kind; `ended`: it has said that it is over."""

    path: Path
    run_id: str
    builder: str
    recipe: str
    owner: Owner
    started: float
    expires: float
    open: tuple[Entry, ...]
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A file in the ledger that does not say whose it is.

    `is_blank`: not one line of it was written whole, so nothing was ever asked for under it. `changed` is in seconds
    since the epoch, UTC.
    """

    path: Path
    reason: str
    is_blank: bool
    changed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All runs of one `$BAKER_HOME`. `folder` names its folder, and makes it when it is missing."""

    folder: Callable[[], Path]
    clock: Clock

    def recording(self, run: RunInfo, builder: str, emit: Emit) -> Emit:
        """`emit`, with what a run acquires written down before anyone hears of it. `builder` is the kind of builder.

        On ResourceAcquired it raises LedgerError or DiskFullError when the line cannot be written; nothing else makes
        it raise anything that `emit` does not.
        """
        return _Recording(self, run, builder, emit)

    def runs(self) -> tuple[RunRecord, ...]:
        """The runs that have a file, oldest first. One that ends meanwhile is not among them."""
        return tuple(record for record in self._records() if isinstance(record, RunRecord))

    def unreadable(self) -> tuple[Unreadable, ...]:
        """Files that do not say whose they are: damaged, or of a baker that writes another form."""
        return tuple(record for record in self._records() if isinstance(record, Unreadable))

    def close(self, record: RunRecord, entry: Entry) -> None:
        """Note that a thing of a run that is over is gone. Idempotent. LedgerError, DiskFullError."""
        with _explaining(f"the ledger {record.path} cannot be written"):
            self._close(record.path, entry)

    def discard(self, path: Path) -> None:
        """Remove a file of the ledger that is blank, or in which nothing is open. Idempotent. LedgerError."""
        with _explaining(f"the ledger's file {path} cannot be removed"):
            match _read(path):
                case RunRecord(open=()) | Unreadable(is_blank=True):
                    path.unlink(missing_ok=True)
                case _:
                    pass

    def _close(self, path: Path, entry: Entry) -> None:
        current = _read(path)
        if not isinstance(current, RunRecord) or entry.key not in {other.key for other in current.open}:
            return  # someone else sweeps as well, and was faster
        if len(current.open) == 1:
            path.unlink(missing_ok=True)
            _flush_folder(path.parent)
            return
        with contextlib.closing(_File(path, new=False)) as file:
            file.append({"line": "released", "kind": entry.kind, "id": entry.id, "location": entry.location})

    def _records(self) -> Iterator[RunRecord | Unreadable]:
        with _explaining("the ledger cannot be read"):
            for path in sorted(self.folder().glob(f"*{_SUFFIX}")):
                record = _read(path)
                if record is not None:
                    yield record


class _Recording:
    """The `Emit` of one run. Its file is made with the first thing acquired, and removed with the last one gone."""

    def __init__(self, ledger: Ledger, run: RunInfo, builder: str, emit: Emit) -> None:
        self._ledger = ledger
        self._run = run
        self._builder = builder
        self._emit = emit
        self._open: set[tuple[str, str, str]] = set()
        self._file: _File | None = None
        self._is_incomplete = False

    def __call__(self, event: Event) -> None:
        stop: Interrupted | None = None
        try:
            with interrupts.hold():  # what is on disk and what is known here must not part
                self._record(event)
        except Interrupted as error:  # it came meanwhile; what is on disk is told first
            stop = error
        self._emit(event)
        if stop is not None:
            raise stop

    def _record(self, event: Event) -> None:
        match event:
            case ResourceAcquired(kind=kind, id=id_, location=location):
                self._acquire(event)
                self._open.add((kind, id_, location))
            case ResourceReleased(kind=kind, id=id_, location=location):
                self._let_go((kind, id_, location), "released")
            case ResourceKept(kind=kind, id=id_, location=location):
                self._let_go((kind, id_, location), "kept")
            case CleanupFailed():
                self._note({"line": "failed", **asdict(event)})
            case BakeFinished() if self._file is not None:
                self._note({"line": "ended"})
                self._file.close()
                self._file = None
            case _:
                pass

    def _acquire(self, event: ResourceAcquired) -> None:
        line = {"line": "acquired", "at": self._ledger.clock.now(), **asdict(event)}
        with _explaining("the ledger cannot be written, so nothing was created"):
            if self._file is None:
                self._file = self._new_file(line)
            else:
                self._file.append(line)

    def _new_file(self, line: Mapping[str, object]) -> "_File":
        """The run's file with its first lines; none is left when that fails."""
        path = self._ledger.folder() / f"{self._run.run_id}{_SUFFIX}"
        with contextlib.ExitStack() as undo:
            try:
                file = _File(path, new=True)
                undo.callback(file.close)
                file.append(self._header(), line)
            except FileExistsError:  # not made by this call
                raise
            except OSError:
                with contextlib.suppress(OSError):  # a blank file hides nothing, and a sweep removes it
                    path.unlink(missing_ok=True)
                raise
            undo.pop_all()
        return file

    def _header(self) -> dict[str, object]:
        run = self._run
        return {
            "line": "run",
            "format": FORMAT,
            "run_id": run.run_id,
            "builder": self._builder,
            "recipe": run.recipe,
            "user": run.owner,
            "started": run.started,
            "expires": run.expires,
            "owner": asdict(this_process()),
        }

    def _let_go(self, key: tuple[str, str, str], how: str) -> None:
        self._open.discard(key)
        if self._file is not None and (self._open or not self._is_removed(self._file)):
            kind, id_, location = key
            self._note({"line": how, "kind": kind, "id": id_, "location": location})

    def _note(self, line: Mapping[str, object]) -> None:
        """Write a line that the run can do without: `bake sweep` would find that the thing is gone."""
        if self._file is None:
            return
        try:
            self._file.append(line)
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        """Once: a full disk stays full."""
        if self._is_incomplete:
            return
        self._is_incomplete = True
        reason = (error.strerror or str(error)).lower()
        text = f"the ledger still lists what is gone: {reason}; `bake sweep --yes` puts that right"
        self._emit(Notice(level="warning", text=text))

    def _is_removed(self, file: "_File") -> bool:
        """Remove the file, in which nothing is open any more. Where that fails it goes on."""
        try:
            file.path.unlink(missing_ok=True)
            _flush_folder(file.path.parent)
        except OSError as error:
            self._warn(error)
        if file.path.exists():
            return False
        file.close()
        self._file = None
        return True


class _File:
    """Lines that are on the disk once `append` has returned. OSError from everything but `close`."""

    def __init__(self, path: Path, *, new: bool) -> None:
        self.path = path
        self._is_new = new
        self._is_torn = not new  # nobody knows how the last writer ended
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if new else 0)
        self._descriptor = os.open(path, flags, _MODE)

    def append(self, *lines: Mapping[str, object]) -> None:
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        if self._is_torn:
            data = b"\n" + data
        self._is_torn = True
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)
        if self._is_new:
            _flush_folder(self.path.parent)
        if not self.path.exists():
            raise FileNotFoundError(errno.ENOENT, "the file has been removed by someone else", str(self.path))
        self._is_torn = self._is_new = False

    def close(self) -> None:
        os.close(self._descriptor)


def _flush_folder(folder: Path) -> None:
    """Have the disk know which files there are."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that keeps folders in another way
            raise
    finally:
        os.close(descriptor)


def _read(path: Path) -> RunRecord | Unreadable | None:
    """What a file tells; None when it has gone."""
    try:
        changed = path.stat().st_mtime
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        return Unreadable(path=path, reason=(error.strerror or str(error)).lower(), is_blank=False, changed=changed)
    lines = [line for line in map(_decoded, text.splitlines()) if line]
    try:
        return _fold(path, lines)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        return Unreadable(path=path, reason=reason, is_blank=not lines, changed=changed)


def _fold(path: Path, lines: list[dict[str, Any]]) -> RunRecord:
    header, *rest = lines
    if header["line"] != "run" or header["format"] != FORMAT:
        raise ValueError(f"it begins with {header['line']!r} in format {header.get('format')!r}")
    record = RunRecord(
        path=path,
        run_id=header["run_id"],
        builder=header["builder"],
        recipe=header["recipe"],
        owner=Owner(**header["owner"]),
        started=float(header["started"]),
        expires=float(header["expires"]),
        open=(),
        ended=False,
    )
    entries: dict[tuple[str, str, str], Entry] = {}
    for line in rest:
        match line["line"]:
            case "acquired":
                entry = Entry(
                    kind=line["kind"], id=line["id"], location=line["location"], remove_hint=line["remove_hint"],
                    acquired=float(line["at"]),
                )  # fmt: skip
                entries[entry.key] = entry
            case "released" | "kept":
                entries.pop((line["kind"], line["id"], line["location"]), None)
            case "ended":
                record = replace(record, ended=True)
    return replace(record, open=tuple(entries.values()))


def _decoded(line: str) -> dict[str, Any] | None:
    """A line's object; None for one that was cut short, on which nobody has acted."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@contextlib.contextmanager
def _explaining(summary: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if is_disk_full(error):
            raise DiskFullError(
                f"{summary}: no room is left on the disk",
                hint="free some space, or set BAKER_HOME to a folder on a larger disk",
            ) from error
        details = (("file", str(error.filename)),) if error.filename else ()
        raise LedgerError(
            f"{summary}: {reason.lower()}", details=details, hint="see that BAKER_HOME and all below it belong to you"
        ) from error
