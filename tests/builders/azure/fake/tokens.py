"""The identity platform, as far as a workload identity goes: a token for an assertion, and what is in the token."""

import base64
import json
import time
import urllib.parse
from typing import Any

from tests.builders.azure.fake.refusal import Refusal
from tests.builders.azure.fake.settings import CLIENT, PRINCIPAL, TENANT
from tests.builders.azure.fake.world import world

LIFE_SECONDS = 3600
ASSERTION = "an-assertion-of-a-workload"


def issue(tenant: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Status and answer of the token endpoint."""
    given = {name: values[0] for name, values in urllib.parse.parse_qs(body.decode()).items()}
    if tenant.lower() != TENANT:
        return _no(
            400, "invalid_request", 90002, f"Tenant '{tenant}' not found. Check that you have the correct tenant ID."
        )
    if given.get("client_id") != CLIENT:
        name = given.get("client_id")
        message = f"Application with identifier '{name}' was not found in the directory."
        return _no(400, "unauthorized_client", 700016, message)
    if given.get("client_assertion") != ASSERTION:
        return _no(401, "invalid_client", 700027, "The key that signed the client assertion is not registered.")
    if world.identity_gone:
        return _no(401, "invalid_client", 700024, "Client assertion is not within its valid time range.")
    token = _token(given.get("scope", ""))
    return 200, {
        "token_type": "Bearer",
        "expires_in": LIFE_SECONDS,
        "ext_expires_in": LIFE_SECONDS,
        "access_token": token,
    }


def check(authorization: str | None, audience: str) -> None:
    """Refusal for a call without a token, or with one that is not good (any more)."""
    if not authorization or not authorization.startswith("Bearer "):
        raise Refusal(
            401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.",
            headers={"WWW-Authenticate": f'Bearer authorization_uri="{audience}/{TENANT}"'},
        )  # fmt: skip
    try:
        claims = json.loads(base64.urlsafe_b64decode(authorization.split(".")[1] + "=="))
    except (IndexError, ValueError) as error:
        raise _bad("InvalidAuthenticationToken", "The access token is invalid.", audience) from error
    if claims.get("scp") != f"{audience}/.default":
        raise _bad(
            "InvalidAuthenticationTokenAudience",
            f"The access token has been obtained for wrong audience or resource '{claims.get('scp')}'.",
            audience,
        )
    if claims["iat"] < world.expired_before or claims["exp"] < time.time():
        raise _bad(
            "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time.", audience
        )


def _bad(code: str, message: str, audience: str) -> Refusal:
    header = f'Bearer authorization_uri="{audience}/{TENANT}", error="invalid_token", error_description="{message}"'
    return Refusal(401, code, message, headers={"WWW-Authenticate": header})


def _token(scope: str) -> str:
    now = time.time()
    claims = {
        "aud": scope,
        "scp": scope,
        "iat": now,
        "exp": now + LIFE_SECONDS,
        "tid": TENANT,
        "oid": PRINCIPAL,
        "appid": CLIENT,
    }
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    words = [base64.urlsafe_b64encode(json.dumps(it).encode()).rstrip(b"=").decode() for it in parts]
    return ".".join([*words, "unsigned"])


def _no(status: int, error: str, number: int, message: str) -> tuple[int, dict[str, Any]]:
    return status, {
        "error": error,
        "error_description": f"AADSTS{number}: {message}",
        "error_codes": [number],
        "timestamp": "2026-01-01 00:00:00Z",
    }
