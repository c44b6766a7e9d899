"""A machine whose guest never boots: what can be told of it, and that it cannot end unnoticed."""

import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from baker.builders.qemu.builder import QemuBuilder
from baker.builders.qemu.machine import QemuMachine, why_ended
from baker.builders.qemu.monitor import MonitorEvent
from baker.builders.qemu.spec import Qemu
from baker.errors import CaptureError, MachineDiedError
from baker.events import Event, Notice
from baker.home import Home
from baker.ports import RunInfo
from baker.provisioner import CommandResult
from baker.recipe import Disk

SPEC = Qemu(memory_mib=256, cpus=1, disk_gib=2)

PATIENCE_SECONDS = 20.0

Pids = Callable[[str], list[int]]


@pytest.fixture
def run(run_info: Callable[..., RunInfo]) -> RunInfo:
    return run_info()


@pytest.fixture
def machine(qemu: QemuBuilder, run: RunInfo, events: Callable[[Event], None]) -> Iterator[QemuMachine]:
    with qemu.machine(SPEC, (Disk(name="data", size_gib=1),), run, events) as machine:
        yield machine


def death_of(machine: QemuMachine) -> MachineDiedError:
    """What is raised once its end has been noticed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            machine.check_alive()
        except MachineDiedError as error:
            return error
    raise AssertionError("nobody noticed that the machine has ended")


def end(machine: QemuMachine, pids: list[int], how: signal.Signals) -> MachineDiedError:
    """End the one QEMU as somebody else would."""
    (pid,) = pids
    os.kill(pid, how)
    return death_of(machine)


def test_it_runs_under_the_name_of_its_run(machine: QemuMachine, run: RunInfo, processes_with: Pids) -> None:
    machine.check_alive()
    assert machine.id == f"bake-{run.run_id}"
    assert len(processes_with(run.run_id)) == 1


def test_its_ssh_port_is_open_on_loopback(machine: QemuMachine) -> None:
    assert machine.address.host == "127.0.0.1"
    socket.create_connection((machine.address.host, machine.address.port), timeout=10).close()


def test_its_ssh_port_is_not_open_to_others(machine: QemuMachine) -> None:
    table = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    port = f":{machine.address.port:04X} "
    listening = [line.split()[1] for line in table.splitlines() if port in line and line.split()[3] == "0A"]
    assert listening == [f"0100007F{port.strip()}"]


def test_it_has_keys_of_its_own(machine: QemuMachine) -> None:
    assert machine.address.key.public.startswith("ssh-ed25519 ")
    assert machine.address.host_key.startswith("ssh-ed25519 ")
    assert machine.address.key.public.split()[1] != machine.address.host_key.split()[1]
    assert "PRIVATE" not in repr(machine.address)


def test_it_finds_its_disks_by_name(machine: QemuMachine) -> None:
    assert machine.disks == {"data": "/dev/disk/by-id/virtio-data"}


def test_others_cannot_read_its_files(machine: QemuMachine, home: Home, run: RunInfo) -> None:
    (folder,) = home.work.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "serial").stat().st_mode) == 0o600


def test_a_qemu_that_is_killed_is_noticed(machine: QemuMachine, run: RunInfo, processes_with: Pids) -> None:
    died = end(machine, processes_with(run.run_id), signal.SIGKILL)
    assert "QEMU was killed" in died.summary
    assert "has ended" in machine.diagnose()


def test_a_qemu_that_is_told_to_end_is_noticed(machine: QemuMachine, run: RunInfo, processes_with: Pids) -> None:
    died = end(machine, processes_with(run.run_id), signal.SIGTERM)
    assert "told to end by a signal" in died.summary
    assert ("QEMU said", f"qemu-system-x86_64: terminating on signal 15 from pid {os.getpid()}") in [
        (label, text.partition(" (")[0]) for label, text in died.details
    ]


def test_what_the_console_said_last_is_told(machine: QemuMachine, home: Home) -> None:
    (folder,) = home.work.iterdir()
    with (folder / "serial").open("a") as file:
        file.writelines(f"\x1b[31mline {number}\x1b[0m\r\n" for number in range(100))
    assert "the machine is running" in machine.diagnose()
    assert "\nline 99\n" in machine.diagnose() + "\n"
    assert "line 50\n" not in machine.diagnose()
    assert "\x1b" not in machine.diagnose()


def test_it_can_be_killed_again_and_again(machine: QemuMachine, run: RunInfo, processes_with: Pids) -> None:
    machine.kill()
    machine.kill()
    death_of(machine)
    machine.kill()
    assert processes_with(run.run_id) == []


def test_a_guest_that_does_not_switch_itself_off_is_no_image(machine: QemuMachine, home: Home) -> None:
    with pytest.raises(CaptureError, match="did not switch itself off within 1 s"):
        machine.capture("reef", {})
    assert list(home.images.iterdir()) == []


def test_a_machine_that_has_died_is_no_image(
    machine: QemuMachine, run: RunInfo, home: Home, processes_with: Pids
) -> None:
    end(machine, processes_with(run.run_id), signal.SIGTERM)  # QEMU exits with 0, as after a poweroff
    with pytest.raises(MachineDiedError):
        machine.capture("reef", {})
    assert list(home.images.iterdir()) == []


def test_a_name_that_is_taken_is_refused_while_the_machine_still_runs(machine: QemuMachine, home: Home) -> None:
    (home.images / "reef").mkdir()
    with pytest.raises(CaptureError, match="exists already"):
        machine.capture("reef", {})
    machine.check_alive()


class Answering:
    """A machine on which every command ends with the same exit code."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self.commands: list[str] = []

    def run(self, command: str, *, sudo: bool = False, check: bool = True, quiet: bool = False) -> CommandResult:
        assert sudo
        self.commands.append(command)
        return CommandResult(command=command, exit_code=self.exit_code, stdout="", stderr="it says no", seconds=0.1)


@pytest.mark.parametrize(("exit_code", "warnings"), [(0, 0), (32, 1)])
def test_disks_that_cannot_be_trimmed_are_told_of(
    exit_code: int, warnings: int, machine: QemuMachine, events: Any
) -> None:
    remote = Answering(exit_code)
    before = len(events.of(Notice))
    machine.finalize(remote)  # type: ignore[arg-type]
    assert "fstrim --all" in remote.commands[0]
    assert remote.commands[0].startswith("sync;")
    told = [event.text for event in events.of(Notice)[before:] if event.level == "warning"]
    assert len(told) == warnings
    assert all("fstrim exited with 32: it says no" in text for text in told)


@pytest.mark.parametrize(
    ("exit_code", "reason", "text"),
    [
        (0, "guest-shutdown", "it switched itself off"),
        (0, "guest-panic", "its kernel panicked"),
        (0, "host-signal", "QEMU was told to end by a signal"),
        (0, "host-qmp-quit", "QEMU exited with 0 (host-qmp-quit)"),
        (1, None, "QEMU exited with 1"),
        (-signal.SIGKILL, None, "QEMU was killed (the kernel does that, too, when memory runs out)"),
        (-signal.SIGSEGV, "guest-shutdown", "QEMU was ended by SIGSEGV"),
    ],
)
def test_why_it_ended(exit_code: int, reason: str | None, text: str) -> None:
    events = (MonitorEvent(name="SHUTDOWN", data={"reason": reason}),) if reason else ()
    assert why_ended(exit_code, events) == text
