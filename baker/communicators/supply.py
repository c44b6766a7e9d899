"""What a command reads: chunks that are at hand, or that are made in a thread of their own.

A chunk may take its time, as when it comes from a server far away. Meanwhile the command's output has to be taken,
its time-out to be kept, and the machine to be looked at, all of which happens in the thread that waits for the command.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Protocol

from baker.interrupts import hold

_CHUNKS_AHEAD = 8
_ENDING_SECONDS = 1.0


class Supply(Protocol):
    """A command's stdin."""

    def take(self) -> bytes | None:
        """The next chunk; empty when there is none yet, None when there will be none. Raises what its maker raised."""
        ...

    def close(self) -> None:
        """Nothing will be taken any more. Idempotent."""
        ...


def supply_of(chunks: Iterable[bytes]) -> Supply:
    """For chunks in memory no thread is needed."""
    return _AtHand(iter(chunks)) if isinstance(chunks, tuple | list) else _Made(chunks)


class _AtHand:
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def take(self) -> bytes | None:
        return next(self._chunks, None)

    def close(self) -> None:
        pass


class _Made:
    """A maker that is stuck when nobody wants its chunks any more is left alone; it ends with its next chunk."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._ready: deque[bytes | None] = deque()  # its methods are atomic
        self._room = threading.Semaphore(_CHUNKS_AHEAD)
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._make, name="stdin of a command", daemon=True)
        self._thread.start()

    def take(self) -> bytes | None:
        if not self._ready:
            return b""
        chunk = self._ready.popleft()
        with hold():  # or a signal could leave the semaphore's lock taken
            self._room.release()
        if chunk is None and self._error is not None:
            raise self._error
        return chunk

    def close(self) -> None:
        self._closed = True
        with hold():
            self._room.release()
        self._thread.join(_ENDING_SECONDS)

    def _make(self) -> None:
        try:
            for chunk in self._chunks:
                if not chunk:  # room is given back by who takes a chunk, and nobody takes this one
                    continue
                self._room.acquire()
                if self._closed:
                    break
                self._ready.append(chunk)
            if isinstance(self._chunks, Generator):  # left in its middle, it closes its files now
                self._chunks.close()
        except BaseException as error:  # noqa: BLE001  (whatever it is, `take` raises it in the thread that waits)
            self._error = error
        self._ready.append(None)
