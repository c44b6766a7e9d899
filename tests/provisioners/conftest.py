"""Real servers on loopback for the steps: git over http, with a password where a test wants one."""

import base64
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class GitServer:
    """`git http-backend` over the bare repositories below `folder`; `login` is user:password, when it asks for one.

    `authorizations` are the headers that it was sent. `on_request` is called at each request. A path in `broken`
    answers 500.
    """

    folder: Path
    login: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    authorizations: list[str] = field(default_factory=list)
    on_request: Callable[[], None] = lambda: None
    broken: set[str] = field(default_factory=set)

    def url(self, name: str, host: str = "") -> str:
        return f"http://{host or self.host}:{self.port}/{name}.git"

    def repository(self, name: str) -> "Repository":
        """A new repository, with a first commit on branch main."""
        work = self.folder.parent / f"{name}.work"
        git("init", "--quiet", "--initial-branch=main", str(work))
        git("init", "--quiet", "--bare", "--initial-branch=main", str(self.folder / f"{name}.git"))
        repository = Repository(work)
        repository.git("remote", "add", "origin", str(self.folder / f"{name}.git"))
        repository.commit("README.md", f"# {name}\n")
        return repository


@dataclass
class Repository:
    """Where a test commits; each commit is pushed."""

    work: Path

    def git(self, *arguments: str) -> str:
        return git("-C", str(self.work), *arguments)

    def commit(self, path: str, content: str) -> str:
        file = self.work / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        self.git("add", "--all")
        return self.publish(f"Write {path}")

    def publish(self, message: str) -> str:
        """Commit what is staged, push everything; the commit."""
        self.git("commit", "--quiet", "--message", message)
        self.push()
        return self.git("rev-parse", "HEAD").strip()

    def push(self) -> None:
        self.git("push", "--quiet", "--all")
        self.git("push", "--quiet", "--tags")


def git(*arguments: str) -> str:
    """git, without any configuration of whoever runs the tests."""
    nobody = {"NAME": "A. Author", "EMAIL": "author@example.org", "DATE": "2026-01-01T00:00:00Z"}
    env = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in nobody.items()}
    env |= {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


def _handler(server: GitServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self) -> None:
            server.on_request()
            sent = self.headers.get("Authorization", "")
            if sent:
                server.authorizations.append(base64.b64decode(sent.removeprefix("Basic ")).decode())
            if server.login is not None and server.authorizations[-1:] != [server.login]:
                self._refuse(401)
            elif self.path.partition("?")[0] in server.broken:
                self._refuse(500)
            else:
                self._run_backend()

        def _refuse(self, status: int) -> None:
            self.send_response(status)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _run_backend(self) -> None:
            path, _, query = self.path.partition("?")
            env = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(server.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
            head, _, content = answer.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, value in fields.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler


@contextmanager
def _serving(server: GitServer) -> Iterator[GitServer]:
    server.folder.mkdir(parents=True)
    with ThreadingHTTPServer((server.host, 0), _handler(server)) as http:
        server.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A git server that anybody may read."""
    with _serving(GitServer(tmp_path / "open" / "git")) as server:
        yield server


@pytest.fixture
def private_git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A git server that wants the login git:correct-horse-battery."""
    with _serving(GitServer(tmp_path / "private" / "git", login="git:correct-horse-battery")) as server:
        yield server


@pytest.fixture
def foreign_git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A private one at an address of this host that nothing takes for this host."""
    with _serving(GitServer(tmp_path / "foreign" / "git", "git:correct-horse-battery", host="127.0.0.2")) as server:
        yield server
