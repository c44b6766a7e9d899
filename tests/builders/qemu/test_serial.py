"""The log of the serial port, as it is kept."""

import stat
from pathlib import Path

import pytest

from baker.builders.qemu.serial import kept_redacted
from baker.events import Event, Notice
from baker.secret import Redactor


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.add(["correct-horse-battery", "first line of a key\nsecond line of a key"])
    return redactor


def test_what_is_kept_has_passed_the_redactor_and_is_else_the_same(tmp_path: Path, redactor: Redactor) -> None:
    said = b"boot\r\n\xff\x1b[0mtoken=correct-horse-battery!\r\nsecond line of a key\nno end"
    (tmp_path / "serial").write_bytes(said)
    for _ in range(2):  # a second machine of the run adds to it
        with kept_redacted(tmp_path / "serial", tmp_path / "serial.log", redactor, pytest.fail):
            pass
    kept = (tmp_path / "serial.log").read_bytes()
    assert kept == 2 * b"boot\r\n\xff\x1b[0mtoken=***!\r\n***\nno end"
    assert stat.S_IMODE((tmp_path / "serial.log").stat().st_mode) == 0o600


def test_it_is_kept_when_the_bake_fails(tmp_path: Path, redactor: Redactor) -> None:
    (tmp_path / "serial").write_bytes(b"panic\n")
    with (
        pytest.raises(ZeroDivisionError),
        kept_redacted(tmp_path / "serial", tmp_path / "serial.log", redactor, pytest.fail),
    ):
        raise ZeroDivisionError
    assert (tmp_path / "serial.log").read_text() == "panic\n"


def test_a_log_that_cannot_be_kept_is_told(tmp_path: Path, redactor: Redactor) -> None:
    events: list[Event] = []
    with kept_redacted(tmp_path / "serial", tmp_path / "serial.log", redactor, events.append):
        pass
    (notice,) = events
    assert isinstance(notice, Notice)
    assert notice.text == f"{tmp_path}/serial.log is not complete: no such file or directory"
