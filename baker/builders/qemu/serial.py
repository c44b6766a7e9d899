"""What a machine says on its serial port: in its work folder while it runs, in the run's folder afterwards.

QEMU writes the file itself, and a machine may print anything there: a step's output on its console, a kernel's memory.
So what stays for people to read, and to send to each other, is a copy that has passed the redactor. The first one goes
with the machine's disks, which hold as much. Refused: QEMU's console read through a pipe, which stops the machine when
nobody reads fast enough.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from baker.events import Emit, Notice


@contextmanager
def kept_redacted(raw: Path, log: Path, redact: Callable[[str], str], emit: Emit) -> Iterator[None]:
    """At the end, append `raw` to `log` (0600, made when it is missing), line by line through `redact`.

    A log that cannot be written is told, and fails nothing.
    """
    try:
        yield
    finally:
        try:
            _append(raw, log, redact)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            emit(Notice(level="warning", text=f"{log} is not complete: {reason}"))


def _append(raw: Path, log: Path, redact: Callable[[str], str]) -> None:
    log.touch(mode=0o600)
    with log.open("ab") as target, raw.open("rb") as lines:
        for line in lines:  # a console may print any byte
            target.write(redact(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"))
