"""Writes conda packages (`.conda` files) from folders, and the index of a channel folder.

Knows the format and nothing of where the files come from.
Format: https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html
"""

import bz2
import compileall
import hashlib
import json
import os
import py_compile
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backports import zstd
from conda_package_streaming.create import conda_builder

from lab.making.conda_package import PLACEHOLDER, CondaPackage

_MTIME = 1_704_067_200
"""2024-01-01: every file's, so that the same files make the same package, and compiled Python stays valid."""

_ZSTD_LEVEL = 9
"""Level 19, the default, takes minutes more for 5 % less to send over a loopback interface."""

_LARGEST_TEXT = 1 << 20


def write_package(package: CondaPackage, tree: Path, folder: Path) -> dict[str, Any]:
    """Pack `tree`, the files as they shall lie in a prefix, into `folder`; returns the record for the index.

    Python files are compiled here, once, so that no machine has to: compiling is most of what an installation
    costs. That is why these packages are not `noarch: python`, which conda compiles where it installs them.
    """
    _settle_times(tree)
    compileall.compile_dir(
        tree, maxlevels=50, quiet=2, stripdir=str(tree), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP
    )
    index = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": 0,
        "depends": list(package.depends),
        "arch": "x86_64",
        "platform": "linux",
        "subdir": folder.name,
        "license": package.license,
        "timestamp": _MTIME * 1000,
    }
    paths = [_path_record(tree, path) for path in _files(tree)]
    _write_info(tree / "info", package, index, paths)
    with conda_builder(
        package.file_name.removesuffix(".conda"), folder, compressor=None, compression_level=_ZSTD_LEVEL
    ) as archive:
        for path in _files(tree):
            archive.add(path, str(path.relative_to(tree)), recursive=False, filter=_anonymous)
    content = (folder / package.file_name).read_bytes()
    return index | {
        "size": len(content),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),  # conda's explicit files name it
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def write_index(folder: Path, records: dict[str, dict[str, Any]]) -> None:
    """Write the index of a channel folder: `records` by file name, in each form that conda asks for."""
    document = {
        "info": {"subdir": folder.name},
        "packages": {},
        "packages.conda": dict(sorted(records.items())),
        "removed": [],
        "repodata_version": 1,
    }
    text = json.dumps(document, indent=1, sort_keys=True).encode()
    for name in ("repodata.json", "current_repodata.json"):
        (folder / name).write_bytes(text)
        (folder / f"{name}.zst").write_bytes(zstd.compress(text))
    (folder / "repodata.json.bz2").write_bytes(bz2.compress(text))


def _write_info(info: Path, package: CondaPackage, index: dict[str, Any], paths: list[dict[str, Any]]) -> None:
    info.mkdir()
    prefixed = [path["_path"] for path in paths if "prefix_placeholder" in path]
    documents = {
        "index.json": index,
        "about.json": {"summary": package.summary, "license": package.license},
        "paths.json": {"paths": paths, "paths_version": 1},
    }
    for name, document in documents.items():
        (info / name).write_text(json.dumps(document, indent=1, sort_keys=True))
    (info / "files").write_text("".join(f"{path['_path']}\n" for path in paths))
    if prefixed:
        (info / "has_prefix").write_text("".join(f'"{PLACEHOLDER}" text "{path}"\n' for path in prefixed))


def _path_record(tree: Path, path: Path) -> dict[str, Any]:
    record: dict[str, Any] = {"_path": str(path.relative_to(tree)), "path_type": "hardlink"}
    if path.is_symlink():
        record["path_type"] = "softlink"
    content = path.read_bytes() if path.is_file() else b""
    if not path.is_symlink() and len(content) <= _LARGEST_TEXT and PLACEHOLDER.encode() in content:
        record |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
    return record | {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}


def _files(tree: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(tree):
        folders.sort()
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        yield from (Path(folder) / name for name in sorted([*names, *links]))


def _settle_times(tree: Path) -> None:
    for path in _files(tree):
        os.utime(path, (_MTIME, _MTIME), follow_symlinks=False)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = _MTIME
    if member.isfile():
        member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member
