"""What is asked of the builder and of a machine from its image: real file systems on real block devices."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baker.comparison import QUESTION, arguments, disk_fact, disks_in
from baker.keys import new_key_pair
from baker.ports import Address
from baker.recipe import Disk
from baker.remote import MachineRemote
from baker.testing.sandbox import Account, BlockDevice, PrivateRoot, Sandbox, Seed
from tests.builders.aws.fake import loop

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(not loop.available(), reason="this host has no loop devices"),
]

DISKS = (Disk(name="data", size_gib=1),)

Ask = Callable[[], dict[str, str]]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[loop.LoopDevice]:
    device = loop.LoopDevice(tmp_path / "data.raw", 1)
    yield device
    device.close()


@pytest.fixture
def remote(
    sandbox_root: Path, device: loop.LoopDevice, make_remote: Callable[..., MachineRemote]
) -> Iterator[MachineRemote]:
    """A machine with one disk, `data`."""
    user, host = new_key_pair("user"), new_key_pair("host")
    seed = Seed(instance_id="i", accounts=(Account(name="ada", keys=(user.public,)),), host_key=host)
    root = PrivateRoot.start(sandbox_root, seed, may_mount=True, devices=(BlockDevice(name=device.name),))
    address = Address(host="127.0.0.1", port=root.port, user="ada", key=user, host_key=host.public)
    with Sandbox(id="one", address=address, disks={"data": f"/dev/{device.name}"}, _root=root) as machine:
        yield make_remote(machine)


@pytest.fixture
def ask(remote: MachineRemote) -> Ask:
    """`ask()`: the machine's answers."""

    def ask() -> dict[str, str]:
        words = ["/bin/sh", "-c", f'set -eu\n{QUESTION}\ncompare "$@"', "ask", *arguments(remote, DISKS)]
        answer = remote.run(words, sudo=True, quiet=True).stdout
        return dict(line.split("=", 1) for line in answer.splitlines())

    return ask


def test_a_disk_is_what_it_is_mounted_as_and_whether_it_holds_anything(remote: MachineRemote, ask: Ask) -> None:
    device = remote.disk("data")

    def seen() -> str:
        return disks_in(ask())["data"]

    assert seen() == ""
    remote.run(f"mkfs.ext4 -q {device}; mkdir -p /data /mnt/other", sudo=True)
    assert seen() == "", "a file system that is not mounted is not there"
    remote.run(f"mount {device} /data", sudo=True)
    assert seen() == "/data ext4 empty", "lost+found is nothing"
    remote.run("mkdir -m 0700 /data/private; touch /data/private/.hidden", sudo=True)
    assert seen() == "/data ext4 filled"
    remote.run("mount --bind /data/private /mnt/other", sudo=True)
    assert seen() == "/data ext4 filled,/mnt/other ext4 filled"


def test_the_machine_id_is_told_as_a_digest(remote: MachineRemote, ask: Ask) -> None:
    own = remote.run("cat /etc/machine-id", quiet=True).stdout
    assert ask()["machine-id"] == hashlib.sha256(own.encode()).hexdigest()


def test_a_disk_that_the_machine_does_not_have_is_mounted_nowhere(remote: MachineRemote) -> None:
    words = ["/bin/sh", "-c", f'set -eu\n{QUESTION}\ncompare "$@"', "ask", "gone", "/dev/disk/by-id/virtio-gone"]
    assert disk_fact("gone") + "=\n" in remote.run(words, sudo=True, quiet=True).stdout


def test_only_facts_of_disks_are_about_disks() -> None:
    facts = {"disk data": "/data xfs filled", "disk": "x", "diskless": "y", "os": "Debian"}
    assert disks_in(facts) == {"data": "/data xfs filled"}
