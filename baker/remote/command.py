"""The text that a machine's login shell is given, and the script that ends a command with all its children.

Pure: builds strings, runs nothing. Three rules are kept here:

- Every command carries a token in its environment, so that what it started can be found again, also when that made
  itself a session of its own. sshd gives each command its own session, which finds what lost its environment. A
  command that is ended before it could be found (sshd and sudo take a moment) finds its token among the ended ones.
- A secret is never part of an argument: it comes in on stdin, before the command's own stdin.
- No file is left behind, and a short command costs no more than opening a channel and running it.
"""

import base64
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from baker.errors import StepError

TOKEN_VARIABLE = "BAKER_COMMAND"  # noqa: S105  (the name of a variable)

_ENDED_FOLDER = "/run/baker/ended"
"""On the machine, in tmpfs: an empty file for each token whose command must not start any more."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_READ_VARIABLE = (
    'IFS= read -r BAKER_LINE && {name}=$(printf %s "$BAKER_LINE" | base64 -d && printf x) && '
    'export {name}="${{{name}%x}}" && unset BAKER_LINE || exit 125'
)
"""`read` takes single bytes from a pipe, so the rest of stdin stays the command's. The x keeps last line breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCommand:
    """A command, ready for the login shell. `head` goes into its stdin before anything else."""

    text: str
    head: bytes = field(repr=False)
    token: str


def machine_command(
    command: str | Sequence[str],
    *,
    sudo: bool = False,
    env: Mapping[str, str] | None = None,
    secret_env: Mapping[str, str] | None = None,
) -> MachineCommand:
    """`command` (a `str` for /bin/sh, a sequence as exact arguments) with its user and environment.

    StepError for a variable that no shell can have.
    """
    token = secrets.token_hex(8)
    plain, secret = dict(env or {}), dict(secret_env or {})
    for name in (*plain, *secret):
        if not _NAME.fullmatch(name):
            raise StepError(f"{name!r} is no name for an environment variable")
    script = [f"[ ! -e {_ENDED_FOLDER}/{token} ] || exit 125"]
    script += [_READ_VARIABLE.format(name=name) for name in secret]
    script.append(command if isinstance(command, str) else f"exec {shlex.join(command)}")
    words = ["sudo", "-n", "-H", "--"] if sudo else []
    words += ["env", f"{TOKEN_VARIABLE}={token}", *(f"{name}={value}" for name, value in plain.items())]
    words += ["/bin/sh", "-c", "\n".join(script)]
    return MachineCommand(
        # The login shell stays and reports, because a command that ends by a signal itself has no exit code in SSH.
        text=f"{shlex.join(words)}; exit $?",
        head=b"".join(base64.b64encode(value.encode("utf-8", "surrogateescape")) + b"\n" for value in secret.values()),
        token=token,
    )


def shown(command: str | Sequence[str]) -> str:
    """`command` for a person."""
    return command if isinstance(command, str) else shlex.join(command)


def end_command(token: str, *, grace_seconds: int, kill_seconds: int = 10) -> str:
    """A command that ends all that the command of `token` started: TERM, after a grace KILL, and waits until gone.

    Found are its processes by the token in their environment, and by session and parent from there. Not found is one
    that has lost all three, as a service that systemd started for it.
    Needs sh, awk, grep and sed (essential in every distribution), and root. Exits with 1 and the list of processes
    when some are left after `kill_seconds` more.
    """
    words = ["sudo", "-n", "/bin/sh", "-c", _END_SCRIPT, "end", token, str(grace_seconds), str(kill_seconds)]
    return shlex.join(words)


_END_SCRIPT = (
    f"ended={_ENDED_FOLDER} variable={TOKEN_VARIABLE[:-1]}[{TOKEN_VARIABLE[-1]}]"  # which does not match itself
    + r"""
token=$1 grace=$2 kill_after=$3 sessions= termed= start=$(date +%s)
mkdir -p $ended; chmod 0711 /run/baker $ended; : >$ended/$token
members() {
  {
    grep -ls "$variable=$token" /proc/[0-9]*/environ /proc/[0-9]*/cmdline | sed 's|^/proc/\([0-9]*\)/.*|token \1|'
    cat /proc/[0-9]*/stat 2>/dev/null
  } | awk -v known="$sessions" '
    $1 == "token" { member[$2] = 1; next }
    {
      pid = $1; rest = $0; sub(/^.*\) /, "", rest); split(rest, f, " ")
      if (f[1] == "Z" || f[1] == "X" || pid < 2) next
      parent[pid] = f[2]; session[pid] = f[4]
    }
    END {
      n = split(known, list, " "); for (i = 1; i <= n; i++) in_session[list[i]] = 1
      do {
        changed = 0
        for (pid in parent) {
          if (!(pid in taken) && ((pid in member) || (session[pid] in in_session) || (parent[pid] in taken))) {
            taken[pid] = 1; changed = 1
            if (session[pid] > 0) in_session[session[pid]] = 1
          }
        }
      } while (changed)
      for (pid in taken) printf "%s ", pid
      printf "/"
      for (s in in_session) printf "%s ", s
    }'
}
while :; do
  found=$(members); pids=${found%%/*} sessions=${found#*/}
  [ -n "$pids" ] || exit 0
  elapsed=$(($(date +%s) - start))
  if [ -z "$termed" ]; then
    termed=yes; kill -TERM $pids 2>/dev/null; kill -CONT $pids 2>/dev/null
  elif [ $elapsed -ge $grace ]; then
    kill -KILL $pids 2>/dev/null
  fi
  if [ $elapsed -ge $((grace + kill_after)) ]; then
    for pid in $pids; do tr '\0' ' ' </proc/$pid/cmdline; echo "(process $pid)"; done 2>/dev/null
    exit 1
  fi
  sleep 0.1
done
"""
)
