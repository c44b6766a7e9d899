"""Which Azure: the public one, those of the United States' government and of China, or any other Resource Manager."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from baker.errors import RecipeError

VARIABLE = "BAKER_AZURE_CLOUD"
"""Says it where no recipe does."""

PUBLIC = "public"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Who is asked, what a token must be for, and who gives tokens; None leaves that to the SDK."""

    manager: str
    scope: str
    authority: str | None = None


CLOUDS: Mapping[str, Endpoints] = {
    PUBLIC: Endpoints(manager="https://management.azure.com", scope="https://management.azure.com/.default"),
    "government": Endpoints(
        manager="https://management.usgovcloudapi.net",
        scope="https://management.core.usgovcloudapi.net/.default",
        authority="login.microsoftonline.us",
    ),
    "china": Endpoints(
        manager="https://management.chinacloudapi.cn",
        scope="https://management.chinacloudapi.cn/.default",
        authority="login.chinacloudapi.cn",
    ),
}
"""As the SDK has them in azure.mgmt.core.tools.get_arm_endpoints and azure.identity.AzureAuthorityHosts."""


def cloud_problem(cloud: object) -> str | None:
    """What is wrong with how a cloud is named; None when nothing is."""
    if isinstance(cloud, str) and (cloud in CLOUDS or _is_address(cloud)):
        return None
    return f"must be {', '.join(repr(name) for name in CLOUDS)}, or an https:// address"


def endpoints_of(cloud: str | None) -> Endpoints:
    """Those of a cloud; of that in the environment for None. RecipeError for what is none."""
    name = cloud or os.environ.get(VARIABLE) or PUBLIC
    if problem := cloud_problem(name):
        raise RecipeError(f"${VARIABLE} is {name!r}: {problem}")
    if name in CLOUDS:
        return CLOUDS[name]
    manager = name.rstrip("/")
    return Endpoints(manager=manager, scope=f"{manager}/.default")


def _is_address(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme == "https" and bool(parts.hostname) and parts.path in ("", "/")
