"""What tests of many rooms share: the sandbox machine, and a connection to it.

A session (that is, each xdist worker) starts one machine that tests share, each in a folder of its own; a test that
reboots, breaks or kills the machine takes a fresh one.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from baker.clock import SystemClock
from baker.communicators.sftp import open_sftp
from baker.communicators.ssh import SshConnector
from baker.events import Event
from baker.home import Home
from baker.mirrors import NO_MIRRORS, Mirrors
from baker.ports import Machine
from baker.remote import MachineRemote
from baker.secret import Secret
from baker.testing.sandbox import Sandbox, sandbox_tree

CONNECT_SECONDS = 60

# A run in the background of a script ignores Ctrl-C, and so would all that it starts: bakes that tests interrupt too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test meets an account of whoever runs it: commands that name no builder ask all of them, and sweep. Tests that need
# a real account are run alone, and say so in a variable of this name.
if not any(name.startswith("BAKER_LIVE_") for name in os.environ):
    for _name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_"))]:
        del os.environ[_name]
    os.environ |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

# No deadline: how long one example takes says how busy the host is, and nothing about the code.
settings.register_profile("baker", deadline=None)
settings.load_profile("baker")

MakeRemote = Callable[..., MachineRemote]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that nothing that takes minutes begins when all else is done.

    xdist gives each worker two groups at the start, and the second one waits for the first: behind the whole bake that
    is to be something small, since all the rest is done by the other worker meanwhile.
    """
    for item in items:
        if (seconds := _seconds(item)) is not None:
            item.add_marker(pytest.mark.timeout(seconds))
    items.sort(key=_rank)
    small = next((item for item in items if _rank(item) == _SMALL), None)
    if small is not None and len(items) > 2:
        items.remove(small)
        seconds = (number for number, item in enumerate(items) if _group(item) != _group(items[0]))
        second = next(seconds, len(items))
        third = next((n for n in seconds if _group(items[n]) != _group(items[second])), len(items))
        items.insert(third, small)


_SMALL = 4


def _rank(item: pytest.Item) -> int:
    """0 for a whole bake; then groups that share a machine, other virtual machines, what is slow for another reason."""
    machine, lab, sandbox = (item.get_closest_marker(name) is not None for name in ("qemu", "lab", "sandbox"))
    if machine:
        return 0 if lab else 1 if item.get_closest_marker("xdist_group") else 2
    return 3 if lab or sandbox else _SMALL


def _seconds(item: pytest.Item) -> int | None:
    """How long it may take, where pyproject.toml gives too little: many times what it takes on a quiet host."""
    if item.get_closest_marker("soak"):
        return 0  # no limit
    machine, lab = item.get_closest_marker("qemu"), item.get_closest_marker("lab")
    return 5400 if machine and lab else 2700 if machine else None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say at once why a test failed: a run that is cut short has no summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\n{report.nodeid}: {report.when} failed\n{report.longreprtext}", flush=True)


def _group(item: pytest.Item) -> str:
    """What one worker does in one go: a group by its name, any other test alone."""
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else item.nodeid


@pytest.fixture(scope="session")
def sandbox_root() -> Path:
    """The tree that all sandboxes stand on; made once for all workers and sessions."""
    return sandbox_tree(Home.from_environment())


@pytest.fixture(scope="session")
def shared_sandbox(sandbox_root: Path) -> Iterator[Sandbox]:
    """A machine for tests that leave it as they found it, but for files in a folder of their own."""
    with Sandbox.start(sandbox_root) as machine:
        yield machine


@pytest.fixture
def sandbox(sandbox_root: Path) -> Iterator[Sandbox]:
    """A machine of the test's own."""
    with Sandbox.start(sandbox_root) as machine:
        yield machine


@pytest.fixture
def events() -> list[Event]:
    """What the remotes of this test emitted, in order."""
    return []


@pytest.fixture
def secret_values() -> dict[Secret, str]:
    """The values of the test's secrets: put them here."""
    return {}


@pytest.fixture
def make_remote(tmp_path: Path, events: list[Event], secret_values: dict[Secret, str]) -> Iterator[MakeRemote]:
    """Connects to a machine: `make_remote(machine, mirrors=...)`. `tmp_path` is the recipe's folder."""
    with ExitStack() as open_remotes:

        def connect(machine: Machine, mirrors: Mirrors = NO_MIRRORS, timeout: float = CONNECT_SECONDS) -> MachineRemote:
            clock = SystemClock()
            remote = MachineRemote(
                machine=machine,
                connector=SshConnector(clock=clock),
                transfer=open_sftp,
                resolve=secret_values.__getitem__,
                folder=tmp_path,
                emit=events.append,
                clock=clock,
                mirrors=mirrors,
            )
            open_remotes.enter_context(remote)
            remote.connect(timeout=timeout)
            return remote

        yield connect


@pytest.fixture
def remote(sandbox: Sandbox, make_remote: MakeRemote) -> MachineRemote:
    """A connection to a machine of the test's own."""
    return make_remote(sandbox)


@pytest.fixture
def shared_remote(shared_sandbox: Sandbox, make_remote: MakeRemote) -> MachineRemote:
    """A connection to the session's machine."""
    return make_remote(shared_sandbox)


@pytest.fixture
def processes_with() -> Callable[[str], list[int]]:
    """Pids of running processes that have a word in their command line (a zombie has none)."""

    def find(word: str) -> list[int]:
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if word.encode() in (folder / "cmdline").read_bytes():
                        found.append(int(folder.name))
        return found

    return find


@pytest.fixture
def ssh_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`~/.ssh` of whoever runs this test, empty; there is no agent."""
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


@pytest.fixture
def server_of(ssh_folder: Path) -> Callable[..., str]:
    """`server_of(machine)`: the URL of a folder there, once the caller's files know it and have a key for it."""

    def url(machine: Sandbox, folder: str, *, port: int | None = None, knows: str | None = None) -> str:
        address = machine.address
        key = ssh_folder / "id_shelf"
        key.write_text(address.key.private)
        key.chmod(0o600)
        port = port or address.port
        settings = f"HostName 127.0.0.1\nPort {port}\nUser {address.user}\nIdentityFile {key}\n"
        (ssh_folder / "config").write_text(f"Host shelf\n{settings}")
        known = address.host_key if knows is None else knows
        (ssh_folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {known}\n" if known else "")
        return f"sftp://shelf{folder}"

    return url
