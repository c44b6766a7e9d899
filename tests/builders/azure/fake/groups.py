"""Resource groups, the list of all resources, tags, and what a subscription is registered for."""

import re
from collections.abc import Callable
from typing import Any

from tests.builders.azure.fake.ids import group_name, key, name_of, new_guid, shout
from tests.builders.azure.fake.kinds import Answer, Call, Json
from tests.builders.azure.fake.locks import check_deletable, check_writable
from tests.builders.azure.fake.operations import Operation, instant
from tests.builders.azure.fake.refusal import Refusal, not_found
from tests.builders.azure.fake.rights import allowed
from tests.builders.azure.fake.settings import LOCATIONS, SUBSCRIPTION, TENANT
from tests.builders.azure.fake.world import Group, Resource, world

TYPE = "Microsoft.Resources/resourceGroups"
_NAME = re.compile(r"[-\w._()]{1,89}[-\w_()]")
_TERM = re.compile(r"(tagName|tagValue|resourceType|resourceGroup|name) eq '([^']*)'")
_MOST_TAGS = 50


def put(call: Call) -> Answer:
    """Make a group, or change its tags."""
    name, old = name_of(call.id), world.groups.get(key(call.id))
    if not _NAME.fullmatch(name):
        raise Refusal(400, "InvalidResourceGroup", f"The provided resource group name '{name}' has these characters.")
    location = str(call.body.get("location", "")).lower().replace(" ", "")
    if location not in LOCATIONS:
        raise Refusal(
            400,
            "LocationNotAvailableForResourceGroup",
            f"The provided location '{location}' is not available for resource group. List of available regions is "
            f"'{','.join(LOCATIONS)}'.",
        )
    tags = dict(call.body.get("tags") or {})
    check_tags(tags)
    if old is None:
        world.groups[key(call.id)] = Group(
            id=call.id, location=location, tags=tags, managed_by=call.body.get("managedBy")
        )
        return Answer(status=201, body=body(world.groups[key(call.id)]))
    _check_there(old)
    if old.location != location:
        raise Refusal(
            409,
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{location}'. The Resource group already exists in location "
            f"'{old.location}'.",
        )
    old.tags = tags
    return Answer(status=200, body=body(old))


def get(call: Call) -> Answer:
    """Look at one."""
    world.polled(call.id)
    world.tick()
    return Answer(status=200, body=body(_existing(call.id)))


def head(call: Call) -> Answer:
    """Whether there is one."""
    return Answer(status=204 if key(call.id) in world.groups else 404)


def patch(call: Call) -> Answer:
    """Change its tags."""
    group = _existing(call.id)
    _check_there(group)
    if "tags" in call.body:
        check_tags(call.body["tags"])
        group.tags = dict(call.body["tags"])
    return Answer(status=200, body=body(group))


def delete(call: Call) -> Answer:
    """Delete a group with all that is in it, in some time."""
    group = _existing(call.id)
    check_deletable(call.id)
    if group.state == "Deleting":
        (under_way,) = [it for it in world.operations.values() if it.resource == key(group.id) and not it.ended]
        return Answer(status=202, headers=under_way.headers(call.base, asynchronous=False, monitor=True))
    group.state = "Deleting"

    def gone() -> None:
        for resource in world.below(group.id):
            world.remove(resource)
        world.groups.pop(key(group.id), None)

    def stays() -> None:
        group.state = "Succeeded"

    operation = world.begin(
        Operation(
            id=new_guid(),
            resource=key(group.id),
            style="group",
            namespace="Microsoft.Resources",
            location=group.location,
            version=call.version,
            pace=world.pace_of(call.name),
            then=gone,
            spoiled=stays,
        )
    )
    return Answer(status=202, headers=operation.headers(call.base, asynchronous=False, monitor=True))


