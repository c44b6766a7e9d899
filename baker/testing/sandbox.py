"""The sandbox machine: a private root on this host with a real sshd, for tests that a virtual machine is too slow for.

A machine is an overlay in memory over a Debian tree, in mount, pid, ipc and uts namespaces of its own, without the
capabilities that reach past them: no host device or path is visible, the host's clock, kernel settings and devices
are out of reach, and nothing that happens inside touches a disk. The network is the host's, so that a test can serve
things on loopback; the machine itself listens on 127.0.0.1 alone. It ends with the process that started it, also
when that one is killed.

`Sandbox` is a machine that a test logs in to. `PrivateRoot` is the same thing seen from a cloud: it is told by a `Seed`
who may log in, and what it changed can outlive it in a folder, its disk, on which it starts again. A copy of that
folder is an image: whoever needs a cloud's API in front of it builds on these two.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from baker.artifact import Artifact
from baker.errors import CaptureError, LaunchError, MachineDiedError
from baker.home import Home
from baker.keys import new_key_pair
from baker.ports import Address, KeyPair, RemovedLater
from baker.provisioner import Remote
from baker.testing.sandbox_tree import LOGIN_USER, require_root, sandbox_tree

__all__ = ["Account", "BlockDevice", "File", "PrivateRoot", "Sandbox", "Seed", "copy_disk", "sandbox_tree"]

_READY_SECONDS = 30
_STOP_SECONDS = 10
_LAST_WORDS_BYTES = 4000

_KEPT_CAPABILITIES = (
    "audit_write", "chown", "dac_override", "fowner", "fsetid", "kill", "net_bind_service", "setfcap", "setgid",
    "setpcap", "setuid", "sys_chroot", "sys_ptrace",
)  # fmt: skip
"""Enough for sshd, sudo and package managers; not mknod (the host's disks), sys_time, sys_boot or sys_admin."""

_ENTER = r"""
set -eu; tree=$1 mount=$2 init=$3 listener=$4 capabilities=$5 host_name=$6 disk=$7; shift 7
hostname "$host_name"
mount -t tmpfs -o mode=0755 sandbox "$mount"
cd "$mount"
mkdir lower disk root
mount --bind "$tree" lower   # so that no character of its path means anything to overlayfs
if [ -n "$disk" ]; then mount --bind "$disk" disk; fi
mkdir -p disk/upper
rm -rf disk/work; mkdir disk/work
mount -t overlay -o lowerdir=lower,upperdir=disk/upper,workdir=disk/work sandbox root
for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
  if [ -e "$file" ]; then rm -f "root$file"; cp -L "$file" "root$file"; fi
done
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
mount -t tmpfs -o mode=0555 sys sys
give() {   # a block device of the host, with other names for it, and what lsblk reads of it; not in sys/class, where
           # libudev would find it, and lsblk believe it, that there is nothing on it
  name=$1; shift
  cp -a "/dev/$name" "dev/$name"
  for alias; do mkdir -p "$(dirname "dev/$alias")"; ln -s "/dev/$name" "dev/$alias"; done
  entry=devices/virtual/block/$name
  mkdir -p "sys/$entry" sys/block sys/dev/block
  mount --bind "/sys/class/block/$name" "sys/$entry"
  mount -o remount,bind,ro "sys/$entry"
  ln -s "../$entry" "sys/block/$name"
  ln -s "../../$entry" "sys/dev/block/$(cat "/sys/class/block/$name/dev")"
}
for device; do give $device; done
mount -o remount,ro sys
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who may log in, with which public keys. Made when the root has none of this name; `sudo` without a password."""

    name: str
    keys: tuple[str, ...]
    sudo: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is written before anybody can log in."""

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What a machine is told, as cloud-init would be. Acted on once for each `instance_id`, but for `boot_commands`.

    `host_key` None: the machine makes one where it has none. `boot_commands` run as root at each boot, before anybody
    can log in, `run_commands` after them at the first; each is a line of shell.
    """

    instance_id: str
    host_name: str = "sandbox"
    accounts: tuple[Account, ...] = ()
    host_key: KeyPair | None = None
    files: tuple[File, ...] = ()
    boot_commands: tuple[str, ...] = ()
    run_commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDevice:
    """A block device of the host, by its name below /dev, that a machine gets; `aliases` are other names for it there.

    No name holds a blank.
    """

    name: str
    aliases: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class PrivateRoot:
    """The processes of a running sandbox machine, and its root. Make one with `start`; it listens on 127.0.0.1:port."""

    port: int
    _process: subprocess.Popen[bytes] = field(repr=False)
    _log: int = field(repr=False)

    @classmethod
    def start(
        cls,
        tree: Path,
        seed: Seed,
        *,
        may_mount: bool = False,
        disk: Path | None = None,
        devices: tuple[BlockDevice, ...] = (),
    ) -> "PrivateRoot":
        """A machine on `tree`; somebody can log in when this returns.

        `disk` is a folder that receives what the machine changes and keeps it when the machine has ended, at most one
        running machine at a time; it has to lie on a file system that overlayfs writes to (tmpfs, ext4, xfs).
        `may_mount` gives its root sys_admin, in its own namespaces: for the seal, which binds files in a tmpfs, and for
        `devices`, which are mounted at each boot as its /etc/fstab says. LaunchError when it does not start.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
            log = os.memfd_create("sandbox-log")
            capabilities = (*_KEPT_CAPABILITIES, *(("sys_admin",) if may_mount else ()))
            process = _enter(
                tree, disk, devices, seed.host_name, listener=listener.fileno(), log=log, capabilities=capabilities
            )
        root = cls(port=port, _process=process, _log=log)
        try:
            root._introduce(seed)
        except BaseException:
            root.kill()
            raise
        return root

    @property
    def running(self) -> bool:
        """Whether it has not ended: by `kill`, by `stop`, or from inside."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """What its init and its sshd complained about."""
        size = os.fstat(self._log).st_size
        words = os.pread(self._log, _LAST_WORDS_BYTES, max(0, size - _LAST_WORDS_BYTES))
        return words.decode("utf-8", "replace").strip()

    def stop(self) -> None:
        """As its power button: let its processes end, then end it. It has ended when this returns."""
        self._signal_first_process(signal.SIGUSR2)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self.kill()

    def restart(self) -> None:
        """As its reset button, but that its processes may end; returns at once."""
        self._signal_first_process(signal.SIGINT)

    def kill(self) -> None:
        """End it at once. All its processes are gone when this returns. Idempotent."""
        self._signal_first_process(signal.SIGKILL)  # and the kernel all others, before unshare can wait for it and end
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _signal_first_process(self, signum: signal.Signals) -> None:
        if self._process.poll() is not None:
            return
        unshare = self._process.pid
        children = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
        if not children:
            self._process.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signum)

    def _introduce(self, seed: Seed) -> None:
        """Tell the machine who it is, and wait until it is."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(asdict(seed)).encode() + b"\n")
            stdin.flush()
        ready, _, _ = select.select([stdout], [], [], _READY_SECONDS)
        if not ready or stdout.readline() != b"ready\n":
            raise LaunchError("the sandbox machine does not start", details=(("its last words", self.last_words()),))


@dataclass(slots=True, kw_only=True)
class Sandbox:
    """A running sandbox machine; a `baker.ports.Machine` that makes no image of itself. Make one with `start`."""

    id: str
    address: Address
    disks: Mapping[str, str] = field(default_factory=dict)
    _root: PrivateRoot = field(repr=False)

    @classmethod
    def start(
        cls,
        tree: Path | None = None,
        *,
        may_mount: bool = False,
        disk: Path | None = None,
        login_user: str = LOGIN_USER,
    ) -> "Sandbox":
        """A machine on `tree`, by default the one in the baker's home; ready to be logged in to, by keys made for it.

        `may_mount` and `disk` as in `PrivateRoot.start`: once it has ended, `copy_disk` makes an image of its disk.
        `login_user` is made when it is not there. BuilderUnavailableError without root, LaunchError when it does not
        start.
        """
        require_root()
        tree = tree or sandbox_tree(Home.from_environment())
        user_key, host_key = new_key_pair("baker-sandbox-user"), new_key_pair("baker-sandbox-host")
        seed = Seed(
            instance_id=uuid.uuid4().hex,
            accounts=(Account(name=login_user, keys=(user_key.public,)),),
            host_key=host_key,
        )
        root = PrivateRoot.start(tree, seed, may_mount=may_mount, disk=disk)
        return cls(
            id=f"sandbox-{root.port}",
            address=Address(host="127.0.0.1", port=root.port, user=login_user, key=user_key, host_key=host_key.public),
            _root=root,
        )

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def check_alive(self) -> None:
        """See `baker.ports.Machine`."""
        if not self._root.running:
            raise MachineDiedError("the sandbox machine has ended", details=(("its last words", self.diagnose()),))

    def diagnose(self) -> str:
        """What its init and its sshd complained about."""
        return self._root.last_words()

    @property
    def removed_by_finalize(self) -> RemovedLater:
        """Nothing: the seal removes it all."""
        return RemovedLater()

    def finalize(self, remote: Remote) -> None:
        """Nothing to do: nothing is on a disk."""

    def capture(self, name: str, labels: Mapping[str, str]) -> Artifact:
        """CaptureError, always."""
        raise CaptureError(f"a sandbox machine cannot become the image {name}", details=tuple(labels.items()))

    def stop(self) -> None:
        """As its power button. It has ended when this returns, and its disk is whole."""
        self._root.stop()

    def kill(self) -> None:
        """See `baker.ports.Machine`. All its processes are gone when this returns."""
        self._root.kill()


def copy_disk(disk: Path, copy: Path) -> None:
    """Copy the disk of a machine that has ended, with all that overlayfs keeps in it; `copy` must not exist."""
    subprocess.run(["cp", "--archive", "--no-target-directory", str(disk), str(copy)], check=True, capture_output=True)


def _enter(
    tree: Path,
    disk: Path | None,
    devices: tuple[BlockDevice, ...],
    host_name: str,
    *,
    listener: int,
    log: int,
    capabilities: tuple[str, ...],
) -> subprocess.Popen[bytes]:
    """Start the first process of a machine, in namespaces of its own."""
    mount = tree.with_name(f"{tree.name}.mount")  # one for all: each machine mounts on it in its own namespace
    mount.mkdir(exist_ok=True)
    init = Path(__file__).with_name("sandbox_init.py")
    given = [" ".join((it.name, *it.aliases)) for it in devices]
    kept = ",".join(f"+{name}" for name in capabilities)
    namespaces = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "private"]
    script = ["/bin/sh", "-c", _ENTER, "enter", str(tree), str(mount), str(init), str(listener), kept, host_name]
    return subprocess.Popen(
        [*namespaces, "--", *script, str(disk) if disk else "", *given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        pass_fds=(listener,),
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        cwd="/",
        start_new_session=True,  # Ctrl-C is for the test, which then ends this
    )
