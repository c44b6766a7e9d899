"""A token or password of JupyterLab that is fixed in its settings, in a unit of systemd or in a script.

Everybody who starts the image would share it. Without one, the server makes a new token at each start.
"""

import re

from detect_secrets.plugins.base import RegexBasedDetector

from baker.seal.rules.rule import Rule

_VALUE = r"[ru]?[\"']?([^\s\"'<>{}$,;]{4,})"


class JupyterToken(RegexBasedDetector):
    """The library has nothing for these."""

    secret_type = "Jupyter token"  # noqa: S105  (a name)
    denylist = (
        re.compile(
            r"(?m)^(?![ \t]*#).*?(?:ServerApp|NotebookApp|LabApp|IdentityProvider|PasswordIdentityProvider)"
            rf"\.(?:token|password|hashed_password|cookie_secret)\s*[=:]\s*{_VALUE}"
        ),
        re.compile(rf"(?m)^(?![ \t]*#).*?JUPYTER(?:_SERVER|HUB_API|HUB_CRYPT)?_(?:TOKEN|KEY)=\s*{_VALUE}"),
        re.compile(r"[\"'](argon2:\$argon2|sha1:[0-9a-f]{8,}:|sha256:[0-9a-f]{8,}:)"),
    )


RULE = Rule(
    kind="Jupyter token",
    signs=(
        r"(ServerApp|NotebookApp|LabApp|IdentityProvider)\.(token|password|hashed_password|cookie_secret)",
        "JUPYTER(_SERVER|HUB_API|HUB_CRYPT)?_(TOKEN|KEY)=",
        r"argon2:[$]argon2",
        "sha(1|256):[0-9a-f]{12}:[0-9a-f]{40}",
    ),
    plugins=(JupyterToken(),),
)
