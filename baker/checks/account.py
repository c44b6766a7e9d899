"""Runs a program as a user that the bake never had.

The login user of the bake has files, groups and settings that nobody will have who uses the image. So an account is
made as the machine makes every new one (its home from /etc/skel), the program runs in it, and the account goes
again with its processes, its home and its temporary files, whatever happened.
"""

import secrets
import shlex
from contextlib import AbstractContextManager
from importlib.resources import files
from typing import Protocol

from baker.errors import CommandTimeoutError


class Result(Protocol):
    """Of a command, as testinfra has it."""

    @property
    def rc(self) -> int: ...

    @property
    def stdout(self) -> str: ...

    @property
    def stderr(self) -> str: ...


class Host(Protocol):
    """What the ready-made checks use of testinfra's `host`. `stdin` and `timeout` are our backend's."""

    def run(self, command: str, *args: str, stdin: bytes | None = None, timeout: float | None = None) -> Result: ...

    def sudo(self, user: str | None = None) -> AbstractContextManager[object]: ...


LAST_LINES = 15
"""How much of what a program said is shown."""

_AS_NEW_USER = r"""
account=$1 bin=$2 stopped=; shift 2
finish() {
  trap '' TERM INT HUP PIPE
  as_account --clear-groups -- /bin/sh -c 'kill -KILL -1' 2>/dev/null
  find /tmp /var/tmp /dev/shm -xdev -user "$account" -delete 2>/dev/null
  cd /
  userdel --force --remove "$account" 2>/dev/null
  if id "$account" >/dev/null 2>&1; then
    echo "the account $account, made for this check, could not be removed" >&2
    exit 125
  fi
}
as_account() { setpriv --reuid="$account" --regid="$account" "$@"; }
trap finish EXIT
trap 'stopped=yes' TERM INT HUP PIPE
useradd --create-home --user-group --shell /bin/sh --comment 'made for a check' "$account" || exit 125
cd "$(getent passwd "$account" | cut -d: -f6)" || exit 125
exec 3<&0
[ -z "$stopped" ] || exit 143
as_account --init-groups --reset-env -- \
  env PATH="$bin:/usr/local/bin:/usr/bin:/bin" LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 "$@" <&3 3<&- &
wait $!
"""
"""In the background, because a shell acts on a signal only after a foreground command has ended by itself.

A signal does no more than end the `wait`: there is often a second one (from sudo, which passes it on), and an `exit`
in the middle of `finish` would leave the account behind. So would SIGPIPE: a shell tells of its killed child on a
stderr that a connection has closed.
"""


def run_probe(host: Host, probe: str, *arguments: str, prefix: str, timeout: float) -> None:
    """Run `probes/<probe>.py` by the Python of `prefix` as a new user; AssertionError when it does not exit with 0.

    The program reaches the machine through stdin, so that no file of ours is there. `timeout` is in seconds, and
    generous: an emulated machine takes 20 times as long as a real one.
    """
    program = files("baker.checks.probes").joinpath(f"{probe}.py").read_bytes()
    account = f"check-{secrets.token_hex(4)}"
    binaries = f"{prefix}/bin"
    words = [_AS_NEW_USER, "check", account, binaries, f"{binaries}/python", "-", *arguments]
    try:
        with host.sudo():
            result = host.run(shlex.join(["/bin/sh", "-c", *words]), stdin=program, timeout=timeout)
    except CommandTimeoutError as error:
        raise AssertionError(f"expected it to end within {timeout:g} s; it was still running, and was ended") from error
    if result.rc != 0:
        raise AssertionError(_complaint(result, account))


def _complaint(result: Result, account: str) -> str:
    lines = (result.stdout.rstrip() + "\n" + result.stderr.rstrip()).strip().splitlines()
    said = "\n".join(lines[-LAST_LINES:]).replace(account, "the user")
    return f"{said or '(no output)'}\n(exit code {result.rc})"
