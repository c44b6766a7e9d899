"""Writing a file so that a reader finds all of it or none of it."""

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, content: str) -> None:
    """Write `content` as UTF-8 to a new file beside `path` and rename it; nothing stays when it fails (OSError)."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
