"""Fetches one large file whose sum is known, over http, https or from a file, and goes on where it stopped.

Proxies and certificates are the environment's (https_proxy, SSL_CERT_FILE), as urllib has them.
"""

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

from baker.builders.qemu.errors import explaining
from baker.errors import FetchError
from baker.events import Emit, Notice, Progress
from baker.fingerprint import digest_file

SILENCE_SECONDS = 60.0
"""How long a server may send nothing."""

MOST_TRIES = 5
"""In a row that bring nothing new."""

_CHUNK_BYTES = 1 << 20
_PROGRESS_SECONDS = 1.0
_SCHEMES = ("http", "https", "file")
_WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to try, in seconds; tests need less of it."""

    silence: float = SILENCE_SECONDS
    pause: float = 1.0
    tries: int = MOST_TRIES
    sleep: Callable[[float], None] = time.sleep


class _BrokenOffError(Exception):
    """This try is over; another may bring the rest."""


def download(url: str, target: Path, *, sha256: str, emit: Emit, patience: Patience | None = None) -> None:
    """Fetch `url` into `target`, whose SHA-256 is then `sha256`.

    What is in `target` already is taken for the beginning, and kept when this fails, but for a wrong sum. FetchError
    when it cannot be had, DiskFullError.
    """
    name = shown(url)
    if urlsplit(url).scheme not in _SCHEMES:
        raise FetchError(f"{name} cannot be fetched", hint=f"name a URL that starts with {', '.join(_SCHEMES)}")
    transfer = _Transfer(url, target, emit, patience or Patience())
    with explaining(f"fetching {name}"):
        was_begun = target.exists()
        transfer.run()
        got = digest_file(target)
        if got != sha256.lower() and was_begun:
            # Its beginning may have been another version of the file, or damaged: worth one more fetch.
            emit(
                Notice(
                    level="warning", text=f"{name}: the rest does not fit what an earlier bake fetched; starting over"
                )
            )
            target.unlink()
            transfer.run()
            got = digest_file(target)
        if got != sha256.lower():
            target.unlink()
            raise FetchError(
                f"{name} is not the file that the recipe names",
                details=(("expected", f"sha256 {sha256.lower()}"), ("fetched", f"sha256 {got}")),
                hint="if the publisher has replaced the file, take the new sum from the publisher's signed list",
            )


def shown(url: str) -> str:
    """A URL as it may stand in a log: without user name, password and query, which may hold a token."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class _Transfer:
    """One file on its way, in as many tries as it takes."""

    def __init__(self, url: str, target: Path, emit: Emit, patience: Patience) -> None:
        self._url = url
        self._target = target
        self._emit = emit
        self._patience = patience
        self._etag = ""
        self._spoken = 0.0

    def run(self) -> None:
        """Until the file is whole. FetchError after too many tries in a row that brought nothing new."""
        fruitless = 0
        while True:
            before = self._size()
            try:
                self._try(before)
                return
            except _BrokenOffError as broken:
                reason = str(broken)
            fruitless = 0 if self._size() > before else fruitless + 1
            if fruitless >= self._patience.tries:
                raise FetchError(
                    f"{shown(self._url)} cannot be fetched",
                    details=(("message", reason), ("fetched so far", f"{self._size()} bytes")),
                    hint="what was fetched is kept: bake again to go on; behind a proxy, set https_proxy",
                )
            self._emit(Notice(level="info", text=f"fetching {shown(self._url)}: {reason}; trying again"))
            self._patience.sleep(self._patience.pause * (1 + fruitless))

    def _try(self, start: int) -> None:
        """From byte `start` to the end. _BrokenOffError when another try may help, FetchError when none can."""
        try:
            with urlopen(self._request(start), timeout=self._patience.silence) as response:  # noqa: S310  (_SCHEMES)
                self._receive(response, start)
        except HTTPError as error:
            with error:
                self._refused(error.code, error.reason, start)
        except (URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, FileNotFoundError):  # file:
                raise FetchError(f"{shown(self._url)} does not exist") from error
            raise _BrokenOffError(str(reason) or type(reason).__name__) from error

    def _request(self, start: int) -> Request:
        request = Request(self._url, headers={"User-Agent": "image-baker"})  # noqa: S310  (_SCHEMES)
        if start and self._is_http():
            request.add_header("Range", f"bytes={start}-")
            if self._etag:  # the whole file, please, if it is another one by now
                request.add_header("If-Range", self._etag)
        return request

    def _receive(self, response: http.client.HTTPResponse, start: int) -> None:
        goes_on = self._is_http() and response.status == HTTPStatus.PARTIAL_CONTENT
        if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _BrokenOffError("the server sent another part than was asked for")
        etag = response.headers.get("ETag", "")
        self._etag = "" if etag.startswith("W/") else etag  # a weak one does not promise the same bytes
        have = start if goes_on else 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        with self._target.open("ab" if goes_on else "wb") as file:
            while chunk := response.read1(_CHUNK_BYTES) if self._is_http() else response.read(_CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                self._say(have, total)
        if total is not None and have < total:
            raise _BrokenOffError(f"the connection ended at byte {have} of {total}")
        self._say(have, total, at_once=True)

    def _refused(self, code: int, reason: str, start: int) -> None:
        if code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            return  # nothing is left to send: the file is whole, or it is another one, as its sum will show
        if code in _WORTH_ANOTHER_TRY:
            raise _BrokenOffError(f"the server answered {code} {reason}")
        raise FetchError(
            f"{shown(self._url)} cannot be fetched: the server answered {code} {reason}",
            hint="see that the URL in the recipe is right, and that the publisher still has the file",
        )

    def _say(self, done: int, total: int | None, *, at_once: bool = False) -> None:
        """Progress, once a second at most."""
        now = time.monotonic()
        if at_once or now - self._spoken >= _PROGRESS_SECONDS:
            self._spoken = now
            self._emit(Progress(what=f"fetching {shown(self._url)}", done=done, total=total, unit="bytes"))

    def _is_http(self) -> bool:
        return urlsplit(self._url).scheme != "file"

    def _size(self) -> int:
        return self._target.stat().st_size if self._target.exists() else 0
