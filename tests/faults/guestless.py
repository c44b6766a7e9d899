"""Whole bakes on a real QEMU that has no guest: they take a second, and QEMU, its files and its end are the real ones.

What stands in for the guest: SSH leads to a sandbox machine, and the power button does what a kernel does with it, it
writes to the chipset's register.
"""

import errno
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from baker.builders.qemu import launch, qemu_img
from baker.builders.qemu.accelerator import TCG_ARGUMENTS, Accelerator
from baker.builders.qemu.builder import QemuBuilder
from baker.builders.qemu.monitor import Monitor, MonitorError
from baker.builders.qemu.process import ChildProcess
from baker.builders.qemu.sources import PreparedSource
from baker.builders.qemu.spec import Qemu
from baker.clock import SystemClock
from baker.communicators.ssh import SshConnector
from baker.errors import BuilderError
from baker.home import Home
from baker.ports import Address, Communicator
from tests.faults.calls import Call, Calls

SPEC = Qemu(memory_mib=256, cpus=1, disk_gib=2)
DISK_BYTES = 1 << 30

POWER_OFF = "o /w 0x604 0x2000"
"""HMP: sleep type 0 and SLP_EN to the PM1a control register, which is how Linux switches such a machine off."""

POWER_OFF_SECONDS = 20.0

_execute = Monitor.execute


def guestless_builder(home: Home, blank: Path) -> QemuBuilder:
    """The builder as it is, but for a source that is there at once and that nothing boots from."""
    if not blank.exists():
        qemu_img.create_disk(blank, size_bytes=DISK_BYTES)
    return QemuBuilder(
        home=lambda: home,
        prepare_source=lambda *_, **__: PreparedSource(path=blank, digest="d" * 64, made=0.0, description="nothing"),
        source_problems=lambda *_: (),
        choose_accelerator=lambda *_, **__: Accelerator(name="tcg", qemu_arguments=TCG_ARGUMENTS),
        power_off_seconds=POWER_OFF_SECONDS,
    )


def execute_with_power_button(monitor: Monitor, command: str, **arguments: object) -> Any:
    """`Monitor.execute` of a machine whose guest heeds the power button."""
    if command != "system_powerdown":
        return _execute(monitor, command, **arguments)
    deadline = time.monotonic() + POWER_OFF_SECONDS / 2
    while time.monotonic() < deadline:
        _execute(monitor, "human-monitor-command", **{"command-line": POWER_OFF})
        time.sleep(0.05)
        if any(event.name == "SHUTDOWN" for event in monitor.events()):
            return {}
    raise MonitorError("the chipset does not switch the machine off")


@dataclass(kw_only=True)
class ConnectTo:
    """A connector for machines without a guest: whatever machine is meant, it leads to `address`.

    `ports` are the ones that the machines had for SSH.
    """

    address: Address
    ports: list[int] = field(default_factory=list)

    def __call__(self, address: Address, *, timeout: float, check_alive: Callable[[], None]) -> Communicator:
        self.ports.append(address.port)
        return SshConnector(clock=SystemClock())(self.address, timeout=timeout, check_alive=check_alive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A function through which the builder reaches the world. Calls count when they come from one of `callers`."""

    owner: Any
    name: str
    callers: tuple[str, ...]
    error: Callable[[str], Exception]

    @property
    def title(self) -> str:
        return f"{self.owner.__name__.rpartition('.')[2]}.{self.name}"


def io_error(text: str) -> Exception:
    return OSError(errno.EIO, text)


_BUILDER = ("baker.builders.qemu", "baker.home")
_LEDGER = ("baker.ledger",)

GATES = (
    Gate(owner=Path, name="mkdir", callers=_BUILDER, error=io_error),
    Gate(owner=Path, name="touch", callers=_BUILDER, error=io_error),
    Gate(owner=Path, name="write_text", callers=_BUILDER, error=io_error),
    Gate(owner=Path, name="rename", callers=_BUILDER, error=io_error),
    Gate(owner=Path, name="unlink", callers=_LEDGER, error=io_error),
    Gate(owner=os, name="open", callers=(*_BUILDER, *_LEDGER), error=io_error),
    Gate(owner=os, name="write", callers=_LEDGER, error=io_error),
    Gate(owner=os, name="fsync", callers=(*_BUILDER, *_LEDGER), error=io_error),
    Gate(owner=shutil, name="copyfile", callers=_BUILDER, error=io_error),
    Gate(owner=shutil, name="rmtree", callers=_BUILDER, error=io_error),
    Gate(owner=socket, name="socketpair", callers=_BUILDER, error=io_error),
    Gate(owner=launch, name="write_seed", callers=_BUILDER, error=io_error),
    Gate(owner=launch, name="new_key_pair", callers=_BUILDER, error=io_error),
    Gate(owner=ChildProcess, name="start", callers=_BUILDER, error=BuilderError),
    Gate(owner=ChildProcess, name="end", callers=("baker.cleanup",), error=io_error),
    Gate(owner=Monitor, name="open", callers=_BUILDER, error=MonitorError),
    Gate(owner=Monitor, name="execute", callers=_BUILDER, error=MonitorError),
)
"""All of them: what makes, changes or removes something. Reading, waiting and closing a socket change nothing."""


def error_at(call: Call) -> Exception:
    """What a failure of this call looks like to the builder."""
    (gate,) = [gate for gate in GATES if gate.title == call.name]
    return gate.error(f"fault at {call}")


def watch(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all calls of the QEMU builder go through `calls`, and its machines heed their power button."""
    monkeypatch.setattr(Monitor, "execute", execute_with_power_button)
    for gate in GATES:
        monkeypatch.setattr(gate.owner, gate.name, _through(calls, gate))


def _through(calls: Calls, gate: Gate) -> Callable[..., Any]:
    real = getattr(gate.owner, gate.name)

    def called(*arguments: Any, **options: Any) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        if caller.startswith(gate.callers):
            return calls(gate.title, real, *arguments, **options)
        return real(*arguments, **options)

    return called
