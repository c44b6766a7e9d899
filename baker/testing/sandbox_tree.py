"""The Debian tree that sandbox machines stand on: made once by mmdebstrap, then only read.

It lies in the baking host's source cache under a name that says what is in it, so that a change here makes a new one.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from baker.errors import BuilderUnavailableError, FetchError
from baker.home import Home

LOGIN_USER = "baker"

_PACKAGES = (
    "apt-utils", "bzip2", "ca-certificates", "curl", "e2fsprogs", "fdisk", "git", "gzip", "iproute2",
    "openssh-server", "openssl", "procps", "python3", "python3-venv", "sudo", "tar", "util-linux",
    "xfsprogs", "xz-utils",
)  # fmt: skip

_RELEASE_FILE = re.compile(r"^'(?P<archive>\S+)/dists/(?P<suite>\S+)/InRelease'", re.MULTILINE)

_CUSTOMIZE = r"""
set -eu; root=$1
chroot "$root" useradd --create-home --shell /bin/bash --password '*' baker
install -d -m 0750 "$root/etc/sudoers.d"
echo 'baker ALL=(ALL) NOPASSWD:ALL' >"$root/etc/sudoers.d/90-cloud-init-users"
chmod 0440 "$root/etc/sudoers.d/90-cloud-init-users"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"   # there is no init that could start a service
chmod 0755 "$root/usr/sbin/policy-rc.d"
rm -f "$root"/etc/ssh/ssh_host_*
cat >"$root/etc/ssh/sshd_config" <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
LogLevel ERROR
Subsystem sftp internal-sftp
END
mkdir -p "$root/usr/local/bin"
cat >"$root/usr/local/bin/systemctl" <<'END'
#!/bin/sh
# The sandbox's init is no systemd; it can restart and stop, and takes signals for that as systemd does.
case "$1" in
  reboot) exec kill -s INT 1 ;;
  poweroff|halt) exec kill -s USR2 1 ;;
  is-system-running) echo running ;;
  daemon-reload) ;;
  *) echo "System has not been booted with systemd as init system (PID 1). Can't operate." >&2; exit 1 ;;
esac
END
printf '#!/bin/sh\nexec kill -s INT 1\n' >"$root/usr/local/bin/reboot"
printf '#!/bin/sh\nexec kill -s USR2 1\n' >"$root/usr/local/bin/poweroff"
cat >"$root/usr/local/bin/shutdown" <<'END'
#!/bin/sh
case " $* " in *" -r "*|*" --reboot "*) exec kill -s INT 1 ;; *) exec kill -s USR2 1 ;; esac
END
for name in systemctl reboot poweroff shutdown; do
  chmod 0755 "$root/usr/local/bin/$name"
  [ -e "$root/usr/sbin/$name" ] || ln -s "/usr/local/bin/$name" "$root/usr/sbin/$name"
done
cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
chroot "$root" update-ca-certificates >/dev/null 2>&1
"""


def sandbox_tree(home: Home) -> Path:
    """The tree's folder, made now (about a minute) when it is not there; by one process, while others wait.

    BuilderUnavailableError without root or mmdebstrap, FetchError when the packages cannot be had.
    """
    require_root()
    sources = _host_sources()
    digest = hashlib.sha256("\n".join((*_PACKAGES, _CUSTOMIZE, *sources)).encode()).hexdigest()[:12]
    tree = home.sources / f"sandbox-{digest}"
    if not tree.exists():
        with _lock(home.sources / f"sandbox-{digest}.lock"):
            if not tree.exists():
                _make(tree, sources)
    return tree


def require_root() -> None:
    """BuilderUnavailableError unless this process may make mounts and devices."""
    if os.geteuid() != 0:
        raise BuilderUnavailableError(
            "the sandbox machine needs root",
            hint="run the tests as root, or leave those that need it out: -m 'not sandbox'",
        )


def _make(tree: Path, sources: tuple[str, ...]) -> None:
    if shutil.which("mmdebstrap") is None:
        raise BuilderUnavailableError("mmdebstrap is not installed", hint="apt-get install mmdebstrap")
    for half_made in tree.parent.glob(f"{tree.name}.half-made-*"):
        shutil.rmtree(half_made)
    half_made = tree.with_name(f"{tree.name}.half-made-{secrets.token_hex(4)}")
    script = half_made.with_suffix(".sh")
    script.write_text(_CUSTOMIZE)
    try:
        made = subprocess.run(
            [
                "mmdebstrap",
                "--variant=minbase",
                "--mode=root",
                f"--include={','.join(_PACKAGES)}",
                f'--customize-hook=sh "{script}" "$1"',
                "--quiet",
                "",
                str(half_made),
                "-",
            ],
            input="\n".join(sources) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            last = "\n".join((made.stdout + made.stderr).strip().splitlines()[-12:])
            raise FetchError("the sandbox's tree cannot be made", details=(("mmdebstrap", last),))
        half_made.rename(tree)
    finally:
        script.unlink()
        shutil.rmtree(half_made, ignore_errors=True)


def _host_sources() -> tuple[str, ...]:
    """The baking host's own archive for its own release, as one-line apt sources: it is within reach."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release.get("VERSION_CODENAME", "bookworm").strip('"')
    listed = subprocess.run(["apt-get", "update", "--print-uris"], capture_output=True, text=True, check=False)
    suites = {codename, f"{codename}-updates", f"{codename}-security"}
    found = {match.groups() for match in _RELEASE_FILE.finditer(listed.stdout) if match["suite"] in suites}
    lines = tuple(f"deb {archive} {suite} main" for archive, suite in sorted(found))
    return lines or (f"deb http://deb.debian.org/debian {codename} main",)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
