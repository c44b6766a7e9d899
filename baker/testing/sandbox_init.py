"""The first process of a sandbox machine: accepts connections for sshd, reaps, restarts, and dies with its starter.

This file runs inside the sandbox, by the sandbox's own Python, and imports the standard library alone.

Descriptor 0 is the lifeline: first a line of JSON with what this machine is (`Seed`), then nothing, until its end
says that whoever started the sandbox is gone. Descriptor 1 is told `ready` once. The listening socket's number is
argv[1]: sshd is started for each connection, so that no port is ever chosen twice or held by nobody. A restart
(SIGINT) ends every process, empties /run and gives a new boot id; stopping (SIGUSR2) ends them, this one too, and
with it the machine.
"""

import json
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")
_INSTANCE_ID = Path("/var/lib/cloud/data/instance-id")  # where cloud-init keeps it, and what the seal removes
_DISKS = Path("/dev/disk")
_FILE_SYSTEMS = "ext4,xfs"
_HOST_KEY = Path("/etc/ssh/ssh_host_ed25519_key")
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_TERM_SECONDS = 1.0


def main() -> None:
    """Serve until the lifeline ends or the machine is told to stop."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    wakeup_read, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    os.set_inheritable(0, False)
    signal.set_wakeup_fd(wakeup_write)
    for signum in (signal.SIGCHLD, signal.SIGINT, signal.SIGUSR2):
        signal.signal(signum, lambda *_: None)
    seed = json.loads(_read_line(0))
    first = _be_introduced(seed)
    _boot(seed)
    if first:
        for command in seed["run_commands"]:
            _run(command)
    os.write(1, b"ready\n")
    poll = select.poll()
    for descriptor in (0, wakeup_read, listener.fileno()):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        signals = os.read(wakeup_read, 4096) if wakeup_read in ready else b""
        if 0 in ready:
            return
        if signal.SIGUSR2 in signals:
            _end_all()
            _unmount()
            return
        _reap()
        if signal.SIGINT in signals:
            _end_all()
            _unmount()
            _boot(seed)
        elif listener.fileno() in ready:
            _serve(listener)


def _read_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            sys.exit("the starter is gone")
        line += byte
    return line


def _be_introduced(seed: dict[str, Any]) -> bool:
    """Do once for each instance what cloud-init does; whether it was the first time."""
    if _INSTANCE_ID.exists() and _INSTANCE_ID.read_text().strip() == seed["instance_id"]:
        return False
    name = seed["host_name"]
    Path("/etc/hostname").write_text(f"{name}\n")
    hosts = Path("/etc/hosts")
    hosts.unlink(missing_ok=True)
    hosts.write_text(f"127.0.0.1 localhost {name}\n::1 localhost\n")
    if seed["host_key"]:
        for key in _HOST_KEY.parent.glob("ssh_host_*"):
            key.unlink()
        _HOST_KEY.touch(0o600)
        _HOST_KEY.write_text(seed["host_key"]["private"])
        _HOST_KEY.with_suffix(".pub").write_text(seed["host_key"]["public"] + "\n")
    for account in seed["accounts"]:
        _let_in(account)
    for file in seed["files"]:
        path = Path(file["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["content"])
        path.chmod(file["mode"])
    _INSTANCE_ID.parent.mkdir(parents=True, exist_ok=True)
    _INSTANCE_ID.write_text(f"{seed['instance_id']}\n")
    return True


def _let_in(account: dict[str, Any]) -> None:
    name = account["name"]
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        subprocess.run(
            ["useradd", "--create-home", "--shell", "/bin/bash", "--password", "*", name], env=_ENVIRONMENT, check=True
        )
        entry = pwd.getpwnam(name)
        if account["sudo"]:
            rule = Path("/etc/sudoers.d/90-cloud-init-users")
            rule.touch(0o440)
            rule.write_text(f"{name} ALL=(ALL) NOPASSWD:ALL\n")
    ssh = Path(entry.pw_dir) / ".ssh"
    ssh.mkdir(0o700, exist_ok=True)
    keys = ssh / "authorized_keys"
    keys.touch(0o600)
    with keys.open("a") as file:
        file.writelines(f"{key}\n" for key in account["keys"])
    for path in (ssh, keys):
        shutil.chown(path, entry.pw_uid, entry.pw_gid)


def _boot(seed: dict[str, Any]) -> None:
    for entry in Path("/run").iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for name in ("sshd", "lock"):
        (Path("/run") / name).mkdir(0o755)
    (Path("/run") / "lock").chmod(0o1777)
    _BOOT_ID.write_text(f"{uuid.uuid4()}\n")
    if not _MACHINE_ID.exists() or not _MACHINE_ID.stat().st_size:  # as systemd does
        _MACHINE_ID.unlink(missing_ok=True)
        _MACHINE_ID.write_text(f"{uuid.uuid4().hex}\n")
    if not _HOST_KEY.exists():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(_HOST_KEY)], env=_ENVIRONMENT, check=True
        )
    if _DISKS.exists():
        _run(f"mount --all --types {_FILE_SYSTEMS}")
    for command in seed["boot_commands"]:
        _run(command)


def _unmount() -> None:
    if _DISKS.exists():
        _run(f"umount --all --types {_FILE_SYSTEMS}")


def _run(command: str) -> None:
    """A line of shell as cloud-init runs it: what it says goes to the console, how it ends stops nothing."""
    ended = subprocess.run(
        ["/bin/sh", "-c", command], env=_ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=2, check=False
    )
    if ended.returncode:
        print(f"exit code {ended.returncode}: {command}", file=sys.stderr)  # noqa: T201


def _serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        os.posix_spawn(
            "/usr/sbin/sshd",
            ["/usr/sbin/sshd", "-i", "-e"],
            {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, connection.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, connection.fileno(), 1),
            ],
            setsigdef=(signal.SIGPIPE,),
        )


def _reap() -> bool:
    """Collect what has ended; whether any process is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _end_all() -> None:
    deadline = time.monotonic() + _TERM_SECONDS
    signum = signal.SIGTERM
    while _reap():
        try:
            os.kill(-1, signum)
        except ProcessLookupError:
            continue
        if time.monotonic() > deadline:
            signum = signal.SIGKILL
        time.sleep(0.01)


if __name__ == "__main__":
    main()
