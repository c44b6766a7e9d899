"""The sandbox machine: nothing inside reaches out, and nothing of it stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from baker.clock import SystemClock
from baker.errors import CaptureError, ConnectionLostError, MachineDiedError
from baker.keys import new_key_pair
from baker.ports import Address, Machine
from baker.testing.sandbox import Account, File, PrivateRoot, Sandbox, Seed
from baker.wait import wait_until

pytestmark = pytest.mark.sandbox


def processes_in(namespace):
    """The host's processes in a pid namespace."""
    found = []
    for path in Path("/proc").glob("[0-9]*/ns/pid"):
        try:
            if str(path.readlink()) == namespace:
                found.append(int(path.parts[2]))
        except OSError:
            continue
    return found


def namespace_of(remote):
    return remote.run("readlink /proc/self/ns/pid", sudo=True, quiet=True).stdout.strip()


def host_state():
    """What a machine must not change on the host."""
    return {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "name": os.uname().nodename,
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text(),
        "settings": Path("/proc/sys/vm/swappiness").read_text(),
        "devices": sorted(Path("/dev").iterdir()),
        "run": sorted(Path("/run").iterdir()),
        "accounts": Path("/etc/passwd").read_text() + Path("/etc/hosts").read_text(),
        "routes": Path("/proc/net/route").read_text(),
    }


def test_it_is_a_machine(shared_sandbox):
    machine: Machine = shared_sandbox
    machine.check_alive()
    assert machine.disks == {}
    assert machine.address.host == "127.0.0.1"
    with pytest.raises(CaptureError):
        machine.capture("x", {})


def test_what_is_done_inside_stays_inside(remote, sandbox_root):
    before = host_state()
    tree_before = sorted(path.name for path in sandbox_root.iterdir())
    remote.run("rm -rf /etc/hosts /home /srv /mnt; echo x >/etc/passwd2; hostname || true", sudo=True)
    remote.put(b"mark", "/marker-of-a-sandbox")
    for attempt in (
        "hostname changed",
        "date -s 2001-01-01",
        "sysctl -w vm.swappiness=1",
        "echo b >/proc/sysrq-trigger",
        "mknod /tmp/disk b 254 0",
        "mount -t tmpfs x /mnt",
        "mount -o remount,rw /proc/sys",
        "ip link add dummy9 type dummy",
        "ip route add 203.0.113.0/24 dev lo",
        "nsenter -t 1 -m true",
        "python3 -c 'import ctypes; exit(ctypes.CDLL(None).reboot(0x01234567))'",
        "swapoff -a && modprobe loop",
        "chroot /proc/1/root ls /.outside",
    ):
        remote.run(attempt, sudo=True, check=False, quiet=True)
    assert host_state() == before
    assert sorted(path.name for path in sandbox_root.iterdir()) == tree_before
    assert not Path("/marker-of-a-sandbox").exists()


def test_no_path_and_no_device_of_the_host_is_visible(shared_remote, tmp_path):
    (tmp_path / "secret").write_text("x")
    assert shared_remote.run(["ls", str(tmp_path)], sudo=True, check=False).exit_code == 2
    assert shared_remote.run("find /dev -type b; ls -A /sys", sudo=True).stdout == ""
    assert str(Path.cwd()) not in shared_remote.run("cat /proc/self/mountinfo", sudo=True).stdout
    assert "pytest" not in shared_remote.run("cat /proc/[0-9]*/cmdline | tr -d '\\0'", sudo=True, check=False).stdout
    assert shared_remote.run("find /proc/1/fd -lname '/*' ! -lname '/dev/*' -printf '%l\\n'", sudo=True).stdout in (
        "",
        "/memfd:sandbox-log (deleted)\n",
    )


