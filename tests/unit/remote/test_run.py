"""Commands on a machine: what they print, what they know, and that they are really gone."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from baker.clock import SystemClock
from baker.errors import CommandTimeoutError, ConnectionLostError, Interrupted
from baker.events import FactRecorded, OutputLine
from baker.mirrors import Mirrors
from baker.provisioner import CommandFailedError
from baker.remote import files
from baker.secret import Secret
from baker.wait import wait_until

pytestmark = pytest.mark.sandbox


def texts(events, stream="stdout"):
    return [event.text for event in events if isinstance(event, OutputLine) and event.stream == stream]


def alive(remote, marker):
    """The processes on the machine whose command line holds `marker`."""
    listing = remote.run("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; true", sudo=True, quiet=True).stdout
    return listing.count(marker)


@contextmanager
def signal_after(condition):
    """Raise Interrupted in the main thread, as a SIGTERM does, once `condition` is true."""

    def handler(signum, frame):
        raise Interrupted(signum)

    def send():
        assert wait_until(lambda: condition() or None, timeout=30, clock=SystemClock())
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, handler)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGTERM, before)


def test_result_and_events_hold_what_was_printed(shared_remote, events):
    result = shared_remote.run("echo one; echo two >&2; printf three; exit 4", check=False)
    assert (result.exit_code, result.stdout, result.stderr) == (4, "one\nthree", "two\n")
    assert texts(events) == ["one", "three"]
    assert texts(events, "stderr") == ["two"]


def test_quiet_keeps_output_out_of_the_log(shared_remote, events):
    assert shared_remote.run("echo one", quiet=True).stdout == "one\n"
    assert texts(events) == []


def test_a_failure_names_the_command_and_shows_the_last_lines(shared_remote):
    with pytest.raises(CommandFailedError, match="ls exited with 2") as caught:
        shared_remote.run(["ls", "/not there"])
    assert dict(caught.value.details)["command"] == "ls '/not there'"
    assert "No such file" in dict(caught.value.details)["last lines"]


def test_five_megabytes_on_stderr_do_not_hang(shared_remote):
    result = shared_remote.run("head -c 5000000 /dev/zero | tr '\\0' x >&2; echo end", quiet=True, timeout=60)
    assert (len(result.stderr), result.stdout) == (5_000_000, "end\n")


def test_a_hundred_thousand_lines_arrive_in_order(shared_remote, events):
    shared_remote.run("seq 100000", timeout=60)
    assert texts(events) == [str(number) for number in range(1, 100_001)]


def test_what_is_not_utf8_is_replaced(shared_remote, events):
    assert shared_remote.run(r"printf 'a\377b\n'").stdout == "a\N{REPLACEMENT CHARACTER}b\n"
    assert texts(events) == ["a\N{REPLACEMENT CHARACTER}b"]


def test_stdin_larger_than_the_window_while_output_floods(shared_remote):
    data = os.urandom(1 << 20) * 12
    received = []
    command = "tee /dev/stderr | sha256sum; head -c 3000000 /dev/zero"
    shared_remote.stream(command, stdin=(data[:1], data[1:]), on_stdout=received.append, timeout=120)
    output = b"".join(received)
    import hashlib

    assert output[:64].decode() == hashlib.sha256(data).hexdigest()
    assert len(output) > 3_000_000


def test_a_command_that_ends_without_reading_its_stdin_is_no_error(shared_remote):
    assert shared_remote.run("echo early", stdin=b"x" * 20_000_000, timeout=60).stdout == "early\n"


def test_sudo_is_root_with_the_same_environment(shared_remote):
    result = shared_remote.run('id -un; echo "$A:$HOME"', sudo=True, env={"A": "x y"})
    assert result.stdout == "root\nx y:/root\n"
    assert shared_remote.run(["id", "-un"]).stdout == f"{shared_remote.login_user}\n"


def test_a_mirrors_password_reaches_the_command_and_no_command_line(shared_sandbox, make_remote):
    remote = make_remote(shared_sandbox, mirrors=Mirrors(pip_index_url="https://me:swordfish22@mirror.invalid/simple"))
    result = remote.run('cat /proc/[0-9]*/cmdline | tr "\\0" " "; printf "|%s" "$PIP_INDEX_URL"', quiet=True)
    command_lines, seen = result.stdout.rsplit("|", 1)
    assert seen == "https://me:swordfish22@mirror.invalid/simple"
    assert "swordfish22" not in command_lines


def test_a_secret_reaches_the_command_and_no_command_line(shared_remote, secret_values):
    secret_values[token := Secret.from_env("TOKEN")] = "hunter22-swordfish"
    secret_values[lines := Secret.from_env("LINES")] = "first line\nsecond line\n"
    result = shared_remote.run(
        'cat /proc/[0-9]*/cmdline | tr "\\0" " "; printf "|%s|%s|" "$TOKEN" "$LINES"; cat',
        sudo=True,
        env={"TOKEN": token, "LINES": lines},
        stdin=token,
        quiet=True,
    )
    command_lines, token_seen, lines_seen, stdin_seen = result.stdout.rsplit("|", 3)
    assert (token_seen, lines_seen, stdin_seen) == (
        "hunter22-swordfish",
        "first line\nsecond line\n",
        "hunter22-swordfish",
    )
    assert "TOKEN" in command_lines
    assert "hunter22" not in command_lines


def test_a_secret_file_is_private_in_tmpfs_and_gone_afterwards(shared_remote, secret_values):
    secret_values[secret := Secret.from_env("KEY")] = "-----BEGIN-----\nabc\n"
    with shared_remote.secret_file(secret) as path:
        assert shared_remote.run(["cat", path], quiet=True).stdout == "-----BEGIN-----\nabc\n"
        assert shared_remote.run(["stat", "-c", "%a %U", path]).stdout == f"600 {shared_remote.login_user}\n"
        assert shared_remote.run(["stat", "-f", "-c", "%T", path]).stdout == "tmpfs\n"
        with pytest.raises(CommandFailedError):
            shared_remote.run(["sudo", "-u", "nobody", "cat", path])
    with pytest.raises(CommandFailedError):
        shared_remote.run(["cat", path])


def test_a_secret_file_is_gone_after_a_failure_too_and_the_failure_is_the_error(shared_remote, secret_values):
    secret_values[secret := Secret.from_env("KEY")] = "hunter22"
    with pytest.raises(ZeroDivisionError), shared_remote.secret_file(secret) as path:
        raise ZeroDivisionError
    assert shared_remote.run(["test", "-e", path], check=False).exit_code == 1


def test_a_secret_file_that_cannot_be_removed_is_an_error_after_a_while(remote, secret_values, monkeypatch):
    monkeypatch.setattr(files, "_REMOVE_SECONDS", 1.0)
    secret_values[secret := Secret.from_env("KEY")] = "hunter22"
    with pytest.raises(CommandTimeoutError, match="time-out of 1 s"), remote.secret_file(secret):
        remote.run("printf '#!/bin/sh\\nexec sleep 600\\n' >/usr/local/bin/rm; chmod 755 /usr/local/bin/rm", sudo=True)


FAMILY = "sleep 987.{n} & setsid sleep 987.{n} & env -i sleep 987.{n} & setsid env -i sleep 987.{n} & {more} wait"
STUBBORN = '(trap "" TERM; sleep 987.{n}; sleep 987.{n}) &'


def test_after_a_timeout_nothing_of_the_command_is_left(shared_remote):
    with pytest.raises(CommandTimeoutError, match="time-out of 1 s") as caught:
        shared_remote.run(FAMILY.format(n=1, more=""), timeout=1)
    assert alive(shared_remote, "987.1") == 0
    assert "still running" not in dict(caught.value.details)


def test_after_a_timeout_nothing_of_a_root_command_is_left_though_it_ignores_term(shared_remote):
    with pytest.raises(CommandTimeoutError):
        shared_remote.run(FAMILY.format(n=2, more=STUBBORN.format(n=2)), sudo=True, timeout=1)
    assert alive(shared_remote, "987.2") == 0


def test_a_retry_after_a_timeout_meets_no_second_copy(shared_remote):
    command = "mkdir /tmp/lock-987 || exit 9; trap 'rmdir /tmp/lock-987' EXIT; trap 'exit 1' TERM; sleep 987.3 & wait"
    for _ in range(2):
        with pytest.raises(CommandTimeoutError):
            shared_remote.run(command, timeout=1)
    assert alive(shared_remote, "987.3") == 0


def test_after_a_failure_nothing_of_the_command_is_left_unless_the_code_was_expected(shared_remote):
    command = "sleep 987.{n} >/dev/null 2>&1 & setsid sleep 987.{n} >/dev/null 2>&1 & exit 3"
    with pytest.raises(CommandFailedError) as caught:
        shared_remote.run(command.format(n=8))
    assert alive(shared_remote, "987.8") == 0
    assert caught.value.still_running == ""
    shared_remote.run(command.format(n=9), exit_codes=(0, 3))
    assert alive(shared_remote, "sleep 987.9") == 2
    shared_remote.run("pkill -f 'sleep 987[.]9'")


def test_an_interruption_ends_the_command_and_then_goes_on(shared_remote, events):
    with pytest.raises(Interrupted), signal_after(lambda: "started" in texts(events)):
        shared_remote.run(f"echo started; {FAMILY.format(n=4, more='')}")
    assert alive(shared_remote, "987.4") == 0


def test_an_interruption_while_stdin_is_sent_ends_the_command_too(shared_remote, events):
    endless = iter(lambda: bytes(100_000), None)

    def started():
        return shared_remote.run("pgrep -f '987[.]5'", check=False, quiet=True).exit_code == 0

    with pytest.raises(Interrupted), signal_after(started):
        shared_remote.stream("cat >/dev/null; : 987.5", stdin=endless, sudo=False)
    assert alive(shared_remote, "987.5") == 0


def test_a_failing_source_of_stdin_ends_the_command_and_is_the_error(shared_remote):
    def broken():
        yield b"x"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shared_remote.stream("cat; sleep 987.6", stdin=broken())
    assert alive(shared_remote, "987.6") == 0


def test_a_daemon_of_a_successful_command_lives_on_also_when_a_later_one_is_ended(shared_remote):
    shared_remote.run("sleep 986.1 >/dev/null 2>&1 & setsid sleep 986.1 & true", timeout=30)
    with pytest.raises(CommandTimeoutError):
        shared_remote.run("sleep 987.7", timeout=1)
    assert alive(shared_remote, "987.7") == 0
    assert alive(shared_remote, "sleep 986.1") == 2
    shared_remote.run("pkill -f '986[.]1'")


def test_a_command_leaves_no_file_behind(remote):
    find = "find / -xdev -newer /tmp/mark ! -path '/proc/*' ! -path '/tmp' -type f"
    remote.run("touch /tmp/mark; sleep 0.05")
    remote.run("true", sudo=True, env={"A": "b"})
    assert remote.run(find, sudo=True, check=False).stdout == ""


def test_a_machine_that_dies_is_noticed_in_the_middle_of_a_command(remote, sandbox, events):
    def kill():
        assert wait_until(lambda: "started" in texts(events) or None, timeout=30, clock=SystemClock())
        sandbox.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    started = time.monotonic()
    with pytest.raises(ConnectionLostError, match="lost while a command ran"):
        remote.run("echo started; sleep 600")
    thread.join()
    assert time.monotonic() - started < 60  # not after some time-out of TCP


def test_a_command_without_a_connection_is_refused(shared_remote):
    shared_remote.close()
    shared_remote.close()
    with pytest.raises(ConnectionLostError, match="not connected"):
        shared_remote.run("true")


def test_facts_name_the_step_that_found_them(shared_remote, events):
    shared_remote.for_step("git clone notebooks").record("commit", "abc")
    assert events[-1] == FactRecorded(source="git clone notebooks", name="commit", value="abc")


def test_the_architecture_is_that_of_uname(shared_remote):
    assert shared_remote.architecture == os.uname().machine


def test_an_unknown_disk_names_those_that_there_are(shared_remote):
    from baker.errors import StepError

    with pytest.raises(StepError, match="no disk 'data'"):
        shared_remote.disk("data")
