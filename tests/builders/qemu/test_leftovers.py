"""What dead bakes left is found and removed; nothing else is, whatever is planted or claimed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baker.artifact import Leftover
from baker.builders.qemu import naming
from baker.builders.qemu.builder import QemuBuilder
from baker.builders.qemu.leftovers import PARTIAL_IMAGE, PROCESS, WORK_FOLDER
from baker.builders.qemu.spec import Qemu
from baker.errors import BuilderError
from baker.events import ResourceAcquired
from baker.home import Home
from baker.ports import RunInfo

SPEC = Qemu(memory_mib=256, cpus=1, disk_gib=2)
RUN_ID = "20260102t030405-abcd"
OTHER_RUN = "20260102t030405-beef"

Pids = Callable[[str], list[int]]


@pytest.fixture
def work_folder(home: Home) -> Path:
    folder = home.work / naming.new_work_folder(RUN_ID, "bake")
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "root.qcow2").write_bytes(b"x" * (3 << 20))
    return folder


def found(qemu: QemuBuilder, kind: str) -> list[Leftover]:
    return [leftover for leftover in qemu.leftovers("all") if leftover.kind == kind]


def test_a_running_machine_is_found_by_what_the_ledger_knows_of_it(
    qemu: QemuBuilder, run_info: Callable[..., RunInfo], events: Any, home: Home, processes_with: Pids
) -> None:
    run = run_info(run_id=RUN_ID)
    with qemu.machine(SPEC, (), run, events):
        leftovers = list(qemu.leftovers())
        (pid,) = processes_with(RUN_ID)
    acquired = {(event.kind, event.location) for event in events.of(ResourceAcquired)}
    assert {(leftover.kind, leftover.location) for leftover in leftovers} == acquired
    assert [leftover.kind for leftover in leftovers] == [PROCESS, WORK_FOLDER], "in the order of removal"
    assert {leftover.run_id for leftover in leftovers} == {RUN_ID}
    assert leftovers[0].id.startswith(f"{pid}:")
    assert all(leftover.created and abs(leftover.created - home.path.stat().st_mtime) < 120 for leftover in leftovers)
    assert list(qemu.leftovers()) == []


def test_all_that_is_left_can_be_removed_and_removed_again(
    qemu: QemuBuilder,
    run_info: Callable[..., RunInfo],
    events: Any,
    home: Home,
    work_folder: Path,
    processes_with: Pids,
) -> None:
    (home.images / naming.partial_image(RUN_ID, "reef-1")).mkdir()
    with qemu.machine(SPEC, (), run_info(run_id=OTHER_RUN), events):
        leftovers = list(qemu.leftovers())
        assert [leftover.kind for leftover in leftovers] == [PROCESS, WORK_FOLDER, WORK_FOLDER, PARTIAL_IMAGE]
        for leftover in leftovers * 2:
            qemu.destroy(leftover)
        assert processes_with(OTHER_RUN) == []
        assert list(home.work.iterdir()) == []
        assert list(home.images.iterdir()) == []


def test_it_is_said_what_it_costs_and_how_to_remove_it_by_hand(qemu: QemuBuilder, work_folder: Path) -> None:
    (leftover,) = found(qemu, WORK_FOLDER)
    assert leftover.cost == "3 MiB of disk"
    subprocess.run(leftover.remove_hint, shell=True, check=True)
    assert not work_folder.exists()


def test_another_location_holds_nothing(qemu: QemuBuilder, work_folder: Path, tmp_path: Path) -> None:
    assert list(qemu.leftovers(str(tmp_path))) == []


@pytest.mark.parametrize(
    "name",
    [
        "mine",
        "deadbeef",
        ".",
        f"{RUN_ID}",
        f"{RUN_ID}.bake",
        f"{RUN_ID}.bake.0123456",
        f"{RUN_ID}.bake.01234567.old",
        f"x{RUN_ID}.bake.01234567",
        f"{RUN_ID.upper()}.bake.01234567",
        f"{RUN_ID}.bake.01234567\n",
    ],
)
def test_what_has_another_name_is_not_ours(name: str, qemu: QemuBuilder, home: Home) -> None:
    (home.work / name).mkdir(exist_ok=True)
    (home.images / name).mkdir(exist_ok=True)
    assert list(qemu.leftovers()) == []
    for kind in (WORK_FOLDER, PARTIAL_IMAGE):
        with pytest.raises(BuilderError, match=f"no {kind} of run"):
            qemu.destroy(of(home, kind, name))
    assert (home.work / name).exists()


def test_a_finished_image_is_not_ours_to_remove(qemu: QemuBuilder, home: Home) -> None:
    image = home.images / "reef-20260102t030405-ffffffff"
    image.mkdir()
    (home.images / f"{RUN_ID}.reef.partial").mkdir()
    assert list(qemu.leftovers()) == []
    with pytest.raises(BuilderError):
        qemu.destroy(of(home, PARTIAL_IMAGE, image.name))
    assert image.exists()


@pytest.mark.parametrize("kind", [WORK_FOLDER, PARTIAL_IMAGE])
def test_a_link_leads_no_removal_out(kind: str, qemu: QemuBuilder, home: Home, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("years of work")
    name = f"{RUN_ID}.bake.01234567" if kind == WORK_FOLDER else f".{RUN_ID}.reef.partial"
    parent = home.work if kind == WORK_FOLDER else home.images
    (parent / name).symlink_to(precious)
    assert list(qemu.leftovers()) == [], "we make no links there: it is not ours"
    with pytest.raises(BuilderError):
        qemu.destroy(of(home, kind, name))
    assert (precious / "data").read_text() == "years of work"


def test_a_link_inside_a_folder_leads_no_removal_out(
    qemu: QemuBuilder, home: Home, work_folder: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("years of work")
    (work_folder / "deeper" / "out").symlink_to(precious)
    (work_folder / "up").symlink_to("/")
    (leftover,) = found(qemu, WORK_FOLDER)
    qemu.destroy(leftover)
    assert not work_folder.exists()
    assert (precious / "data").read_text() == "years of work"


@pytest.mark.parametrize("id", ["../images", f"../../{RUN_ID}.bake.01234567", f"/{RUN_ID}.bake.01234567", ""])
def test_a_forged_entry_leads_nowhere(id: str, qemu: QemuBuilder, home: Home) -> None:
    with pytest.raises(BuilderError):
        qemu.destroy(of(home, WORK_FOLDER, id))


def test_a_folder_of_another_run_is_not_the_one_that_is_meant(qemu: QemuBuilder, home: Home, work_folder: Path) -> None:
    with pytest.raises(BuilderError):
        qemu.destroy(of(home, WORK_FOLDER, work_folder.name, run_id=OTHER_RUN))
    assert work_folder.exists()


def test_another_home_is_told_how_to_be_swept(qemu: QemuBuilder, home: Home, work_folder: Path) -> None:
    elsewhere = replace(of(home, WORK_FOLDER, work_folder.name), location="/another home")
    with pytest.raises(BuilderError) as refused:
        qemu.destroy(elsewhere)
    assert refused.value.hint == "BAKER_HOME='/another home' bake sweep"


def of(home: Home, kind: str, id: str, run_id: str = RUN_ID) -> Leftover:
    return Leftover(
        builder="qemu", kind=kind, id=id, location=str(home.path), run_id=run_id, created=None, expires=None,
        remove_hint="",
    )  # fmt: skip


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """`start(argv)`: a process with exactly these arguments, which sleeps; its pid."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*argv: str) -> int:
        sleep = "import time; time.sleep(100)"
        process = subprocess.Popen([argv[0], "-c", sleep, *argv[1:]], executable=sys.executable)
        processes.append(process)
        return process.pid

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_only_a_qemu_of_a_run_below_this_home_is_ours(
    qemu: QemuBuilder, home: Home, work_folder: Path, start: Callable[..., int]
) -> None:
    disk = f"if=none,file={naming.in_option(work_folder)}/root.qcow2"
    name = naming.process(RUN_ID)
    ours = start("/usr/bin/qemu-system-x86_64", "-name", name, "-drive", disk)
    start("/usr/bin/less", "-name", name, "-drive", disk)
    start("/usr/bin/qemu-system-x86_64", "-name", name, "-drive", "if=none,file=/var/lib/other/root.qcow2")
    start("/usr/bin/qemu-system-x86_64", "-name", naming.process(OTHER_RUN), "-drive", disk)
    start("/usr/bin/qemu-system-x86_64", "-name", "mine", "-drive", disk)
    start("/usr/bin/qemu-system-x86_64", "-drive", disk)
    (leftover,) = found(qemu, PROCESS)
    assert leftover.id.startswith(f"{ours}:")


