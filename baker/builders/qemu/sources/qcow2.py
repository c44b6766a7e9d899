"""Reads the header of a qcow2 file, without any tool that would follow what the header says.

A qcow2 file can name other files that hold its data: an image from elsewhere could so put any file of this host's
into a machine. Source: docs/interop/qcow2.txt of QEMU.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"QFI\xfb"

_HEADER = struct.Struct(">4sIQIIQI36xQ")
"""magic, version, backing file offset and length, cluster bits, disk size, encryption, [...], incompatible features"""

_EXTERNAL_DATA_FILE = 1 << 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What matters of it. `backing_file` is empty when the image stands alone; sizes are in bytes."""

    version: int
    size_bytes: int
    backing_file: str
    is_encrypted: bool
    has_external_data: bool


def read_header(path: Path) -> Header:
    """ValueError when the file is no qcow2; OSError when it cannot be read."""
    with path.open("rb") as file:
        raw = file.read(_HEADER.size)
        if len(raw) < _HEADER.size or not raw.startswith(MAGIC):
            raise ValueError(f"{path} is not a qcow2 file")
        _, version, backing_offset, backing_length, _, size, encryption, features = _HEADER.unpack(raw)
        backing = b""
        if backing_offset:
            file.seek(backing_offset)
            backing = file.read(min(backing_length, 1023)) or b"?"  # never taken for a file that stands alone
    return Header(
        version=version,
        size_bytes=size,
        backing_file=backing.decode(errors="surrogateescape"),
        is_encrypted=encryption != 0,
        has_external_data=version >= 3 and bool(features & _EXTERNAL_DATA_FILE),  # version 2 has no such field
    )


def backing_file(path: Path) -> str:
    """The file that a qcow2 stands on; empty when there is none. ValueError, OSError as `read_header`."""
    return read_header(path).backing_file
