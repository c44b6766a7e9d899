"""What a sweep takes for dead, what it leaves alone, and what it does when not everybody can be asked."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from baker.artifact import Leftover
from baker.clock import SystemClock
from baker.errors import BakeError, BuilderError, BuilderUnavailableError
from baker.events import BakeFinished, Emit, Event, Notice, ResourceAcquired, ResourceReleased
from baker.ledger import Ledger
from baker.owner import Owner, this_process
from baker.ports import Builder, RunInfo
from baker.sweep import LONGEST_RUN_SECONDS, Findings, Removal, look, remove, sweep_own_runs

NOW = time.time()
DEAD, ALIVE, FAR, FAR_EXPIRED, NOBODYS = (f"20260102t030405-000{number}" for number in range(5))


class StillClock(SystemClock):
    """Its instant is the tests' own, however long after the making of their tables they run."""

    def now(self) -> float:
        return NOW


GONE_PROCESS = replace(this_process(), started=1)
ELSEWHERE = replace(this_process(), host="another host", boot="another boot")


@dataclass
class Cloud:
    """A builder that has things in places, and forgets them when told to."""

    kind: str = "cloud"
    things: list[Leftover] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    out_of_reach: tuple[str | None, ...] = ()
    stubborn: tuple[str, ...] = ()
    error: Exception = field(default_factory=lambda: BuilderError("it is locked"))

    def leftovers(self, location: str | None) -> Iterable[Leftover]:
        self.asked.append(location)
        if location in self.out_of_reach:
            raise BuilderError("no credentials")
        for thing in list(self.things):
            if location == "all" or thing.location == (location or "here"):
                yield thing

    def destroy(self, leftover: Leftover) -> None:
        if leftover.id in self.stubborn:
            raise self.error
        self.things = [thing for thing in self.things if thing.id != leftover.id]


def thing(id: str, run_id: str, **changes: Any) -> Leftover:
    values: dict[str, Any] = {"builder": "cloud", "kind": "disk", "location": "here", "created": NOW, "expires": None}
    return Leftover(id=id, run_id=run_id, remove_hint=f"rm {id}", **(values | changes))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    (tmp_path / "ledger").mkdir()
    return Ledger(folder=lambda: tmp_path / "ledger", clock=StillClock())


@pytest.fixture
def write(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Emit]:
    """`write(run_id, owner, ids...)`: a run of that owner, with these things open."""

    def write(run_id: str, owner: Owner, *ids: str, location: str = "here", expires: float = NOW + 3600) -> Emit:
        run = RunInfo(
            run_id=run_id, recipe="reef", fingerprint="f", image_name="reef", owner="ada", started=NOW, expires=expires,
            run_dir=tmp_path,
        )  # fmt: skip
        monkeypatch.setattr("baker.ledger.this_process", lambda: owner)
        emit = ledger.recording(run, "cloud", lambda _event: None)
        for id in ids:
            emit(ResourceAcquired(kind="disk", id=id, location=location, remove_hint=f"rm {id}"))
        return emit

    return write


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def find(cloud: Cloud) -> Callable[[str], Builder[Any]]:
    def find(kind: str) -> Builder[Any]:
        if kind != "cloud":
            raise BuilderUnavailableError(f"no builder {kind!r} is installed")
        found: Any = cloud
        return found  # type: ignore[no-any-return]

    return find


@pytest.fixture
def looked(ledger: Ledger, find: Any) -> Callable[..., Findings]:
    def looked(location: str | None = None, kinds: tuple[str, ...] = ("cloud",)) -> Findings:
        return look(ledger, kinds, find, location=location, clock=StillClock())

    return looked


def ids(leftovers: Iterable[Leftover]) -> list[str]:
    return [leftover.id for leftover in leftovers]


