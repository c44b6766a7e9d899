"""Reading an sftp server from the baking host: a `baker.ports.Transfer` on paramiko.

What the server refuses is a FetchError; a connection that drops is a ConnectionLostError, so that the caller can
connect again and go on from where it was.
"""

import io
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import paramiko

from baker.communicators.errors import FOREIGN_ERRORS, translated
from baker.communicators.transport import KEEPALIVE_SECONDS, dial, new_transport
from baker.errors import ConnectionLostError, FetchError
from baker.keys import fingerprint_of
from baker.provisioner import SftpSource

_CONNECT_SECONDS = 30.0
_CHUNK_BYTES = 256 * 1024
_CHUNKS_IN_FLIGHT = 64
"""16 MiB asked for at a time: enough for a long way, and a bound on memory."""

_SENDING_SECONDS = 10.0
"""Where sending takes longer, answers are taken as they come, at the price of some that are asked for twice."""

_KEY_CLASSES = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)

_LOST = (EOFError, ConnectionError, paramiko.SSHException)
"""What a refusal never is: those are SFTPError and plain OSError."""

_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")


@contextmanager
def open_sftp(
    source: SftpSource,
    *,
    password: str | None,
    private_key: str | None,
    host_key: str | None,
    known_hosts: Path | None = None,
) -> Iterator["ParamikoReader"]:
    """See `baker.ports.Transfer`. `known_hosts` is the baking host's own file unless another one is given.

    FetchError when the server cannot be reached, is not known, or refuses the login.
    """
    place = _parse(source.url)
    with _refusals(place):
        accepted = _accepted_keys(place, host_key, known_hosts or Path.home() / ".ssh" / "known_hosts")
        transport = _connect(place, accepted)
    try:
        with _refusals(place):
            _require_known(place, transport.get_remote_server_key(), accepted)
            _log_in(transport, source.user, password, private_key)
            transport.set_keepalive(KEEPALIVE_SECONDS)
            channel = transport.open_session(timeout=_CONNECT_SECONDS)
            channel.invoke_subsystem("sftp")
            ahead = _ReadingAhead(channel)
            client = paramiko.SFTPClient(ahead)  # type: ignore[arg-type]  # it asks for no more
        yield ParamikoReader(client, channel, ahead, place)
    finally:
        transport.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A parsed sftp URL."""

    host: str
    port: int
    path: str

    @property
    def server(self) -> str:
        return f"{self.host}:{self.port}"


class _ReadingAhead:
    """A channel for paramiko's reading ahead, whose requests a thread of its own sends.

    Answers wait until all requests of a window are sent: paramiko takes a window for answered when nothing that was
    sent is still open, and then asks for the rest of it a second time, one request after the other (seen with 5.1.0).

    What cannot be sent is taken all the same: the dead connection is noticed by who reads the answer, and an exception
    in paramiko's thread ends up as a traceback on the terminal.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._unsent = 0
        self._changed = threading.Condition()
        self.close = channel.close
        self.get_name = channel.get_name

    def announce(self, requests: int) -> None:
        """So many requests are going to be sent, before the next answer is wanted."""
        with self._changed:
            self._unsent = requests

    def send(self, data: bytes) -> int:
        try:
            return self._channel.send(data)
        except FOREIGN_ERRORS:
            return len(data)
        finally:
            with self._changed:
                self._unsent -= 1
                self._changed.notify_all()

    def recv(self, size: int) -> bytes:
        with self._changed:
            self._changed.wait_for(lambda: self._unsent <= 0, timeout=_SENDING_SECONDS)
        return self._channel.recv(size)


