"""The cache of source images: made once, whole or not at all, never pulled from under a machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from baker.builders.qemu import qemu_img
from baker.builders.qemu.sources.cache import (
    HANDED_OUT_SECONDS,
    LONGEST_AGE_SECONDS,
    PreparedSource,
    Product,
    find_kernels,
    prepare,
    shelf_name,
)
from baker.builders.qemu.spec import CloudImage, DebianPackages, SourceImage
from baker.errors import DiskFullError, FetchError
from baker.events import Emit, Event, Notice
from baker.fingerprint import digest_file
from baker.home import Home

NOW = 1_800_000_000.0
SOURCE = DebianPackages()


class Maker:
    """Makes a small real image in place of a large one; each is another one."""

    def __init__(self) -> None:
        self.made = 0
        self.at_work = threading.Event()
        self.may_finish = threading.Event()
        self.may_finish.set()

    def __call__(self, source: SourceImage, folder: Path, image: Path, download: Path, emit: Emit) -> Product:
        self.at_work.set()
        assert self.may_finish.wait(30)
        self.made += 1
        qemu_img.create_disk(image, size_bytes=self.made << 20)
        kernel = folder / "vmlinuz"
        kernel.write_text(f"kernel {self.made}")
        return Product(digest=digest_file(image), kernel=kernel)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def make() -> Maker:
    return Maker()


def ask(
    home: Home, make: Maker, *, at: float = NOW, refresh: bool = False, source: SourceImage = SOURCE
) -> PreparedSource:
    return prepare(source, home, refresh=refresh, emit=lambda _: None, now=lambda: at, make=make)


def names(home: Home) -> list[str]:
    return sorted(path.name for path in (home.sources / shelf_name(SOURCE)).iterdir())


def test_is_made_once_and_found_again(home: Home, make: Maker) -> None:
    first = ask(home, make)
    assert ask(home, make, at=NOW + 3600) == first
    assert make.made == 1
    assert first.made == NOW
    assert first.digest == digest_file(first.path)
    assert qemu_img.virtual_size(first.path) == 1 << 20


def test_the_record_says_what_it_is(home: Home, make: Maker) -> None:
    record = json.loads((ask(home, make).path.parent / "source.json").read_text())
    assert record["source"] == {"kind": "DebianPackages", "suite": "bookworm", "packages": []}
    assert record["made_utc"] == "2027-01-15T08:00:00+00:00"


def test_is_made_anew_when_it_is_a_week_old(home: Home, make: Maker) -> None:
    first = ask(home, make)
    assert ask(home, make, at=NOW + LONGEST_AGE_SECONDS - 1) == first
    assert ask(home, make, at=NOW + LONGEST_AGE_SECONDS).digest != first.digest


def test_is_made_anew_when_that_is_asked_for(home: Home, make: Maker) -> None:
    assert ask(home, make, refresh=True).digest != ask(home, make, at=NOW + 1, refresh=True).digest


def test_is_made_anew_when_the_clock_was_wrong(home: Home, make: Maker) -> None:
    ask(home, make, at=NOW + 1e6)
    ask(home, make)
    assert make.made == 2


def test_an_image_pinned_by_its_sum_never_ages(home: Home, make: Maker) -> None:
    source = CloudImage(url="https://example.org/disk", sha256="a" * 64)
    first = ask(home, make, source=source)
    assert ask(home, make, source=source, at=NOW + 1e9, refresh=True) == first


def test_sources_that_differ_have_shelves_that_differ() -> None:
    sources: list[SourceImage] = [
        DebianPackages(),
        DebianPackages(suite="trixie"),
        DebianPackages(packages=("git",)),
        CloudImage(url="https://a/", sha256="a" * 64),
        CloudImage(url="https://a/", sha256="b" * 64),
    ]
    assert len({shelf_name(source) for source in sources}) == len(sources)


@pytest.mark.parametrize("damage", ["image", "record", "size"])
def test_a_damaged_version_is_made_anew(damage: str, home: Home, make: Maker) -> None:
    version = ask(home, make).path.parent
    match damage:
        case "image":
            (version / "image.qcow2").unlink()
        case "record":
            (version / "source.json").write_text("{")
        case "size":
            os.truncate(version / "image.qcow2", 1000)
    assert qemu_img.virtual_size(ask(home, make, at=NOW + 1).path) == 2 << 20


def test_an_old_version_stays_while_a_machine_stands_on_it(home: Home, make: Maker) -> None:
    old = ask(home, make)
    overlay = home.work / "abcd" / "root.qcow2"
    overlay.parent.mkdir()
    qemu_img.create_overlay(overlay, backing=old.path, size_bytes=4 << 20)
    later = NOW + HANDED_OUT_SECONDS + 1
    ask(home, make, at=later, refresh=True)
    assert old.path.exists()
    overlay.unlink()
    ask(home, make, at=later + 1, refresh=True)
    assert not old.path.exists()


def test_an_old_version_stays_while_it_may_be_about_to_be_used(home: Home, make: Maker) -> None:
    old = ask(home, make)
    ask(home, make, at=NOW + HANDED_OUT_SECONDS - 1)
    ask(home, make, at=NOW + HANDED_OUT_SECONDS + 1, refresh=True)
    assert old.path.exists(), "it was handed out two seconds before"


def test_two_who_ask_at_the_same_time_make_it_once(home: Home, make: Maker) -> None:
    make.may_finish.clear()
    events: list[Event] = []
    got: list[PreparedSource] = []
    waiting = threading.Event()

    def emit(event: Event) -> None:
        events.append(event)
        waiting.set()

    def second() -> None:
        got.append(prepare(SOURCE, home, refresh=True, emit=emit, make=make))

    def first() -> None:
        got.append(prepare(SOURCE, home, refresh=True, emit=lambda _: None, make=make))

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert make.at_work.wait(30)
    threads[1].start()
    assert waiting.wait(30)
    make.may_finish.set()
    for thread in threads:
        thread.join(30)
    assert make.made == 1
    assert got[0] == got[1]
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "another bake is making the source image (Debian bookworm, from packages); waiting"
    ]


@pytest.mark.parametrize("error", [FetchError("no network"), KeyboardInterrupt()])
def test_nothing_stays_of_a_maker_that_fails(error: BaseException, home: Home) -> None:
    def fail(source: SourceImage, folder: Path, image: Path, download: Path, emit: Emit) -> Product:
        (folder / "tree").mkdir()
        (folder / "tree" / "half").write_text("x")
        raise error

    with pytest.raises(type(error)):
        prepare(SOURCE, home, refresh=False, emit=lambda _: None, make=fail)
    assert names(home) == ["lock"]


def test_a_full_disk_is_said_to_be_full_and_nothing_stays(home: Home) -> None:
    def fill(source: SourceImage, folder: Path, image: Path, download: Path, emit: Emit) -> Product:
        (folder / "half").write_text("x")
        Path("/dev/full").write_text("x")
        raise AssertionError("/dev/full took it")

    with pytest.raises(DiskFullError):
        prepare(SOURCE, home, refresh=False, emit=lambda _: None, make=fill)
    assert names(home) == ["lock"]


def test_what_a_killed_maker_left_is_removed_by_the_next(home: Home, make: Maker, tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from baker.builders.qemu.sources.cache import prepare
from baker.builders.qemu.spec import DebianPackages
from baker.home import Home

def make(source, folder, image, download, emit):
    image.write_text("half")
    Path({str(tmp_path / "at-work")!r}).touch()
    time.sleep(60)

prepare(DebianPackages(), Home(Path({str(home.path)!r})), refresh=False, emit=lambda _: None, make=make)
"""
    child = subprocess.Popen((sys.executable, "-c", program))
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "at-work").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert any(name.endswith(".part") for name in names(home))
    made = ask(home, make)
    assert names(home) == sorted([made.path.parent.name, "lock"])


def test_kernels_are_found_newest_first(home: Home, make: Maker) -> None:
    assert find_kernels(home) == ()
    ask(home, make)
    ask(home, make, at=NOW + 60, refresh=True)
    assert [kernel.read_text() for kernel in find_kernels(home)] == ["kernel 2", "kernel 1"]
