"""Block devices that are files: loop devices of this host, which detach by themselves when nobody uses them."""

import os
import subprocess
import time
from pathlib import Path

_DETACH_SECONDS = 10
GIB = 1 << 30


def available() -> bool:
    """Whether this host has any."""
    return subprocess.run(["losetup", "--find"], capture_output=True, check=False).returncode == 0


class LoopDevice:
    """A file as a block device, held until `close`, or until this process ends."""

    def __init__(self, file: Path, size_gib: int) -> None:
        """The file is made, or grown, to `size_gib`; it takes what is written to it."""
        with file.open("ab") as made:
            made.truncate(size_gib * GIB)
        found = subprocess.run(
            ["losetup", "--find", "--show", "--nooverlap", str(file)], capture_output=True, text=True, check=True
        )
        self.path = Path(found.stdout.strip())
        self._held: int | None = os.open(self.path, os.O_RDONLY)
        subprocess.run(["losetup", "--detach", str(self.path)], check=True)  # as soon as nobody holds it

    @property
    def name(self) -> str:
        """Below /dev."""
        return self.path.name

    def close(self) -> None:
        """All that was written is in the file when this returns. Idempotent."""
        if self._held is None:
            return
        os.close(self._held)
        self._held = None
        backing = Path(f"/sys/block/{self.name}/loop/backing_file")
        deadline = time.monotonic() + _DETACH_SECONDS
        while backing.exists():  # the kernel unmounts what an ended machine had mounted a little later
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.path} is still in use")
            time.sleep(0.01)
