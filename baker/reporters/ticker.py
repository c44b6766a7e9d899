"""A slow pulse beside the bake, for what must be shown when nothing happens.

A thread, since the bake's own is then waiting for a machine; records alone would leave a silent log silent.
"""

import threading
from collections.abc import Callable
from types import TracebackType


class Ticker:
    """Calls `tick` every `seconds` while it is open. A `tick` that raises ends the ticking and nothing else."""

    def __init__(self, tick: Callable[[], None], *, seconds: float = 1.0) -> None:
        self._tick = tick
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def __enter__(self) -> "Ticker":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(timeout=1.0)  # a terminal that is stopped (Ctrl-S) must not hold up the end

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            try:
                self._tick()
            except Exception:  # noqa: BLE001  (the stream finds the same error with the next record, and tells)
                return
