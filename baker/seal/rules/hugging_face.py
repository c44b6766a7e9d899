"""Tokens of the Hugging Face Hub."""

import re

from detect_secrets.plugins.base import RegexBasedDetector

from baker.seal.rules.rule import Rule


class HuggingFaceToken(RegexBasedDetector):
    """The library has nothing for these."""

    secret_type = "Hugging Face token"  # noqa: S105  (a name)
    denylist = (re.compile(r"(?<![A-Za-z0-9_])(?:hf|api_org)_[A-Za-z]{34}(?![A-Za-z0-9_])"),)


RULE = Rule(
    kind="Hugging Face token",
    signs=("(hf|api_org)_[A-Za-z]{34}",),
    plugins=(HuggingFaceToken(),),
)
