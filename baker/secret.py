"""A secret is named in a recipe, and never written there.

`Secret` says where a value comes from; it never holds the value. Values are resolved by `baker.vault`
before anything is created, and reach the machine through stdin or tmpfs only. `Redactor` removes values
from text on its way to a disk or a terminal.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from baker.errors import SecretError
from baker.spellings import SHORTEST_LINE, texts_of

SHORTEST_SECRET = SHORTEST_LINE
"""Characters. Shorter values are refused: redacting them would blank out half of every log."""

REDACTED = "***"


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret value comes from. Make one with `from_env`, `from_file` or `from_command`.

    SecretError when that cannot be; what was given is not shown, as it may be the value itself.
    """

    origin: Literal["env", "file", "command"]
    reference: tuple[str, ...]

    def __post_init__(self) -> None:
        words: tuple[object, ...] = self.reference
        first = words[0] if words else ""
        fits = all(isinstance(word, str) and "\0" not in word for word in words) and str(first).strip()
        if not fits or (self.origin == "env" and not _VARIABLE.fullmatch(str(first))):
            wanted, example = _WANTED[self.origin]
            raise SecretError(
                f"Secret.from_{self.origin} wants {wanted}", hint=f"write {example}; never the value itself"
            )

    @classmethod
    def from_env(cls, name: str) -> "Secret":
        """The value of an environment variable of the baking host."""
        return cls("env", (name,))

    @classmethod
    def from_file(cls, path: str) -> "Secret":
        """The content of a file on the baking host, without its last line break."""
        return cls("file", (path,))

    @classmethod
    def from_command(cls, *argv: str) -> "Secret":
        """What a command on the baking host prints, without its last line break (`pass show ...`)."""
        return cls("command", argv)

    @property
    def name(self) -> str:
        """How to name it in a message: `env:TOKEN`. Never the value."""
        return f"{self.origin}:{' '.join(self.reference)}"

    def __str__(self) -> str:
        return self.name


_WANTED = {
    "env": ("the name of an environment variable", 'Secret.from_env("TOKEN")'),
    "file": ("the path of a file, as text", 'Secret.from_file("~/.token")'),
    "command": ("a command and its arguments, as texts", 'Secret.from_command("pass", "show", "token")'),
}


@dataclass(slots=True)
class Redactor:
    """Replaces secret values in text, in every spelling. A value of several lines is replaced line by line."""

    _needles: list[str] = field(default_factory=list)

    def add(self, values: Iterable[str]) -> None:
        """Learn values; from now on none of them passes."""
        found = {text for value in values for text in (value.strip(), *texts_of(value)) if len(text) >= SHORTEST_SECRET}
        # The longest first, or a prefix would leave a secret's tail behind.
        self._needles = sorted({*self._needles, *found}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for needle in self._needles:
            text = text.replace(needle, REDACTED)
        return text
