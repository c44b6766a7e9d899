"""How a secret can be spelled: plain, in base64, for a URL, in JSON, as Python and shells quote it, in UTF-16.

Pure; for what takes secrets out of logs, and for what looks for them in files. A spelling is one or more lines, because
both work by lines. A key of several lines is in a file that holds most of it; one line would not do, as the first line
of an ed25519 key is the same in all of them.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, quote_plus

SHORTEST_LINE = 6
"""Characters. A shorter line is in every other text."""

_WRAPPED_AT = (64, 76)
"""Characters in a line of base64: PEM's, and those of MIME and `base64`."""


@dataclass(frozen=True)
class Spelling:
    """Lines of bytes, none of them empty; in a file when lines that make up half of it are."""

    lines: tuple[bytes, ...]

    def is_among(self, found: Iterable[bytes]) -> bool:
        """Whether `found`, lines of this or other spellings, are enough of it."""
        lines = set(self.lines)
        return 2 * sum(map(len, lines & set(found))) >= sum(map(len, lines))


@dataclass(frozen=True)
class Spelled:
    """A secret by its name, in every spelling."""

    name: str
    spellings: tuple[Spelling, ...]

    @cached_property
    def lines(self) -> frozenset[bytes]:
        """All that is worth looking for."""
        return frozenset(line for spelling in self.spellings for line in spelling.lines)

    def is_among(self, found: Iterable[bytes]) -> bool:
        """Whether the lines that were found in a file hold this secret."""
        lines = frozenset(found) & self.lines
        return any(spelling.is_among(lines) for spelling in self.spellings)


def spelled(name: str, value: str) -> Spelled:
    """`value` in every spelling, once each."""
    texts = (*_texts(value), *_texts_in_base64(value))
    return Spelled(name, tuple(dict.fromkeys((*_spellings(texts, "utf-8"), *_in_utf_16(value)))))


def texts_of(value: str) -> frozenset[str]:
    """Every line that a text can show of `value`, but for UTF-16, which no text shows."""
    texts = (*_texts(value), *_texts_in_base64(value))
    return frozenset(line for text in texts for line in _lines(text))


def _texts(value: str) -> Iterator[str]:
    value = value.strip()
    yield value
    yield quote(value, safe="", errors="surrogateescape")
    yield quote(value, errors="surrogateescape")
    yield quote_plus(value, errors="surrogateescape")
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield json.dumps(value)[1:-1].replace("/", "\\/")
    yield value.replace("\\", "\\\\")
    yield value.replace("\\", "\\\\").replace("'", "\\'")
    yield value.replace("'", "'\\''")  # `set -x`
    yield value.replace("'", "'\"'\"'")  # shlex.quote


def _texts_in_base64(value: str) -> Iterator[str]:
    raw = value.strip().encode("utf-8", "surrogateescape")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for skipped in range(3):
            # What stands before a secret, as the user before a password, moves its bits. What they share is left out.
            whole = encode(bytes(skipped) + raw).decode()
            yield whole[-(-skipped * 8 // 6) : (skipped + len(raw)) * 8 // 6]
        whole = encode(raw).decode()
        for width in _WRAPPED_AT:
            yield "\n".join(whole[at : at + width] for at in range(0, len(whole), width))


def _in_utf_16(value: str) -> Iterator[Spelling]:
    for encoding in ("utf-16-le", "utf-16-be"):
        for spelling in _spellings([value], encoding):
            if not any(b"\n" in line for line in spelling.lines):  # a byte of a letter can look like one
                yield spelling


def _spellings(texts: Iterable[str], encoding: str) -> Iterator[Spelling]:
    errors = "surrogateescape" if encoding == "utf-8" else "ignore"
    for text in texts:
        if lines := tuple(line.encode(encoding, errors) for line in _lines(text)):
            yield Spelling(lines)


def _lines(text: str) -> Iterator[str]:
    """Its lines without blanks round them, but for those that are too short."""
    for line in text.splitlines():
        if len(line.strip()) >= SHORTEST_LINE:
            yield line.strip()
