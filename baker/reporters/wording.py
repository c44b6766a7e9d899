"""How things read: durations, sizes, errors, and lines that came from a machine. Pure."""

import re
import unicodedata

_ESCAPE_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"  # the others
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_BINARY_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3m 12s`, `1h 02m`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    minutes = whole // 60
    return f"{minutes // 60}h {minutes % 60:02}m"


def size(number: int) -> str:
    """`812 MiB`."""
    value, unit = float(number), 0
    while value >= 1023.5 and unit < len(_BINARY_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_BINARY_UNITS[unit]}" if unit and value < 9.95 else f"{value:.0f} {_BINARY_UNITS[unit]}"


def amount(done: int, total: int | None, unit: str) -> str:
    """`45 % of 266 MiB`, `3 of 7 files`, `12 MiB`."""
    if unit == "bytes":
        return f"{100 * done // total} % of {size(total)}" if total else size(done)
    return f"{done} of {total} {unit}" if total else f"{done} {unit}"


def printable(line: str) -> str:
    """A line from a machine without anything that moves a cursor, colours, or reorders.

    A progress bar that overwrites itself becomes its last state.
    """
    text = _ESCAPE_SEQUENCES.sub("", line)
    if "\r" in text:
        states = [state for state in text.split("\r") if state.strip()]
        text = states[-1] if states else ""
    return _CONTROLS.sub("", text)


def fit(text: str, columns: int) -> str:
    """`text` cut to at most `columns` terminal columns, where wide characters take two."""
    used = 0
    for index, character in enumerate(text):
        used += _columns(character)
        if used > columns:
            return text[:index]
    return text


def error_lines(
    summary: str, details: tuple[tuple[str, str], ...] = (), hint: str | None = None, *, word: str = "error"
) -> tuple[str, ...]:
    """An error as a person reads it: what failed, the details, what to do. Text of several lines is below its label."""
    first, *more = summary.splitlines() or [""]
    lines = [f"{word}: {first}", *(f"  {line}" for line in more)]
    for label, text in details:
        rows = text.splitlines() or [""]
        if len(rows) == 1:
            lines.append(f"  {label}: {rows[0]}".rstrip())
        else:
            lines += [f"  {label}:", *(f"    {row}" for row in rows)]
    if hint:
        first, *more = hint.splitlines()
        lines += [f"hint: {first}", *(f"  {line}" for line in more)]
    return tuple(printable(line.replace("\t", "    ")).rstrip() for line in lines)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
