"""The lab's servers, asked by real clients over loopback: HTTP with ranges, git, sftp."""

import base64
import http.client
import io
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from lab.http_server import LabHttpServer
from lab.names import REPOSITORY
from lab.repository import commit_of, make_repository
from lab.sftp_server import LabSftpServer

CONTENT = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHttpServer]:
    tmp_path = tmp_path_factory.mktemp("web")
    (tmp_path / "served/sub").mkdir(parents=True)
    (tmp_path / "served/sub/file.bin").write_bytes(CONTENT)
    (tmp_path / "served/link").symlink_to("/etc/passwd")
    (tmp_path / "secret").write_text("secret")
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (notebooks / "README.md").write_text("hello\n")
    make_repository(tmp_path / "repositories", notebooks)
    with LabHttpServer(0, {"conda": tmp_path / "served"}, tmp_path / "repositories") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _ask(server: LabHttpServer, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    reply = connection.getresponse()
    answer = reply.status, reply.read(), {name.lower(): value for name, value in reply.getheaders()}
    connection.close()
    return answer


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-9", 206, CONTENT[:10]),
        ("bytes=1000000-", 206, CONTENT[1_000_000:]),
        ("bytes=-7", 206, CONTENT[-7:]),
        ("bytes=5-99999999", 206, CONTENT[5:]),
        ("bytes=99999999-", 416, b""),
        ("bytes=0-1,4-5", 200, CONTENT),
        ("lines=1-2", 200, CONTENT),
    ],
)
def test_a_part_of_a_file(web: LabHttpServer, asked: str, status: int, expected: bytes) -> None:
    seen_status, body, headers = _ask(web, "/conda/sub/file.bin", Range=asked)
    assert seen_status == status
    assert body == expected
    assert int(headers["content-length"]) == len(expected)


def test_a_download_resumes_only_while_the_file_is_the_same(web: LabHttpServer) -> None:
    _, _, headers = _ask(web, "/conda/sub/file.bin", method="HEAD")
    resumed = _ask(web, "/conda/sub/file.bin", Range="bytes=10-", If_Range=headers["etag"])
    assert (resumed[0], resumed[1]) == (206, CONTENT[10:])
    assert _ask(web, "/conda/sub/file.bin", Range="bytes=10-", If_Range='"other"')[:2] == (200, CONTENT)


def test_what_has_not_changed_is_not_sent_again(web: LabHttpServer) -> None:
    _, body, headers = _ask(web, "/conda/sub/file.bin")
    assert body == CONTENT
    status, body, _ = _ask(web, "/conda/sub/file.bin", If_None_Match=headers["etag"])
    assert (status, body) == (304, b"")


