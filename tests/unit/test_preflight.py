"""Asking servers before the bake, with real ones on loopback."""

import base64
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from baker.errors import FetchError, RecipeError
from baker.mirrors import NO_MIRRORS, Mirrors, SftpMirror
from baker.plan import Plan, PlannedStep
from baker.preflight import check_fetches
from baker.probes import Probe, probe, without_login
from baker.provisioner import Fetch, FetchKind, Requirements
from baker.recipe import Recipe
from baker.secret import Secret

BAKING_HOST = "10.0.2.2"

Answer = Callable[[http.server.BaseHTTPRequestHandler], int]


class Server:
    """An HTTP server that answers by `answer`, and remembers what it was asked."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(f"{self.command} {self.path}")
                self.send_response(answer(self))
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if tls is not None:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
            self.scheme = "https"

    @property
    def port(self) -> int:
        return self.http.server_address[1]

    def url(self, path: str = "", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}/{path}"


@contextmanager
def _serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(answer, tls)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        thread.join()
        server.http.server_close()


@contextmanager
def _listening(greeting: bytes | None) -> Iterator[int]:
    """A TCP server that greets (or says nothing) and hangs up; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if greeting is None:
                    held.append(connection)
                else:
                    connection.sendall(greeting)
                    connection.close()

        held: list[socket.socket] = []
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@pytest.fixture
def yes() -> Iterator[Server]:
    with _serving(lambda _request: 200) as server:
        yield server


@pytest.fixture
def nobody() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _plan(*fetches: Fetch, secrets: tuple[Secret, ...] = ()) -> Plan:
    recipe = Recipe(name="x", builders=())
    steps = tuple(
        PlannedStep(
            number=number,
            name=f"fetch {number}",
            kind="Step",
            fingerprint="",
            requirements=Requirements(fetches=(fetch,), secrets=secrets),
            provisioner=None,  # type: ignore[arg-type]
        )
        for number, fetch in enumerate(fetches, start=1)
    )
    return Plan(recipe=recipe, spec=None, steps=steps, fingerprint="")  # type: ignore[arg-type]


def _check(*fetches: Fetch, mirrors: Mirrors = NO_MIRRORS, host: str | None = BAKING_HOST, **options: Any) -> None:
    secrets = options.pop("secrets", ())
    check_fetches(_plan(*fetches, secrets=secrets), mirrors, baking_host=host, probe_seconds=5, **options)


def _refused(*fetches: Fetch, **options: Any) -> FetchError:
    with pytest.raises(FetchError) as caught:
        _check(*fetches, **options)
    assert caught.value.exit_code == 5
    return caught.value


@pytest.mark.parametrize(
    ("kind", "path", "asked"),
    [
        ("url", "file", ["HEAD /file"]),
        ("conda-installer", "m.sh", ["HEAD /m.sh"]),
        ("conda-channel", "forge", ["HEAD /forge/noarch/repodata.json.zst"]),
        ("pip-index", "simple", ["HEAD /simple"]),
        ("git", "a/b.git", ["GET /a/b.git/info/refs?service=git-upload-pack"]),
        ("apt", "debian", ["HEAD /debian"]),
    ],
)
def test_each_kind_is_asked_for_as_its_client_does(yes: Server, kind: FetchKind, path: str, asked: list[str]) -> None:
    _check(Fetch(kind=kind, url=yes.url(path, host=BAKING_HOST)))
    assert yes.asked == asked


def test_a_channel_without_a_compressed_index_will_do() -> None:
    with _serving(lambda request: 200 if request.path.endswith(".json") else 404) as server:
        _check(Fetch(kind="conda-channel", url=server.url("forge", host=BAKING_HOST)))
        assert server.asked[-1] == "HEAD /forge/noarch/repodata.json"


