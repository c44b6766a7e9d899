"""A connection that a program carries: through a real bastion, to the right machine only, and nothing of it stays."""

import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from baker.clock import SystemClock
from baker.communicators.ssh import SshCommunicator, SshConnector
from baker.errors import ConnectionLostError, LoginRefusedError, MachineDiedError, NoAnswerError, ReachError
from baker.keys import new_key_pair
from baker.pause import known_hosts_line, ssh_command
from baker.ports import Address
from baker.testing.sandbox import Sandbox

ROOT = Path(__file__).parents[3]
INSIDE = "reef.internal"
"""A name of the machine that the bastion alone knows: no connection from here can lead to it."""

Connect = Callable[..., SshCommunicator]
Pids = Callable[[str], list[int]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    opened: list[SshCommunicator] = []

    def make(address: Address, timeout: float = 60, check_alive: Callable[[], None] = lambda: None) -> SshCommunicator:
        communicator = SshConnector(clock=SystemClock())(address, timeout=timeout, check_alive=check_alive)
        assert isinstance(communicator, SshCommunicator)
        opened.append(communicator)
        return communicator

    yield make
    for communicator in opened:
        communicator.close()


@pytest.fixture
def bastion_words(sandbox: Sandbox, tmp_path: Path, connect: Connect) -> tuple[str, ...]:
    """ssh to a second machine, `sandbox`, the only one that knows where INSIDE is."""
    direct = connect(sandbox.address)
    assert direct.run(f"echo 127.0.0.1 {INSIDE} | sudo tee -a /etc/hosts", on_output=ignore) == 0
    direct.close()
    key, known_hosts = tmp_path / "bastion-key", tmp_path / "known_hosts"
    key.touch(0o600)
    key.write_text(sandbox.address.key.private)
    known_hosts.write_text(known_hosts_line(sandbox.address))
    return tuple(shlex.split(ssh_command(sandbox.address, key=key, known_hosts=known_hosts)))


@pytest.fixture
def behind(shared_sandbox: Sandbox, bastion_words: tuple[str, ...]) -> Address:
    """The machine behind the bastion."""
    ssh, *rest = bastion_words
    words = (ssh, "-W", f"{INSIDE}:{shared_sandbox.address.port}", *rest)
    return replace(shared_sandbox.address, host=INSIDE, proxy_command=words)


@pytest.fixture
def unreachable(shared_sandbox: Sandbox) -> Address:
    """An address without a way to it yet."""
    return replace(shared_sandbox.address, host=INSIDE)


def ignore(stream: str, chunk: bytes) -> None:
    """An OutputSink."""


def said(communicator: SshCommunicator, command: str, **how: object) -> bytes:
    chunks: list[bytes] = []
    assert communicator.run(command, on_output=lambda _, chunk: chunks.append(chunk), **how) == 0  # type: ignore[arg-type]
    return b"".join(chunks)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def gone(word: str, processes_with: Pids) -> bool:
    """Whether no process has `word` in its command line, now or within a generous while."""
    deadline = time.monotonic() + 60
    while found := processes_with(word):
        if time.monotonic() > deadline:
            pytest.fail(f"still there: {found}")
        time.sleep(0.02)
    return True


@pytest.mark.sandbox
def test_a_machine_behind_a_bastion(behind: Address, connect: Connect, processes_with: Pids) -> None:
    """Bytes of both directions arrive; the close of the connection ends the program, and gives all files back."""
    before = open_files()
    communicator = connect(behind)
    block = os.urandom(3 << 20)
    assert said(communicator, "cat", stdin=(block,)) == block
    assert processes_with(behind.proxy_command[2])
    communicator.close()
    communicator.close()
    assert not processes_with(behind.proxy_command[2])
    assert open_files() == before


@pytest.mark.sandbox
def test_the_host_key_is_pinned_and_a_login_refused_as_without_a_proxy(
    behind: Address, connect: Connect, processes_with: Pids
) -> None:
    before = open_files()
    with pytest.raises(ConnectionLostError, match=f"{INSIDE}:.* through ssh shows another host key"):
        connect(replace(behind, host_key=new_key_pair("other").public))
    with pytest.raises(LoginRefusedError, match="through ssh refuses the login"):
        connect(replace(behind, key=new_key_pair("stranger")))
    assert not processes_with(behind.proxy_command[2])
    assert open_files() == before


@pytest.mark.sandbox
def test_a_bastion_that_goes_away_is_told_in_its_own_words(behind: Address, connect: Connect, sandbox: Sandbox) -> None:
    communicator = connect(behind)

    def cut(stream: str, chunk: bytes) -> None:
        sandbox.kill()

    with pytest.raises(ConnectionLostError) as caught:
        communicator.run("echo begun; sleep 60", on_output=cut)
    assert (
        "the proxy command says" not in dict(caught.value.details)
        or dict(caught.value.details)["the proxy command says"]
    )
    with pytest.raises(NoAnswerError) as caught:
        connect(behind, timeout=1)
    assert "onnection" in dict(caught.value.details)["the proxy command says"]


@pytest.mark.sandbox
def test_the_command_that_a_pause_prints_goes_the_same_way(behind: Address, tmp_path: Path) -> None:
    """Typed into a shell as it is, though the way there holds what means something to ssh and to a shell."""
    folder = tmp_path / "50%d it's"
    folder.mkdir()
    key, known_hosts, log = folder / "key", folder / "known_hosts", folder / "log"
    key.touch(0o600)
    key.write_text(behind.key.private)
    known_hosts.write_text(known_hosts_line(behind))
    ssh, *rest = behind.proxy_command
    command = ssh_command(replace(behind, proxy_command=(ssh, "-E", str(log), *rest)), key=key, known_hosts=known_hosts)
    ended = subprocess.run(f"{command} hostname", shell=True, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "sandbox\n"
    assert log.exists()


def test_a_program_that_is_not_there_is_an_error_at_once(unreachable: Address, connect: Connect) -> None:
    address = replace(unreachable, proxy_command=("no-such-program", "x"))
    with pytest.raises(ReachError, match="there is no program no-such-program") as caught:
        connect(address, timeout=600)
    assert caught.value.exit_code == 5
    assert caught.value.hint


def test_what_a_program_complains_of_is_told(unreachable: Address, connect: Connect) -> None:
    words = ("sh", "-c", "echo 'TargetNotConnected: i-1 is not connected' >&2; exit 254")
    with pytest.raises(NoAnswerError, match=r"did not answer on reef\.internal:.* through sh") as caught:
        connect(replace(unreachable, proxy_command=words), timeout=1)
    assert dict(caught.value.details) == {
        "last try": "the connection was closed without an SSH banner",
        "the proxy command says": "TargetNotConnected: i-1 is not connected",
    }


def test_a_program_that_says_nothing_and_will_not_end_is_ended_with_all_that_it_started(
    unreachable: Address, connect: Connect, processes_with: Pids
) -> None:
    mark = f"31{os.getpid()}"
    words = ("sh", "-c", f"trap '' TERM; sleep {mark} & sleep {mark}; sleep {mark}")
    looks = iter(range(3))

    def check_alive() -> None:
        if next(looks, None) is None:
            raise MachineDiedError("enough")

    before = open_files()
    with pytest.raises(MachineDiedError):
        connect(replace(unreachable, proxy_command=words), check_alive=check_alive)
    assert gone(mark, processes_with)
    assert open_files() == before


# --- signals

BAKE = """
    import json, sys
    from baker.clock import SystemClock
    from baker.communicators.ssh import SshConnector
    from baker.interrupts import Interrupts, shield
    from baker.ports import Address, KeyPair

    def tell(chunk):
        print(chunk.decode(), end="", flush=True)

    given = json.load(sys.stdin)
    key = KeyPair(**given.pop("key"))
    address = Address(**{**given, "key": key, "proxy_command": tuple(given["proxy_command"])})
    with Interrupts():
        communicator = SshConnector(clock=SystemClock())(address, timeout=60, check_alive=lambda: None)
        try:
            communicator.run("echo begun; sleep 600", on_output=lambda _, chunk: tell(chunk))
        finally:
            with shield():
                ended = communicator.run("exit 7", on_output=lambda *_: None)
                print(f"cleaned up over the same connection: {ended}", flush=True)
                communicator.close()
"""


@pytest.mark.sandbox
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_the_program_after_the_clean_up_and_a_kill_with_the_bake(
    behind: Address, signum: signal.Signals, processes_with: Pids
) -> None:
    """As from a terminal, to the whole group: the program hears nothing of it."""
    import json

    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(BAKE)], cwd=ROOT, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as bake:  # fmt: skip
        assert bake.stdin is not None
        assert bake.stdout is not None
        try:
            bake.stdin.write(json.dumps(asdict(behind)))
            bake.stdin.close()
            assert bake.stdout.readline() == "begun\n"
            assert processes_with(behind.proxy_command[2])
            os.killpg(bake.pid, signum)
            told = bake.stdout.read()
        finally:
            bake.kill()
    if signum != signal.SIGKILL:
        assert told == "cleaned up over the same connection: 7\n"
    assert gone(behind.proxy_command[2], processes_with)
