"""Runs qemu-img: makes disks, flattens them, looks for damage. What it says becomes errors of ours."""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from baker.builders.qemu import command
from baker.builders.qemu.errors import explain
from baker.builders.qemu.process import ChildProcess
from baker.errors import BuilderError, CaptureError

_PERCENT = re.compile(rb"\(([\d.]+)/100%\)")


def create_overlay(path: Path, *, backing: Path, size_bytes: int) -> None:
    """A disk that starts as `backing` and takes all writes itself."""
    what = f"making a disk on top of {backing.name}"
    _run(command.create_overlay_command(path, backing=backing, size_bytes=size_bytes), what, BuilderError)


def create_disk(path: Path, *, size_bytes: int) -> None:
    """An empty disk; takes room on the baking host only for what is written to it."""
    _run(command.create_disk_command(path, size_bytes=size_bytes), f"making disk {path.name}", BuilderError)


def virtual_size(path: Path) -> int:
    """The size in bytes that a machine sees. BuilderError when the file is no qcow2."""
    described = json.loads(_run(command.info_command(path), f"reading {path.name}", BuilderError))
    size = described["virtual-size"]
    if not isinstance(size, int):
        raise BuilderError(f"qemu-img does not say how large {path} is")
    return size


def flatten(source: Path, target: Path, *, on_percent: Callable[[float], None]) -> None:
    """One standalone compressed file of `source` and all that it stands on. CaptureError, DiskFullError.

    The target is left half-made when this fails: it is the caller's to remove.
    """
    _run(command.convert_command(source, target), f"writing {target.name}", CaptureError, on_percent)


def check(path: Path) -> None:
    """CaptureError unless the file is a qcow2 without a fault."""
    _run(command.check_command(path), f"checking {path.name}", CaptureError)


def _run(
    argv: Sequence[str],
    what: str,
    otherwise: type[BuilderError],
    on_percent: Callable[[float], None] = lambda _percent: None,
) -> bytes:
    """Run qemu-img to its end, and return what it printed; ended when anything is raised meanwhile."""
    child = ChildProcess(argv, piped=True)
    printed: list[bytes] = []
    try:
        child.start()
        for part in _parts(child):
            printed.append(part)
            if found := _PERCENT.findall(part):
                on_percent(float(found[-1]))
        exit_code = child.wait()
    finally:
        child.end()
    if exit_code:
        raise explain(
            child.stderr() or b"".join(printed).decode(errors="replace"),
            otherwise=otherwise,
            summary=f"{what} failed: qemu-img exited with {exit_code}",
        )
    return b"".join(printed)


def _parts(child: ChildProcess) -> Iterator[bytes]:
    """What it prints as it comes; the percentage is rewritten in place, so there are no lines to wait for."""
    while part := os.read(child.stdout.fileno(), 1 << 16):
        yield part
