"""Tokens of package indexes: PyPI, npm, channels of anaconda.org."""

import re

from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector

from baker.seal.rules.rule import Rule


class ChannelToken(RegexBasedDetector):
    """The library has nothing for these: conda writes them into the records of what it installs."""

    secret_type = "package index token"  # noqa: S105  (a name)
    denylist = (re.compile(r"://[^\s/\"']+/t/[a-z]{2}-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/"),)


RULE = Rule(
    kind="package index token",
    signs=("pypi-AgE[A-Za-z0-9_-]{70}", "/:_authToken=", "/t/[a-z]{2}-[0-9a-f]{8}-"),
    plugins=(PypiTokenDetector(), NpmDetector(), ChannelToken()),
)
