"""What paramiko and the socket raise, in the baker's words. One table; a test walks paramiko's exceptions."""

import paramiko

from baker.errors import BakeError, ConnectionLostError

_TABLE: tuple[tuple[type[Exception], str, str | None], ...] = (
    (
        paramiko.AuthenticationException,
        "{server} refuses the login",
        "the key or password is not the one that the server knows for this user",
    ),
    (
        paramiko.BadHostKeyException,
        "{server} shows another host key than the one expected",
        "something else answers at this address; when the server was set up anew, update its host key",
    ),
    (
        paramiko.ssh_exception.IncompatiblePeer,
        "{server} and the baker have no algorithm in common",
        "the server must offer an ed25519 host key and a current key exchange and cipher",
    ),
    (paramiko.ChannelException, "{server} refuses to open a channel", None),
    (paramiko.ssh_exception.NoValidConnectionsError, "{server} cannot be reached", None),
    (paramiko.ssh_exception.ProxyCommandFailure, "the proxy command to {server} failed", None),
    (paramiko.ssh_exception.CouldNotCanonicalize, "{server}: no such host", None),
    (paramiko.ssh_exception.ConfigParseError, "the SSH configuration for {server} cannot be read", None),
    (paramiko.hostkeys.InvalidHostKey, "a host key that is known for {server} cannot be read", None),
    (paramiko.pkey.UnknownKeyType, "a key for {server} is of an unknown type", None),
    (paramiko.packet.NeedRekeyException, "{server} needs new session keys", None),
    (paramiko.SSHException, "the SSH connection to {server} failed", None),
    (paramiko.SFTPError, "{server} reports an sftp error", None),
    (paramiko.buffered_pipe.PipeTimeout, "{server} does not answer", None),
    (EOFError, "{server} closed the connection", None),
    (OSError, "the connection to {server} failed", None),
)
"""Most special first. {server} is `host:port`."""

FOREIGN_ERRORS: tuple[type[Exception], ...] = tuple(cls for cls, _, _ in _TABLE)
"""For `except`: all that is translated."""


def translated(error: Exception, server: str, *, into: type[BakeError] = ConnectionLostError) -> BakeError:
    """`error` as one of ours. KeyError for one that is not in the table: that would be a bug."""
    for cls, summary, hint in _TABLE:
        if isinstance(error, cls):
            return into(summary.format(server=server), details=(("reason", _reason(error)),), hint=hint)
    raise KeyError(type(error))


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
