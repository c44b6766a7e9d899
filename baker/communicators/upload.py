"""Writing to an sftp server of the caller's own: a `baker.ports.Uploader` on paramiko.

Unlike everything else here it takes the caller's agent, default keys, `~/.ssh/config` and `~/.ssh/known_hosts`: it is
the caller who copies an image to a server of theirs, as with `scp`. A machine that is baked never sees any of these.
A host that is not known is refused, and no password is asked for.
"""

import contextlib
import errno
import hashlib
import posixpath
import re
import shlex
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import paramiko
from paramiko.sftp import CMD_EXTENDED, CMD_EXTENDED_REPLY

from baker.communicators.errors import FOREIGN_ERRORS, translated
from baker.communicators.transport import KEEPALIVE_SECONDS, dial, new_transport
from baker.errors import BuilderError, ConnectionLostError, DiskFullError, ReachError

_CONNECT_SECONDS = 30.0
_CHUNK_BYTES = 256 * 1024
_REQUESTS_IN_FLIGHT = 64
"""Of 32 KiB each, for reading: more make paramiko slow, which looks through all of them for each answer."""

_FULL_BYTES = 1 << 20
"""A disk with less room than this is full."""

_FOLDER_MODE, _FILE_MODE = 0o755, 0o644
_LOST = (EOFError, ConnectionError, paramiko.SSHException)
_SUM = re.compile(r"^([0-9a-f]{64}) [ *]-$", re.MULTILINE)


@contextmanager
def open_upload(url: str) -> Iterator["SftpDrop"]:
    """See `baker.ports.Uploader`."""
    parts = urlsplit(url)
    with _connecting(_server(parts.hostname or "", parts.port)):
        settings = _ssh_settings(parts.hostname or "")
        host, port = settings["hostname"], parts.port or _port(settings)
    proxy = settings.get("proxycommand")
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        with _connecting(_server(parts.hostname or "", port)):
            client.load_system_host_keys()
            client.connect(
                host,
                port=port,
                username=parts.username or settings.get("user"),
                key_filename=settings.get("identityfile"),
                allow_agent=settings.get("identitiesonly", "no") != "yes",
                sock=paramiko.ProxyCommand(proxy) if proxy else dial(host, port, seconds=_CONNECT_SECONDS),
                transport_factory=_new_transport,
                timeout=_CONNECT_SECONDS,
            )
            transport = client.get_transport()
            if transport is None:
                raise EOFError
            transport.set_keepalive(KEEPALIVE_SECONDS)
            sftp = client.open_sftp()
        yield SftpDrop(transport, sftp, url.rstrip("/"), unquote(parts.path), _server(parts.hostname or "", port))
    finally:
        client.close()


