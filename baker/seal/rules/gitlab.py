"""Tokens of GitLab."""

from detect_secrets.plugins.gitlab_token import GitLabTokenDetector

from baker.seal.rules.rule import Rule

RULE = Rule(
    kind="GitLab token",
    signs=("gl(pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[A-Za-z0-9_-]{20}", "GR1348941[A-Za-z0-9_-]{20}"),
    plugins=(GitLabTokenDetector(),),
)
