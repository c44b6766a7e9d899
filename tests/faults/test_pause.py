"""`bake --on-error pause` as a whole, on a machine that somebody can log in to: with and without a terminal."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from baker.events import BakeFinished, Notice, Record, from_json

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).parent.parent.parent
PROGRAM = "import sys; from baker.cli.main import main; sys.exit(main())"

BUILDER = """
from pathlib import Path
from tests.faults.sandbox_builder import SandboxBuilder, SandboxCloud
def make():
    return SandboxBuilder(cloud=SandboxCloud(tree=Path({tree!r})))
"""

RECIPE = """
from baker import Recipe
from provisioners import Shell
from tests.faults.sandbox_builder import SandboxSpec
recipe = Recipe(
    name="x", builders=(SandboxSpec(),), provisioners=(Shell(command="echo was here >/tmp/trace; exit 7"),)
)
"""


@dataclass(frozen=True, kw_only=True)
class Bake:
    """A bake that runs, and its folder."""

    process: "subprocess.Popen[str]"
    run: Path

    def records(self) -> list[Record]:
        log = self.run / "events.jsonl"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        return [from_json(json.loads(line)) for line in lines if line.endswith("\n")]

    def await_pause(self) -> list[str]:
        """What the bake says when it holds the machine."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for record in self.records():
                if isinstance(record.event, Notice) and "waits for you" in record.event.text:
                    return record.event.text.splitlines()
            assert self.process.poll() is None, "the bake ended without a pause"
            time.sleep(0.1)
        raise AssertionError("no pause came")

    def end(self) -> int:
        return self.process.wait(timeout=60)


@pytest.fixture
def start(tmp_path: Path, sandbox_root: Path):
    """`start(*arguments, stdin=...)`: bakes a recipe whose only step fails."""
    info = tmp_path / "installed" / "sandboxes-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sandboxes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[baker.builders]\nsandbox = sandboxes:make\n")
    (info.parent / "sandboxes.py").write_text(BUILDER.format(tree=str(sandbox_root)))
    (tmp_path / "x.py").write_text(RECIPE)
    paths = os.pathsep.join([str(info.parent), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": paths, "BAKER_HOME": str(tmp_path / "home")}

    @contextmanager
    def run(*arguments: str, stdin: int = subprocess.DEVNULL) -> Iterator[Bake]:
        folder = tmp_path / "a run"
        with (tmp_path / "said").open("w+") as said:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "x.py", "--run-dir", folder, "--on-error", "pause", *arguments],
                cwd=tmp_path,
                env=environment,
                stdin=stdin,
                stdout=said,
                stderr=said,
                text=True,
                start_new_session=True,
                preexec_fn=None if stdin == subprocess.DEVNULL else _take_terminal,  # noqa: PLW1509  (no thread yet)
            )
            try:
                yield Bake(process=process, run=folder)
            finally:
                process.kill()
                process.wait()

    return run


def _take_terminal() -> None:
    """Make standard input the terminal that controls this process."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def login_of(said: list[str]) -> str:
    (command,) = [line.removeprefix("log in: ") for line in said if line.startswith("log in: ")]
    return command


def log_in(command: str, *, and_run: str) -> "subprocess.CompletedProcess[str]":
    """As a person would: the very command, in a shell, with an agent and a configuration that must not matter."""
    return subprocess.run(
        ["sh", "-c", f"{command} {and_run}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_person_logs_in_with_the_command_as_it_is_and_ends_the_pause(start) -> None:
    with start("--json") as bake:
        said = bake.await_pause()
        assert said[1].startswith("it failed: step 1 ")
        assert "exited with 7" in said[1]
        command = login_of(said)
        visit = log_in(command, and_run="'cat /tmp/trace; sudo id -u'")
        assert (visit.returncode, visit.stdout) == (0, "was here\n0\n"), visit.stderr
        assert (bake.run / "login" / "key").stat().st_mode & 0o777 == 0o600
        key = (bake.run / "login" / "key").read_text().splitlines()[1]

        assert said[-1] == f"end it: kill {bake.process.pid}"
        bake.process.send_signal(signal.SIGTERM)
        assert bake.end() == 6
    assert log_in(command, and_run="true").returncode == 255, "the machine is gone"
    assert not (bake.run / "login").exists()
    assert not [path for path in bake.run.iterdir() if key in path.read_text()]
    finished = bake.records()[-1].event
    assert isinstance(finished, BakeFinished)
    assert finished.exit_code == 6
    assert "exited with 7" in finished.summary


def test_another_machine_behind_the_same_port_is_not_logged_in_to(start) -> None:
    with start() as bake:
        command = login_of(bake.await_pause())
        known = bake.run / "login" / "known_hosts"
        other = known.read_text()[:-20] + "A" * 12 + known.read_text()[-8:]
        known.write_text(other)
        visit = log_in(command, and_run="true")
        assert visit.returncode == 255
        assert "Host key verification failed" in visit.stderr
        bake.process.send_signal(signal.SIGINT)
        assert bake.end() == 6


def test_enter_on_the_terminal_ends_it_but_not_what_was_typed_before(start) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keyboard, start(stdin=theirs) as bake:
        os.close(theirs)
        keyboard.write(b"\n\n")  # impatience, while the bake still works
        said = bake.await_pause()
        assert said[-1] == "end it: press Enter or Ctrl-C"
        time.sleep(2.5)
        assert log_in(login_of(said), and_run="true").returncode == 0
        keyboard.write(b"\n")
        assert bake.end() == 6


def test_ctrl_c_on_the_terminal_ends_it(start) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keyboard, start(stdin=theirs) as bake:
        os.close(theirs)
        bake.await_pause()
        keyboard.write(b"\x03")
        assert bake.end() == 6


def test_a_terminal_that_goes_away_ends_nothing_when_hang_ups_are_ignored(start) -> None:
    ours, theirs = pty.openpty()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does, for what is started here
    try:
        with start(stdin=theirs) as bake:
            os.close(theirs)
            command = login_of(bake.await_pause())
            os.close(ours)
            time.sleep(2.5)
            assert log_in(command, and_run="true").returncode == 0
            bake.process.send_signal(signal.SIGTERM)
            assert bake.end() == 6
    finally:
        signal.signal(signal.SIGHUP, before)
