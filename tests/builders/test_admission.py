"""Who may reach a machine's SSH. The service that tells the caller's address is a real one, on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from baker.builders.admission import ANYWHERE, CALLER, admit_problem, admitted_networks
from baker.errors import ReachError


@contextmanager
def service(answer: bytes) -> Iterator[str]:
    """Answers everybody with these words; its address."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("told", "network"), [(b"192.0.2.7\n", "192.0.2.7/32"), (b"2001:db8::7", "2001:db8::7/128")])
def test_the_caller_alone_is_admitted(told: bytes, network: str) -> None:
    with service(told) as address:
        assert admitted_networks(CALLER, address) == (network,)


def test_a_network_that_is_named_is_admitted_and_nobody_is_asked() -> None:
    assert admitted_networks("192.0.2.0/24", "http://127.0.0.1:9/") == ("192.0.2.0/24",)
    assert admitted_networks(ANYWHERE, "http://127.0.0.1:9/") == ("0.0.0.0/0", "::/0")


def test_an_address_that_nobody_tells_is_out_of_reach() -> None:
    with service(b"<html>sign in first</html>") as address, pytest.raises(ReachError) as told:
        admitted_networks(CALLER, address)
    assert address in told.value.summary
    assert "admit=" in (told.value.hint or "")


@pytest.mark.parametrize("admit", [CALLER, ANYWHERE, "192.0.2.0/24", "2001:db8::/48"])
def test_what_can_be_meant(admit: str) -> None:
    assert admit_problem(admit) is None


@pytest.mark.parametrize(
    ("admit", "words"),
    [("0.0.0.0/0", "admits everyone"), ("::/0", "admits everyone"), ("me", "must be"), (None, "must be")],
)
def test_what_cannot_be_meant(admit: object, words: str) -> None:
    assert words in (admit_problem(admit) or "")
