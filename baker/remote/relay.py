"""From an sftp server to the machine, relayed in streams by the baking host: the credential stays here.

Small files travel many at a time, as tar streams; a large one on its own, into a file beside its place that a later
attempt continues. A source whose connection drops is asked again from where it stopped, while the machine's side
stays open. The SHA-256 is computed on both sides.
"""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from types import TracebackType
from typing import Protocol
from urllib.parse import urlsplit

from baker.errors import ConnectionLostError, FetchError, StepError
from baker.mirrors import Mirrors
from baker.ports import Clock, SftpReader, Transfer
from baker.provisioner import Fetch, SftpSource, TransferredFile
from baker.remote.files import Shell, extract, owner_ids
from baker.remote.tar import END, content, header
from baker.wait import pauses

LARGE_BYTES = 8 * 1024 * 1024
"""A file of this size or more travels alone."""

_BATCH_FILES = 500
_BATCH_BYTES = 64 * 1024 * 1024
_ATTEMPTS = 5
_REPORT_EVERY_SECONDS = 0.5

_SUMS = """
cd -- "$1" 2>/dev/null || exit 0
exec xargs -0 -r /bin/sh -c 'for f do if [ -f "$f" ]; then sha256sum -z -- "$f" || exit 255; fi; done' sums
"""

_SUM = """
if [ -f "$1" ]; then sha256sum -z <"$1"; fi
"""

_APPEND = """
set -eu; part=$1 offset=$2
if [ "$offset" = 0 ]; then : >"$part"; fi
cat >>"$part"
sha256sum -z <"$part"
"""

_PLACE = """
set -eu; chown -- "$3" "$1"; chmod 0644 -- "$1"; mv -fT -- "$1" "$2"
"""

Listed = tuple[str, int]
"""A file's path below the source, and its size in bytes."""


class Target(Shell, Protocol):
    """The machine, as far as it is needed here."""

    def progress(self, what: str, done: int, total: int | None, unit: str = "bytes") -> None: ...


@dataclass(slots=True)
class Relayed:
    """What arrived in this bake, so that a second attempt starts where the first one ended.

    Keys are (url, path on the machine). A part is the number of bytes that are there, and their hash so far.
    """

    files: dict[tuple[str, str], TransferredFile] = field(default_factory=dict)
    parts: dict[tuple[str, str], "tuple[int, hashlib._Hash]"] = field(default_factory=dict)


class Source:
    """An sftp server that is connected again when its connection drops. Open while its context is."""

    def __init__(
        self, source: SftpSource, *, transfer: Transfer, password: str | None, private_key: str | None, clock: Clock
    ) -> None:
        self.url = source.url
        self.clock = clock
        self._open = partial(transfer, source, password=password, private_key=private_key, host_key=source.host_key)
        self._context = ExitStack()
        self._reader: SftpReader | None = None

    def __enter__(self) -> "Source":
        self._connected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def files(self) -> Sequence[Listed]:
        """See `SftpReader.files`."""
        return self._connected().files()

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """A file from `offset` on, through dropped connections. FetchError when it cannot be had."""
        failures = 0
        for pause in pauses(0.2, 5.0):
            try:
                for chunk in self._connected(again=failures > 0).read(path, offset=offset):
                    failures = 0
                    offset += len(chunk)
                    yield chunk
                return
            except ConnectionLostError as error:
                failures += 1
                self._drop()
                if failures == _ATTEMPTS:
                    raise FetchError(
                        f"the connection to {self.url} was lost {failures} times in a row",
                        details=(("file", path), ("last error", error.summary)),
                    ) from error
            self.clock.sleep(pause)

    def _connected(self, *, again: bool = False) -> SftpReader:
        """The open server. When it was lost before (`again`), not being able to connect is the same loss still."""
        if self._reader is None:
            try:
                self._reader = self._context.enter_context(self._open())
            except FetchError as error:
                if again:
                    raise ConnectionLostError(error.summary, details=error.details, hint=error.hint) from error
                raise
        return self._reader

    def _drop(self) -> None:
        self._reader = None
        self._context.close()


