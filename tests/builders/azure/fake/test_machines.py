"""The machines behind the API: who may log in, what `waagent` removes, and what an image holds."""

import base64
import contextlib
import json
import socket
from typing import Any

import pytest

from baker.clock import SystemClock
from baker.errors import BakeError, ConnectionLostError
from baker.keys import new_key_pair
from baker.ports import Address
from baker.testing.sandbox import Sandbox
from baker.wait import wait_until
from provisioners import DiskMount
from tests.builders.aws.fake import loop
from tests.builders.azure.fake.client import FakeAzure
from tests.builders.azure.fake.sdk import KEY, Azure, rules_for

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("azure-machines")]

HOST_KEY, OTHER_KEY = new_key_pair("host"), new_key_pair("other")
STANDARD = {"securityProfile": {"securityType": "Standard"}}
LOOK = "id -un builder; ls -d /home/builder /var/lib/waagent /etc/ssh/ssh_host_ed25519_key 2>/dev/null; true"


def custom_data() -> str:
    """A host key, as the baker hands one over."""
    keys = {"ed25519_private": HOST_KEY.private, "ed25519_public": HOST_KEY.public}
    return base64.b64encode(f"#cloud-config\n{json.dumps({'ssh_keys': keys})}".encode()).decode()


class Reachable(Sandbox):
    """A machine of which nothing is known but its address."""

    def check_alive(self) -> None:
        """Nobody knows."""

    def diagnose(self) -> str:
        return ""


class Lab(Azure):
    """What the tests below do again and again."""

    def address(self, name: str = "reef") -> str:
        found = self.resource.resources.get_by_id(
            f"/subscriptions/{self.compute._config.subscription_id}/resourceGroups/reef/providers/"
            f"Microsoft.Network/publicIPAddresses/{name}",
            api_version="2024-05-01",
        )
        return str(found.properties["ipAddress"])

    def launch(self, name: str = "reef", **changes: Any) -> str:
        return self.vm(name=name, custom_data=custom_data(), **{**STANDARD, **changes})

    def machine(self, name: str = "reef", *, user: str = "builder", key: Any = KEY, **disks: str) -> Reachable:
        host = self.address(name)
        address = Address(host=host, port=22, user=user, key=key, host_key=HOST_KEY.public)
        return Reachable(id=host, address=address, disks=disks, _root=None)  # type: ignore[arg-type]

    def capture(self, name: str) -> str:
        self.compute.virtual_machines.begin_deallocate("reef", "reef").result()
        self.compute.virtual_machines.generalize("reef", "reef")
        machine = self.compute.virtual_machines.get("reef", "reef").id
        return str(self.image(name, machine).id)


@pytest.fixture
def lab(azure_with_machines: FakeAzure, as_caller: Any) -> Lab:
    as_caller(azure_with_machines)
    lab = Lab(azure_with_machines)
    lab.group()
    return lab


def greeting(host: str, seconds: float = 1.0) -> bytes:
    """What an SSH server says first; empty when it says nothing."""
    with contextlib.suppress(OSError), socket.create_connection((host, 22), timeout=seconds) as connection:
        return connection.recv(64)
    return b""


def test_an_image_of_a_deprovisioned_machine_knows_neither_its_account_nor_its_key(lab: Lab, make_remote: Any) -> None:
    lab.launch()
    remote = make_remote(lab.machine())
    remote.run("echo first >/srv/mark", sudo=True)
    left = remote.run("waagent -deprovision+user -force; " + LOOK, sudo=True).stdout
    assert "WARNING! builder account and entire home directory will be deleted." in left
    assert "/home/builder" not in left.splitlines()
    assert "/var/lib/waagent" not in left.splitlines()
    image = lab.capture("good")
    assert lab.fake.not_deprovisioned() == []
    lab.launch("other", image={"id": image}, key=OTHER_KEY)
    remote = make_remote(lab.machine("other", key=OTHER_KEY))
    assert remote.run("cat /srv/mark; ls /var/lib/waagent").stdout.split() == ["first", "ovf-env.xml"]
    with pytest.raises(BakeError, match="refuses the login"):
        make_remote(lab.machine("other", key=KEY), timeout=5)


def test_what_is_not_deprovisioned_is_in_the_image(lab: Lab, make_remote: Any) -> None:
    lab.launch()
    remote = make_remote(lab.machine())
    said = remote.run("rm /var/lib/waagent/ovf-env.xml; waagent -deprovision+user -force", sudo=True).stdout
    assert "WARNING! Skip delete user." in said
    image = lab.capture("bad")
    (bad,) = lab.fake.not_deprovisioned()
    assert {"account builder", "/home/builder"} <= set(bad["facts"]["not_deprovisioned"])
    lab.launch("other", image={"id": image}, key=OTHER_KEY)
    make_remote(lab.machine("other", key=KEY)).run("true")


@pytest.mark.skipif(not loop.available(), reason="this host has no loop devices")
def test_a_data_disk_is_found_by_its_number_and_is_in_the_image(lab: Lab, make_remote: Any) -> None:
    lab.launch(data=[{"lun": 3, "createOption": "Empty", "diskSizeGB": 2, "deleteOption": "Delete"}])
    remote = make_remote(lab.machine(data="/dev/disk/azure/scsi1/lun3"))
    DiskMount(disk="data", path="/data").apply(remote)
    remote.run("echo first >/data/mark; waagent -deprovision+user -force", sudo=True)
    image = lab.capture("good")
    lab.launch("other", image={"id": image}, key=OTHER_KEY)
    remote = make_remote(lab.machine("other", key=OTHER_KEY, data="/dev/disk/azure/data/by-lun/3"))
    assert remote.run("cat /data/mark").stdout == "first\n"


def test_rules_decide_who_gets_through_and_the_end_of_a_machine_is_seen(lab: Lab, make_remote: Any) -> None:
    lab.launch(card=lab.card(admitted="192.0.2.7/32"))
    host = lab.address()
    assert greeting(host) == b""
    lab.put("Microsoft.Network/networkSecurityGroups", "reef", {"securityRules": rules_for("127.0.0.0/8")})
    assert wait_until(lambda: greeting(host) or None, timeout=30, clock=SystemClock()).startswith(b"SSH-2.0")
    with pytest.raises(ConnectionLostError):
        make_remote(lab.machine()).run("poweroff; sleep 60", sudo=True)
    assert wait_until(lambda: lab.power() == "stopped" or None, timeout=30, clock=SystemClock())
    lab.compute.virtual_machines.begin_start("reef", "reef").result()
    make_remote(lab.machine()).run("true")
    lab.resource.resource_groups.begin_delete("reef").result()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, 22), timeout=5)
