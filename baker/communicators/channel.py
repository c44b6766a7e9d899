"""One command over an open SSH connection: feeds its stdin while draining both of its streams.

Everything but the making of stdin happens in the calling thread, in waits short enough that a signal's exception comes
through at once.
"""

import select
import time
from collections.abc import Callable
from contextlib import suppress

import paramiko

from baker.communicators.errors import FOREIGN_ERRORS, translated
from baker.communicators.supply import Supply
from baker.errors import ConnectionLostError
from baker.interrupts import hold
from baker.ports import OutputSink

_CHUNK_BYTES = 256 * 1024
_LONGEST_WAIT_SECONDS = 0.2
_WINDOW_WAIT_SECONDS = 0.005
"""paramiko has no event for "the other side takes more"."""

_LOOK_SECONDS = 1.0
"""Between looks at a machine that is silent: one whose host's disk is full is stopped, with its connection open."""

_QUIET_SECONDS = 5.0
"""After a command's end, how long its streams may be silent until they are taken for those of a daemon it started."""

_CLOSING_SECONDS = 1.0

UNKNOWN_EXIT = 128 + 9
"""When a command ends without an exit code. SSH then says which signal it was; paramiko does not pass it on."""


class RunningCommand:
    """A command on `channel`, which is open and on which the command was started."""

    def __init__(
        self,
        channel: paramiko.Channel,
        server: str,
        stdin: Supply,
        on_output: OutputSink,
        check_alive: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._check_alive = check_alive
        self._server = server
        self._input = stdin
        self._pending = memoryview(b"")
        self._input_open = True
        self._on_output = on_output

    def wait(self, deadline: float) -> int:
        """The exit code. TimeoutError at `deadline` (monotonic), ConnectionLostError when the connection ends first."""
        quiet_since: float | None = None
        next_look = time.monotonic() + _LOOK_SECONDS
        descriptor = self._channel.fileno()
        while True:
            moved = self._feed() | self._drain()
            now = time.monotonic()
            if not moved and now >= next_look:
                self._check_alive()
                next_look = now + _LOOK_SECONDS
            if self._finished():
                return self._exit_code()
            if now >= deadline:
                raise TimeoutError
            if moved or not self._channel.exit_status_ready():
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since > _QUIET_SECONDS:
                return self._exit_code()
            if not moved:
                wait = _WINDOW_WAIT_SECONDS if self._input_open else _LONGEST_WAIT_SECONDS
                select.select([descriptor], [], [], min(wait, deadline - now))

    def _feed(self) -> bool:
        """Send what the other side takes without waiting; whether it took any."""
        if not self._input_open:
            return False
        if self._channel.closed or self._channel.exit_status_ready():  # it ended without reading all
            self._input_open = False
            return False
        if not self._pending:
            chunk = self._input.take()
            if chunk is None:
                self._input_open = False
                with hold(), suppress(*FOREIGN_ERRORS):  # it ended meanwhile, which `wait` sees
                    self._channel.shutdown_write()
                return True
            self._pending = memoryview(chunk)
        if not self._pending or not self._channel.send_ready():
            return False
        with hold(), suppress(*FOREIGN_ERRORS):
            sent = self._channel.send(self._pending[:_CHUNK_BYTES].tobytes())
            self._pending = self._pending[sent:]
        return True

    def _drain(self) -> bool:
        moved = False
        if self._channel.recv_ready():
            self._on_output("stdout", self._received(self._channel.recv))
            moved = True
        if self._channel.recv_stderr_ready():
            self._on_output("stderr", self._received(self._channel.recv_stderr))
            moved = True
        return moved

    def _received(self, receive: Callable[[int], bytes]) -> bytes:
        """Receiving also sends, to say that more is welcome; a signal in the midst of that would leave a lock taken."""
        try:
            with hold():
                return receive(_CHUNK_BYTES)
        except FOREIGN_ERRORS as error:
            raise translated(error, self._server) from error

    def _finished(self) -> bool:
        """Whether nothing will come any more."""
        channel = self._channel
        ended = bool(channel.closed) or (bool(channel.eof_received) and channel.exit_status_ready())
        return ended and not channel.recv_ready() and not channel.recv_stderr_ready()

    def _exit_code(self) -> int:
        if self._channel.exit_status_ready() and self._channel.exit_status >= 0:
            return self._channel.exit_status
        transport = self._channel.get_transport()
        transport.join(_CLOSING_SECONDS)  # it closes its channels first, and then says that it has ended
        if not transport.is_alive():
            raise ConnectionLostError(f"the connection to {self._server} was lost while a command ran")
        return UNKNOWN_EXIT
