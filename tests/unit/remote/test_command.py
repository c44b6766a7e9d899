"""The text that a machine's shell is given."""

import base64
import os
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baker.errors import StepError
from baker.remote.command import TOKEN_VARIABLE, machine_command

PRINTABLE = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)


def run(command, stdin=b""):
    return subprocess.run(["/bin/sh", "-c", command.text], input=command.head + stdin, capture_output=True, check=False)


@given(st.lists(PRINTABLE, max_size=5))
def test_a_sequence_arrives_as_exact_arguments(arguments):
    command = machine_command(["printf", "%s\\n", "-", *arguments])
    assert run(command).stdout.decode() == "".join(f"{item}\n" for item in ["-", *arguments])


def test_a_string_is_for_the_shell_also_with_a_here_document_at_its_end():
    assert run(machine_command("cat <<END\nit's $((1 + 1))\nEND")).stdout == b"it's 2\n"


@pytest.mark.parametrize("value", ["plain", "two\nlines\n", 'quo\'te "$HOME" `id`', "\n\n", "ümläut", ""])
def test_variables_arrive_unchanged_whether_secret_or_not(value):
    command = machine_command(
        ["python3", "-c", "import os; print(ascii([os.environ['PLAIN'], os.environ['SECRET']]))"],
        env={"PLAIN": value},
        secret_env={"SECRET": value},
    )
    assert run(command).stdout.decode().strip() == ascii([value, value])


def test_a_secret_is_in_the_head_of_stdin_alone_and_the_rest_of_stdin_is_the_commands():
    command = machine_command('printf "%s|" "$A" "$B"; cat', secret_env={"A": "hunter22", "B": "swordfish"})
    assert "hunter22" not in command.text
    assert base64.b64encode(b"hunter22").decode() not in command.text
    assert "hunter22" not in repr(command)
    assert run(command, b"rest").stdout == b"hunter22|swordfish|rest"


def test_a_missing_secret_stops_the_command():
    command = machine_command("echo ran", secret_env={"A": "hunter22"})
    ended = subprocess.run(["/bin/sh", "-c", command.text], input=b"", capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (125, b"")


@pytest.mark.parametrize(("code", "expected"), [("exit 7", 7), ("kill -TERM $$", 128 + 15)])
def test_the_exit_code_is_the_commands_also_after_a_signal(code, expected):
    assert run(machine_command(code)).returncode == expected


def test_each_command_has_a_token_of_its_own_in_its_environment():
    first, second = machine_command("env"), machine_command("env")
    assert first.token != second.token
    assert f"{TOKEN_VARIABLE}={first.token}" in run(first).stdout.decode().splitlines()


def test_sudo_comes_first_so_that_the_environment_is_made_behind_it():
    words = shlex.split(machine_command("id", sudo=True, env={"A": "b"}).text.removesuffix("; exit $?"))
    assert words[:5] == ["sudo", "-n", "-H", "--", "env"]
    assert "A=b" in words


@pytest.mark.parametrize("name", ["", "A B", "1A", "A=", "A-B", "x;id"])
def test_a_name_that_no_variable_can_have_is_refused(name):
    with pytest.raises(StepError, match="no name for an environment variable"):
        machine_command("true", env={name: "x"})
    with pytest.raises(StepError, match="no name for an environment variable"):
        machine_command("true", secret_env={name: "x"})


def test_bytes_that_are_not_utf8_pass():
    command = machine_command(["printf", "%s", os.fsdecode(b"\xff")])
    ended = subprocess.run(["/bin/sh", "-c", os.fsencode(command.text)], capture_output=True, check=False)
    assert ended.stdout == b"\xff"
