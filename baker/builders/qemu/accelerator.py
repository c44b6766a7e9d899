"""Chooses what runs the machine's instructions: KVM where it really works, else emulation in software.

That /dev/kvm exists and can be opened proves nothing: inside some virtual machines a guest never leaves its firmware.
So KVM is believed only after a kernel was started under it, the way a machine of ours starts: UEFI firmware, then
Linux. The kernel is a kept source image's or the host's; it is given no disk, and says so when it has come up. Where
no kernel can be read, the firmware alone has to come up. The answer is remembered, as it costs seconds.
"""

import json
import os
import platform
import re
import secrets
import select
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from baker.builders.qemu.errors import explaining, tail
from baker.builders.qemu.firmware import Firmware, find_firmware
from baker.builders.qemu.naming import in_option
from baker.builders.qemu.process import ChildProcess
from baker.builders.qemu.sources.cache import find_kernels
from baker.errors import BuilderError, UsageError
from baker.events import Emit, Notice
from baker.home import Home

KVM_DEVICE = Path("/dev/kvm")
RECORD_NAME = "accelerator.json"

KVM_ARGUMENTS = ("-accel", "kvm", "-cpu", "host")
TCG_ARGUMENTS = ("-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max")
"""The size is that of the cache of translated code, in MiB. With QEMU's own (1 GiB), QEMU 7.2 hangs in a restart.

A page of a shared library has a translation for each address that a process ever had it at, thousands after minutes of
work, and whoever writes into the page walks through all of them for each byte. Measured: a restart after 1500 short
processes took as long as a first boot with 128 MiB, and was not over after 200 s with 1 GiB.
"""

PROBE_SECONDS = 20.0
"""A kernel needs about three under KVM that works; a loaded host several times that."""

NO_HOLDS_SECONDS = 7 * 24 * 3600.0

_KERNEL_IS_UP = re.compile(rb"VFS: (Unable to mount root|Cannot open root)|No working init found")
_FIRMWARE_IS_UP = re.compile(rb"BdsDxe: |UEFI Interactive Shell")
_SLOW = "the machine is emulated in software, 10 to 30 times slower than with KVM"

