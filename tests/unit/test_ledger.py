"""The ledger: on the disk before anything is created, whatever happens to the disk or to the process."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from baker.cleanup import CleanupStack
from baker.clock import SystemClock
from baker.errors import Interrupted, LedgerError
from baker.events import BakeFinished, CleanupFailed, Emit, Event, Notice, ResourceAcquired, ResourceKept
from baker.events import ResourceReleased as Released
from baker.interrupts import Interrupts
from baker.ledger import Entry, Ledger, RunRecord
from baker.owner import this_process
from baker.ports import RunInfo

RUN_ID = "20260102t030405-abcd"
DONE = BakeFinished(exit_code=0, seconds=1.0)


def run_info(folder: Path, run_id: str = RUN_ID) -> RunInfo:
    return RunInfo(
        run_id=run_id, recipe="reef", fingerprint="f", image_name="reef-1", owner="ada", started=100.0, expires=5000.0,
        run_dir=folder,
    )  # fmt: skip


def acquired(id: str, kind: str = "disk") -> ResourceAcquired:
    return ResourceAcquired(kind=kind, id=id, location="here", remove_hint=f"rm {id}")


def released(id: str, kind: str = "disk") -> Released:
    return Released(kind=kind, id=id, location="here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "ledger"
    path.mkdir()
    return path


@pytest.fixture
def ledger(folder: Path) -> Ledger:
    return Ledger(folder=lambda: folder, clock=SystemClock())


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def emit(ledger: Ledger, tmp_path: Path, told: list[Event]) -> Emit:
    return ledger.recording(run_info(tmp_path), "sandbox", told.append)


def open_files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def open_ids(ledger: Ledger) -> list[str]:
    return [entry.id for record in ledger.runs() for entry in record.open]


def test_what_is_acquired_is_in_it_before_anyone_is_told(ledger: Ledger, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    emit = ledger.recording(run_info(tmp_path), "sandbox", lambda _event: seen.append(open_ids(ledger)))
    emit(acquired("a"))
    emit(acquired("b"))
    assert seen == [["a"], ["a", "b"]]


def test_a_run_says_whose_it_is(ledger: Ledger, emit: Emit, folder: Path) -> None:
    emit(acquired("a"))
    (record,) = ledger.runs()
    (entry,) = record.open
    assert entry == Entry(kind="disk", id="a", location="here", remove_hint="rm a", acquired=entry.acquired)
    assert abs(entry.acquired - SystemClock().now()) < 60
    assert record == RunRecord(
        path=folder / f"{RUN_ID}.jsonl", run_id=RUN_ID, builder="sandbox", recipe="reef", owner=this_process(),
        started=100.0, expires=5000.0, open=(entry,), ended=False,
    )  # fmt: skip


def test_only_its_owner_can_read_it(emit: Emit, folder: Path) -> None:
    emit(acquired("a"))
    assert stat.S_IMODE((folder / f"{RUN_ID}.jsonl").stat().st_mode) == 0o600


def test_all_events_are_passed_on_as_they_are(emit: Emit, told: list[Event]) -> None:
    events: list[Event] = [
        Notice(level="info", text="hello"), acquired("a"), acquired("b"), released("b"),
        CleanupFailed(what="disk a", error="busy", remove_hint="rm a"), DONE,
    ]  # fmt: skip
    for event in events:
        emit(event)
    assert told == events


@pytest.mark.parametrize("gone", [released("a"), ResourceKept(kind="disk", id="a", location="here")])
def test_there_is_no_file_when_nothing_is_open(gone: Event, emit: Emit, folder: Path, ledger: Ledger) -> None:
    assert list(folder.iterdir()) == []
    emit(acquired("a"))
    emit(acquired("b"))
    emit(gone)
    assert open_ids(ledger) == ["b"]
    emit(released("b"))
    assert list(folder.iterdir()) == []
    emit(acquired("a"))
    assert open_ids(ledger) == ["a"], "a run may acquire again"


def test_a_run_that_is_over_says_so_and_keeps_what_is_open(emit: Emit, ledger: Ledger) -> None:
    emit(acquired("a"))
    emit(CleanupFailed(what="disk a", error="busy", remove_hint="rm a"))
    emit(DONE)
    (record,) = ledger.runs()
    assert record.ended
    assert open_ids(ledger) == ["a"]


def test_two_bakes_at_once_do_not_meet(ledger: Ledger, tmp_path: Path, told: list[Event]) -> None:
    first = ledger.recording(run_info(tmp_path, "20260102t030405-aaaa"), "sandbox", told.append)
    second = ledger.recording(run_info(tmp_path, "20260102t030405-bbbb"), "other", told.append)
    first(acquired("a"))
    second(acquired("a"))
    second(acquired("b"))
    first(released("a"))
    assert [(record.builder, [entry.id for entry in record.open]) for record in ledger.runs()] == [
        ("other", ["a", "b"])
    ]


@pytest.mark.parametrize("cut", [2, 10, 60])
def test_a_line_that_a_crash_cut_short_was_never_acted_on(cut: int, emit: Emit, folder: Path, ledger: Ledger) -> None:
    emit(acquired("a"))
    emit(acquired("b"))
    file = folder / f"{RUN_ID}.jsonl"
    os.truncate(file, file.stat().st_size - cut)
    assert open_ids(ledger) == ["a"]


def test_lines_after_one_that_was_cut_short_count(emit: Emit, folder: Path, ledger: Ledger) -> None:
    emit(acquired("a"))
    emit(acquired("b"))
    file = folder / f"{RUN_ID}.jsonl"
    with file.open("a") as text:
        text.write('{"line": "released", "kind": "di')
    (record,) = ledger.runs()
    ledger.close(record, record.open[0])
    assert open_ids(ledger) == ["b"]


@pytest.mark.parametrize(
    "text", ["", "\0" * 500, "no json\n", '{"line": "run"', "[1]\n", '{"line": "acquired"}\n', '{"line": 7}\n']
)
def test_a_file_that_does_not_say_whose_it_is_is_told_of(text: str, folder: Path, ledger: Ledger, emit: Emit) -> None:
    emit(acquired("a"))
    (folder / "other.jsonl").write_text(text)
    assert [record.run_id for record in ledger.runs()] == [RUN_ID]
    (unreadable,) = ledger.unreadable()
    assert unreadable.path == folder / "other.jsonl"


def test_a_file_that_cannot_be_read_hides_no_other(folder: Path, ledger: Ledger, emit: Emit) -> None:
    emit(acquired("a"))
    (folder / "other.jsonl").mkdir()
    assert [record.run_id for record in ledger.runs()] == [RUN_ID]
    (unreadable,) = ledger.unreadable()
    assert (unreadable.reason, unreadable.is_blank) == ("is a directory", False)


def test_a_file_of_a_later_form_is_not_guessed_at(folder: Path, ledger: Ledger, emit: Emit) -> None:
    emit(acquired("a"))
    file = folder / f"{RUN_ID}.jsonl"
    file.write_text(file.read_text().replace('"format": 1', '"format": 2'))
    assert ledger.runs() == ()
    (unreadable,) = ledger.unreadable()
    assert "format 2" in unreadable.reason


def test_closing_the_last_entry_removes_the_file_and_can_be_done_again(
    emit: Emit, ledger: Ledger, folder: Path
) -> None:
    emit(acquired("a"))
    emit(acquired("b"))
    (record,) = ledger.runs()
    for _ in range(2):
        for entry in record.open:
            ledger.close(record, entry)
    assert list(folder.iterdir()) == []


def test_a_ledger_that_cannot_be_written_keeps_things_from_being_made(
    ledger: Ledger, folder: Path, emit: Emit, told: list[Event]
) -> None:
    (folder / f"{RUN_ID}.jsonl").mkdir()
    undone: list[str] = []
    with pytest.raises(LedgerError, match="nothing was created") as refused, CleanupStack(emit, SystemClock()) as stack:
        stack.acquire("disk", "a", "here", undo=lambda: undone.append("a"), remove_hint="rm a")
        raise AssertionError("the thing would be made here")
    assert refused.value.exit_code == 4
    assert refused.value.hint
    assert undone == []
    assert told == []


def test_a_ledger_that_someone_removes_keeps_more_from_being_made(emit: Emit, folder: Path) -> None:
    emit(acquired("a"))
    (folder / f"{RUN_ID}.jsonl").unlink()
    with pytest.raises(LedgerError, match="removed by someone else"):
        emit(acquired("b"))
    emit(released("a"))
    emit(DONE)
    assert list(folder.iterdir()) == []


FULL_DISK = """
import os, sys
from pathlib import Path
from baker.clock import SystemClock
from baker.errors import BakeError
from baker.events import BakeFinished, ResourceAcquired, ResourceReleased
from baker.ledger import Ledger
from baker.ports import RunInfo