class SftpDrop:
    """A `baker.ports.Drop`: a folder on an sftp server."""

    def __init__(
        self, transport: paramiko.Transport, sftp: paramiko.SFTPClient, name: str, folder: str, server: str
    ) -> None:
        self._transport = transport
        self._sftp = sftp
        self._folder = folder
        self._server = server
        self._computes = True
        self.name = name

    def size(self, path: str) -> int | None:
        with self._failures(path):
            try:
                return self._sftp.lstat(self._at(path)).st_size
            except FileNotFoundError:
                return None

    def room(self) -> int | None:
        """Of the first folder on the way up that is there; by OpenSSH's extension of the protocol."""
        folder = self._at("")
        while folder:
            with contextlib.suppress(OSError), self._lost():
                kind, reply = self._request("statvfs@openssh.com", folder)
                if kind != CMD_EXTENDED_REPLY:
                    return None
                _, unit, _, _, available = (reply.get_int64() for _ in range(5))
                return int(unit * available)
            folder = "" if folder == "/" else posixpath.dirname(folder.rstrip("/"))
        return None

    def make_folder(self, path: str) -> None:
        whole = self._at(path)
        parts = [part for part in whole.split("/") if part]
        made = True
        for depth in range(1, len(parts) + 1):
            folder = "/" + "/".join(parts[:depth])
            with self._failures(folder):
                made = not self._is_folder(folder, links=depth < len(parts))
                if made:
                    self._sftp.mkdir(folder, _FOLDER_MODE)
        if made:  # whatever umask the server has
            with self._failures(whole):
                self._sftp.chmod(whole, _FOLDER_MODE)

    def write(self, path: str, chunks: Iterable[bytes], *, offset: int = 0) -> None:
        # Positions, and not "append": two who copy the same image at once write the same bytes to the same places.
        with self._failures(path), self._sftp.open(self._at(path), "r+b" if offset else "wxb") as file:
            file.set_pipelined(True)
            file.seek(offset)
            for chunk in chunks:
                for start in range(0, len(chunk), _CHUNK_BYTES):
                    file.write(chunk[start : start + _CHUNK_BYTES])
            file.chmod(_FILE_MODE)
            self._flush(file)

    def read(self, path: str) -> bytes:
        with self._failures(path), self._sftp.open(self._at(path), "rb") as file:
            return file.read()

    def sha256(self, path: str) -> str:
        """By the server's own `sha256sum` where it runs commands for us, else by reading the file back."""
        if self._computes:
            said = self._run(f"sha256sum < {shlex.quote(self._at(path))}")
            if found := _SUM.findall(said):
                return str(found[-1])
            self._computes = False
        digest = hashlib.sha256()
        with self._failures(path), self._sftp.open(self._at(path), "rb") as file:
            file.prefetch(file.stat().st_size, max_concurrent_requests=_REQUESTS_IN_FLIGHT)
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def rename(self, old: str, new: str) -> None:
        """By the protocol's own rename, which refuses a target that is there; OpenSSH's posix-rename replaces it."""
        with self._failures(new):
            self._sftp.rename(self._at(old), self._at(new))

    def remove(self, path: str) -> None:
        with self._failures(path):
            try:
                self._sftp.remove(self._at(path))
            except FileNotFoundError:
                return

    def _at(self, path: str) -> str:
        return posixpath.join(self._folder, path)

    def _is_folder(self, path: str, *, links: bool) -> bool:
        """Whether there is a folder; with `links`, or a link to one."""
        try:
            return stat.S_ISDIR((self._sftp.stat if links else self._sftp.lstat)(path).st_mode or 0)
        except FileNotFoundError:
            return False

    def _flush(self, file: paramiko.SFTPFile) -> None:
        """Onto the server's disk, where it has OpenSSH's extension for that."""
        try:
            self._request("fsync@openssh.com", file.handle)
        except OSError as error:
            if "unsupported" not in str(error).lower():
                raise

    def _request(self, extension: str, argument: object) -> tuple[int, paramiko.Message]:
        """paramiko has no method for extensions other than posix-rename, which is made like this."""
        reply: tuple[int, paramiko.Message] = self._sftp._request(CMD_EXTENDED, extension, argument)  # type: ignore[attr-defined]
        return reply

    def _run(self, command: str) -> str:
        """What a command prints; nothing when the server does not run it. A server for sftp alone may do anything."""
        said = b""
        try:
            with self._transport.open_session(timeout=_CONNECT_SECONDS) as channel:
                channel.exec_command(command)
                channel.shutdown_write()
                while chunk := channel.recv(_CHUNK_BYTES):
                    said += chunk
                if channel.recv_exit_status() != 0:
                    return ""
        except FOREIGN_ERRORS as error:
            if not self._transport.is_active():
                raise translated(error, self._server, into=ConnectionLostError) from error
            return ""
        return said.decode("utf-8", "replace")

    def _is_closed(self) -> bool:
        channel = self._sftp.get_channel()
        return channel is None or channel.closed

    @contextmanager
    def _lost(self) -> Iterator[None]:
        """A connection that ends is never a refusal."""
        try:
            yield
        except FOREIGN_ERRORS as error:
            if isinstance(error, _LOST) or self._is_closed():
                raise translated(error, self._server, into=ConnectionLostError) from error
            raise

    @contextmanager
    def _failures(self, path: str) -> Iterator[None]:
        try:
            with self._lost():
                yield
        except FOREIGN_ERRORS as error:
            reason = str(error) or type(error).__name__
            if self._is_full(error):
                raise DiskFullError(f"{self._server} has no room left for {self._at(path)}") from error
            raise BuilderError(
                f"{self._server} refuses {self._at(path)}",
                details=(("reason", reason),),
                hint="sftp says no more: it may not be yours to write, or be there already"
                if _is_vague(error)
                else None,
            ) from error

    def _is_full(self, error: Exception) -> bool:
        """The protocol has no word for a full disk: servers say "Failure", and a look at the disk says the rest."""
        if not _is_vague(error):
            return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        room = self.room()
        return room is not None and room < _FULL_BYTES


def _is_vague(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno is None


def _server(host: str, port: int | None) -> str:
    return f"{host}:{port}" if port else host


def _ssh_settings(host: str) -> paramiko.SSHConfigDict:
    """What the caller's `~/.ssh/config` says of a host. OSError, SSHException."""
    file = Path.home() / ".ssh" / "config"
    config = paramiko.SSHConfig.from_path(str(file)) if file.is_file() else paramiko.SSHConfig()
    return config.lookup(host)


def _new_transport(connection: Any, **_options: object) -> paramiko.Transport:
    """With the algorithms of the baker's other connections; host keys are those that the caller's file knows."""
    return new_transport(connection, host_key_types=(), seconds=_CONNECT_SECONDS)


def _port(settings: paramiko.SSHConfigDict) -> int:
    try:
        return int(settings.get("port", "22"))
    except ValueError as error:
        raise paramiko.ssh_exception.ConfigParseError(str(error)) from error


@contextmanager
def _connecting(server: str) -> Iterator[None]:
    try:
        yield
    except paramiko.PasswordRequiredException as error:
        raise ReachError(
            f"the key for {server} is locked by a passphrase", hint="add it to your agent: ssh-add"
        ) from error
    except FOREIGN_ERRORS as error:
        if "not found in known_hosts" in str(error):
            raise ReachError(
                f"the host key of {server} is not known",
                hint=f"connect by hand once, and compare its fingerprint: ssh {server.rpartition(':')[0]}",
            ) from error
        raise translated(error, server, into=ReachError) from error
