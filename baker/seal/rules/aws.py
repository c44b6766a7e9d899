"""Access keys of AWS: their ids, and the secret halves where a name says what they are."""

import re
from collections.abc import Generator

from detect_secrets.plugins.base import RegexBasedDetector

from baker.seal.rules.rule import Rule


class AwsKey(RegexBasedDetector):
    """Stricter than the library's: sequences of DNA and protein are written in the same letters as an id."""

    secret_type = "AWS key"  # noqa: S105  (a name)

    denylist = (
        re.compile(r"(?<![A-Za-z0-9/+])(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9/+=])"),
        re.compile(
            r"(?i)aws_?(?:secret|session)_?(?:access_?)?(?:key|token)[\"']?\s*[:=]\s*[\"']?([A-Za-z0-9/+=]{40,})"
        ),
    )

    def analyze_string(self, string: str) -> Generator[str, None, None]:
        for found in super().analyze_string(string):
            if "EXAMPLE" not in found and not re.fullmatch(r"[ACGTUN]+", found):  # AWS's documented keys end so
                yield found


RULE = Rule(
    kind="AWS key",
    signs=(
        "(A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z2-7]{16}",
        "[Aa][Ww][Ss]_?([Ss][Ee][Cc][Rr][Ee][Tt]|[Ss][Ee][Ss][Ss][Ii][Oo][Nn])_?",
    ),
    plugins=(AwsKey(),),
)
