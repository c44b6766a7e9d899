"""The connection to a machine: made once it answers, to the right machine only, and cheap to use."""

import socket
import statistics
import threading
import time
from dataclasses import replace

import pytest

from baker.clock import SystemClock
from baker.communicators.ssh import SshConnector
from baker.communicators.transport import CIPHERS
from baker.errors import ConnectionLostError, MachineDiedError
from baker.keys import fingerprint_of, new_key_pair
from baker.remote.command import machine_command
from baker.testing.proxy import Proxy


@pytest.fixture
def connect():
    opened = []

    def make(address, timeout=30, check_alive=lambda: None):
        communicator = SshConnector(clock=SystemClock())(address, timeout=timeout, check_alive=check_alive)
        opened.append(communicator)
        return communicator

    yield make
    for communicator in opened:
        communicator.close()


def ignore(stream, chunk):
    """An OutputSink."""


@pytest.mark.sandbox
def test_another_host_key_is_refused_at_once_with_both_fingerprints(shared_sandbox, connect):
    other = new_key_pair("other").public
    with pytest.raises(ConnectionLostError, match="another host key") as caught:
        connect(replace(shared_sandbox.address, host_key=other), timeout=600)
    assert dict(caught.value.details) == {
        "expected": fingerprint_of(other),
        "shown": fingerprint_of(shared_sandbox.address.host_key),
    }


@pytest.mark.sandbox
def test_another_type_of_host_key_is_not_even_asked_for(shared_sandbox, connect):
    address = replace(shared_sandbox.address, host_key="ecdsa-sha2-nistp256 AAAA")
    with pytest.raises(ConnectionLostError, match="no algorithm in common"):
        connect(address, timeout=600)


@pytest.mark.sandbox
def test_a_refused_login_is_an_error_at_once(shared_sandbox, connect):
    with pytest.raises(ConnectionLostError, match="refuses the login"):
        connect(replace(shared_sandbox.address, key=new_key_pair("stranger")), timeout=600)


@pytest.mark.sandbox
def test_the_fast_cipher_is_used(shared_sandbox, connect):
    assert connect(shared_sandbox.address)._transport.remote_cipher == CIPHERS[0]


