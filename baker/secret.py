"""A secret is named in a recipe, and never written there.

`Secret` says where a value comes from; it never holds the value. Values are resolved by `baker.vault`
before anything is created, and reach the machine through stdin or tmpfs only. `Redactor` removes values
from text on its way to a disk or a terminal.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

SHORTEST_SECRET = 6
"""Characters. Shorter values are refused: redacting them would blank out half of every log."""

REDACTED = "***"


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret value comes from. Make one with `from_env`, `from_file` or `from_command`."""

    origin: Literal["env", "file", "command"]
    reference: tuple[str, ...]

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


@dataclass(slots=True)
class Redactor:
    """Replaces secret values in text. A value of several lines is replaced line by line too."""

    _needles: list[str] = field(default_factory=list)

    def add(self, values: Iterable[str]) -> None:
        """Learn values; from now on none of them passes."""
        lines = {part for value in values for part in (value, *value.splitlines())}
        self._needles = sorted(
            {*self._needles, *(line.strip() for line in lines if len(line.strip()) >= SHORTEST_SECRET)},
            key=len,
            reverse=True,  # the longest first, or a prefix would leave a secret's tail behind
        )

    def __call__(self, text: str) -> str:
        for needle in self._needles:
            text = text.replace(needle, REDACTED)
        return text
