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
from baker.ports import Machine
from baker.testing.sandbox import Sandbox
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
from baker.testing.sandbox import Sandbox
machine = Sandbox.start(Path(sys.argv[1]))
print(machine._process.pid, flush=True)
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
