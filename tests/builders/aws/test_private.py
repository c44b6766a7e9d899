"""The whole command against machines that only a bastion's program leads to: a real sshd, and a security group that
admits nobody but the bastion."""

import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from baker.clock import SystemClock
from baker.communicators.ssh import SshConnector
from baker.pause import known_hosts_line, ssh_command
from baker.testing.sandbox import Sandbox
from tests.builders.aws.fake.client import FakeAws
from tests.builders.aws.test_builder import assert_clean

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("aws-machines")]

Ended = subprocess.CompletedProcess[str]
Bake = Callable[..., Ended]
Pids = Callable[[str], list[int]]

BAKE = Path(sys.executable).with_name("bake")

BASTIONS_ADDRESS = "127.0.0.77"
"""From which the bastion reaches into the network, and nobody else."""

RELAY = f"""
import os, socket, sys, threading

there = socket.create_connection((sys.argv[1], int(sys.argv[2])), source_address=("{BASTIONS_ADDRESS}", 0))

def send():
    while chunk := os.read(0, 65536):
        there.sendall(chunk)
    there.shutdown(socket.SHUT_WR)

threading.Thread(target=send, daemon=True).start()
while chunk := there.recv(65536):
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
"""

RECIPE = """
from baker import Recipe
from baker.builders.aws.spec import Aws
from provisioners import Shell


def catch_is_there(host):
    assert host.file("/srv/catch").contains("of the day")


def recipe(proxy: str, subnet: str, patience: int = 600):
    return Recipe(
        name="reef",
        builders=(
            Aws(
                source="debian-12",
                instance_types=("t3.micro",),
                subnets=(subnet,),
                address="private",
                admit="{admit}",
                proxy_command=proxy,
                boot_timeout_seconds=patience,
            ),
        ),
        provisioners=(Shell(command="echo the catch of the day >/srv/catch", sudo=True),),
        checks=(catch_is_there,),
    )
"""


@pytest.fixture
def bastion(sandbox: Sandbox, tmp_path: Path) -> str:
    """A command that leads from here to wherever the bastion gets to."""
    with_root = SshConnector(clock=SystemClock())(sandbox.address, timeout=60, check_alive=lambda: None)
    write = "sudo tee /usr/local/lib/relay.py"
    assert with_root.run(write, stdin=(RELAY.encode(),), on_output=lambda *_: None) == 0
    with_root.close()
    key, known_hosts = tmp_path / "bastion-key", tmp_path / "known_hosts"
    key.touch(0o600)
    key.write_text(sandbox.address.key.private)
    known_hosts.write_text(known_hosts_line(sandbox.address))
    login = ssh_command(sandbox.address, key=key, known_hosts=known_hosts)
    return f"{login} python3 /usr/local/lib/relay.py {{host}} {{port}}"


@pytest.fixture
def subnet(aws_with_machines: FakeAws) -> str:
    """One without a way out; its addresses are of loopback, where the double's machines listen."""
    client = aws_with_machines.client()
    network = f"127.{192 + secrets.randbelow(32)}.{secrets.randbelow(256)}.0/24"
    vpc = client.create_vpc(CidrBlock=network)["Vpc"]["VpcId"]
    return client.create_subnet(VpcId=vpc, CidrBlock=network)["Subnet"]["SubnetId"]


@pytest.fixture
def bake(aws_with_machines: FakeAws, tmp_path: Path, bastion: str, subnet: str) -> Bake:
    def run(*more: str, admit: str = f"{BASTIONS_ADDRESS}/32", proxy: str = bastion) -> Ended:
        recipe = tmp_path / "reef.py"
        recipe.write_text(RECIPE.replace("{admit}", admit))
        environment = {**aws_with_machines.environment, "BAKER_HOME": str(tmp_path / "home")}
        words = [str(BAKE), str(recipe), "--set", f"proxy={proxy}", "--set", f"subnet={subnet}", *more]
        return subprocess.run(
            words, env=environment, cwd=tmp_path, text=True, capture_output=True, check=False, timeout=600
        )

    return run


def test_a_bake_behind_a_bastion_and_its_verification(
    aws_with_machines: FakeAws,
    bake: Bake,
    processes_with: Pids,
) -> None:
    before = aws_with_machines.account()
    ended = bake()
    assert ended.returncode == 0, ended.stderr
    image = ended.stdout.splitlines()[-1]
    started = [it["parameters"] for it in aws_with_machines.calls("RunInstances") if it["status"] == 200]
    assert [it["NetworkInterfaces"][0]["AssociatePublicIpAddress"] for it in started] == [False, False]
    assert_clean(aws_with_machines, before, kept=[image.rpartition("/")[2]])
    assert not processes_with("/usr/local/lib/relay.py")


def test_a_bastion_that_is_not_admitted_leads_nowhere_and_says_so(
    aws_with_machines: FakeAws,
    bake: Bake,
    processes_with: Pids,
) -> None:
    before = aws_with_machines.account()
    ended = bake("--set", "patience=3", admit="127.0.0.1/32")  # this host, which is not where the program comes from
    assert ended.returncode == 4, ended.stderr
    assert ":22 through ssh" in ended.stderr
    assert_clean(aws_with_machines, before)
    assert not processes_with("/usr/local/lib/relay.py")


def test_a_program_that_is_missing_is_told_before_anything_is_made(aws_with_machines: FakeAws, bake: Bake) -> None:
    ended = bake(proxy="session-manager-of-nobody {instance}")
    assert ended.returncode == 4
    assert "there is no program session-manager-of-nobody" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert all(it["parameters"].get("DryRun") for it in aws_with_machines.calls("CreateSecurityGroup"))