Name = Literal["kvm", "tcg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """`qemu_arguments` choose it, and a CPU that goes with it. `warning` says what it costs, and why."""

    name: Name
    qemu_arguments: tuple[str, ...]
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether a kernel came up under KVM; `reason` says why not."""

    works: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What an answer holds for: with any other it is asked again."""

    host_kernel: str
    qemu: str
    cpu: str


def choose(wanted: str, home: Home, *, emit: Emit = lambda _event: None, device: Path = KVM_DEVICE) -> Accelerator:
    """The accelerator for a machine: `wanted` is "auto", "kvm" or "tcg".

    Asks once for a host kernel, QEMU and CPU, and remembers the answer in `home`; a "no" holds for a week, as the host
    may only have been busy, and "kvm" is asked again at once, as someone may have mended it. `device` is for tests.
    BuilderError when "kvm" does not work.
    """
    if wanted == "tcg":
        return Accelerator(name="tcg", qemu_arguments=TCG_ARGUMENTS)
    if wanted not in ("auto", "kvm"):
        raise UsageError(f"there is no accelerator {wanted!r}", hint='there are "auto", "kvm" and "tcg"')
    answer = _unusable(device) or _ask(home, emit, believe_no=wanted == "auto")
    if answer.works:
        return Accelerator(name="kvm", qemu_arguments=KVM_ARGUMENTS)
    if wanted == "auto":
        return Accelerator(name="tcg", qemu_arguments=TCG_ARGUMENTS, warning=f"{_SLOW}: {answer.reason}")
    raise BuilderError(
        f"KVM does not work on this host: {answer.reason}",
        hint='set accelerator="auto" in the Qemu(...) of the recipe; bakes are 10 to 30 times slower then',
    )


def known(home: Home, device: Path = KVM_DEVICE) -> Answer | None:
    """What is known of KVM here without trying it; None when only a try can tell."""
    return _unusable(device) or _recall(home.path / RECORD_NAME, _circumstances())


def probe(accelerator: tuple[str, ...], firmware: Firmware, kernel: Path | None, *, seconds: float) -> Answer:
    """Start a kernel, or the firmware alone, and see whether it comes up within `seconds`; QEMU is gone after that."""
    wanted = _KERNEL_IS_UP if kernel else _FIRMWARE_IS_UP
    with TemporaryDirectory(prefix="bake-probe-") as folder:
        variables = Path(folder) / "variables.fd"
        shutil.copyfile(firmware.variables, variables)
        child = ChildProcess(
            probe_command(accelerator, firmware.code, variables, kernel),
            piped=True,
        )
        try:
            child.start()
            console = _read_until(child, wanted, time.monotonic() + seconds)
            ended = child.wait(0.5) if wanted.search(console) is None else None
        finally:
            child.end()
        if wanted.search(console):
            return Answer(works=True)
        if ended is None:
            what = "a kernel" if kernel else "the firmware"
            return Answer(works=False, reason=f"{what} did not come up under KVM within {seconds:.0f} seconds")
        said = tail(child.stderr()).splitlines()
        why = f"QEMU said: {said[0]}" if said else f"QEMU ended with exit code {ended}"
        return Answer(works=False, reason=f"KVM was tried and failed; {why}")


def probe_command(accelerator: tuple[str, ...], code: Path, variables: Path, kernel: Path | None) -> tuple[str, ...]:
    """QEMU's arguments: a machine as ours are, with no disk and no network. Pure."""
    boot = ("-kernel", str(kernel), "-append", "console=ttyS0 panic=-1") if kernel else ()
    return (
        "qemu-system-x86_64", "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
        "-machine", "q35", *accelerator, "-m", "512M", "-smp", "2",
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={in_option(code)}",
        "-drive", f"if=pflash,format=raw,unit=1,file={in_option(variables)}",
        "-serial", "stdio", *boot,
    )  # fmt: skip


def _unusable(device: Path) -> Answer | None:
    """Why KVM need not be asked about; None when it must be."""
    if not device.exists():
        return Answer(works=False, reason=f"this host has no {device}")
    if not os.access(device, os.R_OK | os.W_OK):
        return Answer(works=False, reason=f"you may not open {device} (sudo adduser $USER kvm, then log in again)")
    return None


def _ask(home: Home, emit: Emit, *, believe_no: bool) -> Answer:
    """The remembered answer, else a new one."""
    circumstances = _circumstances()
    record = home.path / RECORD_NAME
    remembered = _recall(record, circumstances)
    if remembered and (remembered.works or believe_no):
        return remembered
    kernel = next(_readable(_kernels(home)), None)
    emit(Notice(level="info", text=f"trying whether KVM works here, once; at most {PROBE_SECONDS:.0f} seconds"))
    with explaining("trying whether KVM works"):
        answer = probe(KVM_ARGUMENTS, find_firmware(), kernel, seconds=PROBE_SECONDS)
        _remember(record, circumstances, answer)
    return answer


def _circumstances() -> Circumstances:
    return Circumstances(host_kernel=platform.release(), qemu=_qemu_version(), cpu=_cpu_model())


def _qemu_version() -> str:
    try:
        argv = ("qemu-system-x86_64", "--version")
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.partition("\n")[0]
    except (OSError, subprocess.CalledProcessError):
        return "none"  # the probe will say so


def _cpu_model() -> str:
    table = Path("/proc/cpuinfo").read_text(errors="replace")
    found = re.search(r"^model name\s*:\s*(.+)$", table, re.MULTILINE)
    return found[1] if found else platform.machine()


def _kernels(home: Home) -> tuple[Path, ...]:
    """Linux kernels for x86-64 that may be on this host."""
    hosts = (
        () if platform.machine() != "x86_64" else (Path(f"/boot/vmlinuz-{platform.release()}"), Path("/boot/vmlinuz"))
    )
    return (*find_kernels(home), *hosts)


def _readable(files: Iterable[Path]) -> Iterator[Path]:
    return (file for file in files if os.access(file, os.R_OK))


def _recall(record: Path, circumstances: Circumstances) -> Answer | None:
    """What was found under the same circumstances; None when that is not known, or cannot be read."""
    try:
        found = json.loads(record.read_text())
        if found["circumstances"] != asdict(circumstances):
            return None
        is_stale = not found["works"] and time.time() - record.stat().st_mtime > NO_HOLDS_SECONDS
        return None if is_stale else Answer(works=bool(found["works"]), reason=str(found["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(record: Path, circumstances: Circumstances, answer: Answer) -> None:
    """Whole or not at all, also when two bakes find out at the same time."""
    record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = record.with_name(f"{record.name}.{secrets.token_hex(4)}")
    try:
        new.write_text(json.dumps({"circumstances": asdict(circumstances), **asdict(answer)}, indent=2) + "\n")
        new.replace(record)
    finally:
        new.unlink(missing_ok=True)


def _read_until(child: ChildProcess, wanted: re.Pattern[bytes], deadline: float) -> bytes:
    """What the machine prints until it has printed `wanted`, has ended, or the time is up."""
    console = b""
    descriptor = child.stdout.fileno()
    while (left := deadline - time.monotonic()) > 0 and not wanted.search(console):
        if not select.select([descriptor], [], [], left)[0]:
            break
        if not (part := os.read(descriptor, 1 << 16)):
            break
        console += part
    return console
