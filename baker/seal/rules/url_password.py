"""A password in an address: `https://user:password@host/`, as in a clone's `.git/config`."""

import re
from collections.abc import Generator

from detect_secrets.plugins.base import RegexBasedDetector

from baker.seal.rules.rule import Rule

# fmt: off
_STAND_INS = frozenset((
    "apikey", "b", "bar", "c", "foo", "guest", "key", "none", "null", "p", "pass", "passphrase", "passw", "passwd",
    "password", "pw", "pwd", "secret", "test", "token", "user", "username", "x",
))
# fmt: on
_OWNERS = ("your", "my", "the", "some", "proxy", "db", "new", "user")
_EXAMPLE_HOSTS = re.compile(r"(?i)(?:.*\.)?(?:example(?:\.\w+)?|invalid)|host(?:name)?|domain\.\w+")


class UrlPassword(RegexBasedDetector):
    """Wider than the library's in what a password may hold; passes over what every manual writes in its place."""

    secret_type = "password in a URL"  # noqa: S105  (a name)
    denylist = (
        re.compile(
            r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@\"'<>|]*:([^\s/@\"'<>|]+)@([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-f:]+\])"
        ),
    )

    def analyze_string(self, string: str) -> Generator[str, None, None]:
        for regex in self.denylist:
            for password, host in regex.findall(string):
                if not _stands_for_one(password) and not _EXAMPLE_HOSTS.fullmatch(host):
                    yield password


def _stands_for_one(password: str) -> bool:
    """`$PASSWORD`, `{password}`, `%s`, `***`, `your_password`, `xxxx`."""
    word = re.sub(r"[\W_]", "", password).lower()
    if password.startswith(("$", "{", "%(", "%s", "[", "(")) or len(set(word)) < 2:
        return True
    word = word.rstrip("0123456789")
    return word in _STAND_INS or any(word.removeprefix(owner) in _STAND_INS for owner in _OWNERS)


RULE = Rule(
    kind="password in a URL",
    signs=("""[A-Za-z]://[^]/:@ "'<>|]*:[^]/@ "'<>|]+@[A-Za-z0-9[]""",),
    plugins=(UrlPassword(),),
)
