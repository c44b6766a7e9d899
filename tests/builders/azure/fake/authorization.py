"""Locks, role assignments, and what somebody may do somewhere."""

import re

from tests.builders.azure.fake.ids import key, name_of
from tests.builders.azure.fake.kinds import Answer, Call, Json, Kind
from tests.builders.azure.fake.operations import instant
from tests.builders.azure.fake.refusal import Refusal
from tests.builders.azure.fake.settings import PRINCIPAL, SUBSCRIPTION
from tests.builders.azure.fake.world import Resource, world

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_ROLE_DEFINITIONS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"

ROLES = {
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "cf7c76d2-98a3-4358-a134-615aa78bf44d": "Compute Gallery Image Reader",
}
"""Roles that every tenant has."""


class ScopedKind(Kind):
    """There at once, at a scope that need not be a group."""

    style = None
    tracked = False

    def put(self, call: Call) -> Answer:
        scope = call.id.rpartition("/providers/")[0]
        if key(scope).count("/") > 4 and world.find(scope) is None:
            raise Refusal(404, "ResourceNotFound", f"The Resource '{scope}' was not found.")
        if key(scope).count("/") == 4 and world.group_of(scope) is None:
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{name_of(scope)}' could not be found.")
        old = world.find(call.id)
        self.check(call, call.body, old)
        resource = Resource(
            id=call.id, kind=self, location="", tags={}, properties=dict(call.body.get("properties") or {})
        )
        self.complete(call, resource)
        world.add(resource)
        return Answer(status=200 if old else 201, body=self.body(resource, {}))

    def body(self, resource: Resource, query: dict[str, str]) -> Json:
        return {"properties": resource.properties, "id": resource.id, "type": self.type, "name": resource.name}


class Locks(ScopedKind):
    type = "Microsoft.Authorization/locks"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        if not (body.get("properties") or {}).get("level"):
            raise Refusal(400, "InvalidRequestContent", "A lock has a level.")

    def delete(self, call: Call) -> Answer:
        """A lock does not hold itself."""
        resource = world.find(call.id)
        if resource is None:
            return Answer(status=204)
        world.remove(resource)
        return Answer(status=200)


class RoleAssignments(ScopedKind):
    type = "Microsoft.Authorization/roleAssignments"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        given = body.get("properties") or {}
        if not _GUID.fullmatch(name_of(call.id)):
            raise Refusal(400, "InvalidRoleAssignmentId", f"'{name_of(call.id)}' is no GUID.")
        principal, role = str(given.get("principalId", "")), str(given.get("roleDefinitionId", ""))
        if not _GUID.fullmatch(principal):
            raise Refusal(
                400, "InvalidPrincipalId", f"A valid principal ID must be provided for role assignment: '{principal}'."
            )
        if principal in world.settings.unknown_principals:
            raise Refusal(
                400, "PrincipalNotFound", f"Principal {principal.replace('-', '')} does not exist in the directory."
            )
        if name_of(role) not in ROLES:
            raise Refusal(400, "RoleDefinitionDoesNotExist", f"The specified role definition '{role}' does not exist.")
        scope = call.id.rpartition("/providers/")[0]
        for other in world.of_type(self.type, scope):
            same = other.properties["principalId"] == principal and name_of(
                other.properties["roleDefinitionId"]
            ) == name_of(role)
            at_scope = key(other.properties["scope"]) == key(scope)
            if at_scope and (same and key(other.id) != key(call.id)):
                raise Refusal(409, "RoleAssignmentExists", "The role assignment already exists.")
        if old is not None and old.properties["principalId"] != principal:
            raise Refusal(
                409, "RoleAssignmentUpdateNotPermitted", "Tenant ID, application ID, principal ID, and scope are not "
                "allowed to be updated."
            )  # fmt: skip

    def complete(self, call: Call, resource: Resource) -> None:
        role = name_of(resource.properties["roleDefinitionId"])
        resource.properties |= {
            "scope": call.id.rpartition("/providers/")[0],
            "roleDefinitionId": f"{_ROLE_DEFINITIONS}/{role}",
            "createdOn": instant(resource.created),
            "createdBy": PRINCIPAL,
        }
        resource.properties.setdefault("principalType", "ServicePrincipal")


LOCKS, ROLE_ASSIGNMENTS = Locks(), RoleAssignments()


def permissions(scope: str) -> list[Json]:
    """What the caller may do there."""
    return [
        {"actions": list(it.actions), "notActions": list(it.not_actions), "dataActions": [], "notDataActions": []}
        for it in world.grants
        if (key(scope) + "/").startswith(key(it.scope).rstrip("/") + "/")
    ]
