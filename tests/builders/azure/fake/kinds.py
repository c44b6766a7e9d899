"""A kind of resource, and what is the same for all of them: to be put, looked at, listed, tagged and deleted.

What is particular to a kind is in its module: a subclass of `Kind` with what is refused, what Azure adds to what was
asked for, and what happens at the end of an operation.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.builders.azure.fake.ids import group_id, group_name, key, name_of, new_guid, shout
from tests.builders.azure.fake.locks import check_deletable, check_writable
from tests.builders.azure.fake.operations import Operation, Style, instant
from tests.builders.azure.fake.refusal import Refusal, not_found
from tests.builders.azure.fake.rights import require
from tests.builders.azure.fake.settings import LOCATIONS
from tests.builders.azure.fake.world import Resource, world

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Answer:
    """What a call answers."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `id` is the resource that it is for; `name` is how faults and the journal call it."""

    method: str
    name: str
    id: str
    version: str
    query: dict[str, str]
    body: Any
    base: str
    caller: str = "127.0.0.1"


class Kind:
    """One type of resource; see the module. `style` None: it is made at once, and deleted at once."""

    type: str
    style: Style | None = "operations"
    put_status = 201
    put_monitor = False
    patch_status = 200
    tracked = True
    """Whether it has a location and tags, and is in the list of resources."""

    @property
    def namespace(self) -> str:
        return self.type.partition("/")[0]

    # what a kind adds

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        """Refusal when it cannot be made so."""

    def complete(self, call: Call, resource: Resource) -> None:
        """Add what Azure adds at once; `properties` is a copy of what was asked for."""

    def made(self, resource: Resource) -> None:
        """What is there once it has been made."""

    def spoil(self, resource: Resource) -> None:
        """It could not be made."""

    def ready(self, resource: Resource) -> bool | tuple[str, str]:
        """Whether what was put is there, but for the time that it takes."""
        return True

    def check_gone(self, call: Call, resource: Resource) -> None:
        """Refusal when it cannot be deleted."""

    def going(self, resource: Resource) -> None:
        """Its deletion begins."""

    def gone(self, resource: Resource) -> None:
        """It is deleted."""

    def shown(self, resource: Resource, query: dict[str, str]) -> Json:
        """Its properties as they are told."""
        return resource.properties

    # the same for all

    def put(self, call: Call) -> Answer:
        """Make it, or change it."""
        body = copy.deepcopy(call.body)
        old = world.find(call.id)
        group = world.group_of(call.id)
        if group is None:
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{group_name(call.id)}' could not be found.")
        if group.state == "Deleting" or (old is not None and old.state == "Deleting"):
            raise Refusal(
                409,
                "ResourceGroupBeingDeleted" if group.state == "Deleting" else "OperationNotAllowed",
                f"The resource group '{group.name}' is in deprovisioning state and cannot perform this operation."
                if group.state == "Deleting"
                else f"The resource '{name_of(call.id)}' is being deleted.",
            )
        check_writable(call.id)
        if self.tracked:
            self._check_place(body, old)
        self.check(call, body, old)
        resource = old or Resource(id=call.id, kind=self, location="", tags={}, properties={})
        resource.location = body.get("location", resource.location) or group.location
        resource.location = resource.location.lower().replace(" ", "")
        resource.tags = dict(body.get("tags") or {})
        kept = resource.properties
        resource.properties = body.get("properties") or {}
        resource.properties.pop("provisioningState", None)
        for word in ("sku", "zones", "plan", "identity", "extendedLocation"):
            if word in body:
                resource.envelope[word] = body[word]
        if old is not None:
            resource.properties = {**kept, **resource.properties}
        self.complete(call, resource)
        world.add(resource)
        return self._accepted(call, resource, new=old is None)

    def get(self, call: Call) -> Answer:
        """Look at it."""
        world.polled(call.id)
        world.tick()
        return Answer(status=200, body=self.body(self.existing(call.id), call.query))

    def head(self, call: Call) -> Answer:
        """Whether it is there."""
        return Answer(status=204 if world.find(call.id) else 404)

    def patch(self, call: Call) -> Answer:
        """Change its tags, and properties that are named."""
        resource = self.existing(call.id)
        check_writable(call.id)
        body = copy.deepcopy(call.body or {})
        if "tags" in body:
            resource.tags = dict(body["tags"] or {})
        self.changed(call, resource, body.get("properties") or {})
        return self._accepted(call, resource, new=False, status=self.patch_status)

    def changed(self, call: Call, resource: Resource, properties: Json) -> None:
        """A PATCH names properties."""
        merge(resource.properties, properties)

    def delete(self, call: Call) -> Answer:
        """Delete it; 204 when it is not there."""
        resource = world.find(call.id)
        if resource is None:
            return Answer(status=204)
        check_deletable(call.id)
        self.check_gone(call, resource)
        if self.style is None:
            world.remove(resource)
            return Answer(status=200)
        before, resource.state = resource.state, "Deleting"
        self.going(resource)

        def stays() -> None:
            resource.state = before if before == "Failed" else "Succeeded"

        operation = self.operation(
            call,
            resource,
            then=lambda: world.remove(resource),
            spoiled=stays,
            ready=lambda: self.gone_ready(resource),
        )
        return Answer(status=202, headers=operation.headers(call.base, monitor=True))

    def gone_ready(self, resource: Resource) -> bool:
        """Whether it can vanish, but for the time that it takes."""
        return True

    def list(self, call: Call, scope: str) -> list[Json]:
        """All of the type below a scope, as a list shows them."""
        shown = [self.body(it, {}) for it in world.of_type(self.type, scope)]
        if world.settings.shout and self.namespace == "Microsoft.Compute":
            for it in shown:
                it["id"] = shout(it["id"])
        return shown

    def existing(self, id: str) -> Resource:
        """Refusal unless it is there."""
        resource = world.find(id)
        if resource is None:
            if world.group_of(id) is None:
                raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{group_name(id)}' could not be found.")
            raise not_found(id)
        return resource

    def body(self, resource: Resource, query: dict[str, str]) -> Json:
        """As an answer has it."""
        told: Json = {"name": self.full_name(resource), "id": resource.id, "type": self.type}
        if self.tracked:
            told["location"] = resource.location
            if resource.tags:
                told["tags"] = dict(resource.tags)
        told |= copy.deepcopy(resource.envelope)
        properties = copy.deepcopy(self.shown(resource, query))
        return {**told, "properties": {**properties, "provisioningState": resource.state}}

    def full_name(self, resource: Resource) -> str:
        """The name in an answer."""
        return resource.name

    def operation(
        self,
        call: Call,
        resource: Resource,
        *,
        then: Callable[[], None],
        spoiled: Callable[[], None],
        ready: Callable[[], bool | tuple[str, str]] = lambda: True,
        output: bool = False,
    ) -> Operation:
        """Let something begin on a resource of this kind."""
        assert self.style is not None
        return world.begin(
            Operation(
                id=new_guid(),
                resource=key(resource.id),
                style=self.style,
                namespace=self.namespace,
                location=resource.location,
                version=call.version,
                pace=world.pace_of(call.name),
                then=then,
                spoiled=spoiled,
                ready=ready,
                output=(lambda: self.body(resource, {})) if output else (lambda: None),
            )
        )

    def _accepted(self, call: Call, resource: Resource, *, new: bool, status: int | None = None) -> Answer:
        status = status or (self.put_status if new or self.put_status == 202 else 200)
        if self.style is None:
            self.made(resource)
            return Answer(status=status, body=self.body(resource, call.query))
        # not: failed once, failed for ever
        resource.state = "Creating" if new else "Updating"

        def made() -> None:
            resource.state = "Succeeded"
            self.made(resource)

        def spoiled() -> None:
            resource.state = "Failed"
            self.spoil(resource)

        operation = self.operation(
            call, resource, then=made, spoiled=spoiled, ready=lambda: self.ready(resource), output=True
        )
        headers = operation.headers(call.base, monitor=status == 202)
        return Answer(status=status, body=self.accepted_body(resource), headers=headers)

    def accepted_body(self, resource: Resource) -> Json:
        """What the answer that accepts a PUT or PATCH shows."""
        return self.body(resource, {})

    def _check_place(self, body: Json, old: Resource | None) -> None:
        location = body.get("location")
        if not location:
            raise Refusal(400, "LocationRequired", "The location property is required for this definition.")
        canonical = location.lower().replace(" ", "")
        if canonical not in LOCATIONS:
            raise Refusal(
                400,
                "LocationNotAvailableForResourceType",
                f"The provided location '{location}' is not available for resource type '{self.type}'. "
                f"List of available regions for the resource type is '{','.join(LOCATIONS)}'.",
            )
        if old is not None and old.location != canonical:
            raise Refusal(
                409,
                "InvalidResourceLocation",
                f"The resource '{old.name}' already exists in location '{old.location}' in resource group "
                f"'{group_name(old.id)}'. A resource with the same name cannot be created in location '{canonical}'.",
            )


def merge(into: Json, given: Json) -> None:
    """What is named changes, at any depth; the rest stays."""
    for name, value in given.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


def referred(call: Call, id: Any, what: str, *, right: str | None = None) -> Resource:
    """The resource that a body names. Refusal when it is not there, or the caller may not use it."""
    resource = world.find(id) if isinstance(id, str) else None
    if resource is None:
        raise Refusal(
            404 if what != "network" else 400,
            "NotFound" if what != "network" else "InvalidResourceReference",
            f"Resource {id} referenced by resource {call.id} was not found. Please make sure that the referenced "
            "resource exists, and that both resources are in the same region.",
        )
    if right:
        require(right, resource.id, linked=call.id)
    return resource


def created_at(resource: Resource) -> str:
    """When it was."""
    return instant(resource.created)


def group_of(id: str) -> str:
    """The id of a resource's group."""
    return group_id(id)
