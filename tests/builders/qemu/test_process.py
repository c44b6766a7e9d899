"""Children end with the bake, however it ends; QEMU without a guest stands for all of them."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baker.builders.qemu.monitor import Monitor, MonitorError
from baker.builders.qemu.process import ChildProcess
from baker.errors import BuilderUnavailableError

PATIENCE_SECONDS = 20.0

IDLE_QEMU = (
    "qemu-system-x86_64", "-S", "-nodefaults", "-no-user-config", "-display", "none",
    "-machine", "q35", "-accel", "tcg", "-m", "64M",
)  # fmt: skip


@pytest.fixture
def child() -> Iterator[Callable[..., ChildProcess]]:
    made: list[ChildProcess] = []

    def make(*argv: str, piped: bool = False) -> ChildProcess:
        made.append(ChildProcess(argv, piped=piped))
        return made[-1]

    yield make
    for process in made:
        process.end()


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def parent_that_starts(argv: tuple[str, ...]) -> tuple[subprocess.Popen[str], int]:
    """A Python process that has started `argv` as a bake would, and the pid of what it started."""
    program = textwrap.dedent(f"""
        import time
        from baker.builders.qemu.process import ChildProcess
        child = ChildProcess({argv!r})
        child.start()
        print(child.pid, flush=True)
        time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_qemu_dies_with_its_parent(how: signal.Signals) -> None:
    parent, pid = parent_that_starts(IDLE_QEMU)
    try:
        program = Path(f"/proc/{pid}/exe")
        assert eventually(lambda: program.readlink().name == "qemu-system-x86_64")  # past setpriv and the shell
        parent.send_signal(how)
        parent.wait()
        assert eventually(lambda: is_gone(pid))
    finally:
        parent.kill()
        parent.communicate()
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_child_whose_parent_died_before_it_was_bound_does_not_start(tmp_path: Path) -> None:
    """The moment between fork and prctl: the command line of another parent stands for one that is dead."""
    started = tmp_path / "started"
    program = textwrap.dedent(f"""
        from baker.children import bound_to_parent
        print("\\0".join(bound_to_parent(("touch", {str(started)!r}))), end="")
    """)
    argv = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    subprocess.run(argv.split("\0"), check=False)
    assert not started.exists()


def test_ctrl_c_at_the_terminal_does_not_reach_it(child: Callable[..., ChildProcess]) -> None:
    process = child("sleep", "600")
    process.start()
    assert process.pid is not None
    assert os.getpgid(process.pid) != os.getpgid(0)
    assert os.getsid(process.pid) != os.getsid(0)


def test_an_end_is_noticed(child: Callable[..., ChildProcess]) -> None:
    process = child(*IDLE_QEMU)
    process.start()
    assert process.poll() is None
    assert process.wait(0.1) is None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    assert process.poll() == -signal.SIGKILL


def test_what_it_complained_about_can_be_read(child: Callable[..., ChildProcess]) -> None:
    process = child("qemu-system-x86_64", "-no-such-option")
    process.start()
    assert process.wait(PATIENCE_SECONDS) == 1
    complaint = process.stderr()
    assert "-no-such-option: invalid option" in complaint
    process.end()
    assert process.stderr() == complaint


def test_reading_what_it_has_said_does_not_change_what_it_says(child: Callable[..., ChildProcess]) -> None:
    process = child("sh", "-c", "echo one >&2; read line; echo two >&2; sleep 60", piped=True)
    process.start()
    assert eventually(lambda: process.stderr().startswith("one\n"))
    assert eventually(lambda: process.stderr() == "one\ntwo\n")  # standard input is at its end, so it goes on


def test_killing_twice_and_before_the_start_and_after_the_end_is_fine(child: Callable[..., ChildProcess]) -> None:
    process = child("sleep", "600")
    process.kill()
    process.end()
    process.start()
    process.kill()
    process.kill()
    process.end()
    process.end()
    process.kill()
    assert process.poll() == -signal.SIGKILL


def test_it_can_be_killed_in_a_signal_handler_while_it_is_waited_for(child: Callable[..., ChildProcess]) -> None:
    process = child("sleep", "600")
    process.start()
    before = signal.signal(signal.SIGALRM, lambda *_: process.kill())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        assert process.wait() == -signal.SIGKILL
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_program_that_is_not_installed_is_named() -> None:
    process = ChildProcess(("qemu-system-vax",))
    with pytest.raises(BuilderUnavailableError) as caught:
        process.start()
    assert "qemu-system-vax is not installed" in caught.value.summary
    assert caught.value.hint is not None
    assert "apt-get install" in caught.value.hint


class Qmp:
    """QEMU without a guest, and its monitor."""

    def __init__(self, process: ChildProcess, monitor: Monitor) -> None:
        self.process = process
        self.monitor = monitor


@pytest.fixture
def qmp(child: Callable[..., ChildProcess]) -> Iterator[Qmp]:
    ours, theirs = socket.socketpair()
    with theirs:
        qmp_socket = ("-chardev", f"socket,id=qmp0,fd={theirs.fileno()}", "-mon", "chardev=qmp0,mode=control")
        process = child(*IDLE_QEMU, *qmp_socket)
        process.start(pass_fds=(theirs.fileno(),))
    monitor = Monitor(ours)
    yield Qmp(process, monitor)
    monitor.close()


def test_qemu_answers(qmp: Qmp) -> None:
    qmp.monitor.open()
    assert qmp.monitor.execute("query-status")["status"] == "prelaunch"


def test_a_command_that_qemu_refuses_is_an_error(qmp: Qmp) -> None:
    qmp.monitor.open()
    with pytest.raises(MonitorError, match="no-such-command"):
        qmp.monitor.execute("no-such-command")
    assert qmp.monitor.execute("query-status")["running"] is False  # the session lives on


def test_a_qemu_that_dies_is_an_error_and_not_a_hang(qmp: Qmp) -> None:
    qmp.monitor.open()
    qmp.process.kill()
    with pytest.raises(MonitorError):
        qmp.monitor.execute("query-status")
    with pytest.raises(MonitorError):
        qmp.monitor.execute("query-status")
    assert qmp.monitor.events() == ()


def test_a_qemu_that_never_greets_is_an_error(child: Callable[..., ChildProcess]) -> None:
    ours, theirs = socket.socketpair()
    monitor = Monitor(ours)
    theirs.close()
    with pytest.raises(MonitorError):
        monitor.open()
    monitor.close()
    monitor.close()


def test_what_qemu_tells_before_it_ends_is_not_lost(qmp: Qmp) -> None:
    qmp.monitor.open()
    qmp.monitor.execute("quit")
    assert qmp.process.wait(PATIENCE_SECONDS) == 0
    reasons = [event.data["reason"] for event in qmp.monitor.events() if event.name == "SHUTDOWN"]
    assert reasons == ["host-qmp-quit"]
    assert qmp.monitor.events() == qmp.monitor.events()


def test_a_signal_that_raises_ends_a_call(qmp: Qmp) -> None:
    """QEMU is stopped, so that it never answers; the signal's exception comes through at once."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    qmp.monitor.open()
    assert qmp.process.pid is not None
    os.kill(qmp.process.pid, signal.SIGSTOP)
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            qmp.monitor.execute("query-status")
    finally:
        signal.signal(signal.SIGALRM, before)
    qmp.process.kill()
    qmp.monitor.close()
