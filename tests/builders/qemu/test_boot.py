"""A real guest, from source image to image and up again: slow, so all that needs one is looked at here."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baker.builders.qemu import qemu_img
from baker.builders.qemu.builder import QemuBuilder
from baker.builders.qemu.machine import QemuMachine
from baker.builders.qemu.spec import Qemu
from baker.clock import SystemClock
from baker.communicators.sftp import open_sftp
from baker.communicators.ssh import SshConnector
from baker.deadman import DESCRIPTION
from baker.errors import ConnectionLostError, MachineDiedError
from baker.home import Home
from baker.keys import new_key_pair
from baker.ports import Address, RunInfo
from baker.recipe import Disk
from baker.remote import MachineRemote
from baker.seal.sealer import seal
from tests.end_to_end.disks import found_on_disk

pytestmark = pytest.mark.qemu

BOOT_SECONDS = 900.0
"""Emulated, on a busy host; a guest that works takes 30 to 60."""

SPEC = Qemu(memory_mib=1024, cpus=1, disk_gib=4)
DISKS = (Disk(name="data", size_gib=1),)

PREPARE = """set -e
mkfs.ext4 -q -L data {device}
mkdir /data
echo 'LABEL=data /data ext4 defaults,nofail 0 2' >> /etc/fstab
mount /data
echo 'the catch of the day' > /data/catch
"""


@pytest.fixture
def shared_home(tmp_path: Path) -> Home:
    """Empty, but for the source images."""
    home = Home(tmp_path / "home")
    home.path.mkdir()
    (home.path / "sources").symlink_to(Home.from_environment().sources)
    return home


@contextmanager
def connected(machine: QemuMachine, events: Any, folder: Path) -> Iterator[MachineRemote]:
    clock = SystemClock()
    with MachineRemote(
        machine=machine,
        connector=SshConnector(clock=clock),
        transfer=open_sftp,
        resolve=lambda secret: secret.name,
        folder=folder,
        emit=events,
        clock=clock,
    ) as remote:
        remote.connect(timeout=BOOT_SECONDS)
        yield remote


def connects(address: Address, machine: QemuMachine) -> bool:
    connect = SshConnector(clock=SystemClock())
    try:
        connect(address, timeout=60, check_alive=machine.check_alive).close()
    except ConnectionLostError:
        return False
    return True


def test_a_machine_becomes_an_image_and_the_image_a_machine(
    shared_home: Home, run_info: Callable[..., RunInfo], events: Any, tmp_path: Path
) -> None:
    builder = QemuBuilder(home=lambda: shared_home)
    run = run_info()
    with builder.machine(SPEC, DISKS, run, events) as machine:
        baked_at = machine.address
        traces = traces_of(baked_at, shared_home)
        with connected(machine, events, tmp_path) as remote:
            assert remote.run("ls /etc/ssh/ssh_host_*_key").stdout.split() == ["/etc/ssh/ssh_host_ed25519_key"]
            root_bytes = int(remote.run("df --output=size -B1 / | tail -1").stdout)
            assert root_bytes > 3.4 * (1 << 30)  # the root file system has grown with its disk
            baked_name = remote.run("hostname").stdout
            remote.run(["sh", "-c", PREPARE.format(device=machine.disks["data"])], sudo=True)
            assert remote.run("systemctl is-active bake-deadman.timer").stdout == "active\n"
            own_keys = {"login": baked_at.key.public, "host": baked_at.host_key}
            later = machine.removed_by_finalize
            seal(remote, disks=DISKS, allow=(), secrets={}, own_keys=own_keys, removed_later=later, emit=events)
            assert "bake-deadman" not in remote.run("ls -R /etc/systemd/system").stdout
            assert remote.run("systemctl is-active bake-deadman.timer").stdout == "active\n"
            machine.finalize(remote)
        artifact = machine.capture("reef", {"recipe": "reef"})

    assert list(shared_home.work.iterdir()) == []
    assert builder.images(None) == (artifact,)
    assert found_on_disk(Path(artifact.id) / "root.qcow2", traces, tmp_path) == []

    with builder.launch_image(artifact, run, events) as machine:
        with connected(machine, events, tmp_path) as remote:
            assert remote.run("cat /data/catch").stdout == "the catch of the day\n"
            assert remote.run("findmnt --noheadings --output LABEL /data").stdout.strip() == "data"
            assert remote.run("hostname").stdout != baked_name
            assert remote.run(["sudo", "cat", "/root/.ssh/authorized_keys"], check=False).stdout.count("ssh-") <= 1
            old_key = replace(machine.address, key=baked_at.key)
            old_user = replace(old_key, user=baked_at.user)
            old_host_key = replace(machine.address, host_key=baked_at.host_key)
            no_key = replace(machine.address, key=new_key_pair("stranger"))
            assert connects(machine.address, machine)
            for address in (old_key, old_user, old_host_key, no_key):
                assert not connects(address, machine)
            assert "bake-deadman" in remote.run("ls /etc/systemd/system").stdout  # this machine's own
            # A clock that is set right late, and a system that has fallen into its emergency shell.
            remote.run(["date", "--set", f"@{int(run.expires) - 20}"], sudo=True, quiet=True)
            with suppress(ConnectionLostError):
                remote.run("systemctl --no-block isolate emergency.target", sudo=True, quiet=True)
        assert "it switched itself off" in death_of(machine).summary
    assert list(shared_home.work.iterdir()) == []
    for disk in Path(artifact.id).glob("*.qcow2"):
        qemu_img.check(disk)


def test_a_machine_that_starts_after_its_instant_ends_by_itself(
    shared_home: Home, run_info: Callable[..., RunInfo], events: Any
) -> None:
    with QemuBuilder(home=lambda: shared_home).machine(SPEC, (), run_info(expires=time.time() - 1), events) as machine:
        assert "it switched itself off" in death_of(machine).summary


FILL_THE_DISK = """
import sys, time
from pathlib import Path
from baker.builders.qemu.builder import QemuBuilder
from baker.builders.qemu.spec import Qemu
from baker.errors import BuilderError
from baker.home import Home
from baker.ports import RunInfo

