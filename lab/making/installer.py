"""Makes a Miniforge-shaped installer: a shell script that ends in a packed prefix with conda in it.

conda is not installed there: it installs itself, from the channel,
with the channel's own python.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conda_package_streaming.extract import extract

from lab.making.channel import SUBDIR
from lab.names import CHANNEL, INSTALLER

_HEADER = Path(__file__).with_name("installer_header.sh")

_BASE = ("conda", "pip", "python")
"""What Miniforge has in its base environment, as far as the lab has it."""

_CHANNEL_OF_RECORD = f"http://lab.invalid/conda/{CHANNEL}"
"""Where the base packages say that they come from; a path of the host that made them does not belong there."""


def make_installer(folder: Path, channel: Path) -> None:
    """Make `folder`/Miniforge3-Linux-x86_64.sh and its .sha256 from the channel made by `make_channel`."""
    with tempfile.TemporaryDirectory(prefix="lab-installer-") as name:
        work = Path(name)
        print("installer: conda installs itself into a prefix", flush=True)
        _unpack_closure(channel / CHANNEL / SUBDIR, work / "bootstrap")
        prefix = _create_prefix(work, channel)
        print("installer: packing it", flush=True)
        _list_files_to_relocate(prefix)
        content = _HEADER.read_bytes().replace(b"@PACKED_PREFIX@", bytes(prefix)) + _packed(prefix)
    (folder / INSTALLER).write_bytes(content)
    (folder / INSTALLER).chmod(0o755)
    (folder / f"{INSTALLER}.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {INSTALLER}\n")


def _create_prefix(work: Path, channel: Path) -> Path:
    """Run `conda create` in a world of its own: no configuration, cache or channel of the host."""
    prefix = work / "miniforge"
    # Under a path of ours: conda takes a folder named `t` in a URL for the mark of an access token.
    (work / "channel").symlink_to(channel / CHANNEL)
    channel_url = (work / "channel").as_uri()
    environment = {
        "HOME": str(work),
        "PATH": os.environ["PATH"],
        "CONDA_PKGS_DIRS": str(prefix / "pkgs"),
        "CONDA_SOLVER": "classic",
    }
    options = ["--quiet", "--yes", "--offline", "--override-channels", "--channel", channel_url]
    subprocess.run(
        [work / "bootstrap/bin/python", "-m", "conda", "create", *options, "--prefix", prefix, *_BASE],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    shutil.rmtree(prefix / "pkgs")
    for record in (prefix / "conda-meta").glob("*.json"):
        record.write_text(record.read_text().replace(channel_url, _CHANNEL_OF_RECORD))
    history = prefix / "conda-meta/history"
    lines = history.read_text().replace(channel_url, _CHANNEL_OF_RECORD).splitlines(keepends=True)
    history.write_text("".join(line for line in lines if not line.startswith("# cmd:")))
    return prefix


def _list_files_to_relocate(prefix: Path) -> None:
    """Write down which files name the prefix, one a line, for the installer. LookupError when one is no text."""
    paths = [path for path in sorted(prefix.rglob("*")) if path.is_file() and not path.is_symlink()]
    named = [path for path in paths if bytes(prefix) in path.read_bytes()]
    for path in named:
        if b"\0" in path.read_bytes():
            raise LookupError(f"{path} is not text and names the prefix: the installer cannot relocate it")
    (prefix / "relocate.txt").write_text("".join(f"{path.relative_to(prefix)}\n" for path in named))


def _packed(prefix: Path) -> bytes:
    """The prefix as tar, gzip: a minimal Debian has neither zstd nor xz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as archive:
        archive.add(prefix, ".")
    return packed.getvalue()


def _unpack_closure(packages: Path, prefix: Path) -> None:
    """Extract conda and all that it needs into `prefix`; scripts keep their placeholder, `python -m` works."""
    records: Mapping[str, Mapping[str, Any]] = json.loads((packages / "repodata.json").read_text())["packages.conda"]
    by_name = {record["name"]: (file_name, record) for file_name, record in records.items()}
    wanted, done = list(_BASE), set[str]()
    while wanted:
        name = wanted.pop()
        if name in done or name.startswith("__"):
            continue
        done.add(name)
        file_name, record = by_name[name]
        extract(str(packages / file_name), str(prefix))
        wanted += [depend.split()[0] for depend in record["depends"]]
