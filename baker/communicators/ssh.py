"""SSH by paramiko, over a line of ours: the only way that the baker talks to a machine.

No agent, no default keys, no configuration or known_hosts file of the user. The machine must show the host key that
was made for it, and no other key type is offered; the login is by the key that was made for it.
"""

import contextlib
import io
import math
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import paramiko

from baker.communicators.channel import RunningCommand
from baker.communicators.errors import FOREIGN_ERRORS, translated
from baker.communicators.line import Line, line_to
from baker.communicators.supply import supply_of
from baker.communicators.transport import KEEPALIVE_SECONDS, new_transport
from baker.errors import ConnectionLostError, Details, LoginRefusedError, NoAnswerError
from baker.keys import fingerprint_of
from baker.ports import Address, Clock, Communicator, OutputSink
from baker.wait import pauses

_LOGIN_SECONDS = 60.0
"""For the handshake, and for the login, of one connection: an emulated machine on a busy host needs ten.

A machine that goes down in just this moment never answers, and nothing tells: its kernel is gone, and what forwards to
it (QEMU, a tunnel) keeps the connection.
"""

_LONGEST_PROXY_PAUSE_SECONDS = 5.0
"""Each try is a login at a bastion, which may take a fast series of them for an attack."""

_POLL_SECONDS = 0.25
_CHANNEL_SECONDS = 600.0


class SshConnector:
    """A `baker.ports.Connector`."""

    def __init__(self, *, clock: Clock, login_seconds: float = _LOGIN_SECONDS) -> None:
        self._clock = clock
        self._login_seconds = login_seconds

    def __call__(self, address: Address, *, timeout: float, check_alive: Callable[[], None]) -> Communicator:
        """See `baker.ports.Connector`."""
        deadline = self._clock.monotonic() + timeout
        last: Details = (("last try", "nothing was tried"),)
        for pause in pauses(0.05, _LONGEST_PROXY_PAUSE_SECONDS if address.proxy_command else 1.0):
            check_alive()
            remaining = deadline - self._clock.monotonic()
            if remaining <= 0:
                break
            line = line_to(address)
            try:
                with _closed_on_error(line):
                    seconds = min(remaining, line.greeting_seconds)
                    connection = _opened(line, seconds)
                    self._await_banner(connection, seconds, check_alive)
                    seconds = min(self._login_seconds, max(1.0, deadline - self._clock.monotonic()))
                    return _log_in(address, line, connection, seconds, check_alive)
            except _NotYetError as error:
                last = (("last try", str(error)), *line.complaint())
            self._clock.sleep(min(pause, max(0.0, deadline - self._clock.monotonic())))
        raise NoAnswerError(f"the machine did not answer on {_server(address)} within {timeout:g} s", details=last)

    def _await_banner(self, connection: socket.socket, seconds: float, check_alive: Callable[[], None]) -> None:
        """Return once the server's first bytes are there, unread."""
        deadline = self._clock.monotonic() + seconds
        while self._clock.monotonic() < deadline:
            readable, _, _ = select.select([connection], [], [], _POLL_SECONDS)
            if readable:
                try:
                    banner = connection.recv(4, socket.MSG_PEEK)
                except OSError as error:
                    raise _NotYetError(str(error)) from error
                if banner:
                    return
                raise _NotYetError("the connection was closed without an SSH banner")
            check_alive()
        raise _NotYetError("connected, but there was no SSH banner")


class SshCommunicator:
    """A `baker.ports.Communicator` over an authenticated transport, and the line that carries it."""

    def __init__(self, transport: paramiko.Transport, line: Line, server: str, check_alive: Callable[[], None]) -> None:
        self._transport = transport
        self._line = line
        self._check_alive = check_alive
        self._server = server

    def run(
        self,
        command: str,
        *,
        stdin: Iterable[bytes] = (),
        timeout: float | None = None,
        on_output: OutputSink,
    ) -> int:
        """See `baker.ports.Communicator`."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        try:
            channel = self._start(command, deadline)
            with channel, contextlib.closing(supply_of(stdin)) as supply:
                running = RunningCommand(channel, self._server, supply, on_output, self._check_alive)
                return running.wait(deadline)
        except ConnectionLostError as error:
            raise error.with_details(*self._line.complaint()) from None

    def close(self) -> None:
        """See `baker.ports.Communicator`."""
        self._transport.close()
        self._line.close()

    def _start(self, command: str, deadline: float) -> paramiko.Channel:
        """Open a channel and start `command` there: the two round trips that a command costs."""
        try:
            channel = self._transport.open_session(timeout=min(_CHANNEL_SECONDS, deadline - time.monotonic()))
            with _closing_at(channel, deadline):
                channel.exec_command(command.encode("utf-8", "surrogateescape"))
        except FOREIGN_ERRORS as error:
            if time.monotonic() >= deadline:
                raise TimeoutError from error
            raise translated(error, self._server) from error
        return channel


class _NotYetError(Exception):
    """This try failed; the next one may not."""


def _opened(line: Line, seconds: float) -> socket.socket:
    try:
        return line.open(seconds=seconds)
    except OSError as error:
        raise _NotYetError(str(error)) from error


def _log_in(
    address: Address, line: Line, connection: socket.socket, seconds: float, check_alive: Callable[[], None]
) -> SshCommunicator:
    """_NotYetError when the connection ends or falls silent, as it does while a machine restarts.

    LoginRefusedError, or ConnectionLostError for a server that is not the machine.
    """
    transport = new_transport(connection, host_key_types=(address.host_key.split()[0],), seconds=seconds)
    asked = time.monotonic()
    try:
        transport.start_client(timeout=seconds)
        _require_host_key(address, transport.get_remote_server_key())
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(address.key.private))
        asked = time.monotonic()
        transport.auth_publickey(address.user, key)
        transport.set_keepalive(KEEPALIVE_SECONDS)
        return SshCommunicator(transport, line, _server(address), check_alive)
    except FOREIGN_ERRORS as error:
        refused = isinstance(error, paramiko.AuthenticationException) and transport.is_active()
        silent = time.monotonic() - asked >= seconds  # for which paramiko has the same error
        transport.close()
        if (refused and not silent) or isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            into = LoginRefusedError if refused else ConnectionLostError
            raise translated(error, _server(address), into=into) from error
        raise _NotYetError(str(error) or type(error).__name__) from error
    except BaseException:
        transport.close()
        raise


def _require_host_key(address: Address, shown: paramiko.PKey) -> None:
    if shown.get_base64() == address.host_key.split()[1]:
        return
    raise ConnectionLostError(
        f"{_server(address)} shows another host key than the machine was given",
        details=(
            ("expected", fingerprint_of(address.host_key)),
            ("shown", fingerprint_of(f"{shown.get_name()} {shown.get_base64()}")),
        ),
        hint="something else answers at this address; nothing was sent to it",
    )


@contextlib.contextmanager
def _closing_at(channel: paramiko.Channel, deadline: float) -> Iterator[None]:
    """Close `channel` at `deadline`: paramiko waits without limit for the answer to a request."""
    if deadline == math.inf:
        yield
        return
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), channel.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def _closed_on_error(line: Line) -> Iterator[None]:
    try:
        yield
    except BaseException:
        line.close()
        raise


def _server(address: Address) -> str:
    through = f" through {address.proxy_command[0]}" if address.proxy_command else ""
    return f"{address.host}:{address.port}{through}"
