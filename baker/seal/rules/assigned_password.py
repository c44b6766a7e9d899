"""A password written into a program, a notebook or a settings file: `password = "..."`.

Names alone say little: packages are full of `token = "next_token"`. So this rule looks at people's own files alone, and
wants a value that nobody would give to anything but a password.
"""

import re
from collections.abc import Generator

from detect_secrets.plugins.base import RegexBasedDetector

from baker.seal.rules.rule import Rule

_NAME = r"(?:pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|auth[_-]?key|access[_-]?key|secret[_-]?key)"
_QUOTE = r"\\?[\"']"  # a notebook is JSON, where the quotes of its code are escaped
_STANDS_FOR_ONE = re.compile(
    r"(?i)example|changeme|change[_-]me|placeholder|redacted|dummy|your|insert|xxx|\*\*|\.\.\."
)


class AssignedPassword(RegexBasedDetector):
    """Stricter than the library's keywords."""

    secret_type = "password in a file"  # noqa: S105  (a name)

    denylist = (
        re.compile(
            rf"(?i){_NAME}(?:{_QUOTE}\]?)?\s*(?::\s*str\s*)?[:=]\s*[rbuf]?{_QUOTE}([^\s\"'\\]{{8,200}}){_QUOTE}"
        ),
        re.compile(r"(?m)^\s*(?:export\s+)?[A-Z0-9_]*(?:PASSWORD|PASSWD|PWD|SECRET|TOKEN|KEY)=([^\s\"'\\]{8,200})\s*$"),
        re.compile(rf"(?im)^\s*[\w.-]*{_NAME}:[ \t]+([^\s\"'\\]{{8,200}})\s*$"),
    )

    def analyze_string(self, string: str) -> Generator[str, None, None]:
        for value in super().analyze_string(string):
            if _is_like_a_password(value) and not _STANDS_FOR_ONE.search(value):
                yield value


def _is_like_a_password(value: str) -> bool:
    """Letters and digits, and neither a path, an address, an expression nor one word with a number."""
    return (
        re.search(r"[A-Za-z]", value) is not None
        and re.search(r"[0-9]", value) is not None
        and re.search(r"^[/~.$<{%]|://|[(){}\[\]<>$]", value) is None
        and re.fullmatch(r"[A-Za-z]+[_-]?[0-9]{1,2}|[a-z]+(?:[._-][a-z0-9]+)*", value) is None
    )


RULE = Rule(
    kind="password in a file",
    signs=(
        "([Pp]ass(w|phrase)|PASS(W|PHRASE)|[Pp]wd|PWD|[Ss]ecret|SECRET|[Tt]oken|TOKEN"
        r"|([Aa]pi|API|[Aa]uth|AUTH|[Aa]ccess|ACCESS)[_-]?([Kk]ey|KEY))[A-Za-z]*[]\\\"' \t]*(: *str *)?[:=]",
    ),
    plugins=(AssignedPassword(),),
    outside_packages=True,
)