def test_one_connection_serves_many_files(web: LabHttpServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    for method, status in (("GET", 200), ("HEAD", 200), ("GET", 200)):
        connection.request(method, "/conda/sub/file.bin")
        reply = connection.getresponse()
        assert (reply.status, len(reply.read())) == (status, len(CONTENT) if method == "GET" else 0)
    connection.close()


@pytest.mark.parametrize(
    "path",
    ["/", "/conda", "/conda/", "/conda/sub", "/conda/no", "/conda/../secret", "/conda/%2e%2e/secret", "/conda/link",
     "/etc/passwd", "/conda/%00"],
)  # fmt: skip
def test_nothing_else_is_served(web: LabHttpServer, path: str) -> None:
    status, body, _ = _ask(web, path)
    assert status == 404
    assert b"root:" not in body


def test_nothing_can_be_posted(web: LabHttpServer) -> None:
    assert _ask(web, "/conda/sub/file.bin", method="POST")[0] == 405


def _git(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [[], ["--depth=1"], ["--branch=v1"], ["-c", "protocol.version=0"]])
def test_git_clones_under_the_name_it_has_on_github(web: LabHttpServer, tmp_path: Path, options: list[str]) -> None:
    instead = f"url.http://127.0.0.1:{web.port}/git/github.com/.insteadOf=https://github.com/"
    done = _git("-c", instead, "clone", *options, f"https://github.com/{REPOSITORY}", "clone", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clone/README.md").read_text() == "hello\n"
    head = _git("rev-parse", "HEAD", cwd=tmp_path / "clone").stdout.strip()
    assert head == commit_of(web.repositories)


def test_git_fetches_a_commit_by_its_hash(web: LabHttpServer, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{web.port}/git/github.com/{REPOSITORY}.git"
    _git("init", "-q", "clone", cwd=tmp_path)
    done = _git("fetch", "--depth=1", url, commit_of(web.repositories), cwd=tmp_path / "clone")
    assert done.returncode == 0, done.stderr


def test_git_refuses_a_push_and_an_unknown_repository(web: LabHttpServer, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{web.port}/git/github.com/{REPOSITORY}"
    _git("clone", "-q", url, "clone", cwd=tmp_path)
    assert _git("push", "origin", "HEAD:refs/heads/mine", cwd=tmp_path / "clone").returncode != 0
    unknown = _git("clone", f"{url}-unknown", "other", cwd=tmp_path)
    assert unknown.returncode != 0
    assert "not found" in unknown.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "sub").mkdir()
    (folder / "sub/file").write_bytes(CONTENT)
    (folder / "out").symlink_to("/etc/passwd")
    return folder


@pytest.fixture(scope="module")
def sftp_server(data: Path) -> Iterator[LabSftpServer]:
    server = LabSftpServer(0, data, user="ocean", password="right-password")
    yield server
    server.close()


def _log_in(server: LabSftpServer, password: str = "right-password") -> paramiko.Transport:
    transport = paramiko.Transport(("127.0.0.1", server.port))
    key = paramiko.Ed25519Key(data=base64.b64decode(server.host_key.split()[1]))
    transport.connect(hostkey=key, username="ocean", password=password)
    return transport


@pytest.fixture
def sftp(sftp_server: LabSftpServer) -> Iterator[paramiko.SFTPClient]:
    with _log_in(sftp_server) as transport:
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        yield client


def test_sftp_lists_and_reads(sftp: paramiko.SFTPClient) -> None:
    assert sftp.listdir("/sub") == ["file"]
    assert sftp.stat("/sub/file").st_size == len(CONTENT)
    buffer = io.BytesIO()
    sftp.getfo("/sub/file", buffer)
    assert buffer.getvalue() == CONTENT
    with sftp.open("/sub/file") as file:
        file.seek(1000)
        assert file.read(8) == CONTENT[1000:1008]


@pytest.mark.parametrize("act", [
    lambda sftp: sftp.open("/sub/new", "w"),
    lambda sftp: sftp.open("/sub/file", "a"),
    lambda sftp: sftp.remove("/sub/file"),
    lambda sftp: sftp.mkdir("/new"),
    lambda sftp: sftp.rename("/sub/file", "/moved"),
    lambda sftp: sftp.chmod("/sub/file", 0o600),
    lambda sftp: sftp.symlink("/etc", "/new"),
    lambda sftp: sftp.open("/out"),
    lambda sftp: sftp.open("/../../etc/passwd"),
    lambda sftp: sftp.open("/nothing"),
    lambda sftp: sftp.listdir("/sub/file"),
])  # fmt: skip
def test_sftp_changes_nothing_and_shows_nothing_else(sftp: paramiko.SFTPClient, data: Path, act) -> None:
    with pytest.raises(OSError):  # noqa: PT011 # which one is paramiko's matter
        act(sftp)
    assert sorted(path.name for path in data.rglob("*")) == ["file", "out", "sub"]
    assert sftp.stat("/sub/file").st_size == len(CONTENT), "the session goes on"


def test_sftp_refuses_a_wrong_password_and_a_shell(sftp_server: LabSftpServer) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        _log_in(sftp_server, password="wrong-password")
    with _log_in(sftp_server) as transport, pytest.raises(paramiko.SSHException):
        transport.open_session().exec_command("id")
    with _log_in(sftp_server) as transport, pytest.raises(paramiko.ChannelException):
        transport.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 1))