def test_a_server_that_refuses_head_is_asked_again() -> None:
    with _serving(lambda request: 200 if request.command == "GET" else 405) as server:
        _check(Fetch(kind="url", url=server.url("x"), side="host"))
        assert server.asked == ["HEAD /x", "GET /x"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "HTTP 401: it asks for a login"),
        (403, "HTTP 403: it refuses to hand this out"),
        (404, "HTTP 404: it has no such thing"),
        (503, "HTTP 503: it cannot do it now"),
    ],
)
def test_no_is_told_apart_from_no_answer(status: int, said: str) -> None:
    with _serving(lambda _request: status) as server:
        error = _refused(Fetch(kind="url", url=server.url("x"), side="host"))
    assert said in error.details[0][1]
    assert error.hint is not None
    assert "the servers answer" in error.hint


def test_everything_out_of_reach_is_listed_with_who_wants_it(yes: Server, nobody: int) -> None:
    gone = f"http://{BAKING_HOST}:{nobody}/x"
    fetches = (
        Fetch(kind="url", url=gone),
        Fetch(kind="url", url=yes.url("there", host=BAKING_HOST)),
        Fetch(kind="sftp", url=f"sftp://127.0.0.1:{nobody}/data", side="host"),
        Fetch(kind="url", url=gone),
        Fetch(kind="git", url="https://no-such-host.invalid/notebooks"),
    )
    error = _refused(*fetches)
    assert error.summary == "3 of 4 things that the recipe fetches cannot be had"
    assert [label for label, _ in error.details] == [gone, fetches[2].url, fetches[4].url]
    assert error.details[0][1] == "connection refused\nwanted by step 1 'fetch 1', step 4 'fetch 4'"
    assert "cannot be resolved" in error.details[2][1]
    assert error.hint is not None
    assert "--mirrors" in error.hint


def test_what_stands_in_is_asked_and_named(yes: Server, nobody: int) -> None:
    fetch = Fetch(kind="git", url="https://github.example/ours/x")
    good = Mirrors(git={"https://github.example/": f"http://{{host}}:{yes.port}/"})
    _check(fetch, mirrors=good)
    assert yes.asked == ["GET /ours/x/info/refs?service=git-upload-pack"]
    error = _refused(fetch, mirrors=Mirrors(git={"https://github.example/": f"http://{{host}}:{nobody}/"}))
    assert error.details[0][0] == f"{fetch.url} (by mirror http://{BAKING_HOST}:{nobody}/ours/x)"
    assert error.hint is not None
    assert "mirrors file" in error.hint


def test_a_channels_address_is_not_called_a_mirror(nobody: int) -> None:
    proxy = Mirrors(https_proxy=f"http://{{host}}:{nobody}")  # so that nothing leaves this host
    error = _refused(Fetch(kind="conda-channel", url="conda-forge"), mirrors=proxy)
    assert error.details[0][0] == "conda-forge (https://conda.anaconda.org/conda-forge)"


def test_a_mirror_on_this_host_needs_a_machine_that_can_see_it(yes: Server) -> None:
    fetch = Fetch(kind="pip-index", url="https://pypi.example/simple")
    mirrors = Mirrors(pip_index_url=f"http://{{host}}:{yes.port}/simple")
    _check(fetch, mirrors=mirrors)
    with pytest.raises(RecipeError, match="which a machine of this builder cannot reach"):
        _check(fetch, mirrors=mirrors, host=None)


def test_the_machines_loopback_is_not_ours(yes: Server) -> None:
    error = _refused(Fetch(kind="url", url=yes.url("x")))
    assert "write {host}" in error.details[0][1]
    assert yes.asked == []


@pytest.mark.parametrize(
    ("greeting", "said"),
    [(b"SSH-2.0-test\r\n", None), (b"220 ftp\r\n", "not an SSH server"), (b"", "not an SSH server")],
)
def test_sftp_is_greeted(greeting: bytes, said: str | None) -> None:
    with _listening(greeting) as port:
        fetch = Fetch(kind="sftp", url="sftp://data.example/waves", side="host")
        mirrors = Mirrors(sftp={"data.example:22": SftpMirror(address=f"127.0.0.1:{port}")})
        if said is None:
            _check(fetch, mirrors=mirrors)
        else:
            assert said in _refused(fetch, mirrors=mirrors).details[0][1]


