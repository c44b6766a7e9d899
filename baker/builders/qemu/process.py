"""Child processes that cannot outlive the bake, nor end unnoticed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO

from baker import interrupts
from baker.builders.qemu.errors import explaining, not_installed
from baker.children import bound_to_parent


class ChildProcess:
    """One child, in a session of its own, so that a Ctrl-C at the terminal reaches the bake alone.

    Made without side effects, so that `end` can be registered as the undo before `start` does something.
    Standard error is kept for `stderr`, in a file without a name, so that none stays when this process is killed;
    standard output goes to nobody, or with `piped` to `stdout`.
    """

    def __init__(self, argv: Sequence[str], *, piped: bool = False) -> None:
        self.argv = tuple(argv)
        self._piped = piped
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._last_words = b""

    def start(self, *, pass_fds: Sequence[int] = ()) -> None:
        """Start it. BuilderUnavailableError when the program is not installed."""
        if shutil.which(self.argv[0]) is None:
            raise not_installed(self.argv[0])
        with interrupts.shield(), explaining(f"starting {self.argv[0]}"):
            self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `end`)
            # No signal of ours may be raised between the fork and the assignment: the child would be nobody's.
            self._process = subprocess.Popen(
                bound_to_parent(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self._piped else subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        interrupts.raise_deferred()

    @property
    def pid(self) -> int | None:
        """None before the start."""
        return self._process.pid if self._process else None

    @property
    def stdout(self) -> IO[bytes]:
        """What it prints, when `piped`."""
        if self._process is None or self._process.stdout is None:
            raise RuntimeError(f"nothing can be read from {self.argv[0]}")
        return self._process.stdout

    def poll(self) -> int | None:
        """The exit code (-n after signal n); None while it runs, and before the start."""
        return self._process.poll() if self._process else None

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait at most `timeout` seconds for its end; the exit code, or None when it runs on."""
        if self._process is None:
            raise RuntimeError(f"{self.argv[0]} was not started")
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stderr(self) -> str:
        """What it has said on standard error."""
        return self._said().decode(errors="replace")

    def _said(self) -> bytes:
        if self._stderr is None:
            return self._last_words
        # A seek would move the child as well: it writes where the parent stands.
        return os.pread(self._stderr.fileno(), os.fstat(self._stderr.fileno()).st_size, 0)

    def kill(self) -> None:
        """End it at once, without waiting for it. Idempotent, and safe in a signal handler."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """Kill it, wait until it is gone, and let go of what it held. Idempotent."""
        self.kill()
        if self._process is not None:
            self._process.wait()
            if self._process.stdout:
                self._process.stdout.close()
        if self._stderr is not None:
            self._last_words = self._said()
            self._stderr.close()
            self._stderr = None
