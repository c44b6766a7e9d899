"""A real sftp server for one folder, read-only, for one user with a password: paramiko's, on 127.0.0.1.

It speaks SSH and nothing but sftp: no shell, no command, no forwarding, so it is no way into the host. (OpenSSH's
sshd would need the host's accounts and root.)
"""

import contextlib
import io
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)
from paramiko.sftp import SFTP_PERMISSION_DENIED

T = TypeVar("T")

_LOG = "lab.sftp"
logging.getLogger(_LOG).addHandler(logging.NullHandler())  # or "connection reset" would go to stderr


class LabSftpServer:
    """Serves `root` from its making until `close`, with a host key of its own."""

    def __init__(self, port: int, root: Path, *, user: str, password: str) -> None:
        self._root = root.resolve()
        self._user = user
        self._password = password
        self._key = _new_host_key()
        self._transports: list[paramiko.Transport] = []
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.host_key = f"{self._key.get_name()} {self._key.get_base64()}"
        threading.Thread(target=self._accept, name="lab-sftp", daemon=True).start()

    def close(self) -> None:
        """Stop listening, and end every session."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes up `accept`, which `close` alone does not
        self._socket.close()
        for transport in self._transports:
            transport.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(connection)
        transport.set_log_channel(_LOG)
        transport.add_server_key(self._key)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _ReadOnlyFolder, self._root)
        self._transports = [other for other in self._transports if other.is_active()] + [transport]
        try:
            transport.start_server(server=_OneUser(self._user, self._password))
        except (paramiko.SSHException, EOFError, OSError):  # a port scan, or a client that went away
            transport.close()


class _OneUser(paramiko.ServerInterface):
    def __init__(self, user: str, password: str) -> None:
        self._credentials = f"{user}\0{password}".encode()

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 # paramiko's names
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        right = secrets.compare_digest(f"{username}\0{password}".encode(), self._credentials)
        return AUTH_SUCCESSFUL if right else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002
        return OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


class _ReadOnlyFolder(paramiko.SFTPServerInterface):
    """What is not defined here (write, remove, rename, ...) paramiko answers with "operation unsupported"."""

    def __init__(self, server: paramiko.ServerInterface, root: Path) -> None:
        super().__init__(server)
        self._root = root

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        return _translated(lambda: [_attributes(entry, follow=True) for entry in sorted(self._real(path).iterdir())])

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        return _translated(lambda: _attributes(self._real(path), follow=True))

    def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
        return self.stat(path)

    def open(self, path: str, flags: int, attr: object) -> paramiko.SFTPHandle | int:  # noqa: ARG002
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            return SFTP_PERMISSION_DENIED
        return _translated(lambda: _OpenFile(self._real(path)))

    def _real(self, path: str) -> Path:
        """The file behind a client's path. PermissionError when a link leads out of the folder."""
        # canonicalize() makes the path absolute and takes out "..", as a chroot would.
        real = self._root.joinpath(*PurePosixPath(self.canonicalize(path)).parts[1:]).resolve()
        if not real.is_relative_to(self._root):
            raise PermissionError(path)
        return real


class _OpenFile(paramiko.SFTPHandle):
    def __init__(self, path: Path) -> None:
        super().__init__(os.O_RDONLY)
        self.readfile = path.open("rb")

    def stat(self) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


def _attributes(path: Path, *, follow: bool) -> paramiko.SFTPAttributes:
    return paramiko.SFTPAttributes.from_stat(path.stat(follow_symlinks=follow), path.name)


def _translated(act: Callable[[], T]) -> T | int:
    """What `act` returns, or the code that sftp has for its OSError."""
    try:
        return act()
    except OSError as error:
        return paramiko.SFTPServer.convert_errno(error.errno or 0)


def _new_host_key() -> paramiko.PKey:
    private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return paramiko.Ed25519Key.from_private_key(io.StringIO(private.decode()))
