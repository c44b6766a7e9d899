"""Each exception that paramiko can raise has a translation."""

import inspect

import paramiko
import paramiko.ssh_exception
import pytest

from baker.communicators.errors import FOREIGN_ERRORS, translated
from baker.errors import BakeError, ConnectionLostError, FetchError

KEY = paramiko.RSAKey.generate(1024)


def paramiko_exceptions():
    """All exception classes that paramiko's modules define."""
    found = set()
    for _, module in inspect.getmembers(paramiko, inspect.ismodule):
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, Exception) and cls.__module__.startswith("paramiko"):
                found.add(cls)
    return sorted(found, key=lambda cls: cls.__name__)


MADE_OTHERWISE = {
    paramiko.ssh_exception.BadAuthenticationType: lambda cls: cls("reason", ["publickey"]),
    paramiko.ssh_exception.BadHostKeyException: lambda cls: cls("host", KEY, KEY),
    paramiko.ssh_exception.ChannelException: lambda cls: cls(1, "reason"),
    paramiko.ssh_exception.NoValidConnectionsError: lambda cls: cls({("127.0.0.1", 22): OSError("reason")}),
    paramiko.ssh_exception.ProxyCommandFailure: lambda cls: cls("command", "reason"),
    paramiko.hostkeys.InvalidHostKey: lambda cls: cls("line", ValueError("reason")),
    paramiko.pkey.UnknownKeyType: lambda cls: cls("type", b"bytes"),
    paramiko.auth_strategy.AuthFailure: lambda cls: cls(result=[]),
}
"""Those that do not take a text."""


def test_there_is_something_to_walk():
    names = {cls.__name__ for cls in paramiko_exceptions()}
    assert {"SSHException", "BadHostKeyException", "SFTPError", "IncompatiblePeer"} <= names


@pytest.mark.parametrize("cls", paramiko_exceptions())
def test_each_exception_is_translated(cls):
    foreign = MADE_OTHERWISE.get(cls, lambda cls: cls("reason"))(cls)
    error = translated(foreign, "host:22")
    assert isinstance(error, ConnectionLostError)
    assert "host:22" in error.summary


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError(104, "reset"), TimeoutError("slow")])
def test_errors_of_the_socket_are_translated(error):
    assert isinstance(translated(error, "host:22", into=FetchError), FetchError)


def test_the_reason_is_never_empty():
    assert dict(translated(EOFError(), "host:22").details)["reason"] == "EOFError"


def test_what_is_not_in_the_table_is_a_bug():
    with pytest.raises(KeyError):
        translated(ZeroDivisionError(), "host:22")


def test_the_most_special_row_comes_first():
    for index, cls in enumerate(FOREIGN_ERRORS):
        assert not any(issubclass(cls, earlier) for earlier in FOREIGN_ERRORS[:index]), cls
    assert isinstance(translated(OSError("x"), "h"), BakeError)