class ParamikoReader:
    """A `baker.ports.SftpReader`. FetchError when the source does not exist."""

    def __init__(
        self, client: paramiko.SFTPClient, channel: paramiko.Channel, ahead: _ReadingAhead, place: _Place
    ) -> None:
        self._client = client
        self._channel = channel
        self._ahead = ahead
        self._place = place
        root = PurePosixPath(place.path)
        with self._failures(str(root)):
            self._status = client.stat(str(root))
        self._is_folder = stat.S_ISDIR(self._status.st_mode or 0)
        self._name = root.name
        self._folder = root if self._is_folder else root.parent  # what the listed paths are relative to

    def files(self) -> Sequence[tuple[str, int]]:
        """See `baker.ports.SftpReader`. Links to files count as files; links to folders are not followed."""
        if self._is_folder:
            return tuple(sorted(self._below(PurePosixPath())))
        return ((self._name, self._status.st_size or 0),)

    def read(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        """See `baker.ports.SftpReader`."""
        full_path = str(self._folder / path)
        with self._failures(full_path), self._client.open(full_path, "rb") as file:
            size = file.stat().st_size or 0
            while offset < size:
                starts = range(offset, size, _CHUNK_BYTES)[:_CHUNKS_IN_FLIGHT]
                window = [(start, min(_CHUNK_BYTES, size - start)) for start in starts]
                self._ahead.announce(sum(-(-wanted // file.MAX_REQUEST_SIZE) for _, wanted in window))
                for (_, wanted), chunk in zip(window, file.readv(window), strict=True):
                    if len(chunk) != wanted:
                        raise FetchError(f"{path} became shorter while it was read")
                    offset += len(chunk)
                    yield chunk

    def _below(self, folder: PurePosixPath) -> Iterator[tuple[str, int]]:
        full_path = str(self._folder / folder)
        with self._failures(full_path):
            entries = self._client.listdir_attr(full_path)
        for entry in entries:
            if "/" in entry.filename or entry.filename in (".", "..", ""):
                raise FetchError(
                    f"{self._place.server} lists a file with an impossible name",
                    details=(("folder", full_path), ("name", entry.filename)),
                )
            path = folder / entry.filename
            mode, size = entry.st_mode or 0, entry.st_size or 0
            if stat.S_ISLNK(mode):
                with self._failures(str(self._folder / path)):
                    status = self._client.stat(str(self._folder / path))
                if stat.S_ISDIR(status.st_mode or 0):
                    continue
                mode, size = status.st_mode or 0, status.st_size or 0
            if stat.S_ISDIR(mode):
                yield from self._below(path)
            elif stat.S_ISREG(mode):
                yield str(path), size

    @contextmanager
    def _failures(self, path: str) -> Iterator[None]:
        """A refusal, or a connection that drops."""
        server = self._place.server
        try:
            yield
        except UnicodeDecodeError as error:
            raise FetchError(f"{server}: a file name below {path} is not UTF-8") from error
        except FOREIGN_ERRORS as error:
            if isinstance(error, _LOST) or self._channel.closed:
                raise translated(error, server, into=ConnectionLostError) from error
            reason = str(error) or type(error).__name__
            raise FetchError(f"{server} refuses {path}", details=(("reason", reason),)) from error


def _parse(url: str) -> _Place:
    parts = urlsplit(url)
    if parts.scheme != "sftp" or not parts.hostname:
        raise FetchError(f"{url} is no sftp address", hint="write sftp://host[:port]/path")
    return _Place(host=parts.hostname, port=parts.port or 22, path=unquote(parts.path) or "/")


def _accepted_keys(place: _Place, host_key: str | None, known_hosts: Path) -> tuple[str, ...]:
    """The host keys that the server may show, as `type base64`."""
    if host_key:
        return (" ".join(host_key.split()[:2]),)
    if not known_hosts.exists():
        return ()
    name = place.host if place.port == 22 else f"[{place.host}]:{place.port}"
    found = paramiko.HostKeys(str(known_hosts)).lookup(name)
    return tuple(f"{key.get_name()} {key.get_base64()}" for key in found.values()) if found else ()


def _connect(place: _Place, accepted: tuple[str, ...]) -> paramiko.Transport:
    types = {line.split()[0] for line in accepted}
    offered = (*(types - {"ssh-rsa"}), *(_RSA_SIGNATURES if "ssh-rsa" in types else ()))
    connection = dial(place.host, place.port, seconds=_CONNECT_SECONDS)
    transport = new_transport(connection, host_key_types=offered, seconds=_CONNECT_SECONDS)
    try:
        transport.start_client(timeout=_CONNECT_SECONDS)
    except BaseException:
        transport.close()
        raise
    return transport


def _require_known(place: _Place, shown: paramiko.PKey, accepted: tuple[str, ...]) -> None:
    line = f"{shown.get_name()} {shown.get_base64()}"
    if line in accepted:
        return
    if accepted:
        raise FetchError(
            f"{place.server} shows another host key than the one that is known",
            details=(("known", ", ".join(map(fingerprint_of, accepted))), ("shown", fingerprint_of(line))),
            hint="something else answers there, or the server was set up anew: ask whoever runs it",
        )
    raise FetchError(
        f"the host key of {place.server} is not known",
        details=(("shown", f"{line} ({fingerprint_of(line)})"),),
        hint="ask whoever runs it whether that is its key, then give it as host_key, or add it to ~/.ssh/known_hosts",
    )


def _log_in(transport: paramiko.Transport, user: str, password: str | None, private_key: str | None) -> None:
    if private_key is not None:
        transport.auth_publickey(user, _parse_key(private_key))
    elif password is not None:
        transport.auth_password(user, password)
    else:
        transport.auth_none(user)


def _parse_key(private_key: str) -> paramiko.PKey:
    for cls in _KEY_CLASSES:
        try:
            return cls.from_private_key(io.StringIO(private_key))
        except paramiko.PasswordRequiredException:
            raise FetchError("the sftp source's private key is locked by a passphrase") from None
        except (paramiko.SSHException, ValueError):
            continue
    raise FetchError("the sftp source's private key cannot be read", hint="it must be an OpenSSH or PEM private key")


@contextmanager
def _refusals(place: _Place) -> Iterator[None]:
    """While connecting: whatever fails, the source cannot be had."""
    try:
        yield
    except FOREIGN_ERRORS as error:
        raise translated(error, place.server, into=FetchError) from error
