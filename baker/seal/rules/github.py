"""Tokens of GitHub, the fine-grained ones too."""

import re

from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector

from baker.seal.rules.rule import Rule


class FineGrainedToken(RegexBasedDetector):
    """What the library has nothing for."""

    secret_type = "GitHub token"  # noqa: S105  (a name)
    denylist = (re.compile(r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),)


RULE = Rule(
    kind="GitHub token",
    signs=("gh[pousr]_[A-Za-z0-9_]{36}", "github_pat_[A-Za-z0-9]{22}_"),
    plugins=(GitHubTokenDetector(), FineGrainedToken()),
)