def test_a_run_is_judged_by_its_process_else_by_its_instant(
    write: Callable[..., Emit], cloud: Cloud, looked: Callable[..., Findings]
) -> None:
    write(DEAD, GONE_PROCESS, "dead")
    write(ALIVE, this_process(), "alive", expires=NOW - 3600)
    write(FAR, ELSEWHERE, "far")
    write(FAR_EXPIRED, ELSEWHERE, "far expired", expires=NOW - 1)
    names = {DEAD: "dead", ALIVE: "alive", FAR: "far", FAR_EXPIRED: "far expired"}
    cloud.things = [thing(id, run_id) for run_id, id in names.items()]
    found = looked()
    assert ids(found.dead) == ["dead", "far expired"]
    assert {spared.leftover.id: spared.why for spared in found.spared} == {
        "alive": f"its run is alive, as process {os.getpid()}", "far": "its run may be alive on another host"
    }  # fmt: skip


def test_a_run_that_has_said_that_it_is_over_is_dead_though_its_process_lives(
    write: Callable[..., Emit], cloud: Cloud, looked: Callable[..., Findings]
) -> None:
    emit = write(ALIVE, this_process(), "left")
    emit(BakeFinished(exit_code=8, seconds=1))
    cloud.things = [thing("left", ALIVE)]
    assert ids(looked().dead) == ["left"]


@pytest.mark.parametrize(
    ("changes", "is_dead"),
    [
        ({"expires": NOW - 1}, True),
        ({"expires": NOW + 3600}, False),
        ({"expires": NOW + 3600, "created": NOW - 10 * LONGEST_RUN_SECONDS}, False),
        ({"created": NOW - LONGEST_RUN_SECONDS - 60}, True),
        ({"created": NOW - LONGEST_RUN_SECONDS + 3600}, False),
        ({"created": None}, False),
    ],
)
def test_what_no_ledger_knows_is_judged_by_its_own_instant(
    changes: dict[str, Any], is_dead: bool, cloud: Cloud, looked: Callable[..., Findings]
) -> None:
    cloud.things = [thing("x", NOBODYS, **changes)]
    found = looked()
    assert ids(found.dead) == (["x"] if is_dead else [])
    assert len(found.spared) == (0 if is_dead else 1)


def test_removing_closes_the_ledger_and_can_be_done_again(
    write: Callable[..., Emit], cloud: Cloud, looked: Callable[..., Findings], ledger: Ledger, find: Any
) -> None:
    write(DEAD, GONE_PROCESS, "a", "b", "gone already")
    cloud.things = [thing("a", DEAD), thing("b", DEAD), thing("x", ALIVE)]
    found = looked()
    for _ in range(2):
        removals = list(remove(found, ledger, find))
        assert removals == [Removal(leftover=it) for it in found.dead]
        assert ids(cloud.things) == ["x"]
        assert ledger.runs() == ()
    assert looked().dead == ()


def test_a_cloud_may_call_a_thing_otherwise_than_the_ledger(
    write: Callable[..., Emit], cloud: Cloud, looked: Callable[..., Findings], ledger: Ledger, find: Any
) -> None:
    write(DEAD, GONE_PROCESS, f"bake-{DEAD}")
    cloud.things = [thing("i-0123", DEAD)]
    assert ids(removal.leftover for removal in remove(looked(), ledger, find)) == ["i-0123"]
    assert ledger.runs() == ()


@pytest.mark.parametrize("error", [BuilderError("it is locked"), ZeroDivisionError("a bug")])
def test_what_stays_keeps_nothing_else_and_stays_in_the_ledger(
    error: Exception,
    write: Callable[..., Emit], cloud: Cloud, looked: Callable[..., Findings], ledger: Ledger, find: Any,
) -> None:  # fmt: skip
    write(DEAD, GONE_PROCESS, "a", "b")
    cloud.things, cloud.stubborn, cloud.error = [thing("a", DEAD), thing("b", DEAD)], ("a",), error
    first, second = remove(looked(), ledger, find)
    assert first.error is not None
    assert str(error) in first.error.summary
    assert second.error is None
    assert [record.run_id for record in ledger.runs()] == [DEAD]
    assert ids(looked().dead) == ["a"]


