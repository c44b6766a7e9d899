"""A TCP proxy on loopback that is slow, or that breaks: a bad network, for tests."""

import contextlib
import queue
import socket
import threading
import time
from types import TracebackType

_CHUNK_BYTES = 64 * 1024


class Proxy:
    """Forwards `127.0.0.1:port` to `127.0.0.1:target_port` while its context is open.

    Each byte arrives `delay_seconds` after it was sent, in both directions. `cut_after` are numbers of bytes from the
    target after which a connection is ended: the first for the first connection, and so on; later ones live.
    `received` counts what came from the target, in bytes, over all connections.
    """

    def __init__(self, target_port: int, *, delay_seconds: float = 0, cut_after: tuple[int, ...] = ()) -> None:
        self._target_port = target_port
        self._delay = delay_seconds
        self._cuts = list(cut_after)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.received = 0
        self._silent = False

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Reset all connections, now."""
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._sockets.clear()

    def fall_silent(self) -> None:
        """From now on pass nothing on, and close nothing: what a machine looks like that was switched off."""
        self._silent = True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            target = socket.create_connection(("127.0.0.1", self._target_port))
            for connection in (client, target):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.append(connection)
            self._forward(client, target)
            self._forward(target, client, cut_after=self._cuts.pop(0) if self._cuts else None, count=True)

    def _forward(
        self, source: socket.socket, sink: socket.socket, *, cut_after: int | None = None, count: bool = False
    ) -> None:
        """Two threads: one that reads at once, and one that writes late."""
        waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

        def read() -> None:
            left = cut_after
            data = b"first"
            while data:
                try:
                    data = source.recv(_CHUNK_BYTES)
                except OSError:
                    data = b""
                self.received += len(data) if count else 0
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        data = b""
                waiting.put((time.monotonic() + self._delay, data))

        def write() -> None:
            with contextlib.suppress(OSError):
                while True:
                    due, data = waiting.get()
                    time.sleep(max(0.0, due - time.monotonic()))
                    if self._silent:
                        continue
                    if not data:
                        break
                    sink.sendall(data)
            # What was passed on arrives: shut in both directions, what the other side sends next would make it a reset,
            # which drops what is on its way.
            for connection, direction in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
                with contextlib.suppress(OSError):
                    connection.shutdown(direction)

        for work in (read, write):
            threading.Thread(target=work, daemon=True).start()
