"""Reading an sftp server: what is there, and a clear word for each refusal."""

import socket
import time
from dataclasses import replace

import paramiko
import pytest

from baker.communicators.sftp import open_sftp
from baker.errors import ConnectionLostError, FetchError
from baker.keys import new_key_pair
from baker.provisioner import SftpSource
from baker.testing.proxy import Proxy

pytestmark = pytest.mark.sandbox


@pytest.fixture
def server(shared_sandbox, shared_remote):
    """A source on the session's sandbox, with a folder of three files."""
    shared_remote.run("mkdir -p /srv/sftp/sub /srv/sftp/empty", sudo=True, quiet=True)
    for name, content in (("b", b"bb"), ("sub/c", b"ccc"), ("a b", b"a")):
        shared_remote.put(content, f"/srv/sftp/{name}")
    address = shared_sandbox.address
    return SftpSource(url=f"sftp://127.0.0.1:{address.port}/srv/sftp", user="baker", host_key=address.host_key)


@pytest.fixture
def key(shared_sandbox):
    return shared_sandbox.address.key.private


def opened(source, *, password=None, private_key=None, **more):
    return open_sftp(source, password=password, private_key=private_key, host_key=source.host_key, **more)


def test_files_are_listed_sorted_and_read_from_any_place(server, key):
    with opened(server, private_key=key) as reader:
        assert reader.files() == (("a b", 1), ("b", 2), ("sub/c", 3))
        assert b"".join(reader.read("sub/c")) == b"ccc"
        assert b"".join(reader.read("sub/c", offset=2)) == b"c"
        assert b"".join(reader.read("sub/c", offset=3)) == b""


def test_a_file_is_a_source_of_one(server, key):
    with opened(replace(server, url=f"{server.url}/a%20b"), private_key=key) as reader:
        assert reader.files() == (("a b", 1),)
        assert b"".join(reader.read("a b")) == b"a"


def test_many_requests_are_in_flight(server, key, shared_remote, shared_sandbox):
    """16 MiB over a way of 0.2 s: one request after the other would take 100 s, in flight it is a handful."""
    shared_remote.run("head -c 16777216 /dev/zero >/srv/sftp-big", sudo=True)
    with Proxy(shared_sandbox.address.port, delay_seconds=0.1) as proxy:
        source = replace(server, url=f"sftp://127.0.0.1:{proxy.port}/srv/sftp-big")
        with opened(source, private_key=key) as reader:
            started = time.monotonic()
            assert sum(len(chunk) for chunk in reader.read(reader.files()[0][0])) == 16 << 20
            round_trips = (time.monotonic() - started) / 0.2
    assert round_trips < 100  # of 512 requests


def test_nothing_is_read_twice(server, key, shared_remote, shared_sandbox, monkeypatch):
    """Also where answers overtake the requests that are still being sent."""
    shared_remote.run("head -c 16777216 /dev/zero >/srv/sftp-big", sudo=True)
    send = paramiko.Channel.send

    def send_slowly(channel, data):
        time.sleep(0.002)
        return send(channel, data)

    monkeypatch.setattr(paramiko.Channel, "send", send_slowly)
    with Proxy(shared_sandbox.address.port) as proxy:
        source = replace(server, url=f"sftp://127.0.0.1:{proxy.port}/srv/sftp-big")
        with opened(source, private_key=key) as reader:
            assert sum(len(chunk) for chunk in reader.read("sftp-big")) == 16 << 20
    assert proxy.received < 17 << 20


def test_a_password_works_and_a_wrong_one_is_a_refusal(sandbox, remote):
    remote.run("echo baker:correct-horse | chpasswd", sudo=True)
    remote.run("sed -i 's/^PasswordAuthentication no/PasswordAuthentication yes/' /etc/ssh/sshd_config", sudo=True)
    source = SftpSource(
        url=f"sftp://127.0.0.1:{sandbox.address.port}/etc/hostname", user="baker", host_key=sandbox.address.host_key
    )
    with opened(source, password="correct-horse") as reader:
        assert b"".join(reader.read("hostname")) == b"sandbox\n"
    with pytest.raises(FetchError, match="refuses the login"), opened(source, password="wrong-horse"):
        pass


