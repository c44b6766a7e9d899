"""What is removed from every image, and why: one table, read by people and run by one command.

Only what came into being on the machine is touched, never what a package or the recipe put into a folder of
settings. What access hangs on (keys, accounts, the machine's identity) is not here but in `access`, as it goes last.
"""

import shlex
from dataclasses import dataclass

from baker.errors import SealError
from baker.provisioner import Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrub:
    """One kind of thing to remove, as root.

    `script` runs first. `empty` are folders that stay, without their content. `remove` are patterns of absolute
    paths; `in_homes` are patterns within the home folder of every account. Missing things are no failure.
    """

    what: str
    why: str
    script: str = ""
    empty: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    in_homes: tuple[str, ...] = ()


SCRUBS = (
    Scrub(
        what="histories",
        why="commands and searches of the bake, with whatever was typed in them",
        in_homes=(
            ".bash_history", ".sh_history", ".zsh_history", ".python_history", ".node_repl_history", ".sqlite_history",
            ".mysql_history", ".psql_history", ".lesshst", ".viminfo", ".wget-hsts", ".sudo_as_admin_successful",
            ".ipython/profile_*/history.sqlite*", ".local/share/fish/fish_history", ".Rhistory", ".octave_hist",
            ".julia/logs/repl_history.jl", ".duckdb_history", ".rediscli_history", ".gdb_history",
        ),
    ),
    Scrub(
        what="Jupyter's runtime files",
        why="cookie secrets and keys of connections: who has them can forge a session, or a trusted notebook",
        in_homes=(
            ".local/share/jupyter/runtime", ".local/share/jupyter/notebook_secret",
            ".local/share/jupyter/nbsignatures.db", ".ipython/profile_*/security/*",
        ),
    ),
    Scrub(
        what="logins",
        why="what curl, git and pip log in with: a step wrote it for its own work, and the scan would refuse it",
        in_homes=(".netrc", "_netrc", ".git-credentials", ".cache/git/credential", ".Xauthority"),
    ),
    Scrub(
        what="sockets of agents",
        why="nobody listens there any more, and their names tell who did",
        script="""
cut -d: -f6 /etc/passwd | sort -u | while read -r home; do
  case $home in /home/*|/root) if [ -d "$home" ]; then find "$home/" -xdev -type s -delete; fi ;; esac
done
""",
        in_homes=(".ssh/agent", ".gnupg/S.*"),
    ),
    Scrub(
        what="package caches",
        why="megabytes that age; lists of packages name the bake's mirrors",
        empty=("/var/lib/apt/lists", "/var/cache/apt", "/var/cache/dnf", "/var/cache/libdnf5", "/var/cache/yum"),
        in_homes=(".cache/pip", ".cache/uv", ".cache/conda", ".cache/mamba", ".conda/pkgs", ".mamba/pkgs"),
        remove=("/root/.cache",),
    ),
    Scrub(
        what="conda's package caches",
        why="a second name for every file of the environments; .../pkgs is one only where conda-meta stands beside it",
        # conda knows a writable cache by its urls.txt, in which the bake's mirrors and tokens of channels can stand.
        script="""
(echo /; findmnt --raw --noheadings --output TARGET --types ext4,xfs,btrfs) | sort -u | while read -r root; do
  root=$(printf %b "$root")
  find "$root" -xdev -maxdepth 6 -type d -name conda-meta
done | while read -r meta; do
  cache=${meta%/conda-meta}/pkgs
  if [ -d "$cache" ]; then
    find "$cache" -mindepth 1 ! -path "$cache/urls.txt" -delete
    if [ -f "$cache/urls.txt" ]; then : >"$cache/urls.txt"; fi
  fi
done
""",
    ),
    Scrub(
        what="temporary files",
        why="nobody cleans them up in an image: only those of a boot before are ever removed",
        empty=("/tmp", "/var/tmp"),  # noqa: S108  (folders of the machine)
    ),
    Scrub(
        what="core dumps",
        why="memory of processes, with what they knew",
        empty=("/var/lib/systemd/coredump", "/var/crash"),
        remove=("/core", "/core.[0-9]*"),
    ),
    Scrub(
        what="mail",
        why="cron writes to root",
        empty=("/var/mail", "/var/spool/mail"),
        in_homes=("dead.letter", "mbox"),
    ),
    Scrub(
        what="leases of addresses",
        why="two machines of one image would ask for one address",
        empty=("/var/lib/dhcp", "/var/lib/dhclient", "/var/lib/dhcpcd"),
        remove=("/var/lib/NetworkManager/*.lease", "/var/lib/NetworkManager/secret_key"),
    ),
    Scrub(
        what="seeds of randomness",
        why="machines of one image must not begin with the same one; https://systemd.io/BUILDING_IMAGES",
        # Stopped first: it would write a new seed when the machine goes down.
        script="if [ -d /run/systemd/system ]; then systemctl stop systemd-random-seed.service; fi",
        remove=(
            "/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret", "/var/lib/urandom/random-seed",
            "/boot/loader/random-seed", "/boot/efi/loader/random-seed", "/efi/loader/random-seed",
        ),
    ),
    Scrub(
        what="cloud-init's state",
        why="it must take the next machine for a new one; it keeps the seed, in which keys and host keys stand",
        # The name that the builder gave the machine through cloud-init goes too; one that the recipe chose stays.
        script="""
given=$(sed -n 's/.*"local[-_]hostname": *"\\([^"]*\\)".*/\\1/p' /run/cloud-init/instance-data.json 2>/dev/null || true)
name=$(cat /etc/hostname 2>/dev/null || true)
for host in $given; do
  if [ -n "$name" ] && [ "${name%%.*}" = "${host%%.*}" ]; then
    awk -v name="$name" -v short="${name%%.*}" '
      $1 == "127.0.1.1" { for (i = 2; i <= NF; i++) if ($i == name || $i == short) next } { print }
    ' /etc/hosts >/run/baker-hosts
    cat /run/baker-hosts >/etc/hosts; rm /run/baker-hosts
    echo localhost >/etc/hostname
    break
  fi
done
if command -v cloud-init; then cloud-init clean --logs --seed; fi
""",
        empty=("/var/lib/cloud",),
        remove=("/var/log/cloud-init*.log",),
    ),
    Scrub(
        what="logs",
        why="addresses, names and command lines of the bake",
        # From here on the journal writes to /run alone, and rsyslog not at all: the shutdown would fill them again.
        script="""
if [ -d /run/systemd/system ]; then
  journalctl --relinquish-var
  for unit in syslog.socket rsyslog.service; do
    if systemctl --quiet is-active "$unit"; then systemctl stop "$unit"; fi
  done
fi
find /var/log -xdev -type f \\( -name '*.gz' -o -name '*.xz' -o -name '*.old' -o -name '*.[0-9]' \\) -delete
""",
        empty=("/var/log/journal",),
    ),
    Scrub(
        what="what is left of the logs",
        why="the files stay, empty, with their owners and modes: a daemon that is not root could not make them anew",
        script="find /var/log -xdev -type f -exec truncate --size 0 {} +",
    ),
)  # fmt: skip

