"""The machine's part of the scan: every file of every file system that will be in the image, read once or twice.

One command, which sends back only what may matter: lines that hold a sign of a secret with a few lines after them,
lines that hold a secret of the recipe, and names of files. What it all means is decided on the baking host.

**Where.** Not the places where secrets are known to land, but everything: each file system is bound, alone, to a
folder in a mount namespace of this command's own, so that what lies hidden below a mount point is seen too, and
nothing of /proc, /sys, /run or a network's file system is. Data disks of the recipe that are not mounted are mounted
for it, read-only. Refused: a list of folders, which is right until a step writes beside them.

**What it needs**: sh, find, grep, xargs of GNU, as every distribution has that cloud-init runs on; git for the history
of clones. No Python. What a secret of the recipe looks like comes in on stdin, and lies in a tmpfs that only this
command sees and that is gone when it ends, however it ends.

**Encodings**: secrets of the recipe are also looked for in UTF-16, in what gzip compressed, and in every object of a
git repository. A file of LARGE_BYTES or more is read in pieces, which overlap, without its null bytes.
"""

import re
from collections.abc import Callable, Iterable

from baker.errors import SealError
from baker.ports import MirroredRemote
from baker.provisioner import CommandFailedError
from baker.seal.passages import LINES_AFTER, Passage, RecordReader, Searched

LARGE_BYTES = 64 << 20
HISTORY_BYTES = 64 << 20
"""Of a git repository's objects as they lie on the disk. A larger one's history is not searched, and that is said."""

_SPECIAL = re.compile(rb"[][.*^$\\+?(){}|]")
"""Of extended regular expressions."""

_SCRIPT = r"""
set -eu
signs_bytes=$1 own_bytes=$2 names_bytes=$3 secrets_bytes=$4 leave_out=$5 large=$6 history_kib=$7 after=$8 packages=$9
shift 9
LC_ALL=C HOME=/run/baker/scan GIT_CONFIG_NOSYSTEM=1
export LC_ALL HOME GIT_CONFIG_NOSYSTEM large history_kib after
mkdir -p "$HOME"
mount -t tmpfs -o mode=0700,nosuid,nodev,noexec baker "$HOME"
cd "$HOME"
head -c "$signs_bytes" >patterns-E; head -c "$own_bytes" >patterns-own; head -c "$names_bytes" >names
head -c "$secrets_bytes" >patterns-F; cat >secrets-E
printf '%s\n' '^[0-9a-f]{40,64} (blob|commit|tag) [0-9]+$' >objects-E
printf '%s\n' ' blob ' ' commit ' ' tag ' >objects-F
printf '[safe]\n\tdirectory = *\n' >.gitconfig
tell() { printf '%s\0001:%s\n' "$1" "$2"; }

# What there is to search: each file system once, and alone. The list comes first, or the views would be in it.
findmnt --raw --noheadings --output TARGET --types ext2,ext3,ext4,xfs,btrfs,f2fs,vfat | sort -u >mounts
mkdir view; number=0
show() { # target, then what mount wants
  target=$1; shift
  mkdir "view/$number"; mount "$@" "view/$number"
  tell "view:$number" "$target"
  printf '%s %s\n' "$number" "$target" >>shown
  number=$((number + 1))
}
show / --bind /
while IFS= read -r target; do
  target=$(printf %b "$target")
  if [ "$target" != / ] && [ -d "$target" ]; then show "$target" --bind "$target"; fi
done <mounts
for device; do
  lsblk --noheadings --raw --paths --output NAME,FSTYPE "$device" >parts
  while read -r part type; do
    if [ -z "$type" ] || findmnt --source "$part" >/dev/null; then continue; fi
    case $type in
      *_member | crypto_LUKS | swap) tell "unsearched:$part" "it holds $type" ;;
      *) show "$part" -o ro "$part" ;;
    esac
  done <parts
done
# Folders that will not be in the image, each in the view that it is seen in: the last one that can hold it.
set --
printf '%s\n' "$leave_out" >folders
while IFS= read -r folder; do
  inside=none
  while read -r number target; do
    case $folder in "${target%/}"/*) inside="view/$number/${folder#"${target%/}/"}" ;; esac
  done <shown
  set -- "$@" -path "$inside" -prune -o
done <folders
find view/* "$@" -type f \( -size "+$((large - 1))c" -fprint0 large -o -fprint0 small \)
tell files "$(cat small large | tr -cd '\0' | wc -c)"

# Which files hold something; many at once, then the lines of these few.
cpus=$(nproc)
holding() { # list, then what grep wants
  list=$1; shift
  rm -f found.*
  xargs -0 -r -n 1000 -P "$cpus" sh -c \
    'grep -laZ "$@" >>"found.$$" || [ $? -le 2 ] || echo "grep: was killed" >&2' grep "$@" -- <"$list" 2>>errors
  cat found.* 2>/dev/null || true
}
lines() { # list, then what grep wants
  list=$1; shift
  xargs -0 -r grep -aHnZ --no-group-separator "$@" -- <"$list" 2>>errors || true
}
gzipped=$(printf '^\037\213\010')
(cat patterns-E secrets-E; printf '%s\n' "$gzipped") >anything
(cat anything patterns-own) >anything-own
{ grep -zE "$packages" || true; } <small >inside
{ grep -zEv "$packages" || true; } <small >outside
holding inside -E -f anything >candidates  # here, and in the next line, everything is read, once
holding outside -E -f anything-own >own
cat own >>candidates
lines candidates -A "$after" -E -f patterns-E
lines own -E -f patterns-own
cat small large | { grep -zE -f names || true; } >named
if [ -s patterns-F ]; then
  lines candidates -F -f patterns-F
  cat small large | { grep -zaF -f patterns-F || true; } >telling
  xargs -0 -r printf 'name:%s\0001:\n' <telling
  holding candidates -E "$gzipped" >compressed
  rm -f found.*
  xargs -0 -r -n 100 -P "$cpus" sh -c '
    if gzip -dcq -- "$@" 2>/dev/null | tr -d "\0" | grep -aqF -f patterns-F; then printf "%s\0" "$@" >>"found.$$"; fi
  ' gzip <compressed
  cat found.* >suspects 2>/dev/null || true
  xargs -0 -r -n 1 sh -c '
    gzip -dcq -- "$1" 2>/dev/null | tr -d "\0" | grep -aHnZ --label="compressed:$1" -F -f patterns-F || true
  ' gzip <suspects
fi
xargs -0 -r -n 1 sh -c 'if [ -s "$1" ]; then printf "name:%s\0001:\n" "$1"; fi' name <named

# Large files, in pieces.
xargs -0 -r -n 1 sh -c '
  size=$(stat -c %s -- "$1") at=0
  while [ "$at" -lt "$size" ]; do
    for how in "-A $after -E -f patterns-E" "-F -f patterns-F"; do
      tail -c "+$((at + 1))" -- "$1" | head -c $((large + 65536)) | tr -d "\0" |
        grep -aHnZ --no-group-separator --label="piece:$1" $how || [ $? = 1 ] || echo "grep: $1" >&2
    done
    at=$((at + large))
  done
  if gzip -tq -- "$1" 2>/dev/null; then
    gzip -dcq -- "$1" | tr -d "\0" | grep -aHnZ --label="compressed:$1" -F -f patterns-F || true
  fi
' large <large 2>>errors

# Repositories, with all that was ever committed to them.
cat small | { grep -z '/HEAD$' || true; } >heads
xargs -0 -r -n 1 sh -c '
  repository=${1%/HEAD}
  if ! [ -d "$repository/objects" ] || ! [ -d "$repository/refs" ]; then exit 0; fi
  skip() { printf "unsearched:%s\0001:%s\n" "$repository" "$1"; exit 0; }
  kib=$(du -sk "$repository/objects" | cut -f 1)
  if [ "$kib" -gt "$history_kib" ]; then skip "its history has $((kib / 1024)) MiB"; fi
  if ! command -v git >/dev/null; then skip "git is not installed"; fi
  if ! git --git-dir="$repository" cat-file --batch-all-objects --batch-check="%(objecttype) %(objectname)" \
    >all-objects 2>trouble; then skip "$(head -n 1 trouble)"; fi
  objects() { grep -v "^tree " all-objects | cut -d " " -f 2 | git --git-dir="$repository" cat-file --batch --buffer; }
  searched() { # how an object begins, then what grep wants
    headers=$1; shift
    if objects | grep -aq "$@"; then
      objects | grep -aHnZ -A "$after" --no-group-separator --label="history:$repository" "$@" -f "$headers"
    fi
  }
  searched objects-E -E -f patterns-E -f patterns-own
  searched objects-F -F -f patterns-F
' git <heads 2>>errors
if [ -s errors ]; then
  { grep -v ': No such file or directory$' errors || true; } | while IFS= read -r line; do tell error "$line"; done
fi
tell end ""
"""


