"""Tokens and webhooks of Slack."""

from detect_secrets.plugins.slack import SlackDetector

from baker.seal.rules.rule import Rule

RULE = Rule(
    kind="Slack token",
    signs=("[Xx][Oo][Xx][AaBbPpOoSsRr]-[0-9]+-", "hooks[.]slack[.]com/services/T"),
    plugins=(SlackDetector(),),
)
