"""Talks to a running QEMU over QMP, its control protocol: a synchronous face of `qemu.qmp`.

The event loop runs only inside calls, in the calling thread: there is no second thread, and QEMU's events wait in the
socket in between. asyncio eats what a signal raises in a callback, so what signals ask for is held back until a call
has ended, which takes milliseconds.
"""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from baker import interrupts

if TYPE_CHECKING:
    from qemu.qmp import Message

T = TypeVar("T")

ANSWER_SECONDS = 30.0
"""A running QEMU answers in milliseconds; a host that swaps, later."""

_LOOP_TURNS = 8
"""Turns of the event loop that carry a message from the socket to its listener, with some to spare."""


class MonitorError(Exception):
    """QEMU refused, did not answer, or is gone. For this package only: callers say what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorEvent:
    """Something that QEMU tells of itself: SHUTDOWN, STOP, BLOCK_IO_ERROR ..."""

    name: str
    data: Mapping[str, Any]


class Monitor:
    """One QMP session on a connected socket, which is closed with it. Only one thread at a time gets through."""

    def __init__(self, connection: socket.socket) -> None:
        from qemu.qmp import EventListener, QMPClient, QMPError  # noqa: PLC0415  (a plan does without it)
        from qemu.qmp.protocol import ConnectError  # noqa: PLC0415

        self._refusals = (QMPError, ConnectError, EOFError, OSError)
        self._connection = connection
        self._loop = asyncio.new_event_loop()
        self._client = QMPClient("baker")
        self._listener = EventListener()
        self._client.register_listener(self._listener)
        self._lock = threading.Lock()
        self._events: list[MonitorEvent] = []

    def open(self) -> None:
        """Greet. MonitorError when QEMU ends or is silent instead."""
        self._run(self._client.connect(self._connection))

    def execute(self, command: str, **arguments: object) -> Any:
        """Have QEMU do something, and return its answer. MonitorError when it does not."""
        return self._run(self._client.execute(command, arguments or None))

    def events(self) -> tuple[MonitorEvent, ...]:
        """All that QEMU has told since `open`, oldest first; what is in the socket is read, nothing is waited for."""
        if self._lock.acquire(blocking=False):  # else another call is running, and reads them too
            try:
                if not self._loop.is_closed():
                    with interrupts.hold():
                        self._loop.run_until_complete(_turn())
            finally:
                self._lock.release()
        self._events += map(_event, self._listener.clear())
        return tuple(self._events)

    def close(self) -> None:
        """End the session. Idempotent; never raises."""
        if self._loop.is_closed():
            return
        try:
            self._loop.run_until_complete(asyncio.wait_for(self._client.disconnect(), timeout=1))
        except (*self._refusals, TimeoutError, RuntimeError):
            pass  # QEMU is gone, or about to be
        finally:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(_turn())
            self._loop.close()
            self._connection.close()

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            try:
                with interrupts.hold():
                    return self._loop.run_until_complete(asyncio.wait_for(call, ANSWER_SECONDS))
            except TimeoutError as error:
                raise MonitorError(f"QEMU did not answer within {ANSWER_SECONDS:.0f} s") from error
            except self._refusals as error:
                raise MonitorError(str(error) or type(error).__name__) from error


def _event(message: "Message") -> MonitorEvent:
    data = message.get("data")
    return MonitorEvent(name=str(message["event"]), data=data if isinstance(data, dict) else {})


async def _turn() -> None:
    for _ in range(_LOOP_TURNS):
        await asyncio.sleep(0)