def test_it_listens_on_loopback_alone(shared_sandbox):
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1] for row in table if row[3] == "0A" and row[1].endswith(f":{shared_sandbox.address.port:04X}")]
    assert listening == [f"0100007F:{shared_sandbox.address.port:04X}"]
    six = [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    assert not [row for row in six if row[3] == "0A" and row[1].endswith(f":{shared_sandbox.address.port:04X}")]


def test_ending_it_leaves_no_process_no_mount_and_no_listener(sandbox_root, make_remote):
    before = Path("/proc/self/mountinfo").read_text()
    with Sandbox.start(sandbox_root) as machine:
        remote = make_remote(machine)
        remote.run("setsid sleep 600 >/dev/null 2>&1 & setsid sudo sleep 600 >/dev/null 2>&1 & true")
        namespace = namespace_of(remote)
        assert len(processes_in(namespace)) >= 4
    assert processes_in(namespace) == []
    assert Path("/proc/self/mountinfo").read_text() == before
    assert list(sandbox_root.with_name(f"{sandbox_root.name}.mount").iterdir()) == []
    with pytest.raises(MachineDiedError):
        machine.check_alive()
    machine.kill()


STARTER = """
import sys
from pathlib import Path
from baker.keys import new_key_pair
from baker.ports import Address, Machine
from baker.testing.sandbox import Account, File, PrivateRoot, Sandbox, Seed
machine = Sandbox.start(Path(sys.argv[1]))
print(machine._root._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_starter(sandbox_root, signum):
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(sandbox_root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with starter:
        unshare = int(starter.stdout.readline())
        (init,) = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
        namespace = str(Path(f"/proc/{init}/ns/pid").readlink())
        assert processes_in(namespace)
        starter.send_signal(signum)
        starter.wait()
    gone = wait_until(lambda: not processes_in(namespace) or None, timeout=30, clock=SystemClock())
    assert gone
    assert wait_until(lambda: not Path(f"/proc/{unshare}").exists() or None, timeout=30, clock=SystemClock())


@pytest.mark.parametrize("command", ["reboot", "systemctl reboot", "shutdown -r now"])
def test_a_restart_is_the_machines_alone(remote, command):
    host = Path("/proc/sys/kernel/random/boot_id").read_text()
    before = remote.run("cat /proc/sys/kernel/random/boot_id", quiet=True).stdout
    with pytest.raises(ConnectionLostError):
        remote.run(f"{command}; sleep 600", sudo=True)
    remote.connect(timeout=30)
    assert remote.run("cat /proc/sys/kernel/random/boot_id", quiet=True).stdout not in (before, host)
    assert Path("/proc/sys/kernel/random/boot_id").read_text() == host


@pytest.mark.parametrize("command", ["poweroff", "systemctl poweroff", "shutdown -h now"])
def test_stopping_it_ends_it(remote, sandbox, command):
    with pytest.raises(ConnectionLostError):
        remote.run(f"{command}; sleep 600", sudo=True)

    def dead():
        try:
            sandbox.check_alive()
        except MachineDiedError:
            return True
        return None

    assert wait_until(dead, timeout=30, clock=SystemClock())


def test_two_machines_are_two(sandbox, shared_sandbox, make_remote):
    for machine, name in ((sandbox, "one"), (shared_sandbox, "two")):
        make_remote(machine).put(name.encode(), "/srv/name")
    assert make_remote(sandbox).run("cat /srv/name").stdout == "one"
    make_remote(shared_sandbox).run("rm /srv/name", sudo=True)
    assert sandbox.address.host_key != shared_sandbox.address.host_key


def test_it_starts_quickly_once_its_tree_exists(sandbox_root):
    """Compared with a command on this host, so that a busy host is no failure."""
    started = time.monotonic()
    for _ in range(10):
        subprocess.run([sys.executable, "-c", "import json"], check=True)
    unit = time.monotonic() - started
    started = time.monotonic()
    with Sandbox.start(sandbox_root):
        assert time.monotonic() - started < 10 * unit


SERVICE = """
set -e; cd /tmp; mkdir -p service/DEBIAN service/etc/init.d
cat >service/DEBIAN/control <<END
Package: service
Version: 1
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: a package that starts a service
END
printf '#!/bin/sh\\ninvoke-rc.d service start\\n' >service/DEBIAN/postinst
printf '#!/bin/sh\\ntouch /srv/started\\n' >service/etc/init.d/service
chmod 755 service/DEBIAN/postinst service/etc/init.d/service
dpkg-deb --build service; apt-get install -yq ./service.deb
"""


def test_packages_can_be_installed_and_start_no_service(remote):
    remote.run(SERVICE, sudo=True)
    assert remote.run("dpkg-query -W -f '${Status}' service").stdout == "install ok installed"
    assert remote.run("test -e /srv/started", check=False).exit_code == 1


def test_the_registries_that_the_host_reaches_are_in_reach(shared_remote):
    uris = "apt-get update --print-uris | sed -n \"s|'\\(.*/InRelease\\)'.*|\\1|p\""
    assert shared_remote.run(f"curl -fsS --head $({uris})", sudo=True, timeout=60).stdout.count(" 200") >= 1


USER_KEY, HOST_KEY = new_key_pair("user"), new_key_pair("host")


class SeededMachine(Sandbox):
    """A private root that a test logs in to, as `user`."""

    def __init__(self, root, user):
        address = Address(host="127.0.0.1", port=root.port, user=user, key=USER_KEY, host_key=HOST_KEY.public)
        super().__init__(id="seeded", address=address, _root=root)


def seed(instance_id, user="ada", **more):
    account = Account(name=user, keys=(USER_KEY.public,))
    return Seed(instance_id=instance_id, accounts=(account,), host_key=HOST_KEY, **more)


def test_a_seed_says_who_it_is_and_who_may_log_in(sandbox_root, make_remote):
    told = seed(
        "i-1",
        host_name="reef",
        files=(File(path="/opt/told", content="x\n", mode=0o600),),
        boot_commands=("echo boot >>/var/boots; echo complaint", "exit 3"),
        run_commands=("echo run >>/var/boots",),
    )
    with SeededMachine(PrivateRoot.start(sandbox_root, told), "ada") as machine:
        remote = make_remote(machine)
        assert remote.run("hostname; cat /etc/hostname; id -un; sudo id -un").stdout.split() == [
            "reef", "reef", "ada", "root"
        ]  # fmt: skip
        assert remote.run("stat -c %a /opt/told; cat /opt/told", sudo=True).stdout.split() == ["600", "x"]
        assert machine.diagnose() == "complaint\nexit code 3: exit 3"
        remote.reboot(timeout=60)
        assert remote.run("cat /var/boots").stdout.split() == ["boot", "run", "boot"]
        assert len(remote.run("cat /etc/machine-id").stdout.strip()) == 32


def test_a_disk_outlives_its_machine_and_its_copies_are_machines_of_their_own(sandbox_root, make_remote, tmp_path):
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    root = PrivateRoot.start(sandbox_root, seed("i-1"), disk=disk)
    with SeededMachine(root, "ada") as machine:
        remote = make_remote(machine)
        with pytest.raises(ConnectionLostError):
            remote.run("echo first >/srv/mark; rm -r /usr/share/doc; poweroff; sleep 60", sudo=True)
        assert wait_until(lambda: not root.running or None, timeout=30, clock=SystemClock())
    subprocess.run(["cp", "-a", disk, copy], check=True)
    with SeededMachine(PrivateRoot.start(sandbox_root, seed("i-1"), disk=disk), "ada") as same:
        remote = make_remote(same)
        assert remote.run("cat /srv/mark; grep -c . ~/.ssh/authorized_keys").stdout.split() == ["first", "1"]
        remote.run("echo second >/srv/mark", sudo=True)
    with SeededMachine(PrivateRoot.start(sandbox_root, seed("i-2", "eve"), disk=copy), "eve") as other:
        remote = make_remote(other)
        assert remote.run("cat /srv/mark; ls /usr/share/doc 2>&1 | grep -c cannot").stdout.split() == ["first", "1"]
        assert remote.run("id -un ada").stdout.strip() == "ada"
    assert root.last_words() == ""


def test_its_power_button_lets_processes_end(sandbox_root, make_remote, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    root = PrivateRoot.start(sandbox_root, seed("i-1"), disk=disk)
    with SeededMachine(root, "ada") as machine:
        remote = make_remote(machine)
        remote.run(
            "(trap 'echo ended >/srv/ended; exit' TERM; while :; do sleep 0.1; done) >/dev/null 2>&1 &", sudo=True
        )
        root.stop()
        assert not root.running
    assert (disk / "upper/srv/ended").read_text() == "ended\n"
