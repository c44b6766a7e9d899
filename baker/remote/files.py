"""Files to and from a machine: as root, in one stream each, atomically where there is one file."""

import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from baker.errors import BakeError, ConnectionLostError, RecipeError
from baker.interrupts import shield
from baker.provisioner import CommandResult
from baker.remote.tar import tar_folder

CHUNK_BYTES = 256 * 1024

SECRETS_FOLDER = "/run/baker/secrets"
"""On the machine: tmpfs, 0700, of the login user. Beside it stand the mirrors' files, which every user may read."""

_REMOVE_SECONDS = 60.0
"""For the removal of one small file in tmpfs: a machine that takes longer is not going to."""


class Shell(Protocol):
    """What is needed of `MachineRemote` to move bytes; see there."""

    def stream(
        self,
        command: str | Sequence[str],
        *,
        stdin: Iterable[bytes] = (),
        on_stdout: Callable[[bytes], object] | None = None,
        sudo: bool = True,
        timeout: float | None = None,
    ) -> CommandResult: ...


_PUT = """
set -eu; target=$1 owner=$2 mode=$3 size=$4
folder=$(dirname -- "$target"); mkdir -p -- "$folder"
new=$(mktemp -- "$folder/.baker.XXXXXXXX")
trap 'rm -f -- "$new"' EXIT; trap 'exit 143' TERM; trap 'exit 129' HUP; trap '' PIPE
cat >"$new"
received=$(stat -c %s -- "$new")
[ "$received" = "$size" ] || { echo "received $received of $size bytes" >&2; exit 1; }
chown -- "$owner" "$new"; chmod -- "$mode" "$new"
mv -fT -- "$new" "$target"
"""
"""The size is checked because a dropped connection looks like the end of the file; nobody hears the complaint then."""

_EXTRACT = """
set -eu; target=$1 owner=$2
if ! [ -d "$target" ]; then mkdir -p -- "$target"; chown -- "$owner" "$target"; fi
tar -x -p -f - -C "$target" --same-owner --numeric-owner --no-overwrite-dir --keep-directory-symlink
"""
"""What is there already, folders and links to folders, stays: a target may be /etc."""

_OWNER_IDS = """
set -eu; probe=$(mktemp); trap 'rm -f "$probe"' EXIT
chown -- "$1" "$probe"; stat -c '%u %g' "$probe"
"""


_BYTES_SENT = re.compile(r"^([0-9]+) bytes? ", re.MULTILINE)
"""In what dd says at its end: the bytes that it read, also of a file that grows, or that /proc makes up."""

_WRITE_PRIVATE_FILE = """
set -eu; umask 077
mkdir -p -- "$3"; chmod 0711 "$(dirname -- "$3")"; chown -- "$2" "$3"
cat >"$1"; chown -- "$2" "$1"
"""


def put(shell: Shell, source: Path | bytes, target: str, *, owner: str, mode: int) -> None:
    """See `baker.provisioner.Remote.put`. RecipeError when the source cannot be read."""
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        chunks = (source,) if isinstance(source, bytes) else _read(source)
        words = ["/bin/sh", "-c", _PUT, "put", target, owner, f"{mode:04o}", str(size)]
        shell.stream(words, stdin=chunks)
    except OSError as error:
        raise _unreadable(error) from error


def put_tree(shell: Shell, source: Path, target: str, *, owner: str) -> None:
    """See `baker.provisioner.Remote.put_tree`. RecipeError when something in the source cannot be read or sent.

    New folders get the mode of the source's; those that exist on the machine keep theirs.
    """
    try:
        if not source.is_dir():
            raise NotADirectoryError(20, "is no folder", str(source))
        uid, gid = owner_ids(shell, owner)
        extract(shell, tar_folder(source, uid=uid, gid=gid), target, owner=owner)
    except OSError as error:
        raise _unreadable(error) from error


def extract(shell: Shell, archive: Iterable[bytes], target: str, *, owner: str) -> None:
    """Unpack a tar stream into `target`, which is made, and given to `owner`, when it is missing."""
    shell.stream(["/bin/sh", "-c", _EXTRACT, "extract", target, owner], stdin=archive)


def owner_ids(shell: Shell, owner: str) -> tuple[int, int]:
    """The numbers of `user:group` on the machine."""
    if owner in ("root", "root:root"):
        return 0, 0
    uid, gid = shell.stream(["/bin/sh", "-c", _OWNER_IDS, "owner", owner]).stdout.split()
    return int(uid), int(gid)


def get(shell: Shell, source: str, target: Path) -> None:
    """See `baker.provisioner.Remote.get`. The target appears when it is complete.

    ConnectionLostError when fewer bytes arrived than were sent, or more.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".baker.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            said = shell.stream(["dd", f"if={source}", f"bs={CHUNK_BYTES}"], on_stdout=file.write).stderr
            _require_size(source, file.tell(), said)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def private_file(shell: Shell, content: Iterable[bytes], *, owner: str) -> Iterator[str]:
    """See `baker.provisioner.Remote.secret_file`: the path of a file with `content` that `owner` alone can read."""
    path = f"{SECRETS_FOLDER}/{secrets.token_hex(8)}"
    remove = ["rm", "-f", "--", path]
    try:
        shell.stream(["/bin/sh", "-c", _WRITE_PRIVATE_FILE, "write", path, owner, SECRETS_FOLDER], stdin=content)
        yield path
    except BaseException:
        with shield(), suppress(BakeError):  # the first error is the one to tell
            shell.stream(remove, timeout=_REMOVE_SECONDS)
        raise
    shell.stream(remove, timeout=_REMOVE_SECONDS)


def _require_size(source: str, received: int, said: str) -> None:
    sent = _BYTES_SENT.findall(said)
    if not sent or int(sent[-1]) != received:
        raise ConnectionLostError(
            f"{source} did not arrive whole from the machine",
            details=(("bytes received", str(received)), ("bytes sent", sent[-1] if sent else said or "unknown")),
        )


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _unreadable(error: OSError) -> RecipeError:
    return RecipeError(
        f"cannot read {error.filename}: {error.strerror}",
        hint="paths are relative to the recipe's folder",
    )
