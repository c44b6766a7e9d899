"""All that there is in the subscription, so that a test can say what was left and what was touched."""

from typing import Any

from tests.builders.azure.fake.world import world


def inventory() -> list[dict[str, Any]]:
    """Each group and resource: kind, id, tags, and what may be changed of it."""
    found = [
        {"kind": "group", "id": it.id, "tags": dict(it.tags), "facts": {"state": it.state, "location": it.location}}
        for it in world.groups.values()
    ]
    for it in world.resources.values():
        facts: dict[str, Any] = {"state": it.state}
        for word in ("power", "generalized", "sharing", "not_deprovisioned"):
            if word in it.facts:
                facts[word] = it.facts[word]
        for word in (
            "sourceVirtualMachine",
            "publishingProfile",
            "sharingProfile",
            "securityRules",
            "scope",
            "principalId",
        ):
            if word in it.properties:
                facts[word] = it.properties[word]
        facts["of"] = it.envelope.get("managedBy")
        found.append({"kind": it.type, "id": it.id, "tags": dict(it.tags), "facts": facts})
    return found
