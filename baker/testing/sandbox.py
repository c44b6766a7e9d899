"""The sandbox machine: a private root on this host with a real sshd, for tests that a virtual machine is too slow for.

A machine is an overlay in memory over a Debian tree, in mount, pid, ipc and uts namespaces of its own, without the
capabilities that reach past them: no host device or path is visible, the host's clock, kernel settings and devices
are out of reach, and nothing that happens inside touches a disk. The network is the host's, so that a test can serve
things on loopback; the machine itself listens on 127.0.0.1 alone. It ends with the process that started it, also
when that one is killed.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from baker.artifact import Artifact
from baker.errors import CaptureError, LaunchError, MachineDiedError
from baker.home import Home
from baker.keys import new_key_pair
from baker.ports import Address
from baker.provisioner import Remote
from baker.testing.sandbox_tree import LOGIN_USER, require_root, sandbox_tree

__all__ = ["Sandbox", "sandbox_tree"]

_READY_SECONDS = 30
_LAST_WORDS_BYTES = 4000

_KEPT_CAPABILITIES = (
    "audit_write", "chown", "dac_override", "fowner", "fsetid", "kill", "net_bind_service", "setfcap", "setgid",
    "setpcap", "setuid", "sys_chroot", "sys_ptrace",
)  # fmt: skip
"""Enough for sshd, sudo and package managers; not mknod (the host's disks), sys_time, sys_boot or sys_admin."""

_ENTER = r"""
set -eu; tree=$1 mount=$2 init=$3 listener=$4 capabilities=$5
mount -t tmpfs -o mode=0755 sandbox "$mount"
cd "$mount"
mkdir lower upper work root
mount --bind "$tree" lower   # so that no character of its path means anything to overlayfs
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work sandbox root
for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
  if [ -e "$file" ]; then rm -f "root$file"; cp -L "$file" "root$file"; fi
done
printf '127.0.0.1 localhost sandbox\n::1 localhost\n' >root/etc/hosts
echo sandbox >root/etc/hostname
hostname sandbox
install -D -m 0644 "$init" root/usr/lib/baker-sandbox/init.py
: >boot_id
cd root
mount -t tmpfs -o mode=0755,nosuid dev dev
mkdir dev/pts dev/shm
mknod -m 0666 dev/null c 1 3; mknod -m 0666 dev/zero c 1 5; mknod -m 0666 dev/full c 1 7
mknod -m 0666 dev/random c 1 8; mknod -m 0666 dev/urandom c 1 9; mknod -m 0666 dev/tty c 5 0
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5,nosuid,noexec devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev shm dev/shm
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
mount -t proc -o nosuid,nodev,noexec proc proc
for path in sys bus fs irq sysrq-trigger acpi scsi; do
  if [ -e "proc/$path" ]; then mount --bind "proc/$path" "proc/$path"; mount -o remount,bind,ro "proc/$path"; fi
done
for path in kcore keys kmsg kallsyms timer_list sched_debug; do
  if [ -e "proc/$path" ]; then mount --bind dev/null "proc/$path"; fi
done
mount --bind ../boot_id proc/sys/kernel/random/boot_id
mount -t tmpfs -o ro,mode=0555 sys sys
mount -t tmpfs -o mode=0755,nosuid,nodev,noexec run run   # as Debian's initramfs does
mkdir .outside
pivot_root . .outside
cd /
umount -l .outside
rmdir .outside
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  setpriv --bounding-set="-all,$capabilities" --inh-caps=-all \
  /usr/bin/python3 -I -S /usr/lib/baker-sandbox/init.py "$listener"
"""


@dataclass(slots=True, kw_only=True)
class Sandbox:
    """A running sandbox machine; a `baker.ports.Machine` that no image can be made of. Make one with `start`."""

    id: str
    address: Address
    disks: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] = field(repr=False)
    _log: int = field(repr=False)

    @classmethod
    def start(cls, tree: Path | None = None, *, may_mount: bool = False) -> "Sandbox":
        """A machine on `tree`, by default the one in the baker's home; ready to be logged in to.

        `may_mount` gives its root sys_admin, in its own namespaces: for the seal, which binds files in a tmpfs.
        BuilderUnavailableError without root, LaunchError when it does not start.
        """
        require_root()
        tree = tree or sandbox_tree(Home.from_environment())
        user_key, host_key = new_key_pair("baker-sandbox-user"), new_key_pair("baker-sandbox-host")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
            log = os.memfd_create("sandbox-log")
            process = _enter(
                tree, listener.fileno(), log, (*_KEPT_CAPABILITIES, *(("sys_admin",) if may_mount else ()))
            )
        machine = cls(
            id=f"sandbox-{port}",
            address=Address(host="127.0.0.1", port=port, user=LOGIN_USER, key=user_key, host_key=host_key.public),
            _process=process,
            _log=log,
        )
        description = {
            "user": LOGIN_USER,
            "user_key_public": user_key.public,
            "host_key": host_key.private,
            "host_key_public": host_key.public,
        }
        try:
            machine._introduce(description)
        except BaseException:
            machine.kill()
            raise
        return machine

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def check_alive(self) -> None:
        """See `baker.ports.Machine`."""
        if self._process.poll() is not None:
            raise MachineDiedError("the sandbox machine has ended", details=(("its last words", self.diagnose()),))

    def diagnose(self) -> str:
        """What its init and its sshd complained about."""
        size = os.fstat(self._log).st_size
        words = os.pread(self._log, _LAST_WORDS_BYTES, max(0, size - _LAST_WORDS_BYTES))
        return words.decode("utf-8", "replace").strip()

    def finalize(self, remote: Remote) -> None:
        """Nothing to do: nothing is on a disk."""

    def capture(self, name: str, labels: Mapping[str, str]) -> Artifact:
        """CaptureError, always."""
        raise CaptureError(f"a sandbox machine cannot become the image {name}", details=tuple(labels.items()))

    def kill(self) -> None:
        """See `baker.ports.Machine`. All its processes are gone when this returns."""
        self._kill_first_process()  # and the kernel all others, before unshare can wait for it and end
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _kill_first_process(self) -> None:
        if self._process.poll() is not None:
            return
        unshare = self._process.pid
        children = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
        if not children:
            self._process.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)

    def _introduce(self, description: Mapping[str, str]) -> None:
        """Tell the machine who it is, and wait until it is."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(description).encode() + b"\n")
            stdin.flush()
        ready, _, _ = select.select([stdout], [], [], _READY_SECONDS)
        if not ready or stdout.readline() != b"ready\n":
            raise LaunchError("the sandbox machine does not start", details=(("its last words", self.diagnose()),))


def _enter(tree: Path, listener: int, log: int, kept_capabilities: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start the first process of a machine, in namespaces of its own."""
    mount = tree.with_name(f"{tree.name}.mount")  # one for all: each machine mounts on it in its own namespace
    mount.mkdir(exist_ok=True)
    init = Path(__file__).with_name("sandbox_init.py")
    capabilities = ",".join(f"+{name}" for name in kept_capabilities)
    namespaces = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "private"]
    script = ["/bin/sh", "-c", _ENTER, "enter", str(tree), str(mount), str(init), str(listener), capabilities]
    return subprocess.Popen(
        [*namespaces, "--", *script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        pass_fds=(listener,),
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        cwd="/",
        start_new_session=True,  # Ctrl-C is for the test, which then ends this
    )
