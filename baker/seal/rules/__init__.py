"""What looks like a secret, one kind a file.

detect-secrets' plugins where it has one, ours in its interface where it has none or where its own is too loose for a
whole machine. Left out on purpose: its plugins for entropy, which take every checksum for a secret, for keywords, which
take `token = "next_token"` for one (`assigned_password` is stricter), and for services whose tokens look like any word.

Importing this imports detect-secrets, which takes a fifth of a second: only the scan does.
"""

from baker.seal.rules import (
    assigned_password,
    aws,
    azure,
    credentials_file,
    github,
    gitlab,
    google_cloud,
    hugging_face,
    jupyter,
    package_index,
    password_hash,
    private_key,
    service,
    slack,
    url_password,
    web_token,
)
from baker.seal.rules.rule import IN_PACKAGES, Rule

__all__ = ["IN_PACKAGES", "RULES", "Rule"]

RULES: tuple[Rule, ...] = (
    assigned_password.RULE,
    aws.RULE,
    azure.RULE,
    credentials_file.RULE,
    github.RULE,
    gitlab.RULE,
    google_cloud.RULE,
    hugging_face.RULE,
    jupyter.RULE,
    package_index.RULE,
    password_hash.RULE,
    private_key.RULE,
    service.RULE,
    slack.RULE,
    url_password.RULE,
    web_token.RULE,
)