def test_looking_changes_nothing(
    write: Callable[..., Emit], cloud: Cloud, looked: Callable[..., Findings], ledger: Ledger
) -> None:
    write(DEAD, GONE_PROCESS, "gone already")
    before = ledger.runs()
    assert looked().dead == ()
    assert ledger.runs() == before


def test_places_where_runs_have_been_are_asked_besides_the_default_one(
    write: Callable[..., Emit], cloud: Cloud, looked: Callable[..., Findings]
) -> None:
    write(DEAD, GONE_PROCESS, "far", location="there")
    cloud.things = [thing("far", DEAD, location="there"), thing("farther", DEAD, location="elsewhere")]
    assert ids(looked().dead) == ["far"]
    assert cloud.asked == [None, "there"]
    assert ids(looked("elsewhere").dead) == ["farther"]
    assert ids(looked("all").dead) == ["far", "farther"]


def test_a_thing_that_is_found_in_two_ways_is_one(
    write: Callable[..., Emit], cloud: Cloud, looked: Callable[..., Findings]
) -> None:
    write(DEAD, GONE_PROCESS, "a")
    cloud.things = [thing("a", DEAD)]
    assert ids(looked().dead) == ["a"]
    assert cloud.asked == [None, "here"]


def test_asking_one_place_says_nothing_about_another(
    write: Callable[..., Emit], looked: Callable[..., Findings], ledger: Ledger, find: Any
) -> None:
    write(DEAD, GONE_PROCESS, "far", location="there")
    assert list(remove(looked("here"), ledger, find)) == []
    assert [record.run_id for record in ledger.runs()] == [DEAD]
    assert list(remove(looked("all"), ledger, find)) == []
    assert ledger.runs() == ()


@pytest.mark.parametrize("location", ["there", "all", None])
def test_a_place_that_cannot_be_asked_leaves_the_ledgers_word(
    location: str | None,
    write: Callable[..., Emit], cloud: Cloud, looked: Callable[..., Findings], ledger: Ledger, find: Any,
) -> None:  # fmt: skip
    write(DEAD, GONE_PROCESS, "far", location="there")
    cloud.out_of_reach = ("there", "all")
    found = looked(location)
    (item,) = found.unconfirmed
    assert (item.leftover.id, item.leftover.remove_hint, item.leftover.run_id) == ("far", "rm far", DEAD)
    assert item.reason.summary == "no credentials"
    assert found.unasked == ()
    assert list(remove(found, ledger, find)) == []
    assert [record.run_id for record in ledger.runs()] == [DEAD]


def test_a_builder_that_is_not_installed_leaves_the_ledgers_word(write: Callable[..., Emit], ledger: Ledger) -> None:
    write(DEAD, GONE_PROCESS, "a")

    def find(kind: str) -> Builder[Any]:
        raise BuilderUnavailableError(f"no builder {kind!r} is installed")

    found = look(ledger, ("cloud",), find, location=None, clock=StillClock())
    assert [item.leftover.remove_hint for item in found.unconfirmed] == ["rm a"]


def test_a_builder_of_which_the_ledger_knows_nothing_and_that_cannot_be_asked_is_named(
    cloud: Cloud, looked: Callable[..., Findings]
) -> None:
    cloud.out_of_reach = (None,)
    ((kind, error),) = looked().unasked
    assert (kind, error.summary) == ("cloud", "no credentials")


def test_a_file_of_the_ledger_that_cannot_be_read_is_a_thing_to_look_at(
    ledger: Ledger, looked: Callable[..., Findings], find: Any
) -> None:
    file = ledger.folder() / "x.jsonl"
    file.write_text('{"line": "run", "format": 99}\n{"line": "acquired"}\n')
    found = looked()
    (item,) = found.unconfirmed
    assert item.leftover.remove_hint == f"rm {file}"
    list(remove(found, ledger, find))
    assert file.exists()


