"""Which files are as a package brought them: their checksum stands in the records of a package manager.

dpkg, rpm, conda and pip all keep records. The content counts, and not the path: a copy of what a package ships is as
public as the package. Left out are records of what nobody has published, as `pip install` from a folder or a
repository writes them, and conda for a local channel. A compiled Python file has no checksum anywhere, and is what
its source is.
"""

import base64
import re
from collections.abc import Iterable, Mapping

from baker.ports import MirroredRemote

_HASHES = r"""
set -eu
list=$(cat | base64 -w 0)
for program in md5sum sha256sum; do
  printf %s "$list" | base64 -d | xargs -0 -r "$program" --zero -- || true
done
"""

_RECORDS = r"""
set -eu
LC_ALL=C; export LC_ALL
folder=/run/baker/vendor; rm -rf "$folder"; mkdir -p "$folder"; cd "$folder"; trap 'rm -rf "$folder"' EXIT
cat >hashes
roots=$( (echo /; findmnt --raw --noheadings --output TARGET --types ext2,ext3,ext4,xfs,btrfs) | sort -u)
find $roots -xdev -type f \( -path '*/conda-meta/*.json' -fprint0 conda -o -path '*.dist-info/RECORD' -fprint0 pip \)
{
  xargs -0 -r grep -LZE '"(url|channel)": *"(file:|/)' -- <conda | xargs -0 -r grep -hoFf hashes -- || true
  xargs -0 -r sh -c '
    for record; do [ -e "${record%RECORD}direct_url.json" ] || printf "%s\0" "$record"; done
  ' pip <pip | xargs -0 -r grep -hoFf hashes -- || true
  if [ -d /var/lib/dpkg/info ]; then
    find /var/lib/dpkg/info -name '*.md5sums' -print0 | xargs -0 -r grep -hoFf hashes -- || true
    grep -hoFf hashes /var/lib/dpkg/status || true
  fi
  if command -v rpm >/dev/null; then rpm --query --all --dump | grep -oFf hashes || true; fi
} | sort -u
"""

_COMPILED = re.compile(r"(?P<folder>.*)/__pycache__/(?P<name>[^/]+?)\.(?:cpython|pypy)-?\d+[^/]*\.pyc")


def find_vendor_files(remote: MirroredRemote, paths: Iterable[str]) -> frozenset[str]:
    """Those of `paths` that are unmodified files of packages, in two round trips; none when there are no paths."""
    sources = {path: _source_of(path) for path in paths}
    if not sources:
        return frozenset()
    checksums = _checksums(remote, sorted(set(sources.values())))
    wanted = "".join(f"{checksum}\n" for found in checksums.values() for checksum in sorted(found))
    if not wanted:
        return frozenset()
    recorded = set(remote.run(_RECORDS, sudo=True, stdin=wanted, quiet=True).stdout.split())
    return frozenset(path for path, source in sources.items() if recorded & checksums.get(source, frozenset()))


def _source_of(path: str) -> str:
    compiled = _COMPILED.fullmatch(path)
    return f"{compiled['folder']}/{compiled['name']}.py" if compiled else path


def _checksums(remote: MirroredRemote, paths: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """The checksums of each file as the records spell them; a file that cannot be read has none."""
    stdin = "".join(f"{path}\0" for path in paths)
    answer = remote.run(_HASHES, sudo=True, stdin=stdin, quiet=True).stdout
    checksums: dict[str, frozenset[str]] = {}
    for entry in answer.split("\0")[:-1]:
        checksum, path = entry.split("  ", 1)
        checksums[path] = checksums.get(path, frozenset()) | {checksum, _as_in_wheels(checksum)}
    return checksums


def _as_in_wheels(checksum: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(checksum)).decode().rstrip("=")
