"""What tests of many rooms share: the sandbox machine, and a connection to it.

A session (that is, each xdist worker) starts one machine that tests share, each in a folder of its own; a test that
reboots, breaks or kills the machine takes a fresh one.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

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

MakeRemote = Callable[..., MachineRemote]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole bakes first, then other virtual machines: what takes minutes must not begin when all else is done."""

    def rank(item: pytest.Item) -> int:
        slow = [item.get_closest_marker("qemu") is None, item.get_closest_marker("lab") is None]
        return sum(slow)

    items.sort(key=rank)


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
