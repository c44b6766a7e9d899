"""Content addresses: canonical JSON and SHA-256 of values, files and trees, and how they chain.

A fingerprint answers "would this make the same thing?". It therefore holds no secret value, no mirror,
no absolute path and no time.
"""

import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from baker.secret import Secret

_CHUNK_BYTES = 1 << 20


def canonical(value: Any) -> Any:
    """`value` as plain JSON data in one fixed form. TypeError for what has none (functions, open files)."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Enum():
            return canonical(value.value)
        case bytes():
            return {"sha256": hashlib.sha256(value).hexdigest()}
        case Secret():
            return {"secret": value.name}
        case PurePath():
            return value.name if value.is_absolute() else value.as_posix()
        case Mapping():
            return {str(key): canonical(item) for key, item in value.items()}
        case list() | tuple():
            return [canonical(item) for item in value]
        case Set():
            return sorted((canonical(item) for item in value), key=json.dumps)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {"class": type(value).__qualname__} | {
                field.name: canonical(getattr(value, field.name)) for field in fields(value)
            }
    raise TypeError(f"a {type(value).__name__} has no canonical form: {value!r}")


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 (hex) of a file's content, or of a tree's when `path` is a folder. OSError when unreadable."""
    if path.is_dir():
        return digest_tree(path)
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def digest_tree(root: Path) -> str:
    """SHA-256 (hex) over names, kinds, executable bits and contents below `root`, in sorted order."""
    entries: list[Any] = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            entries.append([name, "link", str(path.readlink())])
        elif path.is_dir():
            entries.append([name, "folder"])
        else:
            entries.append([name, "file", bool(path.stat().st_mode & 0o100), digest_file(path)])
    return digest(entries)


def chain(previous: str, value: Any) -> str:
    """The fingerprint of `value` standing on `previous`: a change anywhere below changes all above."""
    return digest([previous, value])