def mirrored_source(source: SftpSource, mirrors: Mirrors) -> SftpSource:
    """`source`, or the server that stands in for it, with that one's host key."""
    url = mirrors.mirrored(Fetch(kind="sftp", url=source.url, side="host")).url
    if url == source.url:
        return source
    return replace(source, url=url, host_key=mirrors.sftp_host_key(source.url))


def import_tree(
    machine: Target, source: Source, target: str, *, owner: str, relayed: Relayed
) -> tuple[TransferredFile, ...]:
    """All files of `source` into the folder `target`, made when missing; folders and files belong to `owner`.

    Returns what is there now, sorted by path. FetchError when the source fails, StepError for a wrong checksum.
    """
    with source:
        listed = source.files()
        job = _Import(machine, source, target, owner=owner, relayed=relayed)
        job.begin(listed)
        wanted = job.without_those_in_place(listed)
        for batch in batches([entry for entry in wanted if entry[1] < LARGE_BYTES]):
            job.relay_batch(batch)
        for path, size in wanted:
            if size >= LARGE_BYTES:
                job.relay_large(path, size)
    job.report(force=True)
    return tuple(relayed.files[source.url, f"{target}/{path}"] for path, _ in listed)


def batches(files: Sequence[Listed]) -> Iterator[tuple[Listed, ...]]:
    """Files in groups of a bounded number and size, in order."""
    batch: list[Listed] = []
    for entry in files:
        if batch and (len(batch) == _BATCH_FILES or sum(size for _, size in batch) + entry[1] > _BATCH_BYTES):
            yield tuple(batch)
            batch = []
        batch.append(entry)
    if batch:
        yield tuple(batch)


