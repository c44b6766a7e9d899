"""Keys of Azure: storage accounts, shared access signatures, client secrets of applications."""

import re

from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector

from baker.seal.rules.rule import Rule


class AzureKey(RegexBasedDetector):
    """What the library has nothing for."""

    secret_type = "Azure key"  # noqa: S105  (a name)

    denylist = (
        re.compile(r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~.-])"),
        re.compile(r"[?&;]sig=[A-Za-z0-9+/]*(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9+/=]){43,}"),
        re.compile(r"SharedAccessKey=[A-Za-z0-9+/]{42,}="),
    )


RULE = Rule(
    kind="Azure key",
    signs=("AccountKey=", "[0-9]Q~[A-Za-z0-9_~.-]{31}", "[?&;]sig=", "SharedAccessKey="),
    plugins=(AzureStorageKeyDetector(), AzureKey()),
)
