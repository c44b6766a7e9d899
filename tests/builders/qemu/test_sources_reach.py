"""Whether a source image could be had, asked of a real server on loopback that stands for Debian's archive."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from baker.builders.qemu.sources import cache
from baker.builders.qemu.sources.cache import Product
from baker.builders.qemu.sources.host_apt import HostApt
from baker.builders.qemu.sources.reach import source_problems
from baker.builders.qemu.spec import CloudImage, DebianPackages, SourceImage
from baker.home import Home
from baker.ports import Problem

BOOKWORM = DebianPackages(suite="bookworm")
NOWHERE = "http://127.0.0.1:1"


class Archive(http.server.ThreadingHTTPServer):
    """Has bookworm with its updates, and one image; `asked` are all requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Archive

    def do_HEAD(self) -> None:
        self.server.asked.append(self.path)
        there = "/dists/bookworm" in self.path or self.path.endswith("image.qcow2")
        self.send_response(self.server.status if there else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def archive() -> Iterator[Archive]:
    server = Archive()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def _problems(source: SourceImage, home: Home, apt: HostApt) -> list[Problem]:
    return list(source_problems(source, home, apt=lambda: apt))


def _apt(url: str, *settings: str) -> HostApt:
    return HostApt(mirror=f"{url}/debian", security_mirror=f"{url}/debian-security", settings=settings)


def test_an_archive_that_has_it_is_asked_for_each_part_and_nothing_is_made(archive: Archive, home: Home) -> None:
    assert _problems(BOOKWORM, home, _apt(archive.url)) == []
    assert archive.asked == [
        "/debian/dists/bookworm/InRelease",
        "/debian/dists/bookworm-updates/InRelease",
        "/debian-security/dists/bookworm-security/InRelease",
    ]
    assert not home.path.exists()


def test_a_suite_that_is_not_there_is_the_recipes_fault(archive: Archive, home: Home) -> None:
    (problem,) = _problems(DebianPackages(suite="jammy"), home, _apt(archive.url))
    assert problem.summary == f"there is no Debian 'jammy' at {archive.url}/debian"
    assert problem.exit_code == 2
    assert "CloudImage" in (problem.hint or "")


def test_a_mirror_that_is_down_is_said_once(home: Home) -> None:
    (problem,) = _problems(BOOKWORM, home, _apt(NOWHERE))
    assert problem.summary == f"Debian bookworm cannot be fetched from {NOWHERE}/debian: connection refused"
    assert problem.exit_code == 5
    assert "apt-get update" in (problem.hint or "")


def test_a_mirror_that_is_out_of_order_is_out_of_reach(archive: Archive, home: Home) -> None:
    archive.status = 503
    (problem,) = _problems(BOOKWORM, home, _apt(archive.url))
    assert problem.exit_code == 5
    assert "HTTP 503" in problem.summary


def test_it_asks_through_the_proxy_that_apt_takes(archive: Archive, home: Home) -> None:
    apt = _apt("http://archive.example", f'Acquire::http::Proxy "{archive.url}";')
    assert _problems(BOOKWORM, home, apt) == []
    assert archive.asked[0] == "http://archive.example/debian/dists/bookworm/InRelease"


def test_a_host_that_apt_asks_itself_is_asked_without_a_proxy(archive: Archive, home: Home) -> None:
    settings = (f'Acquire::http::Proxy "{NOWHERE}";', 'Acquire::http::Proxy::127.0.0.1 "DIRECT";')
    assert _problems(BOOKWORM, home, _apt(archive.url, *settings)) == []


def test_nobody_is_asked_when_an_image_is_kept(archive: Archive, home: Home) -> None:
    def make(source: SourceImage, folder: Path, image: Path, download: Path, emit: Any) -> Product:
        image.write_bytes(b"an image")
        return Product(digest="d" * 64)

    cache.prepare(BOOKWORM, home, refresh=False, emit=lambda _event: None, make=make)
    assert _problems(BOOKWORM, home, _apt(archive.url)) == []
    assert archive.asked == []
    late = cache.LONGEST_AGE_SECONDS + 60
    import time

    assert list(source_problems(BOOKWORM, home, now=lambda: time.time() + late, apt=lambda: _apt(NOWHERE)))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("{archive}/image.qcow2", None),
        ("{archive}/other.qcow2", "HTTP 404"),
        ("http://127.0.0.1:1/image.qcow2", "connection refused"),
        ("file://{folder}/image.qcow2", None),
        ("file://{folder}/a%20blank.qcow2", None),
        ("file://{folder}/other.qcow2", "no such file"),
    ],
)
def test_a_cloud_image_is_asked_for(archive: Archive, home: Home, tmp_path: Path, url: str, said: str | None) -> None:
    (tmp_path / "image.qcow2").touch()
    (tmp_path / "a blank.qcow2").touch()
    url = url.format(archive=archive.url, folder=tmp_path)
    problems = _problems(CloudImage(url=url, sha256="a" * 64), home, _apt(NOWHERE))
    assert [problem.exit_code for problem in problems] == ([] if said is None else [5])
    assert all(said in problem.summary and url in problem.summary for problem in problems if said)