class _Import:
    """One import under way."""

    def __init__(self, machine: Target, source: Source, target: str, *, owner: str, relayed: Relayed) -> None:
        self._machine = machine
        self._source = source
        self._target = target
        self._owner = owner
        self._ids = owner_ids(machine, owner)
        self._relayed = relayed
        self._total = 0
        self._done = 0
        self._next_report = source.clock.monotonic()

    def begin(self, listed: Sequence[Listed]) -> None:
        """Make all folders of the files, and `target`, in one stream."""
        self._total = sum(size for _, size in listed)
        folders = {str(parent) for path, _ in listed for parent in PurePosixPath(path).parents} - {"."}
        entries = [self._entry(folder, kind=tarfile.DIRTYPE, mode=0o755) for folder in sorted(folders)]
        extract(self._machine, (*map(header, entries), END), self._target, owner=self._owner)

    def without_those_in_place(self, listed: Sequence[Listed]) -> list[Listed]:
        """The files that an earlier attempt did not bring, or whose content on the machine is not what it brought."""
        known = {path: self._relayed.files.get(self._key(path)) for path, _ in listed}
        before = [path for path, file in known.items() if file is not None]
        sums = self._sums(before) if before else {}
        wanted = []
        for path, size in listed:
            file = known[path]
            if file is not None and file.size == size and sums.get(path) == file.sha256:
                self._tick(size)
            else:
                wanted.append((path, size))
        return wanted

    def relay_batch(self, batch: Sequence[Listed]) -> None:
        """Small files, as one stream."""
        sent: dict[str, str] = {}
        extract(self._machine, self._archive(batch, sent), self._target, owner=self._owner)
        arrived = self._sums([path for path, _ in batch])
        for path, size in batch:
            self._keep(path, size, sent[path], arrived.get(path, "nothing"))

    def relay_large(self, path: str, size: int) -> None:
        """A large file, from where an earlier attempt stopped."""
        key = self._key(path)
        part = f"{key[1]}.baker-part"
        offset, hasher = self._part(key, part)
        self._tick(offset)
        failure: FetchError | None = None

        def chunks() -> Iterator[bytes]:
            nonlocal offset, failure
            try:
                for chunk in self._source.read(path, offset):
                    hasher.update(chunk)
                    offset += len(chunk)
                    self._tick(len(chunk))
                    yield chunk
            except FetchError as error:  # the stream ends in order, so that what arrived can be continued
                failure = error

        words = ["/bin/sh", "-c", _APPEND, "append", part, str(offset)]
        arrived = self._machine.stream(words, stdin=chunks()).stdout[:64]
        if failure is not None:
            if arrived == hasher.hexdigest():
                self._relayed.parts[key] = (offset, hasher)
            raise failure
        if offset != size:
            raise FetchError(f"{path} changed while it was read", details=(("source", self._source.url),))
        self._keep(path, size, hasher.hexdigest(), arrived)
        self._machine.stream(["/bin/sh", "-c", _PLACE, "place", part, key[1], self._owner])

    def _part(self, key: tuple[str, str], part: str) -> "tuple[int, hashlib._Hash]":
        """What an earlier attempt brought, when it still lies in `part` on the machine as it came; else nothing."""
        offset, hasher = self._relayed.parts.pop(key, (0, hashlib.sha256()))
        if offset and self._machine.stream(["/bin/sh", "-c", _SUM, "sum", part]).stdout[:64] != hasher.hexdigest():
            return 0, hashlib.sha256()
        return offset, hasher

    def report(self, *, force: bool = False) -> None:
        """Say how far it is, not more than twice a second."""
        now = self._source.clock.monotonic()
        if force or now >= self._next_report:
            self._next_report = now + _REPORT_EVERY_SECONDS
            self._machine.progress(urlsplit(self._source.url).path, self._done, self._total)

    def _archive(self, batch: Iterable[Listed], sent: dict[str, str]) -> Iterator[bytes]:
        for path, size in batch:
            yield header(self._entry(path, kind=tarfile.REGTYPE, mode=0o644, size=size))
            hasher = hashlib.sha256()
            try:
                yield from content(self._observed(path, hasher.update), size)
            except OSError as error:
                raise FetchError(
                    f"{path} changed while it was read", details=(("source", self._source.url),)
                ) from error
            sent[path] = hasher.hexdigest()
        yield END

    def _observed(self, path: str, update: Callable[[bytes], object]) -> Iterator[bytes]:
        for chunk in self._source.read(path):
            update(chunk)
            self._tick(len(chunk))
            yield chunk

    def _entry(self, name: str, *, kind: bytes, mode: int, size: int = 0) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size = kind, mode, size
        info.mtime = int(self._source.clock.now())
        info.uid, info.gid = self._ids
        return info

    def _sums(self, paths: Iterable[str]) -> dict[str, str]:
        """SHA-256 of those of `paths` that are files on the machine."""
        output: list[bytes] = []
        listing = b"".join(os.fsencode(path) + b"\0" for path in paths)
        words = ["/bin/sh", "-c", _SUMS, "sums", self._target]
        self._machine.stream(words, stdin=(listing,), on_stdout=output.append)
        lines = b"".join(output).split(b"\0")[:-1]
        return {os.fsdecode(line[66:]): line[:64].decode("ascii") for line in lines}

    def _keep(self, path: str, size: int, sent: str, arrived: str) -> None:
        if sent != arrived:
            raise StepError(
                f"{path} arrived damaged on the machine",
                details=(("sha256 sent", sent), ("sha256 arrived", arrived)),
                hint="try again; when it stays, look at the machine's disk",
            )
        self._relayed.files[self._key(path)] = TransferredFile(path=path, size=size, sha256=sent)

    def _key(self, path: str) -> tuple[str, str]:
        return (self._source.url, f"{self._target}/{path}")

    def _tick(self, size: int) -> None:
        self._done += size
        self.report()
