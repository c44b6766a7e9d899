"""Shell and Reboot on the sandbox machine."""

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from baker.errors import CommandTimeoutError, StepError
from baker.events import Event, OutputLine
from baker.provisioner import CommandFailedError, CommandResult
from baker.remote import MachineRemote
from baker.secret import Secret
from provisioners import Reboot, Shell

pytestmark = pytest.mark.sandbox

TOKEN = Secret.from_env("TOKEN")


@pytest.fixture
def folder(shared_remote: MachineRemote) -> str:
    """A folder of the test's own on the shared machine, that the login user may write to."""
    path = f"/srv/{secrets.token_hex(6)}"
    shared_remote.run(["install", "-d", "-o", shared_remote.login_user, path], sudo=True)
    return path


def output(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, OutputLine) and event.stream == "stdout"]


def notes(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, OutputLine) and event.stream == "note"]


def test_a_command_runs_as_the_login_user_or_as_root(shared_remote: MachineRemote, events: list[Event]) -> None:
    Shell(command="whoami").apply(shared_remote)
    Shell(command="whoami", sudo=True).apply(shared_remote)
    assert output(events) == [shared_remote.login_user, "root"]


def test_the_first_line_that_fails_ends_a_command(shared_remote: MachineRemote, events: list[Event]) -> None:
    with pytest.raises(CommandFailedError) as caught:
        Shell(command="echo before\nfalse\necho after").apply(shared_remote)
    assert output(events) == ["before"]
    assert dict(caught.value.details)["command"] == "echo before\nfalse\necho after"


def test_a_script_runs_by_its_own_interpreter_and_is_gone(
    shared_remote: MachineRemote, events: list[Event], tmp_path: Path
) -> None:
    (tmp_path / "count.py").write_text("#!/usr/bin/env python3\nimport sys\nprint(len(sys.argv), sys.argv[1:])\n")
    Shell(script="count.py", arguments=("a b", "$HOME")).apply(shared_remote)
    assert output(events) == ["3 ['a b', '$HOME']"]
    assert shared_remote.run("find /dev/shm/baker -type f", sudo=True, quiet=True).stdout == ""


def test_a_script_that_fails_is_gone_too(shared_remote: MachineRemote, tmp_path: Path) -> None:
    (tmp_path / "fail.sh").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(CommandFailedError, match=r"fail.sh exited with 3"):
        Shell(script="fail.sh", sudo=True).apply(shared_remote)
    assert shared_remote.run("find /dev/shm/baker -type f", sudo=True, quiet=True).stdout == ""


def test_exit_codes_that_are_fine(shared_remote: MachineRemote) -> None:
    Shell(command="exit 3", exit_codes=(0, 3)).apply(shared_remote)
    with pytest.raises(StepError, match="exited with 0"):
        Shell(command="true", exit_codes=(3,)).apply(shared_remote)


def test_a_working_directory(shared_remote: MachineRemote, folder: str, events: list[Event]) -> None:
    shared_remote.run(["mkdir", f"{folder}/a b"])
    Shell(command="pwd", working_directory=f"{folder}/a b").apply(shared_remote)
    assert output(events) == [f"{folder}/a b"]
    with pytest.raises(CommandFailedError):
        Shell(command="echo never", working_directory=f"{folder}/none").apply(shared_remote)
    assert "never" not in output(events)


@pytest.mark.parametrize("sudo", [False, True])
def test_environment_with_a_secret(
    shared_remote: MachineRemote, folder: str, secret_values: dict[Secret, str], sudo: bool
) -> None:
    secret_values[TOKEN] = "a 'value'\nof $two lines"
    step = Shell(
        command=f'printf %s "$TOKEN$PLAIN" >{folder}/out && ! grep -aq "[l]ines" /proc/$$/cmdline',
        env={"TOKEN": TOKEN, "PLAIN": "; *"},
        sudo=sudo,
    )
    step.apply(shared_remote)
    assert shared_remote.run(["cat", f"{folder}/out"], quiet=True).stdout == "a 'value'\nof $two lines; *"


