"""Serves folders over HTTP (GET and HEAD, ranges, conditional requests), and git repositories by git itself.

    /conda/...       the channel          /installer/...   the installer          /git/...   repositories

Plain HTTP, without authentication, for 127.0.0.1 alone.
"""

import http
import os
import shutil
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from lab.git_backend import GitRequest, answer

_CHUNK = 1 << 18

_TYPES = {".json": "application/json", ".sh": "application/x-sh", ".sha256": "text/plain"}


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


class LabHttpServer(ThreadingHTTPServer):
    """Serves each folder of `folders` under its name, and the repositories below `repositories` under /git/."""

    daemon_threads = True

    def __init__(self, port: int, folders: Mapping[str, Path], repositories: Path) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.folders = {name: folder.resolve() for name, folder in folders.items()}
        self.repositories = repositories

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is no error of the server."""


class _Handler(BaseHTTPRequestHandler):
    server: LabHttpServer
    protocol_version = "HTTP/1.1"  # conda asks for a hundred files: keep its connections open

    def do_GET(self) -> None:
        if self.path.startswith("/git/"):
            self._git()
        else:
            self._file()

    do_HEAD = do_GET  # noqa: N815 # the names are BaseHTTPRequestHandler's

    def do_POST(self) -> None:
        if self.path.startswith("/git/"):
            self._git()
        else:
            self.send_error(http.HTTPStatus.METHOD_NOT_ALLOWED)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: a bake asks for hundreds of files, and its own log says what failed."""

    def _file(self) -> None:
        path = self._path()
        if path is None:
            self.send_error(http.HTTPStatus.NOT_FOUND)
            return
        status = path.stat()
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        if self.headers.get("If-None-Match") == tag:
            self._head(http.HTTPStatus.NOT_MODIFIED, {"ETag": tag}, length=None)
            return
        headers = {
            "Content-Type": _TYPES.get(path.suffix, "application/octet-stream"),
            "Accept-Ranges": "bytes",
            "ETag": tag,
            "Last-Modified": self.date_time_string(int(status.st_mtime)),
        }
        unchanged = self.headers.get("If-Range", tag) == tag
        part = _range(self.headers.get("Range", "") if unchanged else "", status.st_size)
        if part is None:
            self._head(http.HTTPStatus.OK, headers, length=status.st_size)
            part = (0, status.st_size)
        elif part[0] >= part[1]:
            headers["Content-Range"] = f"bytes */{status.st_size}"
            self._head(http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers, length=0)
        else:
            headers["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{status.st_size}"
            self._head(http.HTTPStatus.PARTIAL_CONTENT, headers, length=part[1] - part[0])
        if self.command == "GET":
            with path.open("rb") as file:
                _copy(file, self.wfile, *part)

    def _path(self) -> Path | None:
        """The file that is asked for; None when there is none, or it lies outside of what is served."""
        top, _, rest = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        folder = self.server.folders.get(top)
        if folder is None or "\0" in rest:
            return None
        path = (folder / rest).resolve()
        return path if path.is_relative_to(folder) and path.is_file() else None

    def _git(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.send_error(http.HTTPStatus.LENGTH_REQUIRED)  # git sends chunks for pushes alone, in practice
            return
        parts = urlsplit(self.path)
        request = GitRequest(
            method=self.command,
            path=unquote(parts.path).removeprefix("/git"),
            query=parts.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        reply = answer(request, self.server.repositories)
        self._head(reply.status, reply.headers, length=len(reply.body))
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _head(self, status: int, headers: Mapping[str, str], *, length: int | None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of a `bytes=` range; None for no range, or one of several parts (all is sent)."""
    unit, _, spec = header.partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip() != "bytes" or not dash or "," in spec or not (first + last).isdigit():
        return None
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size) if last else size


def _copy(file: BinaryIO, target: _Writable, start: int, end: int) -> None:
    if (start, end) == (0, os.fstat(file.fileno()).st_size):
        shutil.copyfileobj(file, target, _CHUNK)
        return
    file.seek(start)
    remaining = end - start
    while remaining > 0 and (block := file.read(min(_CHUNK, remaining))):
        target.write(block)
        remaining -= len(block)
