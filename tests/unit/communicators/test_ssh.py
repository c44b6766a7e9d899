"""The connection to a machine: made once it answers, to the right machine only, and cheap to use."""

import contextlib
import socket
import statistics
import threading
import time
from dataclasses import replace

import pytest

from baker.clock import SystemClock
from baker.communicators.ssh import SshConnector
from baker.communicators.transport import CIPHERS
from baker.errors import ConnectionLostError, LoginRefusedError, MachineDiedError
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
    with pytest.raises(LoginRefusedError, match="refuses the login"):
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


@pytest.mark.sandbox
def test_a_login_that_is_never_answered_is_tried_again(shared_sandbox):
    """The first connection falls silent once the keys are agreed on, as with a machine that goes down then."""

    def serve():
        for answer in (pump_until_keys_are_agreed, pump):
            connection, _ = listener.accept()
            target = socket.create_connection(("127.0.0.1", shared_sandbox.address.port))
            for way, source, sink in ((pump, connection, target), (answer, target, connection)):
                threading.Thread(target=way, args=(source, sink), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        address = replace(shared_sandbox.address, port=listener.getsockname()[1])
        connector = SshConnector(clock=SystemClock(), login_seconds=2)
        communicator = connector(address, timeout=60, check_alive=lambda: None)
        thread.join()
    with contextlib.closing(communicator):
        assert communicator.run("true", on_output=ignore) == 0


def pump_until_keys_are_agreed(source, sink):
    """A server's greeting and its packets up to NEWKEYS (21), the last one that can be read."""
    stream = source.makefile("rb")
    sink.sendall(stream.readline())
    kind = 0
    while kind != 21:
        length = stream.read(4)
        packet = stream.read(int.from_bytes(length))
        sink.sendall(length + packet)
        kind = packet[1]


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
def test_a_machine_that_dies_without_closing_its_connection_is_looked_at(shared_sandbox, connect):
    """No byte comes any more, and none says so: only the builder knows that its machine is gone."""
    died = threading.Event()

    def check_alive():
        if died.is_set():
            raise MachineDiedError("it ended")

    def die(stream, chunk):
        proxy.fall_silent()
        died.set()

    with Proxy(shared_sandbox.address.port) as proxy:
        communicator = connect(replace(shared_sandbox.address, port=proxy.port), check_alive=check_alive)
        started = time.monotonic()
        with pytest.raises(MachineDiedError):
            communicator.run("echo started; sleep 600", timeout=120, on_output=die)
        assert time.monotonic() - started < 30


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
def test_output_is_taken_while_stdin_waits_for_its_source(shared_sandbox, connect):
    """The source says its last word only when it has heard the command's third line."""
    lines, heard = [], threading.Event()

    def slow():
        yield b"first\n"
        assert heard.wait(30)
        yield b"last\n"

    def listen(stream, chunk):
        lines.extend(chunk.split())
        if len(lines) >= 3:
            heard.set()

    command = "read line; echo $line; for n in 1 2 3; do echo $n; sleep 0.1; done; cat"
    assert connect(shared_sandbox.address).run(command, stdin=slow(), timeout=60, on_output=listen) == 0
    assert lines == [b"first", b"1", b"2", b"3", b"last"]


@pytest.mark.sandbox
def test_a_time_out_is_kept_while_stdin_waits_for_its_source(shared_sandbox, connect):
    never, left = threading.Event(), threading.Event()

    def stuck():
        try:
            yield b"x"
            never.wait(60)
            yield b"x"
        finally:
            left.set()

    communicator = connect(shared_sandbox.address)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        communicator.run("cat", stdin=stuck(), timeout=1, on_output=ignore)
    assert time.monotonic() - started < 20
    never.set()
    assert left.wait(20)  # it is not asked for more, and may close what it has open


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