def search(
    remote: MirroredRemote,
    *,
    devices: Iterable[str],
    signs: Iterable[str],
    own_signs: Iterable[str],
    packages: str,
    names: Iterable[str],
    secrets: Iterable[bytes],
    leave_out: tuple[str, ...],
    on_passage: Callable[[Passage], None],
) -> Searched:
    """Search the machine, and call `on_passage` with each find. `devices` are the recipe's disks.

    `leave_out` are folders that will not be in the image, beside the login user's home. `own_signs` are looked for in
    files alone whose paths the expression `packages` does not match.
    SealError when it could not be searched, or a file not read: what was not seen cannot be vouched for.
    """
    values = tuple(secrets)
    given = [
        _lines(sign.encode() for sign in signs),
        _lines(sign.encode() for sign in own_signs),
        _lines(name.encode() for name in names),
        _lines(values),
        _lines(_SPECIAL.sub(rb"\\\g<0>", value) for value in values),
    ]
    home = "" if remote.login_user == "root" else remote.run("echo ~", quiet=True).stdout.strip()  # goes with its user
    left_out = "\n".join((home, *leave_out))
    settings = (*map(len, given[:4]), left_out, LARGE_BYTES, HISTORY_BYTES >> 10, LINES_AFTER, packages)
    words = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", _SCRIPT, "search"]
    reader = RecordReader(on_passage)
    try:
        remote.stream([*words, *map(str, settings), *devices], stdin=given, on_stdout=reader.feed)
    except CommandFailedError as error:
        last = "\n".join(error.result.stderr.strip().splitlines()[-8:])
        raise SealError(
            f"the machine could not be searched for secrets (exit code {error.result.exit_code})",
            details=(("last lines", last or "(no output)"),),
        ) from error
    return reader.end()


def _lines(values: Iterable[bytes]) -> bytes:
    return b"".join(value + b"\n" for value in values)
