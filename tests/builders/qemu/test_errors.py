"""What QEMU and its tools say, as they said it on a real host, and what a person is told."""

import errno
import os

import pytest

from baker.builders.qemu.errors import explain, explaining, not_installed, tail
from baker.errors import BuilderError, CaptureError, DiskFullError, LaunchError

SAID = {
    "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory": (
        LaunchError,
        "not enough memory",
    ),
    "qemu-img: error while writing at byte 1048576: No space left on device": (DiskFullError, "no room is left"),
    "qemu-img: /x/root.qcow2: Disk quota exceeded": (DiskFullError, "no room is left"),
    "Could not access KVM kernel module: Permission denied": (LaunchError, "KVM does not work"),
    "qemu-system-x86_64: failed to initialize kvm: No such file or directory": (LaunchError, "KVM does not work"),
    "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x2000000000e9": (LaunchError, "KVM does not work"),
    "qemu-img: Could not open '/x/root.qcow2': Permission denied": (BuilderError, "refused access"),
}


@pytest.mark.parametrize("text", SAID)
def test_what_is_known_is_explained(text: str) -> None:
    kind, summary = SAID[text]
    error = explain(text, otherwise=CaptureError, summary="writing failed")
    assert type(error) is kind
    assert summary in error.summary
    assert error.hint
    assert ("while", "writing failed") in error.details
    assert ("message", text) in error.details


def test_what_is_not_known_keeps_its_own_words() -> None:
    error = explain("qemu-img: Something new", otherwise=CaptureError, summary="writing failed")
    assert type(error) is CaptureError
    assert error.summary == "writing failed"
    assert error.details == (("message", "qemu-img: Something new"),)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError), (errno.EIO, LaunchError)]
)
def test_an_error_of_the_file_system_is_explained(number: int, kind: type[BuilderError]) -> None:
    with pytest.raises(kind) as caught, explaining("writing the seed", LaunchError):
        raise OSError(number, os.strerror(number), "/x/seed.iso")
    assert type(caught.value) is kind
    assert "writing the seed" in str(caught.value.details) + caught.value.summary


def test_a_tail_is_short_and_has_no_control_characters() -> None:
    text = "".join(f"line {number}\r\n\r\n" for number in range(50)) + "\x1b[0;1;31mFAILED\x1b[0m to start\x07\x00\r\n"
    assert tail(text).splitlines() == [*(f"line {number}" for number in range(36, 50)), "FAILED to start"]
    assert tail("") == ""


def test_a_missing_program_names_its_package() -> None:
    assert not_installed("qemu-img").hint == "apt-get install qemu-utils; `bake doctor` lists all that is missing"
