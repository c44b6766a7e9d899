"""The choice between KVM and emulation, by probes with the real QEMU; what this host can do decides what comes out."""

import json
import os
import time
from pathlib import Path

import pytest

from baker.builders.qemu import accelerator
from baker.builders.qemu.accelerator import Accelerator, Answer, choose, probe
from baker.builders.qemu.firmware import find_firmware
from baker.builders.qemu.sources import prepare
from baker.builders.qemu.sources.cache import find_kernels
from baker.builders.qemu.spec import DebianPackages
from baker.errors import BuilderError, BuilderUnavailableError, UsageError
from baker.events import Event, Notice
from baker.home import Home

TCG = ("-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def remember(home: Home, **changes: object) -> Path:
    """An answer as a probe on this host would have left it."""
    record = home.path / "accelerator.json"
    home.path.mkdir(exist_ok=True)
    circumstances = {
        "host_kernel": os.uname().release,
        "qemu": accelerator._qemu_version(),
        "cpu": accelerator._cpu_model(),
    }
    record.write_text(json.dumps({"circumstances": circumstances, "works": True, "reason": "", **changes}))
    return record


def a_device(tmp_path: Path) -> Path:
    """Something that can be opened, as a KVM device that does not work can."""
    device = tmp_path / "kvm"
    device.touch()
    return device


def test_emulation_is_taken_without_a_question(home: Home) -> None:
    assert choose("tcg", home) == Accelerator(name="tcg", qemu_arguments=TCG)


def test_without_a_device_auto_emulates_and_says_what_it_costs(home: Home, tmp_path: Path) -> None:
    chosen = choose("auto", home, device=tmp_path / "kvm")
    assert chosen.qemu_arguments == TCG
    assert chosen.warning is not None
    assert "10 to 30 times slower" in chosen.warning
    assert f"this host has no {tmp_path / 'kvm'}" in chosen.warning
    assert not (home.path / "accelerator.json").exists(), "a device may appear"


def test_without_a_device_kvm_is_an_error(home: Home, tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="this host has no") as caught:
        choose("kvm", home, device=tmp_path / "kvm")
    assert caught.value.exit_code == 4
    assert caught.value.hint is not None
    assert 'accelerator="auto"' in caught.value.hint


def test_an_accelerator_that_does_not_exist(home: Home) -> None:
    with pytest.raises(UsageError, match="'hvf'"):
        choose("hvf", home)


def test_a_yes_is_believed_as_long_as_nothing_has_changed(home: Home, tmp_path: Path) -> None:
    remember(home)
    chosen = choose("auto", home, device=a_device(tmp_path))
    assert chosen == Accelerator(name="kvm", qemu_arguments=("-accel", "kvm", "-cpu", "host"))


def test_a_no_is_believed_by_auto_for_a_week(home: Home, tmp_path: Path) -> None:
    record = remember(home, works=False, reason="it was tried")
    chosen = choose("auto", home, device=a_device(tmp_path))
    assert chosen.warning is not None
    assert chosen.warning.endswith(": it was tried")
    old = time.time() - accelerator.NO_HOLDS_SECONDS - 1
    os.utime(record, (old, old))
    assert accelerator._recall(record, accelerator._circumstances()) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"circumstances": {}}'])
def test_a_record_that_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    record = tmp_path / "accelerator.json"
    record.write_text(text)
    assert accelerator._recall(record, accelerator._circumstances()) is None


def test_another_kernel_is_asked_anew(home: Home) -> None:
    record = remember(home, circumstances={"host_kernel": "0.0", "qemu": "", "cpu": ""})
    assert accelerator._recall(record, accelerator._circumstances()) is None


def test_a_machine_that_says_nothing_is_given_up_on_and_is_gone() -> None:
    before = _children()
    answer = probe(("-S", "-accel", "tcg"), find_firmware(), None, seconds=0.5)  # -S: the machine stands still
    assert not answer.works
    assert "did not come up" in answer.reason
    assert _children() == before


def test_a_machine_that_ends_says_why() -> None:
    answer = probe(("-accel", "no-such-accelerator"), find_firmware(), None, seconds=20)
    assert not answer.works
    assert "no-such-accelerator" in answer.reason


def test_no_firmware_is_an_error_that_names_the_package() -> None:
    with pytest.raises(BuilderUnavailableError) as caught:
        find_firmware(())
    assert caught.value.hint is not None
    assert "apt-get install ovmf" in caught.value.hint


@pytest.mark.qemu
def test_the_probe_sees_a_firmware_come_up() -> None:
    assert probe(TCG, find_firmware(), None, seconds=120) == Answer(works=True)


@pytest.mark.qemu
def test_the_probe_sees_a_kernel_come_up() -> None:
    home = Home.from_environment()
    prepare(DebianPackages(), home, refresh=False, emit=lambda _: None)  # made when there is none
    kernels = find_kernels(home)
    assert probe(TCG, find_firmware(), kernels[0], seconds=180) == Answer(works=True)


@pytest.mark.qemu
def test_this_host_is_asked_once_and_gives_the_same_answer_twice(home: Home) -> None:
    events: list[Event] = []
    first = choose("auto", home, emit=events.append)
    asked = [event for event in events if isinstance(event, Notice)]
    assert choose("auto", home, emit=events.append) == first
    assert [event for event in events if isinstance(event, Notice)] == asked
    assert len(asked) == int((home.path / "accelerator.json").exists())
    if first.name == "tcg":
        with pytest.raises(BuilderError, match="KVM does not work on this host"):
            choose("kvm", home)


def _children() -> set[str]:
    """Pids of this process's children."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