def test_a_file_that_a_crash_left_blank_goes_once_nobody_can_be_about_to_write_it(
    ledger: Ledger, looked: Callable[..., Findings], find: Any
) -> None:
    file = ledger.folder() / "x.jsonl"
    file.write_text('{"line": "ru')
    list(remove(looked(), ledger, find))
    assert file.exists()
    os.utime(file, (NOW - 120, NOW - 120))
    found = looked()
    assert found.unconfirmed == ()
    list(remove(found, ledger, find))
    assert not file.exists()


def test_a_file_in_which_nothing_is_open_goes_with_its_run(
    write: Callable[..., Emit], looked: Callable[..., Findings], ledger: Ledger, find: Any, monkeypatch: Any
) -> None:
    emit = write(DEAD, GONE_PROCESS, "a")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        emit(ResourceReleased(kind="disk", id="a", location="here"))
    found = looked()
    assert found.entries == ()
    assert list(remove(found, ledger, find)) == []
    assert ledger.runs() == ()


@pytest.fixture
def started(ledger: Ledger, cloud: Cloud) -> Callable[[], list[Notice]]:
    """What a bake says at its start."""

    def started() -> list[Notice]:
        said: list[Event] = []
        builder: Any = cloud
        sweep_own_runs(ledger, builder, said.append, StillClock())
        return [event for event in said if isinstance(event, Notice)]

    return started


def test_a_bake_removes_what_dead_runs_of_this_host_left_and_says_so(
    write: Callable[..., Emit], cloud: Cloud, started: Callable[[], list[Notice]], ledger: Ledger
) -> None:
    write(DEAD, GONE_PROCESS, "a")
    write(ALIVE, this_process(), "b")
    write(FAR_EXPIRED, ELSEWHERE, "c", expires=NOW - 1)
    cloud.things = [
        thing("a", DEAD), thing("b", ALIVE), thing("c", FAR_EXPIRED), thing("d", NOBODYS, expires=NOW - 1)
    ]  # fmt: skip
    assert started() == [Notice(level="info", text=f"removed disk a, which dead run {DEAD} left")]
    assert ids(cloud.things) == ["b", "c", "d"]
    assert {record.run_id for record in ledger.runs()} == {ALIVE, FAR_EXPIRED}
    assert started() == []


def test_a_bake_asks_nobody_when_nothing_is_open(cloud: Cloud, started: Callable[[], list[Notice]]) -> None:
    cloud.things = [thing("x", NOBODYS)]
    assert started() == []
    assert cloud.asked == []


def test_a_bake_warns_of_what_it_cannot_remove_and_goes_on(
    write: Callable[..., Emit], cloud: Cloud, started: Callable[[], list[Notice]]
) -> None:
    write(DEAD, GONE_PROCESS, "a", "b")
    cloud.things, cloud.stubborn = [thing("a", DEAD), thing("b", DEAD)], ("a",)
    warning, info = started()
    assert warning.level == "warning"
    assert "cannot remove disk a" in warning.text
    assert "it is locked; remove it with: rm a" in warning.text
    assert info.level == "info"


def test_a_bake_warns_when_nobody_can_be_asked(
    write: Callable[..., Emit], cloud: Cloud, started: Callable[[], list[Notice]]
) -> None:
    write(DEAD, GONE_PROCESS, "a")
    cloud.out_of_reach = ("here",)
    (warning,) = started()
    assert warning.level == "warning"
    assert "no credentials" in warning.text


@pytest.mark.parametrize("error", [BakeError("the ledger is gone"), ZeroDivisionError("a bug")])
def test_nothing_of_it_fails_a_bake(error: Exception, cloud: Cloud) -> None:
    def fail() -> Path:
        raise error

    said: list[Any] = []
    builder: Any = cloud
    sweep_own_runs(Ledger(folder=fail, clock=StillClock()), builder, said.append, StillClock())
    (warning,) = said
    assert warning.level == "warning"
    assert str(error) in warning.text
