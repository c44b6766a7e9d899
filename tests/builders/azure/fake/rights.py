"""Who may do what: Azure's role-based access, by the actions that each call needs."""

from tests.builders.azure.fake.refusal import Refusal
from tests.builders.azure.fake.settings import CLIENT, PRINCIPAL
from tests.builders.azure.fake.world import world


def allowed(action: str, scope: str) -> bool:
    """Whether some grant covers it."""
    return any(grant.allows(action, scope) for grant in world.grants)


def require(action: str, scope: str, *, linked: str | None = None) -> None:
    """Refusal unless the caller may; `linked`: the resource that refers to `scope`."""
    if allowed(action, scope):
        return
    who = f"The client '{CLIENT}' with object id '{PRINCIPAL}'"
    if linked:
        raise Refusal(
            403,
            "LinkedAuthorizationFailed",
            f"{who} has permission to perform action on scope '{linked}'; however, it does not have permission to "
            f"perform action(s) '{action}' on the linked scope(s) '{scope}' (respectively) or the linked scope(s) are "
            "invalid.",
        )
    raise Refusal(
        403,
        "AuthorizationFailed",
        f"{who} does not have authorization to perform action '{action}' over scope '{scope}' or the scope is "
        "invalid. If access was recently granted, please refresh your credentials.",
    )
