"""Keys of Google Cloud: API keys, tokens, client secrets. A service account's key is a private key."""

import re

from detect_secrets.plugins.base import RegexBasedDetector

from baker.seal.rules.rule import Rule


class GoogleCloudKey(RegexBasedDetector):
    """The library has nothing for these."""

    secret_type = "Google Cloud key"  # noqa: S105  (a name)
    denylist = (
        re.compile(r"(?<![A-Za-z0-9_-])AIza[0-9A-Za-z_-]{35}(?![A-Za-z0-9_-])"),
        re.compile(r"(?<![A-Za-z0-9_-])GOCSPX-[A-Za-z0-9_-]{28}(?![A-Za-z0-9_-])"),
        re.compile(r"(?<![A-Za-z0-9_-])ya29\.[0-9A-Za-z_-]{20,}"),
        re.compile(r"refresh_token[\"']?\s*[:=]\s*[\"']?(1//0[A-Za-z0-9_-]{40,})"),
    )


RULE = Rule(
    kind="Google Cloud key",
    signs=("AIza[0-9A-Za-z_-]{35}", "GOCSPX-[A-Za-z0-9_-]{28}", r"ya29\.[0-9A-Za-z_-]{20}", "1//0[A-Za-z0-9_-]{40}"),
    plugins=(GoogleCloudKey(),),
)