def test_a_stranger_is_refused(server):
    with pytest.raises(FetchError, match="refuses the login"):
        opened(server, private_key=new_key_pair("stranger").private).__enter__()
    with pytest.raises(FetchError, match="refuses the login"):
        opened(server).__enter__()


def test_another_host_key_is_refused(server, key):
    with pytest.raises(FetchError, match="another host key"):
        opened(replace(server, host_key=new_key_pair("other").public), private_key=key).__enter__()


def test_a_server_must_stand_in_known_hosts(server, key, shared_sandbox, tmp_path):
    unnamed = replace(server, host_key=None)
    known_hosts = tmp_path / "known_hosts"
    with pytest.raises(FetchError, match="is not known") as caught:
        opened(unnamed, private_key=key, known_hosts=known_hosts).__enter__()
    kind, blob = shared_sandbox.address.host_key.split()[:2]
    assert f"{kind} {blob}" in dict(caught.value.details)["shown"]  # what to add, once its owner confirms it
    known_hosts.write_text(f"[127.0.0.1]:{shared_sandbox.address.port} {kind} {blob}\n")
    with opened(unnamed, private_key=key, known_hosts=known_hosts) as reader:
        assert len(reader.files()) == 3
    known_hosts.write_text(f"127.0.0.1 {kind} {blob}\n")  # port 22: another server
    with pytest.raises(FetchError, match="is not known"):
        opened(unnamed, private_key=key, known_hosts=known_hosts).__enter__()


@pytest.mark.parametrize("private_key", ["nonsense", "-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n"])
def test_a_key_that_is_none_is_said_to_be(server, private_key):
    with pytest.raises(FetchError, match="private key cannot be read"):
        opened(server, private_key=private_key).__enter__()


@pytest.mark.parametrize(("path", "reason"), [("/not/there", "No such file"), ("/root", "Permission denied")])
def test_what_the_server_refuses_is_named(server, key, path, reason):
    source = replace(server, url=server.url.replace("/srv/sftp", path))
    with pytest.raises(FetchError, match=f"refuses {path}") as caught:  # noqa: SIM117
        with opened(source, private_key=key) as reader:
            reader.files()
    assert reason in dict(caught.value.details)["reason"]


def test_names_that_are_not_utf8_are_refused_in_words(server, key, shared_remote):
    shared_remote.run(r"mkdir -p /srv/sftp-odd; touch /srv/sftp-odd/$(printf '\377')", sudo=True)
    source = replace(server, url=server.url.replace("/srv/sftp", "/srv/sftp-odd"))
    with opened(source, private_key=key) as reader, pytest.raises(FetchError, match="not UTF-8"):
        reader.files()


def test_nobody_there_is_out_of_reach(server):
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with pytest.raises(FetchError, match=f"127.0.0.1:{port}"):
        opened(replace(server, url=f"sftp://127.0.0.1:{port}/x")).__enter__()


@pytest.mark.parametrize("url", ["http://host/x", "sftp:///x", "host:/x"])
def test_an_address_that_is_none_is_refused(server, url):
    with pytest.raises(FetchError, match="no sftp address"):
        opened(replace(server, url=url)).__enter__()


def test_a_dropped_connection_is_told_from_a_refusal(server, key, shared_sandbox):
    with Proxy(shared_sandbox.address.port) as proxy:
        source = replace(server, url=f"sftp://127.0.0.1:{proxy.port}/srv/sftp")
        with opened(source, private_key=key) as reader:
            proxy.drop()
            with pytest.raises(ConnectionLostError):
                reader.files()
