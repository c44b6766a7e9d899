"""The lifetimes: whatever fails while a machine is made or used, nothing of it stays, and the first error comes out."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baker.builders.qemu import qemu_img
from baker.builders.qemu.accelerator import Accelerator
from baker.builders.qemu.builder import GIB, VISITOR, QemuBuilder
from baker.builders.qemu.capture import Images, NamedDisk, write_image
from baker.builders.qemu.image import Image
from baker.builders.qemu.sources import PreparedSource
from baker.builders.qemu.spec import CloudImage, DebianPackages, Qemu
from baker.clock import SystemClock
from baker.errors import BakeError, BuilderError, BuilderUnavailableError, LaunchError
from baker.events import CleanupFailed, Notice, ResourceAcquired, ResourceReleased
from baker.home import Home
from baker.plan import make_plan
from baker.ports import Builder, Problem, RunInfo
from baker.recipe import Disk, Recipe

SPEC = Qemu(memory_mib=256, cpus=1, disk_gib=2)
DISKS = (Disk(name="data", size_gib=1),)

RunInfoOf = Callable[..., RunInfo]
Pids = Callable[[str], list[int]]


def test_it_is_a_builder(qemu: QemuBuilder) -> None:
    builder: Builder[Qemu] = QemuBuilder()
    assert builder.kind == "qemu"
    assert builder.baking_host == "10.0.2.2"


def assert_nothing_left(home: Home, run: RunInfo, events: Any, processes_with: Pids) -> None:
    assert list(home.work.iterdir()) == []
    assert processes_with(run.run_id) == []
    assert events.of(CleanupFailed) == []
    acquired = [(event.kind, event.id, event.location) for event in events.of(ResourceAcquired)]
    released = [(event.kind, event.id, event.location) for event in events.of(ResourceReleased)]
    assert released == acquired[::-1]


def test_leaving_ends_the_machine(
    qemu: QemuBuilder, run_info: RunInfoOf, events: Any, home: Home, processes_with: Pids
) -> None:
    run = run_info()
    with qemu.machine(SPEC, DISKS, run, events) as machine:
        (folder,) = home.work.iterdir()
        assert qemu_img.virtual_size(folder / "root.qcow2") == 2 * GIB
        assert qemu_img.virtual_size(folder / "data.qcow2") == 1 * GIB
        assert len(processes_with(run.run_id)) == 1
    assert_nothing_left(home, run, events, processes_with)
    machine.kill()
    assert [event.kind for event in events.of(ResourceAcquired)] == ["work folder", "qemu process"]


class Unexpected(BaseException):
    """Stands for anything that may be raised while a machine runs."""


@pytest.mark.parametrize("error", [LaunchError("no"), KeyboardInterrupt(), Unexpected()])
def test_an_error_ends_the_machine_and_comes_out(
    error: BaseException, qemu: QemuBuilder, run_info: RunInfoOf, events: Any, home: Home, processes_with: Pids
) -> None:
    run = run_info()
    with pytest.raises(type(error)) as caught, qemu.machine(SPEC, (), run, events):
        raise error
    assert caught.value is error
    assert_nothing_left(home, run, events, processes_with)


def test_two_machines_do_not_meet(qemu: QemuBuilder, run_info: RunInfoOf, events: Any) -> None:
    with (
        qemu.machine(SPEC, (), run_info(run_id="20260102-030405-aaaa"), events) as first,
        qemu.machine(SPEC, (), run_info(run_id="20260102-030405-bbbb"), events) as second,
    ):
        assert first.address.port != second.address.port
        assert first.address.host_key != second.address.host_key
        first.kill()
        second.check_alive()


def test_a_warning_about_the_accelerator_reaches_the_user_once(
    qemu: QemuBuilder, run_info: RunInfoOf, events: Any
) -> None:
    for _ in range(2):
        with qemu.machine(SPEC, (), run_info(), events):
            pass
    assert events.seen.count(Notice(level="warning", text="slow")) == 1


def raising(error: BaseException) -> Callable[..., Any]:
    def do(*_: object, **__: object) -> Any:
        raise error

    return do


def no_source(builder: QemuBuilder, _home: Home) -> QemuBuilder:
    return replace(builder, prepare_source=raising(BuilderError("cannot be made")))


def source_that_is_gone(builder: QemuBuilder, home: Home) -> QemuBuilder:
    gone = PreparedSource(path=home.sources / "gone.qcow2", digest="d", made=0.0, description="")
    return replace(builder, prepare_source=lambda *_, **__: gone)


def source_that_is_no_disk(builder: QemuBuilder, home: Home) -> QemuBuilder:
    path = home.sources / "text.qcow2"
    path.write_text("no disk")
    source = PreparedSource(path=path, digest="d", made=0.0, description="")
    return replace(builder, prepare_source=lambda *_, **__: source)


def source_that_is_too_large(builder: QemuBuilder, home: Home) -> QemuBuilder:
    path = home.sources / "large.qcow2"
    qemu_img.create_disk(path, size_bytes=3 * GIB)
    source = PreparedSource(path=path, digest="d", made=0.0, description="")
    return replace(builder, prepare_source=lambda *_, **__: source)


def no_accelerator(builder: QemuBuilder, _home: Home) -> QemuBuilder:
    return replace(builder, choose_accelerator=raising(BuilderError("KVM does not work")))


def accelerator_that_fails(builder: QemuBuilder, _home: Home) -> QemuBuilder:
    broken = Accelerator(name="tcg", qemu_arguments=("-accel", "no-such-accelerator"))
    return replace(builder, choose_accelerator=lambda *_, **__: broken)


def work_folder_that_is_a_file(builder: QemuBuilder, home: Home) -> QemuBuilder:
    blocked = replace(home, path=home.path / "blocked")
    blocked.path.mkdir(parents=True)
    (blocked.path / "work").write_text("in the way")
    return replace(builder, home=lambda: blocked)


def images_folder_that_is_a_file(builder: QemuBuilder, home: Home) -> QemuBuilder:
    (home.path / "images").write_text("in the way")
    return builder


FAULTS: dict[Callable[[QemuBuilder, Home], QemuBuilder], tuple[type[BakeError], str]] = {
    no_source: (BuilderError, "cannot be made"),
    source_that_is_gone: (BuilderError, "reading gone.qcow2 failed"),
    source_that_is_no_disk: (BuilderError, "reading text.qcow2 failed"),
    source_that_is_too_large: (BuilderError, "larger than disk_gib=2"),
    no_accelerator: (BuilderError, "KVM does not work"),
    accelerator_that_fails: (LaunchError, "the machine did not start: QEMU exited with 1"),
    work_folder_that_is_a_file: (BuilderError, "cannot be made: file exists"),
    images_folder_that_is_a_file: (BuilderError, "cannot be made: file exists"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_while_a_machine_is_made_leaves_nothing(
    fault: Callable[[QemuBuilder, Home], QemuBuilder],
    qemu: QemuBuilder,
    run_info: RunInfoOf,
    events: Any,
    home: Home,
    processes_with: Pids,
) -> None:
    expected, text = FAULTS[fault]
    run = run_info()
    home.work.mkdir(exist_ok=True)
    with pytest.raises(expected, match=text), fault(qemu, home).machine(SPEC, DISKS, run, events):
        raise AssertionError("there should be no machine")
    assert_nothing_left(home, run, events, processes_with)


def test_a_run_folder_that_is_gone_leaves_nothing(
    qemu: QemuBuilder, run_info: RunInfoOf, events: Any, home: Home, processes_with: Pids, tmp_path: Path
) -> None:
    run = run_info(run_dir=tmp_path / "gone")
    with pytest.raises(LaunchError, match="preparing the machine's files"), qemu.machine(SPEC, DISKS, run, events):
        raise AssertionError("there should be no machine")
    assert_nothing_left(home, run, events, processes_with)


def test_an_interrupt_at_any_event_leaves_nothing(
    qemu: QemuBuilder, run_info: RunInfoOf, make_events: Callable[..., Any], home: Home, processes_with: Pids
) -> None:
    """Each event on the way into the machine, one after the other, is the moment of a Ctrl-C."""
    complete = make_events()
    with qemu.machine(SPEC, DISKS, run_info(), complete):
        count = len(complete.seen)
    assert count >= 4
    for number in range(count):
        qemu.warnings_told.clear()
        events = make_events(fail_at=number)
        run = run_info()
        with pytest.raises(KeyboardInterrupt), qemu.machine(SPEC, DISKS, run, events):
            raise AssertionError("there should be no machine")
        assert_nothing_left(home, run, events, processes_with)


@pytest.fixture
def image(qemu: QemuBuilder, home: Home, tmp_path: Path) -> Any:
    """An image of two blank disks."""
    disks = []
    for name, size in (("root", 2 * GIB), ("data", GIB)):
        qemu_img.create_disk(tmp_path / f"{name}.qcow2", size_bytes=size)
        disks.append(NamedDisk(name=name, path=tmp_path / f"{name}.qcow2"))

    def describe(found: Any) -> Image:
        return Image(
            name="reef",
            created="2026-01-02T03:04:05+00:00",
            fingerprint="f" * 64,
            labels={},
            source_digest="d" * 64,
            architecture="x86_64",
            firmware="uefi",
            memory_mib=256,
            cpus=1,
            disks=found,
        )

    images = Images(home=home, run_id="20260102t030405-abcd", emit=lambda _event: None, clock=SystemClock())
    return write_image(images, "reef", tuple(disks), describe)


def test_an_image_is_started_with_all_its_disks_and_stays_as_it_is(
    qemu: QemuBuilder, image: Any, run_info: RunInfoOf, events: Any, home: Home, processes_with: Pids
) -> None:
    run = run_info()
    before = {path: path.stat().st_mtime_ns for path in Path(image.id).iterdir()}
    with qemu.launch_image(image, run, events) as machine:
        machine.check_alive()
        (folder,) = home.work.iterdir()
        for disk in ("root.qcow2", "data.qcow2"):
            info = subprocess.run(["qemu-img", "info", "-U", folder / disk], check=True, capture_output=True, text=True)
            assert f"backing file: {image.id}/{disk}" in info.stdout
        assert machine.disks == {"data": "/dev/disk/by-id/virtio-data"}
        assert machine.address.user == VISITOR != SPEC.login_user
    assert (run.run_dir / "serial-image.log").exists()
    assert {path: path.stat().st_mtime_ns for path in Path(image.id).iterdir()} == before
    assert_nothing_left(home, run, events, processes_with)


def test_an_image_that_is_gone_is_an_error(
    qemu: QemuBuilder, image: Any, run_info: RunInfoOf, events: Any, home: Home
) -> None:
    (Path(image.id) / "image.json").unlink()
    with pytest.raises(BuilderError, match="no image in"), qemu.launch_image(image, run_info(), events):
        raise AssertionError("there should be no machine")
    assert events.seen == []


def test_images_are_found_here_and_elsewhere(qemu: QemuBuilder, image: Any, home: Home) -> None:
    assert qemu.images(None) == (image,)
    assert qemu.images(str(home.images)) == (image,)
    with pytest.raises(BuilderError, match="cannot list"):
        qemu.images(str(home.path / "nowhere"))


def test_the_default_spec_has_no_problem(qemu: QemuBuilder) -> None:
    assert qemu.check(Qemu()) == ()


BAD_SPECS: dict[str, Qemu] = {
    "name": Qemu(name="My Machine"),
    "memory_mib": Qemu(memory_mib=16),
    "cpus": Qemu(cpus=0),
    "disk_gib": Qemu(disk_gib=10_000),
    "accelerator": Qemu(accelerator="hvf"),  # type: ignore[arg-type]
    "login_user": Qemu(login_user="root"),
    "source": Qemu(source="bookworm"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("field", BAD_SPECS)
def test_a_bad_spec_is_named_by_its_field(field: str, qemu: QemuBuilder) -> None:
    (problem,) = qemu.check(BAD_SPECS[field])
    assert problem.summary.startswith(f"Qemu({field}=")
    assert f": {field} must be " in problem.summary
    assert problem.exit_code == 2


@pytest.mark.parametrize(
    "spec",
    [
        Qemu(memory_mib="4096"),  # type: ignore[arg-type]
        Qemu(cpus=True),
        Qemu(disk_gib=12.5),  # type: ignore[arg-type]
        Qemu(name=None),  # type: ignore[arg-type]
        Qemu(source=DebianPackages(suite="../etc")),
        Qemu(source=CloudImage(url="/tmp/image.qcow2", sha256="0" * 64)),
        Qemu(source=CloudImage(url="https://images.example.org/image.qcow2", sha256="abc")),
        Qemu(source=DebianPackages(suite=12)),  # type: ignore[arg-type]
        Qemu(source=DebianPackages(packages="git")),  # type: ignore[arg-type]
        Qemu(source=DebianPackages(packages=("--purge",))),
        Qemu(boot_timeout_seconds=float("nan")),
        Qemu(boot_timeout_seconds=float("inf")),
        object(),  # of kind qemu, by its own account
    ],
)
def test_a_value_of_the_wrong_kind_is_a_problem_and_not_a_crash(spec: Qemu, qemu: QemuBuilder) -> None:
    assert [problem.exit_code for problem in qemu.check(spec)] == [2]


@pytest.mark.parametrize(("suite", "meant"), [("bookwrm", "bookworm"), ("Bookworm", "bookworm"), ("trixi", "trixie")])
def test_a_slip_in_a_suite_is_seen_without_a_network(suite: str, meant: str, qemu: QemuBuilder) -> None:
    (problem,) = qemu.check(Qemu(source=DebianPackages(suite=suite)))
    assert problem.summary == f'DebianPackages(suite={suite!r}): suite must be a release such as "bookworm"'
    assert problem.hint == f"did you mean {meant}?"


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "stable", "oldoldstable", "duke", "experimental", "buster"])
def test_a_suite_that_may_exist_is_left_to_the_archive(suite: str, qemu: QemuBuilder) -> None:
    assert qemu.check(Qemu(source=DebianPackages(suite=suite))) == ()


def plan_of(spec: Qemu, *disks: Disk) -> Any:
    return make_plan(Recipe(name="reef", builders=(spec,), disks=disks), spec)


def test_a_plan_that_fits_has_no_problem_and_leaves_no_trace(qemu: QemuBuilder, home: Home) -> None:
    assert qemu.preflight(plan_of(SPEC, *DISKS)) == ()
    assert not (home.path / "work").exists()


def test_a_machine_that_wants_more_memory_than_there_is_is_a_problem(qemu: QemuBuilder) -> None:
    (problem,) = qemu.preflight(plan_of(Qemu(memory_mib=1 << 20)))
    assert "wants 1048576 MiB of memory" in problem.summary
    assert problem.hint is not None


def test_a_home_that_cannot_be_used_is_a_problem(qemu: QemuBuilder, home: Home) -> None:
    home.path.touch()
    (problem,) = qemu.preflight(plan_of(SPEC))
    assert problem.summary == f"nothing can be kept in {home.path}: it is not a folder"
    assert (problem.exit_code, problem.hint) == (4, "export BAKER_HOME=/a/folder/of/yours")


def test_a_source_that_is_out_of_reach_is_a_problem(qemu: QemuBuilder) -> None:
    asked = []

    def problems(*about: object) -> list[Problem]:
        asked.append(about)
        return [Problem(summary="no archive", exit_code=5)]

    builder = replace(qemu, source_problems=problems)
    assert [problem.summary for problem in builder.preflight(plan_of(SPEC))] == ["no archive"]
    assert asked == [(SPEC.source, qemu.home())]


def test_without_qemu_the_package_is_named(qemu: QemuBuilder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuilderUnavailableError) as caught:
        qemu.preflight(plan_of(SPEC))
    assert "qemu-system-x86_64" in caught.value.summary
    assert caught.value.hint is not None
    assert "apt-get install" in caught.value.hint
    assert "qemu-system-x86" in caught.value.hint
