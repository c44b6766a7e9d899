"""The first process of a sandbox machine: accepts connections for sshd, reaps, restarts, and dies with its starter.

This file runs inside the sandbox, by the sandbox's own Python, and imports the standard library alone.

Descriptor 0 is the lifeline: first a line of JSON with what this machine is, then nothing, until its end says that
whoever started the sandbox is gone. Descriptor 1 is told `ready` once. The listening socket's number is argv[1]:
sshd is started for each connection, so that no port is ever chosen twice or held by nobody. A restart (SIGINT) ends
every process, empties /run and gives a new boot id; stopping (SIGUSR2) ends this process and with it the machine.
"""

import json
import os
import select
import shutil
import signal
import socket
import sys
import time
import uuid
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
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
    _set_up(json.loads(_read_line(0)))
    _boot()
    os.write(1, b"ready\n")
    poll = select.poll()
    for descriptor in (0, wakeup_read, listener.fileno()):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        signals = os.read(wakeup_read, 4096) if wakeup_read in ready else b""
        if 0 in ready or signal.SIGUSR2 in signals:
            return
        _reap()
        if signal.SIGINT in signals:
            _end_all()
            _boot()
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


def _set_up(machine: dict[str, str]) -> None:
    """What cloud-init does on a real machine."""
    host_key = Path("/etc/ssh/ssh_host_ed25519_key")
    host_key.touch(0o600)
    host_key.write_text(machine["host_key"])
    host_key.with_suffix(".pub").write_text(machine["host_key_public"] + "\n")
    ssh = Path("/home") / machine["user"] / ".ssh"
    ssh.mkdir(0o700)
    keys = ssh / "authorized_keys"
    keys.write_text(machine["user_key_public"] + "\n")
    keys.chmod(0o600)
    for path in (ssh, keys):
        shutil.chown(path, machine["user"], machine["user"])


def _boot() -> None:
    for entry in Path("/run").iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for name in ("sshd", "lock"):
        (Path("/run") / name).mkdir(0o755)
    (Path("/run") / "lock").chmod(0o1777)
    _BOOT_ID.write_text(f"{uuid.uuid4()}\n")


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
