"""Private keys: SSH, TLS, PGP, PuTTY, those of service accounts."""

import re

from detect_secrets.plugins.base import RegexBasedDetector

from baker.seal.rules.rule import Rule


class PrivateKey(RegexBasedDetector):
    """The library's takes the line BEGIN alone, which every program that can read a key holds; ours wants a key too."""

    secret_type = "private key"  # noqa: S105  (a name)
    denylist = (
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:(?!-----)[\s\S]){0,400}?[A-Za-z0-9+/]{40}"
            r"|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----(?:(?!----)[\s\S]){0,400}?[A-Za-z0-9+/]{40}"
            r"|PuTTY-User-Key-File-[23]: \S"
        ),
    )


RULE = Rule(
    kind="private key",
    signs=("BEGIN [A-Z0-9 ]*PRIVATE KEY", "PuTTY-User-Key-File-[23]: "),
    plugins=(PrivateKey(),),
)