_FUNCTIONS = r"""
empty() {
  if [ -d "$1" ]; then find "$1/" -mindepth 1 -xdev -ignore_readdir_race -delete; fi
}
in_homes() {
  for home in $(cut -d: -f6 /etc/passwd | sort -u); do
    if [ -d "$home" ]; then
      for pattern; do
        for path in "$home"/$pattern; do
          if [ -e "$path" ] || [ -L "$path" ]; then rm -rf -- "$path"; fi
        done
      done
    fi
  done
}
"""


def scrub(remote: Remote) -> None:
    """Remove all that SCRUBS names, in one round trip. SealError names each entry that failed, after trying all."""
    result = remote.run(scrub_script(), sudo=True, check=False, quiet=True)
    if result.exit_code != 0:
        said = (result.stdout + result.stderr).strip()
        raise SealError("the machine could not be scrubbed", details=(("failed", said or "(no output)"),))


def scrub_script(scrubs: tuple[Scrub, ...] = SCRUBS) -> str:
    """A script for /bin/sh that runs each entry, prints those that failed and why, and then exits with 1."""
    lines = ["failed=0"]
    for entry in scrubs:
        # A shell of its own: -e has no effect in a subshell whose exit code is asked for.
        lines.append(f"said=$(/bin/sh -euc {shlex.quote(_FUNCTIONS + _body(entry))} 2>&1) ||")
        lines.append(f"  {{ failed=1; printf '%s: %s\\n' {shlex.quote(entry.what)} \"$said\"; }}")
    return "\n".join([*lines, "exit $failed"])


def _body(entry: Scrub) -> str:
    lines = [entry.script.strip()]
    lines += [f"empty {folder}" for folder in entry.empty]
    lines += [f"rm -rf -- {pattern}" for pattern in entry.remove]
    if entry.in_homes:
        lines.append(f"in_homes {shlex.join(entry.in_homes)}")
    return "\n".join(lines)