folder = Path(sys.argv[1])
run = RunInfo(run_id="20260102t030405-abcd", recipe="reef", fingerprint="f", image_name="reef", owner="", started=0,
              expires=0, run_dir=folder)
told = []
ledger = Ledger(folder=lambda: folder, clock=SystemClock())
emit = ledger.recording(run, "sandbox", told.append)

def fill():
    with open(folder / "filler", "ab", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x")
        except OSError:
            pass

def say(what):
    names = [type(event).__name__ for event in told]
    print(what, "|", *names, "|", *[entry.id for record in ledger.runs() for entry in record.open])
    told.clear()

def acquire(id):
    try:
        emit(ResourceAcquired(kind="disk", id=id, location="here"))
        say("made")
    except BakeError as error:
        say(f"{type(error).__name__}: {error.summary}")

if "at-once" in sys.argv:
    fill()
acquire("a")
fill()
number = 0
while not told and number < 200:  # what is left of the file's last block
    number += 1
    try:
        emit(ResourceAcquired(kind="disk", id=f"b{number}", location="here"))
        told.clear()
    except BakeError as error:
        say(type(error).__name__)
        break
refused = number
(folder / "filler").unlink()
acquire("c")
for id in ("a", "c", *(f"b{number}" for number in range(1, refused))):
    emit(ResourceReleased(kind="disk", id=id, location="here"))
emit(BakeFinished(exit_code=4, seconds=1))
print(sorted(path.name for path in folder.iterdir()))
"""


def _on_a_small_disk(tmp_path: Path, *arguments: str) -> list[str]:
    """What FULL_DISK prints, on a tmpfs of 64 KiB in a mount namespace of its own."""
    (tmp_path / "small").mkdir()
    mount_and_run = f'mount -t tmpfs -o size=64k none "{tmp_path}/small" && exec "$0" -c "$@"'
    result = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount_and_run, sys.executable, FULL_DISK,
         f"{tmp_path}/small", *arguments],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_a_full_disk_keeps_the_first_thing_from_being_made(tmp_path: Path) -> None:
    first, *_ = _on_a_small_disk(tmp_path, "at-once")
    what = "the ledger cannot be written, so nothing was created: no room is left on the disk"
    assert first == f"DiskFullError: {what} | |"


def test_a_disk_that_fills_up_keeps_more_from_being_made_and_hides_nothing(tmp_path: Path) -> None:
    made, full, again, end = _on_a_small_disk(tmp_path)
    assert made == "made | ResourceAcquired | a"
    assert full.startswith("DiskFullError | | a b1 ")
    assert again.startswith("made | ResourceAcquired | a ")
    assert again.endswith(" c")
    assert end == "[]", "once there is room again, the ledger is whole"


def test_it_survives_the_process(folder: Path, ledger: Ledger, tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from baker.clock import SystemClock
        from baker.events import ResourceAcquired
        from baker.ledger import Ledger
        from baker.ports import RunInfo
        folder = Path({str(folder)!r})
        run = RunInfo(run_id={RUN_ID!r}, recipe="reef", fingerprint="f", image_name="reef", owner="", started=0,
                      expires=0, run_dir=folder)
        emit = Ledger(folder=lambda: folder, clock=SystemClock()).recording(run, "sandbox", lambda event: None)
        emit(ResourceAcquired(kind="disk", id="a", location="here"))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert open_ids(ledger) == ["a"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_folders_is_no_obstacle(
    code: int, emit: Emit, folder: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    emit(acquired("a"))
    assert open_ids(ledger) == ["a"]
    emit(released("a"))
    assert list(folder.iterdir()) == []


def test_what_is_refused_keeps_no_file_open(emit: Emit, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    before = open_files()
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(LedgerError):
        emit(acquired("a"))
    assert open_files() == before
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("event", [acquired("b"), released("a")])
def test_a_signal_while_it_is_written_comes_after_all_have_been_told(
    event: Event, emit: Emit, ledger: Ledger, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    emit(acquired("a"))
    real = os.fsync

    def fsync(descriptor: int) -> None:
        signal.raise_signal(signal.SIGTERM)
        real(descriptor)

    with monkeypatch.context() as patch, pytest.raises(Interrupted), Interrupts():
        patch.setattr(os, "fsync", fsync)
        emit(event)
    assert told == [acquired("a"), event]
    assert open_ids(ledger) == (["a", "b"] if event == acquired("b") else [])


def test_a_signal_while_somebody_is_told_is_not_held_back(ledger: Ledger, tmp_path: Path, told: list[Event]) -> None:
    """A terminal that has been stopped must not keep Ctrl-C from ending the bake."""

    def tell(event: Event) -> None:
        signal.raise_signal(signal.SIGINT)
        told.append(event)

    emit = ledger.recording(run_info(tmp_path), "sandbox", tell)
    with pytest.raises(Interrupted), Interrupts():
        emit(acquired("a"))
    assert told == []
    assert open_ids(ledger) == ["a"]


def test_what_a_run_could_do_without_is_a_warning(emit: Emit, folder: Path, told: list[Event]) -> None:
    """When a thing has been removed and the ledger cannot be told."""
    emit(acquired("a"))
    emit(acquired("b"))
    (folder / f"{RUN_ID}.jsonl").unlink()
    emit(released("a"))
    emit(CleanupFailed(what="disk b", error="busy", remove_hint="rm b"))
    (warning,) = [event for event in told if isinstance(event, Notice)]
    assert warning.level == "warning"
    assert "bake sweep" in warning.text


def test_a_file_that_cannot_be_removed_says_that_nothing_is_open(
    emit: Emit, folder: Path, ledger: Ledger, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(5, "Input/output error")

    emit(acquired("a"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        emit(released("a"))
        emit(DONE)
    assert [type(event) for event in told] == [ResourceAcquired, Notice, Released, BakeFinished]
    (record,) = ledger.runs()
    assert (record.open, record.ended) == ((), True)
    ledger.discard(record.path)
    assert list(folder.iterdir()) == []


def test_a_file_with_something_open_is_not_discarded(emit: Emit, ledger: Ledger) -> None:
    emit(acquired("a"))
    (record,) = ledger.runs()
    ledger.discard(record.path)
    assert open_ids(ledger) == ["a"]


def test_a_person_can_read_it(emit: Emit, folder: Path) -> None:
    emit(acquired("a"))
    header, entry = map(json.loads, (folder / f"{RUN_ID}.jsonl").read_text().splitlines())
    assert (header["line"], header["recipe"], header["user"], header["builder"]) == ("run", "reef", "ada", "sandbox")
    assert (entry["line"], entry["id"], entry["remove_hint"]) == ("acquired", "a", "rm a")
