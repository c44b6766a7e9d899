"""`lab run` is transparent: exit codes, signals and words of the command come through."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.command import run_command

PROGRAM = """
import sys
from lab.command import run_command
sys.exit(run_command(sys.argv[1:], {"LAB_TEST": "yes"}))
"""


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ('test "$LAB_TEST" = yes', 0)]
)
def test_the_exit_code_is_the_commands(script: str, code: int) -> None:
    assert run_command(["sh", "-c", script], {"LAB_TEST": "yes"}) == code


def test_a_command_that_cannot_be_run_is_named(tmp_path: Path, capsys) -> None:
    assert run_command(["no-such-command"], {}) == 127
    assert "no-such-command" in capsys.readouterr().err
    (tmp_path / "plain").write_text("x")
    assert run_command([str(tmp_path / "plain")], {}) == 126


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_command_and_its_answer_comes_back(tmp_path: Path, signum: signal.Signals) -> None:
    script = f'trap "touch seen; exit 42" {signum.value}; touch ready; while :; do sleep 0.05; done'
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "sh", "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signum)
    assert process.wait(timeout=30) == 42
    assert (tmp_path / "seen").exists()
