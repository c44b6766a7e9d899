"""Files to and from a machine: as root, in one stream each, atomically where there is one file."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from baker.errors import RecipeError
from baker.provisioner import CommandResult
from baker.remote.tar import tar_folder

CHUNK_BYTES = 256 * 1024


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
    """See `baker.provisioner.Remote.get`. The target appears when it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".baker.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            shell.stream(["cat", "--", source], on_stdout=file.write)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _unreadable(error: OSError) -> RecipeError:
    return RecipeError(
        f"cannot read {error.filename}: {error.strerror}",
        hint="paths are relative to the recipe's folder",
    )