def every(call: Call) -> Answer:
    """All groups that the caller may see."""
    wanted = _filter(call.query.get("$filter", ""))
    found = [
        it for it in world.groups.values() if allowed("Microsoft.Resources/subscriptions/resourceGroups/read", it.id)
    ]
    return Answer(status=200, body={"value": [body(it) for it in found if _tagged(it.tags, wanted)]})


def body(group: Group) -> Json:
    """As an answer has it."""
    told: Json = {"id": group.id, "name": group.name, "type": TYPE, "location": group.location}
    if group.tags:
        told["tags"] = dict(group.tags)
    if group.managed_by:
        told["managedBy"] = group.managed_by
    return told | {"properties": {"provisioningState": group.state}}


def resources(call: Call) -> Answer:
    """All resources that the caller may see, below a scope."""
    wanted = _filter(call.query.get("$filter", ""))
    scope = call.id if "/resourcegroups/" in call.id.lower() else "/"
    if scope != "/":
        _existing(scope)
    found = [
        it
        for it in world.below(scope)
        if it.kind.tracked and allowed(f"{it.type}/read", it.id) and _tagged(it.tags, wanted) and _fits(it, wanted)
    ]
    return Answer(status=200, body={"value": [_listed(it, call.query.get("$expand", "")) for it in found]})


def _listed(resource: Resource, expand: str) -> Json:
    id = shout(resource.id) if world.settings.shout else resource.id
    name = "/".join(resource.id.rpartition("/providers/")[2].split("/")[2::2])
    told: Json = {"id": id, "name": name, "type": resource.type, "location": resource.location}
    if resource.tags:
        told["tags"] = dict(resource.tags)
    for word in ("sku", "managedBy"):
        if word in resource.envelope:
            told[word] = resource.envelope[word]
    if "createdTime" in expand:
        told["createdTime"] = instant(resource.created)
    if "provisioningState" in expand:
        told["provisioningState"] = resource.state
    return told


def tags(call: Call) -> Answer:
    """The tags of a resource or a group: told, or changed without the rest of it."""
    scope = call.id.rpartition("/providers/Microsoft.Resources/tags/")[0] or call.id
    found: Any = world.groups.get(key(scope)) or world.find(scope)
    if found is None:
        raise not_found(scope)
    if call.method in ("PATCH", "PUT"):
        check_writable(scope)
        if found.state == "Deleting":
            raise Refusal(409, "OperationNotAllowed", f"{scope} is being deleted.")
        given = dict((call.body.get("properties") or {}).get("tags") or {})
        found.tags = _changed(found.tags, call.body.get("operation", "Replace"), given)
    told = {"id": call.id, "name": "default", "type": "Microsoft.Resources/tags"}
    return Answer(status=200, body=told | {"properties": {"tags": dict(found.tags)}})


def _changed(before: dict[str, str], operation: str, given: dict[str, str]) -> dict[str, str]:
    match operation:
        case "Merge":
            after = before | given
        case "Delete":
            after = {name: value for name, value in before.items() if given.get(name) != value}
        case _:
            after = given
    check_tags(after)
    return after


def check_tags(given: dict[str, str]) -> None:
    """Refusal when there are too many, or one is too long or has a name that cannot be."""
    if len(given) > _MOST_TAGS:
        raise Refusal(400, "TooManyTags", f"There are {len(given)} tags; at most {_MOST_TAGS} are allowed.")
    for name, value in given.items():
        if len(name) > 512 or set(name) & set("<>%&\\?/"):
            raise Refusal(400, "InvalidTagNameCharacters", f"The tag name '{name}' is too long, or has <>%&\\?/ in it.")
        if not isinstance(value, str) or len(value) > 256:
            raise Refusal(400, "InvalidTagValue", f"The value of tag '{name}' is no text of at most 256 characters.")


def subscriptions(call: Call) -> Answer:
    """Those that the caller may see."""
    return Answer(status=200, body={"value": [_subscription()], "count": {"type": "Total", "value": 1}})


def subscription(call: Call) -> Answer:
    """One of them."""
    return Answer(status=200, body=_subscription())


