"""Tokens of services that research code talks to: language models, mail, payment, chat."""

import re

from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector

from baker.seal.rules.rule import Rule


class ServiceToken(RegexBasedDetector):
    """What the library has nothing for."""

    secret_type = "service token"  # noqa: S105  (a name)
    denylist = (
        re.compile(r"sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{80,}"),
        re.compile(r"(?<![A-Za-z0-9_-])dop_v1_[a-f0-9]{64}(?![A-Za-z0-9])"),
    )


RULE = Rule(
    kind="service token",
    signs=(
        "T3BlbkFJ[A-Za-z0-9]{20}",
        "sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{80}",
        r"SG\.[a-zA-Z0-9_-]{22}\.[a-zA-Z0-9_-]{43}",
        "sq0csp-",
        "[rs]k_live_[0-9a-zA-Z]{24}",
        "dop_v1_[a-f0-9]{64}",
    ),
    plugins=(OpenAIDetector(), SendGridDetector(), SquareOAuthDetector(), StripeDetector(), ServiceToken()),
)
