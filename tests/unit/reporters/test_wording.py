"""How things read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baker.reporters.wording import amount, duration, error_lines, fit, printable, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1m 00s"),
        (192, "3m 12s"),
        (3599.6, "1h 00m"),
        (3725, "1h 02m"),
        (90000, "25h 00m"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (851443712, "812 MiB"),
        (1023 * 1024 + 1000, "1.0 MiB"),
        (3 << 40, "3.0 TiB"),
        (5000 << 40, "5000 TiB"),
    ],
)
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        (45, 100, "bytes", "45 % of 100 bytes"),
        (1 << 20, None, "bytes", "1.0 MiB"),
        (0, 0, "bytes", "0 bytes"),
        (3, 7, "files", "3 of 7 files"),
        (3, None, "files", "3 files"),
    ],
)
def test_amounts(done: int, total: int | None, unit: str, text: str) -> None:
    assert amount(done, total, unit) == text


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[1;32mgreen\x1b[0m", "green"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP+q\x1b\\after", "after"),
        ("\x1bcreset", "reset"),
        ("10 %\r50 %\r100 %\r", "100 %"),
        ("\r\r", ""),
        ("bell\x07back\x08", "bellback"),
        ("tab\tstays", "tab\tstays"),
        ("\u202egnitcerid\u2066", "gnitcerid"),
        ("\x9b31mC1", "31mC1"),
        ("unfinished\x1b", "unfinished"),
        ("unfinished\x1b[3", "unfinished3"),
    ],
)
def test_a_line_from_a_machine_moves_no_cursor(line: str, shown: str) -> None:
    assert printable(line) == shown


@given(st.text(alphabet=st.sampled_from("\x1b[]0;mKPX\\\r\n\x07\x9b ab") | st.characters()))
def test_no_control_character_passes(text: str) -> None:
    assert not [character for character in printable(text) if ord(character) < 32 and character not in "\t\n"]
    assert "\x1b" not in printable(text)


@given(st.text(), st.integers(min_value=0, max_value=50))
def test_what_fits_is_a_beginning(text: str, columns: int) -> None:
    assert text.startswith(fit(text, columns))
    assert fit(text, 10_000) == text


def test_an_error_has_its_form() -> None:
    lines = error_lines(
        "step 3 failed\nand how",
        (("command", "/opt/conda/bin/conda"), ("last lines", "one\n\ttwo\x1b[0m"), ("nothing", "")),
        "fix it\nor not",
    )
    assert lines == (
        "error: step 3 failed",
        "  and how",
        "  command: /opt/conda/bin/conda",
        "  last lines:",
        "    one",
        "        two",
        "  nothing:",
        "hint: fix it",
        "  or not",
    )
