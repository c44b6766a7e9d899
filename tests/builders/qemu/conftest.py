"""Parts for tests of the QEMU builder: real QEMU processes, most of them without a guest."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from baker.builders.qemu import qemu_img
from baker.builders.qemu.accelerator import Accelerator
from baker.builders.qemu.builder import QemuBuilder
from baker.builders.qemu.sources import PreparedSource
from baker.events import Event
from baker.home import Home
from baker.ports import RunInfo

GIB = 1 << 30


@dataclass
class Events:
    """Keeps what is emitted; raises `error` in place of event number `fail_at`."""

    seen: list[Event] = field(default_factory=list)
    fail_at: int | None = None
    error: BaseException = field(default_factory=lambda: KeyboardInterrupt("at an event"))

    def __call__(self, event: Event) -> None:
        self.seen.append(event)
        if len(self.seen) - 1 == self.fail_at:
            raise self.error

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.seen if isinstance(event, kind)]


@pytest.fixture
def make_events() -> Callable[..., Events]:
    return Events


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "a home, with a comma")


@pytest.fixture
def run_info(tmp_path: Path) -> Callable[..., RunInfo]:
    def make(**changes: object) -> RunInfo:
        run_dir = tmp_path / "run"
        run_dir.mkdir(exist_ok=True)
        values: dict[str, object] = {
            "run_id": f"20260102-030405-{os.urandom(2).hex()}",
            "recipe": "reef",
            "fingerprint": "f" * 64,
            "image_name": "reef-20260102T030405Z-ffffffff",
            "owner": "somebody",
            "started": 0.0,
            "expires": time.time() + 4 * 3600,  # a machine that is past it switches itself off
            "run_dir": run_dir,
        }
        return RunInfo(**(values | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def blank_disk(tmp_path: Path) -> Path:
    """A source image that nothing boots from: QEMU runs, and the firmware waits."""
    path = tmp_path / "blank.qcow2"
    qemu_img.create_disk(path, size_bytes=GIB)
    return path


@pytest.fixture
def qemu(home: Home, blank_disk: Path) -> QemuBuilder:
    """The builder, with a source image that is there at once and nothing boots from."""

    def prepare(*_: object, **__: object) -> PreparedSource:
        return PreparedSource(path=blank_disk, digest="d" * 64, made=0.0, description="nothing")

    def choose(*_: object, **__: object) -> Accelerator:
        return Accelerator(name="tcg", qemu_arguments=("-accel", "tcg", "-cpu", "max"), warning="slow")

    return QemuBuilder(
        home=lambda: home,
        prepare_source=prepare,
        source_problems=lambda *_: (),
        choose_accelerator=choose,
        power_off_seconds=1.0,
    )
