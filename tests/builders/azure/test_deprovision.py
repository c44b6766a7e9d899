"""The last command on a machine in Azure, on a sandbox machine with the fake's agent: all goes, or no image."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from baker.builders.azure.calls import Cloud
from baker.builders.azure.launch import Started
from baker.builders.azure.machine import AzureMachine, Launched
from baker.clock import SystemClock
from baker.communicators.ssh import SshConnector
from baker.errors import SealError
from baker.remote import MachineRemote
from baker.seal import seal
from baker.testing.sandbox import Sandbox
from tests.builders.azure.fake.waagent import OVF_ENVIRONMENT, PROGRAM, ovf_environment

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("seal")]

AGENT = "/usr/sbin/waagent"
CLOCK = SystemClock()


@contextmanager
def sealed(tree: Path, folder: Path, *, agent: str | None = PROGRAM) -> Iterator[tuple[AzureMachine, MachineRemote]]:
    """A machine that Azure's agent has provisioned, sealed, with the connection that is still open."""
    with Sandbox.start(tree, may_mount=True) as sandbox:
        started: Any = Started(id="m", host="127.0.0.1", size="s", spot=False, security="Standard", controller="SCSI")
        launched = Launched(started=started, address=sandbox.address, disks={}, whole="")
        machine = AzureMachine(launched, Cloud(None, None, CLOCK), lambda *_: pytest.fail("no image"), clock=CLOCK)
        with MachineRemote(
            machine=sandbox,
            connector=SshConnector(clock=CLOCK),
            transfer=lambda *_, **__: pytest.fail("nothing is imported here"),
            resolve=lambda secret: secret.name,
            folder=folder,
            emit=lambda event: None,
            clock=CLOCK,
        ) as remote:
            remote.connect(timeout=60)
            if agent is not None:
                remote.put(agent.encode(), AGENT, mode=0o755)
            told = ovf_environment(user=sandbox.address.user, host_name="bake", custom_data="")
            remote.put(told.encode(), OVF_ENVIRONMENT, mode=0o600)
            remote.put(b"TransportPrivate", "/var/lib/waagent/TransportPrivate.pem", mode=0o600)
            remote.put(b"baker ALL=(ALL) NOPASSWD:ALL\n", "/etc/sudoers.d/90-cloud-init-users", mode=0o440)
            seal(
                remote, disks=(), allow=(), secrets={}, own_keys={}, removed_later=machine.removed_by_finalize,
                emit=lambda event: None,
            )  # fmt: skip
            yield machine, remote


def test_account_and_folder_are_gone_with_every_trace(sandbox_root: Path, tmp_path: Path) -> None:
    agent = PROGRAM + "mkdir -p /var/lib/waagent; echo late >/var/lib/waagent/history.json\n"
    with sealed(sandbox_root, tmp_path, agent=agent) as (machine, remote):
        machine.finalize(remote)
        assert remote.run("getent passwd baker", check=False).exit_code != 0
        gone = "/home/baker /etc/passwd- /etc/group- /etc/sudoers.d/90-cloud-init-users"
        assert remote.run(f"ls -d {gone}", check=False).stdout == ""
        assert remote.run("grep baker /etc/passwd /etc/group", check=False).stdout == ""
        assert remote.run("ls -A /var/lib/waagent").stdout == "", "what came after the scan goes, too"


def test_an_agent_that_forgot_its_account_makes_no_image(sandbox_root: Path, tmp_path: Path) -> None:
    with sealed(sandbox_root, tmp_path) as (machine, remote):
        remote.run(["rm", OVF_ENVIRONMENT], sudo=True)
        with pytest.raises(SealError) as caught:
            machine.finalize(remote)
    assert "the account baker is still there" in str(caught.value.details)


def test_a_machine_without_the_agent_makes_no_image(sandbox_root: Path, tmp_path: Path) -> None:
    with sealed(sandbox_root, tmp_path, agent=None) as (machine, remote), pytest.raises(SealError) as caught:
        machine.finalize(remote)
    assert "waagent is not on the machine" in str(caught.value.details)
