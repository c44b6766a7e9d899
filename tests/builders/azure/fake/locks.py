"""Management locks: what stands in the way of deletions and changes, at a scope and below it."""

from tests.builders.azure.fake.ids import key
from tests.builders.azure.fake.refusal import Refusal
from tests.builders.azure.fake.world import world

LOCK_TYPE = "Microsoft.Authorization/locks"


def check_deletable(id: str) -> None:
    """Refusal when a lock holds it, or something below it."""
    held = [it for it in _locks() if _covers(it, id) or (key(it) + "/").startswith(key(id) + "/")]
    if held:
        raise Refusal(
            409,
            "ScopeLocked",
            f"The scope '{id}' cannot perform delete operation because following scope(s) are locked: "
            f"'{held[0]}'. Please remove the lock and try again.",
        )


def check_writable(id: str) -> None:
    """Refusal when a lock makes it, or what is above it, read-only."""
    held = [it for it, level in _locks().items() if level == "ReadOnly" and _covers(it, id)]
    if held:
        raise Refusal(
            409,
            "ScopeLocked",
            f"The scope '{id}' cannot perform write operation because following scope(s) are locked: "
            f"'{held[0]}'. Please remove the lock and try again.",
        )


def _locks() -> dict[str, str]:
    """Their levels, by the scopes that they are on."""
    return {
        it.id.rpartition("/providers/")[0]: it.properties["level"]
        for it in world.resources.values()
        if it.type == LOCK_TYPE
    }


def _covers(scope: str, id: str) -> bool:
    return (key(id) + "/").startswith(key(scope) + "/")
