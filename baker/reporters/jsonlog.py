"""Events as JSON, one flat object a line, each on its way to the disk or the pipe before the next one happens."""

import json
from typing import TextIO

from baker.events import Record, to_json


class JsonLog:
    """Writes to `stream`, which it does not close. `baker.events.from_json` reads it back."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, record: Record) -> None:
        # ASCII alone: no line separator or lone surrogate that a machine printed can then break a line or an encoding.
        self._stream.write(json.dumps(to_json(record)) + "\n")
        self._stream.flush()
