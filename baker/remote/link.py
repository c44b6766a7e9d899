"""One connection to a machine, shared by all views of it: runs commands, and ends what must end.

Nothing here knows what a step is.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator

from baker.errors import BakeError, CommandTimeoutError, ConnectionLostError
from baker.interrupts import raise_deferred, shield
from baker.ports import Communicator, Connector, Machine, OutputSink
from baker.remote.command import MachineCommand, end_command

GRACE_SECONDS = 3
"""Between TERM and KILL."""

_END_TIMEOUT_SECONDS = 60
_RECONNECT_SECONDS = 10


class Link:
    """The way to a machine, closed at first. `mirrors_applied` says whether the bake's mirrors are on the machine."""

    def __init__(self) -> None:
        self.mirrors_applied = False
        self._way: tuple[Machine, Connector] | None = None
        self._communicator: Communicator | None = None

    def open(self, machine: Machine, connector: Connector, *, timeout: float) -> None:
        """Connect to `machine`. Errors are the connector's."""
        self._way = machine, connector
        self.reopen(timeout)

    def reopen(self, timeout: float) -> None:
        """Connect anew to where it was open. Errors are the connector's."""
        machine, connector = self._known_way()
        self.close()
        self._communicator = connector(machine.address, timeout=timeout, check_alive=machine.check_alive)

    def close(self) -> None:
        """Idempotent."""
        if self._communicator is not None:
            self._communicator.close()
            self._communicator = None

    def run(
        self,
        command: MachineCommand,
        *,
        what: str,
        stdin: Iterable[bytes] = (),
        timeout: float | None = None,
        on_output: OutputSink,
    ) -> int:
        """Run a command; its exit code. `what` is the command as a person knows it.

        When it outlives its time-out (CommandTimeoutError), or anything else comes between, the command and all
        that it started is ended before the error goes on.
        """
        try:
            return self._open_communicator().run(
                command.text, stdin=_after(command.head, stdin), timeout=timeout, on_output=on_output
            )
        except TimeoutError as error:
            left = self.end(command)
            details = [("command", what)] + ([("still running", left)] if left else [])
            raise CommandTimeoutError(
                f"a command took longer than its time-out of {timeout:g} s and was ended",
                details=details,
                hint="give it a longer timeout, or find out what it waits for (nothing answers its prompts)",
            ) from error
        except ConnectionLostError as error:
            raise error.with_details(("command", what)) from None
        except BaseException:
            with shield():  # a second signal must not leave half of the command alive; it kills the machine instead
                self._end(command.token)
            raise

    def end(self, command: MachineCommand) -> str:
        """End all that `command` started and that still runs, also when it has ended itself; what would not end."""
        with shield():  # or the bake's own time limit would be swallowed in there
            left = self._end(command.token)
        raise_deferred()
        return left

    def _open_communicator(self) -> Communicator:
        if self._communicator is None:
            raise _not_connected()
        return self._communicator

    def _known_way(self) -> tuple[Machine, Connector]:
        if self._way is None:
            raise _not_connected()
        return self._way

    def _end(self, token: str) -> str:
        """End the command of `token`; what would not end. Never raises: an error is on its way up already."""
        try:
            self._known_way()[0].check_alive()
        except BakeError:  # nothing runs on a dead machine, and nothing answers on one that QEMU has stopped
            return ""
        lines: list[bytes] = []

        def keep(stream: str, chunk: bytes) -> None:
            if stream == "stdout":
                lines.append(chunk)

        def end() -> None:
            text = end_command(token, grace_seconds=GRACE_SECONDS)
            self._open_communicator().run(text, timeout=_END_TIMEOUT_SECONDS, on_output=keep)

        def end_over_new_connection() -> None:  # what interrupted us may have cut a packet in two
            self.reopen(_RECONNECT_SECONDS)
            end()

        _try_in_turn(end, end_over_new_connection)
        return b"".join(lines).decode("utf-8", "replace").strip()


def _after(head: bytes, stdin: Iterable[bytes]) -> Iterable[bytes]:
    """`head`, then `stdin`, which stays a tuple when it is one: what is in memory needs no thread."""
    if isinstance(stdin, tuple):
        return (head, *stdin) if head else stdin
    return _chained(head, stdin) if head else stdin


def _chained(head: bytes, stdin: Iterable[bytes]) -> Iterator[bytes]:
    yield head
    yield from stdin


def _not_connected() -> ConnectionLostError:
    return ConnectionLostError("not connected to the machine")


def _try_in_turn(*ways: Callable[[], None]) -> None:
    for way in ways:
        with contextlib.suppress(BakeError, TimeoutError):
            way()
            return