def test_a_server_that_says_nothing_holds_nobody_up() -> None:
    with _listening(None) as port:
        slow = Probe(kind="url", url=f"http://127.0.0.1:{port}/x", seconds=0.2)
        found = probe(slow)
        assert found is not None
        assert (found.reason, found.no_route) == ("no answer in time", True)
        error = _refused(Fetch(kind="url", url=slow.url, side="host"), limit_seconds=0.2)
        assert "no answer within 0.2 s" in error.details[0][1]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_private_repository_is_not_judged_without_its_credential(status: int) -> None:
    with _serving(lambda _request: status) as server:
        fetch = Fetch(kind="git", url=server.url("private", host=BAKING_HOST))
        _check(fetch, secrets=(Secret.from_env("TOKEN"),))
        assert f"HTTP {status}" in _refused(fetch).details[0][1]


def test_the_top_of_an_index_may_be_empty() -> None:
    with _serving(lambda _request: 404) as server:
        _check(Fetch(kind="pip-index", url=server.url("simple", host=BAKING_HOST)))


def test_a_login_in_an_address_is_used_and_never_shown() -> None:
    login = "Basic " + base64.b64encode(b"me:p@ss").decode()
    with _serving(lambda request: 200 if request.headers.get("Authorization") == login else 404) as server:
        url = f"http://me:p%40ss@127.0.0.1:{server.port}/x"
        _check(Fetch(kind="url", url=url, side="host"))
        error = _refused(Fetch(kind="url", url=url.replace("p%40ss", "wrong"), side="host"))
    assert "wrong" not in f"{error.summary}{error.details}{error.hint}"
    assert without_login(url) == f"http://127.0.0.1:{server.port}/x"


def test_the_machine_goes_through_the_mirrors_proxy_and_not_through_ours(
    yes: Server, nobody: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{nobody}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    _check(Fetch(kind="url", url=yes.url("direct", host=BAKING_HOST)))
    proxied = Mirrors(http_proxy=f"http://{{host}}:{yes.port}")
    _check(Fetch(kind="url", url="http://far.example/file"), mirrors=proxied)
    assert yes.asked == ["HEAD /direct", "HEAD http://far.example/file"]
    except_far = Mirrors(http_proxy=f"http://{{host}}:{yes.port}", no_proxy="far.invalid")
    assert "resolved" in _refused(Fetch(kind="url", url="http://far.invalid/file"), mirrors=except_far).details[0][1]
    assert "connection refused" in _refused(Fetch(kind="url", url="http://far.example/x", side="host")).details[0][1]


def _certificate(folder: Path) -> Path:
    """A certificate and key for 127.0.0.1, in one file."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def test_a_certificate_of_the_institute_needs_its_bundle(tmp_path: Path) -> None:
    path = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with _serving(lambda _request: 200, context) as server:
        fetch = Fetch(kind="url", url=server.url("x", host=BAKING_HOST))
        _check(fetch, mirrors=Mirrors(ca_bundle=str(path)))
        assert "certificate is not trusted" in _refused(fetch).details[0][1]


@pytest.mark.parametrize("url", ["/srv/git/x.git", "file:///srv/git/x.git", "../x"])
def test_what_lies_on_the_machine_is_not_asked_for(url: str) -> None:
    _check(Fetch(kind="git", url=url))


@pytest.mark.parametrize("url", ["http://[::1/x", "http://host.example:port/x"])
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    for side in ("host", "machine"):
        assert "not an address" in _refused(Fetch(kind="url", url=url, side=side)).details[0][1]


def test_git_over_ssh_is_greeted() -> None:
    with _listening(b"SSH-2.0-test\r\n") as port:
        _check(Fetch(kind="git", url=f"ssh://git@{BAKING_HOST}:{port}/x.git"))