home, run_dir = Home(Path(sys.argv[1])), Path(sys.argv[2])
run = RunInfo(run_id="20260102-030405-full", recipe="reef", fingerprint="f", image_name="reef", owner="", started=0,
              expires=time.time() + 3600, run_dir=run_dir)
try:
    spec = Qemu(memory_mib=1024, cpus=1, disk_gib=4)
    with QemuBuilder(home=lambda: home).machine(spec, (), run, lambda event: None) as machine:
        deadline = time.monotonic() + float(sys.argv[3])
        while time.monotonic() < deadline:
            machine.check_alive()
            time.sleep(0.2)
except BuilderError as error:
    print(type(error).__name__, "|", error.summary, "|", list(home.work.iterdir()))
"""
"""Run on a disk with room for half a boot."""


def test_a_disk_of_the_host_that_fills_up_is_noticed(shared_home: Home, tmp_path: Path) -> None:
    """QEMU holds the machine then, which would look like a hang."""
    work = shared_home.work
    (tmp_path / "run").mkdir()
    mount_and_run = f'mount -t tmpfs -o size=4m none "{work}" && exec "$0" -c "$@"'
    arguments = [sys.executable, FILL_THE_DISK, str(shared_home.path), str(tmp_path / "run"), str(BOOT_SECONDS)]
    result = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount_and_run, *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    expected = "DiskFullError | no room is left on the baking host's disk, so the machine was stopped | []\n"
    assert (result.stdout, result.stderr) == (expected, "")


def traces_of(address: Address, home: Home) -> list[str]:
    """What must not be in the image: of both public keys the end (all begin alike), the private host key, the timer."""
    (folder,) = home.work.iterdir()
    private = re.search(rb"BEGIN OPENSSH PRIVATE KEY-----(.+?)-----END", (folder / "seed.iso").read_bytes())
    assert private is not None
    _, header, *lines, _ = private[1].decode().split("\\n")  # the header is the same in all keys
    assert len(lines) >= 3
    assert header.startswith("b3BlbnNzaC1rZXktdjE")
    return [address.key.public.split()[1][30:], address.host_key.split()[1][30:], *lines, DESCRIPTION]


def death_of(machine: QemuMachine) -> MachineDiedError:
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        try:
            machine.check_alive()
        except MachineDiedError as error:
            return error
        time.sleep(0.2)
    raise AssertionError("the machine did not switch itself off")