def _subscription() -> Json:
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [{"tenantId": TENANT}],
        "tags": {},
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
        "displayName": "Ocean research",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def locations(call: Call) -> Answer:
    """The regions."""
    return Answer(
        status=200,
        body={
            "value": [
                {
                    "id": f"/subscriptions/{SUBSCRIPTION}/locations/{name}",
                    "name": name,
                    "displayName": shown,
                    "regionalDisplayName": f"(Somewhere) {shown}",
                    "metadata": {
                        "regionType": "Physical",
                        "regionCategory": "Recommended",
                        "geographyGroup": "Somewhere",
                        "longitude": "0.0",
                        "latitude": "0.0",
                        "physicalLocation": shown,
                        "pairedRegion": [{"name": "westus", "id": f"/subscriptions/{SUBSCRIPTION}/locations/westus"}],
                    },
                }
                for name, shown in LOCATIONS.items()
            ]
        },
    )


def provider(call: Call) -> Answer:
    """Whether the subscription is registered for a namespace."""
    return Answer(status=200, body=_provider(name_of(call.id)))


def register(call: Call) -> Answer:
    """Register it; that takes a while."""
    namespace = call.id.split("/")[4]
    if namespace not in world.settings.registered:
        world.registering[namespace] = world.settings.pace.polls
    return Answer(status=200, body=_provider(namespace))


def check_registered(namespace: str) -> None:
    """Refusal for what the subscription is not registered for."""
    if namespace in ("Microsoft.Resources", "Microsoft.Authorization") or namespace in world.settings.registered:
        return
    raise Refusal(
        409,
        "MissingSubscriptionRegistration",
        f"The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how "
        "to register subscriptions.",
    )


def _provider(namespace: str) -> Json:
    left = world.registering.get(namespace)
    if left is not None:
        world.registering[namespace] = left - 1
        if left <= 0:
            del world.registering[namespace]
            world.settings.registered = (*world.settings.registered, namespace)
    registered = namespace in world.settings.registered
    state = "Registered" if registered else "Registering" if left is not None else "NotRegistered"
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}/providers/{namespace}",
        "namespace": namespace,
        "resourceTypes": [],
        "registrationState": state,
        "registrationPolicy": "RegistrationRequired",
    }


def _existing(id: str) -> Group:
    found = world.groups.get(key(id))
    if found is None:
        raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{group_name(id)}' could not be found.")
    return found


def _check_there(group: Group) -> None:
    if group.state == "Deleting":
        raise Refusal(
            409,
            "ResourceGroupBeingDeleted",
            f"The resource group '{group.name}' is in deprovisioning state and cannot perform this operation.",
        )


def _filter(text: str) -> dict[str, str]:
    """What a `$filter` asks for. Refusal for one that Azure, or this, cannot read."""
    wanted: dict[str, str] = {}
    for term in filter(None, text.split(" and ")):
        found = _TERM.fullmatch(term.strip())
        if found is None:
            raise Refusal(400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string.")
        wanted[found[1]] = found[2]
    tag = {"tagName", "tagValue"} & set(wanted)
    if tag and (set(wanted) - tag or "tagName" not in tag):
        raise Refusal(400, "InvalidFilterInQueryString", "Filters on tags cannot be combined with other filters.")
    return wanted


def _tagged(tags: dict[str, str], wanted: dict[str, str]) -> bool:
    name = wanted.get("tagName")
    if name is None:
        return True
    values = [value for tag, value in tags.items() if tag.lower() == name.lower()]
    return bool(values) and wanted.get("tagValue") in (None, *values)


def _fits(resource: Resource, wanted: dict[str, str]) -> bool:
    facts: dict[str, Callable[[], str]] = {
        "resourceType": lambda: resource.type,
        "resourceGroup": lambda: group_name(resource.id),
        "name": lambda: resource.name,
    }
    return all(told().lower() == wanted[word].lower() for word, told in facts.items() if word in wanted)
