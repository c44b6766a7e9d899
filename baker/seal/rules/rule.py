"""What a rule is: signs that grep looks for on the machine, and plugins that decide on the baking host."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from detect_secrets.plugins.base import BasePlugin

_BEFORE, _AFTER = 512, 4096
"""Characters round a sign that a plugin is shown: a minified line of megabytes must not cost minutes."""

IN_PACKAGES = (
    r"^(view/[0-9]+)?/usr/(bin|games|include|lib[^/]*|sbin|share|src)/"
    r"|/(site-packages|dist-packages|node_modules|conda-meta|conda/pkgs)/|/lib/python[0-9.]+/"
)
"""Where packages lie, as an expression that grep and Python share; for what would be lost in other people's code."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of secret.

    `signs` are extended regular expressions in the words that grep and Python share; every text that a plugin would
    take holds one. `plugins` are detect-secrets' own or ours in its interface; any of them decides. `only_in` is an
    expression for paths, where a sign means something in some files alone; `outside_packages` leaves out all that
    IN_PACKAGES matches. `names` are expressions for paths of files that are secrets by being there.
    """

    kind: str
    signs: tuple[str, ...] = ()
    plugins: tuple[BasePlugin, ...] = ()
    only_in: str = ""
    outside_packages: bool = False
    names: tuple[str, ...] = field(default=())

    def finds_in(self, path: str, text: str) -> bool:
        """Whether `text`, which begins with a line that a sign was seen in, holds a secret of this kind."""
        if not re.search(self.only_in, path) or (self.outside_packages and re.search(IN_PACKAGES, path)):
            return False
        return any(True for passage in self._passages(text) for plugin in self.plugins for _ in _found(plugin, passage))

    def finds_name(self, path: str) -> bool:
        """Whether a file of this path is a secret by being there."""
        return any(re.search(name, path) for name in self.names)

    def _passages(self, text: str) -> Iterator[str]:
        end = 0
        for sign in self._sign.finditer(text):
            if sign.end() > end:
                start, end = max(0, sign.start() - _BEFORE), sign.end() + _AFTER
                yield text[start:end]

    @cached_property
    def _sign(self) -> "re.Pattern[str]":
        return re.compile("|".join(f"(?:{sign})" for sign in self.signs) or r"(?!)")


def _found(plugin: BasePlugin, passage: str) -> Iterator[str]:
    """Not `analyze_line`: that asks the services themselves whether a secret is still good."""
    yield from plugin.analyze_string(passage)
