"""What the search for secrets answers: passages of files, names of files, and what could not be searched.

The machine's part (`baker.seal.search`) writes records as it goes; here they become passages, one at a time, so that
nothing waits for the end and no more is held than what is still open.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from baker.errors import SealError

LINES_AFTER = 8
"""An ed25519 key has 7 lines; enough of any key to tell one from a program that names keys."""

_RECORD = re.compile(rb"([^\0]*)\0([0-9]+)([:-])([^\n]*)\n")
_OBJECT = re.compile(rb"([0-9a-f]{40,64}) (?:blob|commit|tag) [0-9]+")
_IN_A_VIEW = re.compile(r"view/([0-9]+)(/.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands: `path` is absolute; `line` counts from 1, and is None in what has no lines to go to.

    `source` says how it was come by: "" as it lies there, "compressed" by gzip, "piece" of a large file, "history" of
    a git repository, in which `part` is the object.
    """

    path: str
    line: int | None = None
    source: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A line that something was found in, and what follows it, at most LINES_AFTER lines."""

    place: Place
    line: bytes
    after: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What there was to search. `named` are paths that hold a name or a secret; `unsearched` are (what, why not)."""

    files: int
    named: tuple[str, ...]
    unsearched: tuple[tuple[str, str], ...]


class RecordReader:
    """Reads what the script writes, as it comes: `LABEL NUL NUMBER : TEXT`, or `-` for a line that only follows."""

    def __init__(self, on_passage: Callable[[Passage], None]) -> None:
        self._on_passage = on_passage
        self._rest: list[bytes] = []
        self._views: dict[str, str] = {}
        self._told: dict[str, list[tuple[str, str]]] = {}
        self._object = ("", 0)
        self._open: list[tuple[str, int, Passage]] = []

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._rest.append(chunk)
        if b"\n" not in chunk:
            return
        text, end = b"".join(self._rest), 0
        while record := _RECORD.match(text, end):  # `finditer` would look for one at each byte of a line that goes on
            label, number, sign, line = record.groups()
            self._take(label.decode("utf-8", "replace"), int(number), line, is_match=sign == b":")
            end = record.end()
        self._rest = [text[end:]]

    def end(self) -> Searched:
        """Tell the last passages, and return what was said besides. SealError when a file was not read."""
        self._close(everything=True)
        if errors := [line for _, line in self._told.get("error", [])]:
            raise SealError(
                "the machine could not be searched for secrets: files cannot be read",
                details=(("grep said", "\n".join(errors[:8])),),
            )
        if "end" not in self._told:
            raise SealError("the machine could not be searched for secrets: its answer has no end")
        ((_, files),) = self._told["files"]
        return Searched(
            files=int(files),
            named=tuple(dict.fromkeys(path for path, _ in self._told.get("name", []))),
            unsearched=tuple(sorted(self._told.get("unsearched", []))),
        )

    def _take(self, label: str, number: int, line: bytes, *, is_match: bool) -> None:
        source, _, path = label.partition(":")
        if label.startswith("view/"):
            source, path = "", label
        elif source == "view":
            self._views[path] = line.decode("utf-8", "replace")
            return
        elif source not in ("compressed", "piece", "history"):
            told = self._told.setdefault(source, [])
            told.append((self._path(path), self._plain(line.decode("utf-8", "replace"))))
            return
        self._follow(label, number, line)
        header = _OBJECT.fullmatch(line) if source == "history" else None
        if header:
            self._object = (header[1].decode(), number)
        elif is_match:
            self._open.append((label, number, Passage(place=self._place(source, path, number), line=line, after=())))

    def _follow(self, label: str, number: int, line: bytes) -> None:
        """`line` may be what follows in passages that are still open."""
        self._close(label=label, number=number)
        self._open = [
            (where, start, replace(passage, after=(*passage.after, line))) for where, start, passage in self._open
        ]

    def _close(self, *, label: str = "", number: int = 0, everything: bool = False) -> None:
        """Tell the passages that nothing more belongs to."""
        still_open = []
        for where, start, passage in self._open:
            if everything or where != label or not start < number <= start + LINES_AFTER:
                self._on_passage(passage)
            else:
                still_open.append((where, start, passage))
        self._open = still_open

    def _place(self, source: str, path: str, number: int) -> Place:
        match source:
            case "history":
                part, header = self._object
                return Place(path=self._path(path), line=number - header, source=source, part=part)
            case "piece":
                return Place(path=self._path(path), source=source)
        return Place(path=self._path(path), line=number, source=source)

    def _path(self, path: str) -> str:
        """As the machine knows it: view/1/ocean/x is /data/ocean/x."""
        found = _IN_A_VIEW.fullmatch(path)
        return self._views[found[1]].rstrip("/") + found[2] if found else path

    def _plain(self, text: str) -> str:
        """What a program said of paths in views."""
        return re.sub(r"view/([0-9]+)(?=/)", lambda found: self._views[found[1]].rstrip("/"), text)