def test_it_is_tried_again(shared_remote: MachineRemote, folder: str, events: list[Event]) -> None:
    command = f"echo x >>{folder}/tries; test $(wc -l <{folder}/tries) = 3"
    Shell(command=command, retries=2, pause_seconds=0).apply(shared_remote)
    assert [text.partition(" failed")[0] for text in notes(events)] == ["attempt 1 of 3", "attempt 2 of 3"]


def test_the_last_failure_is_told_with_the_number_of_attempts(shared_remote: MachineRemote) -> None:
    with pytest.raises(CommandFailedError) as caught:
        Shell(command="echo no room >&2; exit 9", retries=1, pause_seconds=0).apply(shared_remote)
    details = dict(caught.value.details)
    assert details["attempts"] == "2"
    assert details["last lines"] == "no room"


def test_what_outlives_its_time_is_gone_before_the_next_try(shared_remote: MachineRemote, folder: str) -> None:
    """Each attempt counts the processes of the former one: a child that ignores TERM, in a session of its own."""
    stubborn = "setsid sh -c 'trap \"\" TERM; sleep 98765' &\nsleep 98765"
    command = f"pgrep -fxc 'sleep 98765' >>{folder}/seen || :\n{stubborn}"
    with pytest.raises(CommandTimeoutError):
        Shell(command=command, timeout_seconds=2, retries=1, pause_seconds=0).apply(shared_remote)
    assert shared_remote.run(["cat", f"{folder}/seen"], quiet=True).stdout.split() == ["0", "0"]
    assert shared_remote.run("pgrep -fx 'sleep 98765'", check=False, quiet=True).stdout == ""


def test_what_a_failed_attempt_left_in_the_background_is_gone_before_the_next_try(
    shared_remote: MachineRemote, folder: str
) -> None:
    """One that ignores TERM in a session of its own, one in the command's session, one without its environment."""
    stubborn = "setsid sh -c 'trap \"\" TERM; sleep 98764; :' >/dev/null 2>&1 &"
    others = "sleep 98764 >/dev/null 2>&1 &\nenv -i sleep 98764 >/dev/null 2>&1 &"
    command = f"pgrep -fxc 'sleep 98764' >>seen || :\n{stubborn}\n{others}\nsleep 0.5; exit 4"
    step = Shell(command=command, working_directory=folder, retries=1, pause_seconds=0)
    with pytest.raises(CommandFailedError, match="exited with 4"):
        step.apply(shared_remote)
    assert shared_remote.run(["cat", f"{folder}/seen"], quiet=True).stdout.split() == ["0", "0"]
    assert shared_remote.run("pgrep -fx 'sleep 98764'", check=False, quiet=True).stdout == ""


class Unending:
    """A machine on which a failed command leaves something that no signal ends."""

    def __init__(self) -> None:
        self.attempts = 0

    def run(self, command: object, **_more: object) -> CommandResult:
        self.attempts += 1
        result = CommandResult(command="", exit_code=1, stdout="", stderr="", seconds=0)
        raise CommandFailedError(result, still_running="mount.nfs (process 7)")


def test_there_is_no_second_attempt_beside_one_that_does_not_end() -> None:
    machine = Unending()
    with pytest.raises(CommandFailedError) as caught:
        Shell(command="false", retries=5, pause_seconds=0).apply(cast(MachineRemote, machine))
    assert machine.attempts == 1
    assert dict(caught.value.details)["still running"] == "mount.nfs (process 7)"
    assert dict(caught.value.details)["attempts"] == "1"


@pytest.mark.parametrize("code", [0, 3])
def test_a_daemon_of_an_attempt_that_succeeded_lives_on(shared_remote: MachineRemote, code: int) -> None:
    marker = f"sleep 9876{code}.5"
    Shell(command=f"setsid {marker} >/dev/null 2>&1 & exit {code}", exit_codes=(0, 3)).apply(shared_remote)
    assert shared_remote.run(["pkill", "-fx", marker], check=False, quiet=True).exit_code == 0


def test_a_restart(remote: MachineRemote) -> None:
    remote.run("touch /run/old", sudo=True)
    Reboot(timeout_seconds=60).apply(remote)
    assert remote.run("test -e /run/old", check=False, quiet=True).exit_code == 1