@pytest.mark.sandbox
def test_a_port_that_takes_connections_before_there_is_an_sshd_is_waited_for(shared_sandbox, connect):
    """First nothing listens, then something that closes, then something that says nothing, then the machine."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    address = replace(shared_sandbox.address, port=port)
    phases = iter(["refused", "closed", "closed", "forwarded"])
    tries = []

    def check_alive():
        tries.append(1)

    def serve():
        assert next(phases) == "refused"
        time.sleep(0.3)
        with socket.create_server(("127.0.0.1", port)) as listener:
            while next(phases) == "closed":
                listener.accept()[0].close()
            connection, _ = listener.accept()
            target = socket.create_connection(("127.0.0.1", shared_sandbox.address.port))
            time.sleep(0.6)  # connected, and silent
            for source, sink in ((connection, target), (target, connection)):
                threading.Thread(target=pump, args=(source, sink), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    communicator = connect(address, check_alive=check_alive)
    thread.join()
    assert communicator.run("true", on_output=ignore) == 0
    assert len(tries) > 4  # between the tries, and while it was silent


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        return


def test_nothing_there_is_an_error_that_names_the_last_try(shared_address, connect):
    with pytest.raises(ConnectionLostError, match="did not answer") as caught:
        connect(shared_address, timeout=0.5)
    assert "refused" in dict(caught.value.details)["last try"]


@pytest.fixture
def shared_address():
    """An address where nobody is."""
    from baker.ports import Address

    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    key = new_key_pair("x")
    return Address(host="127.0.0.1", port=port, user="x", key=key, host_key=key.public)


def test_a_machine_that_died_is_not_waited_for(shared_address, connect):
    def check_alive():
        raise MachineDiedError("it ended")

    with pytest.raises(MachineDiedError):
        connect(shared_address, timeout=600, check_alive=check_alive)


def test_something_else_than_ssh_is_no_machine(shared_address, connect):
    def serve(listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

    with socket.create_server(("127.0.0.1", shared_address.port)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        with pytest.raises(ConnectionLostError, match="did not answer"):
            connect(shared_address, timeout=1)
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.sandbox
def test_a_time_out_counts_from_the_start_also_when_the_machine_does_not_react(shared_sandbox, connect):
    with Proxy(shared_sandbox.address.port, delay_seconds=3) as proxy:
        slow = connect(replace(shared_sandbox.address, port=shared_sandbox.address.port))
        slow.close()
        with pytest.raises(ConnectionLostError):
            connect(replace(shared_sandbox.address, port=proxy.port), timeout=1)


@pytest.mark.sandbox
def test_a_dropped_connection_is_noticed_and_stays_lost(shared_sandbox, connect):
    with Proxy(shared_sandbox.address.port) as proxy:
        communicator = connect(replace(shared_sandbox.address, port=proxy.port))
        timer = threading.Timer(0.5, proxy.drop)
        timer.start()
        with pytest.raises(ConnectionLostError, match="lost while a command ran"):
            communicator.run("sleep 600", on_output=ignore)
        timer.join()
        with pytest.raises(ConnectionLostError):
            communicator.run("true", on_output=ignore)


@pytest.mark.sandbox
def test_an_exit_by_a_signal_that_ssh_reports_is_not_taken_for_a_lost_connection(shared_sandbox, connect):
    communicator = connect(shared_sandbox.address)
    assert communicator.run("kill -TERM $$", on_output=ignore) == 137
    assert communicator.run("true", on_output=ignore) == 0


@pytest.mark.sandbox
def test_a_daemon_that_keeps_the_streams_open_does_not_hold_the_command(shared_sandbox, connect):
    seen = []
    code = connect(shared_sandbox.address).run(
        "echo before; sleep 983 & exit 5", timeout=60, on_output=lambda _, chunk: seen.append(chunk)
    )
    assert (code, b"".join(seen)) == (5, b"before\n")


@pytest.mark.sandbox
def test_an_error_of_the_sink_is_the_error(shared_sandbox, connect):
    def broken(stream, chunk):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        connect(shared_sandbox.address).run("echo x", on_output=broken)


@pytest.mark.sandbox
def test_a_short_command_costs_two_round_trips(shared_sandbox, connect):
    """Opening the channel, and running: on a way of which each round trip takes a fixed time, which is the unit."""
    round_trip = 0.25
    direct = connect(shared_sandbox.address)
    command = machine_command(["true"], sudo=True, env={"A": "b"}).text
    alone = statistics.median(timed(direct, command) for _ in range(5))
    with Proxy(shared_sandbox.address.port, delay_seconds=round_trip / 2) as proxy:
        far = connect(replace(shared_sandbox.address, port=proxy.port))
        best = min(timed(far, command) for _ in range(4))
    assert round((best - alone) / round_trip) == 2


def timed(communicator, command):
    started = time.monotonic()
    assert communicator.run(command, on_output=ignore) == 0
    return time.monotonic() - started


@pytest.mark.sandbox
def test_nothing_of_the_users_own_ssh_is_used(shared_sandbox, connect, monkeypatch, tmp_path):
    """An agent, keys and a configuration that would break or hide things if they were looked at."""
    (tmp_path / ".ssh").mkdir()
    for name in ("config", "known_hosts", "id_ed25519"):
        (tmp_path / ".ssh" / name).write_text("nonsense")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    assert connect(shared_sandbox.address).run("true", on_output=ignore) == 0


@pytest.mark.sandbox
def test_paramiko_is_silent(shared_sandbox, connect, capfd, caplog):
    with pytest.raises(ConnectionLostError):
        connect(replace(shared_sandbox.address, key=new_key_pair("stranger")))
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
