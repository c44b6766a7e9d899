"""Errors on the screen: one form for all of them, and never a traceback."""

import contextlib
import os
import sys
import tempfile
import traceback
from pathlib import Path

from baker.errors import BakeError
from baker.secret import Redactor

_NOT_REDACTED = Redactor()


def report(error: BakeError, redactor: Redactor = _NOT_REDACTED) -> None:
    """Show an error on standard error: what failed, the details, what to do."""
    from baker.reporters.wording import error_lines

    _write("".join(f"{line}\n" for line in error_lines(redactor(error.summary), error.details, error.hint)), redactor)


def report_bug(error: BaseException, *, folder: Path | None = None, redactor: Redactor = _NOT_REDACTED) -> None:
    """Keep the traceback of a bug of ours, free of secrets, and say in two lines that it is one and where it lies.

    `folder` is the run's; without a run it goes to a new file in the folder for temporary files.
    """
    text = redactor("".join(traceback.format_exception(error)))
    summary = redactor(f"{type(error).__name__}: {error}".splitlines()[0])
    try:
        place = f"the traceback is in {_keep(text, folder)}"
    except OSError as problem:
        place = f"the traceback could not be kept: {problem.strerror}"
    _write(f"error: this is a bug in the baker: {summary}\nhint: please report it; {place}\n", redactor)


def say_stopped() -> None:
    """For a command that was told to stop before it had anything to clean up."""
    _write("stopped\n", _NOT_REDACTED)


def _keep(text: str, folder: Path | None) -> Path:
    if folder is not None:
        path = folder / "traceback.txt"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return path
    number, name = tempfile.mkstemp(prefix="bake-", suffix="-traceback.txt")
    with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return Path(name)


def _write(text: str, redactor: Redactor) -> None:
    """To standard error, if there is one that takes it; the exit code says the rest."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(redactor(text))
            sys.stderr.flush()
