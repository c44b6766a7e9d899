"""A process is told from every other that has or had its number."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from baker.owner import start_ticks, state_of, this_process


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "100"]) as process:
        yield process
        process.kill()


def test_this_process_is_alive() -> None:
    assert this_process().pid == os.getpid()
    assert state_of(this_process()) == "alive"


def test_a_process_that_has_ended_is_gone_and_a_zombie_as_well(sleeper: "subprocess.Popen[bytes]") -> None:
    owner = replace(this_process(), pid=sleeper.pid, started=start_ticks(sleeper.pid) or 0)
    assert state_of(owner) == "alive"
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # a zombie: nobody has asked how it ended
    assert state_of(owner) == "gone"
    sleeper.wait()
    assert state_of(owner) == "gone"


def test_another_process_of_the_same_number_is_not_it() -> None:
    assert state_of(replace(this_process(), started=this_process().started - 1)) == "gone"


def test_a_restart_of_this_host_ends_all() -> None:
    assert state_of(replace(this_process(), boot="another boot")) == "gone"


@pytest.mark.parametrize(
    "change",
    [
        {"boot": "another boot", "host": "elsewhere 1234"},
        {"pid_namespace": "pid:[1]"},
        {"boot": ""},
        {"started": 0},
    ],
)
def test_what_cannot_be_seen_from_here_is_unknown(change: dict[str, str]) -> None:
    assert state_of(replace(this_process(), **change)) == "unknown"  # type: ignore[arg-type]


def test_a_name_that_looks_like_more_of_the_table_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / ") Z 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen(["sleep", "100"]) as before, subprocess.Popen([program, "100"]) as process:
        started = [start_ticks(before.pid), start_ticks(process.pid)]
        before.kill()
        process.kill()
    assert started[0] is not None
    assert started[1] is not None
    assert 0 <= started[1] - started[0] < 10 * os.sysconf("SC_CLK_TCK")
