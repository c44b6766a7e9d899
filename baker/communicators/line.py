"""What carries an SSH connection: a TCP connection, or a program that leads to the machine.

Such a program (`ssh -W` to a bastion, session manager, a tunnel) has one end of a socket pair as its standard input and
output, and SSH has the other. What it carries is trusted as little as any network: the host key is pinned all the same.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from typing import IO, Protocol

from baker.children import bound_to_parent
from baker.clock import SystemClock
from baker.communicators.transport import dial
from baker.errors import Details, ReachError
from baker.interrupts import hold, shield
from baker.ports import Address
from baker.wait import wait_until

END_SECONDS = 2.0
"""How long a program may take to end by itself: session manager closes its session then."""

_LAST_WORDS_BYTES = 2000


class Line(Protocol):
    """A way to a machine. Made without side effects, so that `close` can be promised before `open` does something."""

    @property
    def greeting_seconds(self) -> float:
        """How long an SSH server may take to greet, once the line is open."""
        ...

    def open(self, *, seconds: float) -> socket.socket:
        """Once. OSError when it cannot be had now, ReachError when it never can."""
        ...

    def close(self) -> None:
        """Let go of all that it holds. Idempotent."""
        ...

    def complaint(self) -> Details:
        """What it has to say about a connection that failed, as details of an error."""
        ...


def line_to(address: Address) -> Line:
    """The way that the address names."""
    return ProxiedLine(address.proxy_command) if address.proxy_command else DirectLine(address.host, address.port)


class DirectLine:
    """A TCP connection."""

    greeting_seconds = 10.0
    """A forwarded port takes connections before there is an sshd, and may never answer those."""

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self._socket: socket.socket | None = None

    def open(self, *, seconds: float) -> socket.socket:
        """See `Line`."""
        self._socket = dial(*self._server, seconds=seconds)
        return self._socket

    def close(self) -> None:
        """See `Line`."""
        if self._socket is not None:
            self._socket.close()

    def complaint(self) -> Details:
        """See `Line`."""
        return ()


class ProxiedLine:
    """A program that carries the connection, in a session of its own: a Ctrl-C at the terminal reaches the bake alone,
    whose clean-up may still need the machine; and without a terminal no program can stop to ask somebody."""

    greeting_seconds = 30.0
    """It logs in somewhere first."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._stderr: IO[bytes] | None = None
        self._last_words = ""

    def open(self, *, seconds: float) -> socket.socket:  # noqa: ARG002  (it is the greeting that takes its time)
        """See `Line`."""
        program = self._command[0]
        if shutil.which(program) is None:
            raise ReachError(
                f"the proxy command cannot be started: there is no program {program}",
                hint="install it, or name another proxy_command",
            )
        with hold():  # a signal between the fork and the assignment would leave the program to nobody
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
                self._process = subprocess.Popen(
                    bound_to_parent(self._command),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=self._stderr,
                    start_new_session=True,
                )
        return self._socket

    def close(self) -> None:
        """See `Line`. The program is gone when this returns, and what it started is killed."""
        with shield():
            if self._socket is not None:
                self._socket.close()
            if self._process is not None and self._process.returncode is None:
                _end(self._process)
            if self._stderr is not None:
                self._last_words = _tail(self._stderr)
                self._stderr.close()
                self._stderr = None

    def complaint(self) -> Details:
        """See `Line`."""
        words = _tail(self._stderr) if self._stderr is not None else self._last_words
        return (("the proxy command says", words),) if words else ()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the group of a process that was not waited for yet, so that its number is nobody else's."""

    def ended() -> bool | None:
        return True if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) else None

    os.killpg(process.pid, signal.SIGTERM)
    wait_until(ended, timeout=END_SECONDS, clock=SystemClock(), first=0.01, longest=0.1)
    os.killpg(process.pid, signal.SIGKILL)  # what it started may hold on; the group is there until it is waited for
    process.wait()


def _tail(file: IO[bytes]) -> str:
    # A seek would move the program as well: it writes where we stand.
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), _LAST_WORDS_BYTES, max(0, size - _LAST_WORDS_BYTES)).decode(errors="replace").strip()
