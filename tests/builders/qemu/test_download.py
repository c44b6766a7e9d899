"""Downloads, from a real HTTP server on loopback that misbehaves as servers do."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from baker.builders.qemu.sources.download import Patience, download, shown
from baker.errors import DiskFullError, FetchError
from baker.events import Event, Notice, Progress

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
IMPATIENT = Patience(silence=2.0, pause=0.0, tries=3)


@dataclass
class Faults:
    """What the server does wrong, and what it was asked for."""

    content: bytes = CONTENT
    etag: str = '"one"'
    drop_after: list[int] = field(default_factory=list)
    """Bytes sent before the connection is cut, one entry a request; nothing is cut once it is empty."""
    statuses: list[int] = field(default_factory=list)
    ignores_range: bool = False
    is_silent: bool = False
    claims_more: int = 0
    ranges: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@dataclass
class Server:
    url: str
    faults: Faults


@pytest.fixture
def server() -> Iterator[Server]:
    faults = Faults()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            faults.ranges.append(asked)
            if faults.statuses and (status := faults.statuses.pop(0)) != 200:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and not faults.ignores_range else 0
            if self.headers.get("If-Range", faults.etag) != faults.etag:
                start = 0
            if start >= len(faults.content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = faults.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(faults.content) - 1}/{len(faults.content)}")
            self.send_header("ETag", faults.etag)
            self.send_header("Content-Length", str(len(body) + faults.claims_more))
            self.end_headers()
            if faults.is_silent:
                faults.released.wait(30)
            if faults.drop_after or faults.is_silent or faults.claims_more:
                body = body[: faults.drop_after.pop(0)] if faults.drop_after else body
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{httpd.server_port}/disk.img", faults)
        finally:
            faults.released.set()
            httpd.shutdown()
            thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "download"


def fetch(server: Server, target: Path, sha256: str = SHA256) -> list[Event]:
    events: list[Event] = []
    download(server.url, target, sha256=sha256, emit=events.append, patience=IMPATIENT)
    return events


def test_fetches_a_file_and_says_how_far_it_is(server: Server, target: Path) -> None:
    events = fetch(server, target)
    assert target.read_bytes() == CONTENT
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert (last.done, last.total, last.unit) == (len(CONTENT), len(CONTENT), "bytes")


def test_goes_on_after_each_drop_where_it_stopped(server: Server, target: Path) -> None:
    server.faults.drop_after = [100_000, 200_000, 0, 300_000]
    fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert server.faults.ranges == ["", "bytes=100000-", "bytes=300000-", "bytes=300000-", "bytes=600000-"]


def test_goes_on_with_what_an_earlier_bake_left(server: Server, target: Path) -> None:
    target.write_bytes(CONTENT[:5000])
    fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert server.faults.ranges == ["bytes=5000-"]


def test_a_whole_file_of_an_earlier_bake_is_not_fetched_again(server: Server, target: Path) -> None:
    target.write_bytes(CONTENT)
    fetch(server, target)
    assert server.faults.ranges == [f"bytes={len(CONTENT)}-"]


def test_starts_over_when_the_server_knows_no_ranges(server: Server, target: Path) -> None:
    server.faults.ignores_range = True
    server.faults.drop_after = [100_000]
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_starts_over_when_the_file_changes_between_two_tries(server: Server, target: Path) -> None:
    server.faults.content, server.faults.drop_after = CONTENT[::-1], [100_000]
    faults = server.faults

    def replaced(_seconds: float) -> None:
        faults.content, faults.etag = CONTENT, '"two"'

    patience = Patience(silence=2.0, pause=0.0, tries=3, sleep=replaced)
    download(server.url, target, sha256=SHA256, emit=lambda _: None, patience=patience)
    assert target.read_bytes() == CONTENT


def test_starts_over_when_what_an_earlier_bake_left_does_not_fit(server: Server, target: Path) -> None:
    target.write_bytes(b"x" * 5000)
    events = fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert server.faults.ranges == ["bytes=5000-", ""]
    assert any(isinstance(event, Notice) and event.level == "warning" for event in events)


def test_a_wrong_sum_is_an_error_with_both_sums_and_the_file_is_gone(server: Server, target: Path) -> None:
    with pytest.raises(FetchError, match="is not the file that the recipe names") as caught:
        fetch(server, target, sha256="0" * 64)
    assert dict(caught.value.details) == {"expected": f"sha256 {'0' * 64}", "fetched": f"sha256 {SHA256}"}
    assert not target.exists()


def test_a_file_that_is_not_there_is_an_error_at_once(server: Server, target: Path) -> None:
    server.faults.statuses = [404]
    with pytest.raises(FetchError, match="the server answered 404"):
        fetch(server, target)
    assert len(server.faults.ranges) == 1


def test_a_server_that_is_busy_is_asked_again(server: Server, target: Path) -> None:
    server.faults.statuses = [503, 429]
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_a_body_shorter_than_announced_is_no_whole_file(server: Server, target: Path) -> None:
    server.faults.drop_after = [100_000, 0, 0, 0]
    with pytest.raises(FetchError) as caught:
        fetch(server, target)
    assert f"ended at byte 100000 of {len(CONTENT)}" in dict(caught.value.details)["message"]
    assert target.read_bytes() == CONTENT[:100_000], "what was fetched is kept"
    assert caught.value.hint is not None
    assert "bake again" in caught.value.hint


def test_the_sum_decides_when_a_server_announces_too_much(server: Server, target: Path) -> None:
    server.faults.claims_more = 10
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_gives_up_on_a_server_that_says_nothing_more(server: Server, target: Path) -> None:
    server.faults.is_silent = True
    patience = Patience(silence=0.2, pause=0.0, tries=2)
    with pytest.raises(FetchError) as caught:
        download(server.url, target, sha256=SHA256, emit=lambda _: None, patience=patience)
    assert "timed out" in dict(caught.value.details)["message"]


def test_nobody_listens(target: Path) -> None:
    with pytest.raises(FetchError) as caught:
        download("http://127.0.0.1:1/x", target, sha256=SHA256, emit=lambda _: None, patience=IMPATIENT)
    assert "refused" in dict(caught.value.details)["message"]


def test_a_file_on_this_host(tmp_path: Path, target: Path) -> None:
    (tmp_path / "disk.img").write_bytes(CONTENT)
    url = (tmp_path / "disk.img").as_uri()
    download(url, target, sha256=SHA256.upper(), emit=lambda _: None)
    assert target.read_bytes() == CONTENT


def test_no_such_file_on_this_host(tmp_path: Path, target: Path) -> None:
    with pytest.raises(FetchError, match="does not exist"):
        download((tmp_path / "no").as_uri(), target, sha256=SHA256, emit=lambda _: None, patience=IMPATIENT)


@pytest.mark.parametrize("url", ["ftp://example.org/x", "disk.img", "data:,x"])
def test_other_schemes_are_refused(url: str, target: Path) -> None:
    with pytest.raises(FetchError, match="cannot be fetched"):
        download(url, target, sha256=SHA256, emit=lambda _: None)


def test_a_full_disk_is_said_to_be_full(server: Server) -> None:
    with pytest.raises(DiskFullError):
        fetch(server, Path("/dev/full"))


def test_what_is_shown_of_a_url_holds_no_secret() -> None:
    assert shown("https://me:pw@host:8443/a/b.img?sig=token#x") == "https://host:8443/a/b.img"
