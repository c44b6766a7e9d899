"""What stands on a disk of an image, seen from outside: also in blocks that no file has any more."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

_CHUNK_BYTES = 1 << 24
_SHOWN_BYTES = 60


def found_on_disk(disk: Path, texts: Sequence[str], folder: Path) -> list[str]:
    """Where `texts` stand anywhere on a qcow2 disk: the first places of each, with what stands round them.

    `folder` takes a raw copy for the time of the search.
    """
    raw = folder / f"{disk.stem}.raw"
    try:
        subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
        return list(_places(raw, [text.encode() for text in texts]))
    finally:
        raw.unlink(missing_ok=True)


def _places(raw: Path, wanted: Sequence[bytes]) -> Iterator[str]:
    overlap = max(map(len, wanted))
    with raw.open("rb") as file:
        for start, end in _written(file.fileno()):
            for at in range(start, end, _CHUNK_BYTES):
                chunk = os.pread(file.fileno(), min(_CHUNK_BYTES + overlap, end - at), at)
                for text in wanted:
                    if (place := chunk.find(text)) >= 0:
                        shown = chunk[max(0, place - _SHOWN_BYTES) : place + _SHOWN_BYTES]
                        yield f"{text.decode()} at {at + place}: {shown!r}"


def _written(descriptor: int) -> Iterator[tuple[int, int]]:
    """The parts of a sparse file that are no holes."""
    size, end = os.fstat(descriptor).st_size, 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:  # only a hole is left
            return
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end