def test_a_number_that_was_given_again_ends_nobody(
    qemu: QemuBuilder, home: Home, work_folder: Path, start: Callable[..., int]
) -> None:
    disk = f"if=none,file={naming.in_option(work_folder)}/root.qcow2"
    pid = start("/usr/bin/qemu-system-x86_64", "-name", naming.process(RUN_ID), "-drive", disk)
    (leftover,) = found(qemu, PROCESS)
    earlier = f"{pid}:{int(leftover.id.partition(':')[2]) - 1}"
    qemu.destroy(replace(leftover, id=earlier))
    assert found(qemu, PROCESS) == [leftover]


def test_a_process_that_is_no_machine_of_the_run_is_not_ended(
    qemu: QemuBuilder, home: Home, work_folder: Path, start: Callable[..., int]
) -> None:
    from baker.owner import start_ticks

    pid = start("/usr/bin/precious", "-name", naming.process(RUN_ID))
    with pytest.raises(BuilderError, match="is no machine of run"):
        qemu.destroy(of(home, PROCESS, f"{pid}:{start_ticks(pid)}"))
    assert start_ticks(pid) is not None


@pytest.mark.parametrize("id", ["", "1", "1:", "-1:5", "self:1", "1:1:1"])
def test_what_names_no_process_ends_nobody(id: str, qemu: QemuBuilder, home: Home) -> None:
    with pytest.raises(BuilderError, match="names no process"):
        qemu.destroy(of(home, PROCESS, id))


def test_what_the_builder_never_makes_it_never_removes(qemu: QemuBuilder, home: Home) -> None:
    with pytest.raises(BuilderError, match="makes no 'volume'"):
        qemu.destroy(of(home, "volume", "x"))
