"""A password's hash where accounts are kept: who has the image can find the password, and use it everywhere."""

import re

from detect_secrets.plugins.base import RegexBasedDetector

from baker.seal.rules.rule import Rule


class PasswordHash(RegexBasedDetector):
    """The library has nothing for these. An account that is locked keeps its hash after a `!`."""

    secret_type = "password hash"  # noqa: S105  (a name)
    denylist = (re.compile(r"(?m)^[^\s:]+:!*(\$(?:1|2[abxy]|5|6|7|y|gy|apr1)\$[^\s:]+)"),)


RULE = Rule(
    kind="password hash",
    signs=(r"^[A-Za-z0-9_.@-]+:!*[$](1|2[abxy]|5|6|7|y|gy|apr1)[$]",),
    plugins=(PasswordHash(),),
    only_in=r"/(g?shadow-?|\.?htpasswd|passwd-?|opasswd)$",
)
