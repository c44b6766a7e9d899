"""What Azure would refuse, found out before anything is created: each refusal names what mends it.

All of it is asked, and nothing changed. What cannot be asked, because the account may not look, is not held against it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from baker.builders.azure import ids
from baker.builders.azure.calls import Cloud
from baker.builders.azure.capture import definition_problem
from baker.builders.azure.errors import AzureError
from baker.builders.azure.requests import Definition, SourceImage
from baker.builders.azure.spec import Azure
from baker.errors import BuilderError
from baker.ports import Problem
from baker.recipe import Disk
from baker.suggestion import did_you_mean

PROVIDERS = ("Microsoft.Compute", "Microsoft.Network", "Microsoft.DevTestLab")
_LOCKS_VERSION = "2016-09-01"

ON_MACHINE_GROUP = (
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Compute/virtualMachines/delete",
    "Microsoft.Compute/virtualMachines/deallocate/action",
    "Microsoft.Compute/virtualMachines/generalize/action",
    "Microsoft.Compute/disks/write",
    "Microsoft.Compute/disks/delete",
    "Microsoft.Network/networkInterfaces/write",
    "Microsoft.Network/networkInterfaces/delete",
    "Microsoft.Network/networkInterfaces/join/action",
    "Microsoft.Network/networkSecurityGroups/write",
    "Microsoft.Network/networkSecurityGroups/delete",
    "Microsoft.Network/publicIPAddresses/write",
    "Microsoft.Network/publicIPAddresses/delete",
    "Microsoft.Network/virtualNetworks/write",
    "Microsoft.Network/virtualNetworks/delete",
    "Microsoft.DevTestLab/schedules/write",
    "Microsoft.DevTestLab/schedules/delete",
)
"""What a bake does where its machine is."""

ON_SUBSCRIPTION = ("Microsoft.Resources/subscriptions/resourceGroups/write",
                   "Microsoft.Resources/subscriptions/resourceGroups/delete")  # fmt: skip
ON_IMAGE_GROUP = ("Microsoft.Compute/images/write", "Microsoft.Compute/images/delete", "Microsoft.Resources/tags/write")
ON_GALLERY_GROUP = (
    "Microsoft.Compute/galleries/images/write",
    "Microsoft.Compute/galleries/images/versions/write",
    "Microsoft.Compute/galleries/images/versions/delete",
    "Microsoft.Resources/tags/write",
)

Description = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the image goes, as it is there. `location` is where the machine has to be for it."""

    location: str
    problems: tuple[Problem, ...] = ()


def find_target(spec: Azure, cloud: Cloud) -> Target:
    """The region of the bake, from what the image goes to. BuilderError when what is named does not exist."""
    found: list[tuple[str, str]] = []
    if spec.image_group:
        group = cloud.find(cloud.group(spec.image_group).id)
        found.append((f"the group {spec.image_group} of the image", _location(group, "group", spec.image_group)))
    if spec.gallery:
        id = cloud.group(spec.gallery.group).holds(ids.GALLERY, spec.gallery.name)
        found.append((f"the gallery {spec.gallery.name}", _location(cloud.find(id), "gallery", spec.gallery.name)))
    location = spec.location or (found[0][1] if found else "")
    elsewhere = [
        Problem(
            summary=f"{what} is in {where}, and the machine would be in {location}",
            hint=f'set location="{where}", or name another one; a gallery replicates to other regions by itself',
        )
        for what, where in found
        if where != location
    ]
    return Target(location=location, problems=tuple(elsewhere))


def _location(resource: Description | None, kind: str, name: str) -> str:
    if resource is None:
        make = {"group": f"az group create --name {name} --location ...",
                "gallery": f"az sig create --gallery-name {name} --resource-group ... --location ..."}  # fmt: skip
        raise BuilderError(
            f"there is no {kind} {name} for the image",
            hint=f"an image never lies in the temporary group of its machine: {make[kind]}",
        )
    return str(resource["location"]).replace(" ", "").lower()


def place_problems(spec: Azure, location: str, cloud: Cloud) -> Iterator[Problem]:
    """Region, resource providers, and the groups and networks that are the user's own."""
    known = [str(it["name"]) for it in cloud.listed(f"/subscriptions/{cloud.subscription}/locations")]
    if location not in known:
        yield Problem(
            summary=f"there is no location {location!r} for this subscription",
            hint=did_you_mean(location, known) or "`az account list-locations` lists them",
        )
        return
    for provider in PROVIDERS:
        state = _registration(provider, cloud)
        if state != "Registered":
            yield Problem(
                summary=f"the resource provider {provider} is not registered in the subscription ({state})",
                hint=f"az provider register --wait --namespace {provider}",
            )
    if spec.resource_group:
        yield from _group_problems(spec.resource_group, cloud)
    if spec.subnet:
        yield from _subnet_problems(spec.subnet, location, cloud)


def _registration(provider: str, cloud: Cloud) -> str:
    found = cloud.ask(f"look at {provider}", lambda sdk: sdk.call(sdk.resources.providers.get, provider))
    return str(found.get("registrationState", "NotRegistered"))


def _group_problems(name: str, cloud: Cloud) -> Iterator[Problem]:
    id = cloud.group(name).id
    group = cloud.find(id)
    if group is None:
        yield Problem(
            summary=f"there is no resource group {name} for the machine",
            hint="make it, or leave resource_group away: then one is made and removed again",
        )
        return
    if (group.get("properties") or {}).get("provisioningState") == "Deleting":
        yield Problem(summary=f"the resource group {name} is being deleted", hint="name another one")
    for lock in _asked(lambda: cloud.listed(f"{id}/providers/Microsoft.Authorization/locks", _LOCKS_VERSION)):
        called = f"{lock.get('name', '')}, {(lock.get('properties') or {}).get('level', '')}"
        yield Problem(
            summary=f"the resource group {name} is locked ({called}): what the bake makes would stay",
            hint="name another group; or take the lock off: az lock delete",
        )


def _subnet_problems(subnet: str, location: str, cloud: Cloud) -> Iterator[Problem]:
    if cloud.find(subnet) is None:
        yield Problem(
            summary=f"there is no subnet {subnet}", hint="`az network vnet subnet list` lists those of a network"
        )
        return
    network = cloud.find(ids.parent(subnet)) or {}
    if (where := str(network.get("location", location))) != location:
        yield Problem(
            summary=f"the subnet is in {where}, and the machine would be in {location}",
            hint=f'name one in {location}, or set location="{where}"',
        )


def size_problems(
    spec: Azure, source: SourceImage, location: str, cloud: Cloud, *, disks: Sequence[Disk]
) -> Iterator[Problem]:
    """Whether one of the sizes can be had, goes with the image, and is within the quota. One that serves is enough."""
    skus = _skus(location, cloud)
    reasons = {size: _why_not(skus.get(size.lower()), source, spec, disks) for size in spec.sizes}
    useful = [skus[size.lower()] for size, reason in reasons.items() if not reason]
    if not useful:
        names = [str(it["name"]) for it in skus.values()]
        unknown = [size for size in spec.sizes if size.lower() not in skus]
        meant = next(filter(None, (did_you_mean(size, names) for size in unknown)), None)
        yield Problem(
            summary=f"no machine can be had in {location}: "
            + "; ".join(f"{size} {reason}" for size, reason in reasons.items()),
            hint=meant or f"`az vm list-skus --location {location} --resource-type virtualMachines` lists sizes",
        )
        return
    short = [_short_of_quota(sku, spec, location, cloud) for sku in useful]
    if all(short):
        yield Problem(
            summary="the subscription's quota of processors is used up: " + "; ".join(filter(None, short)),
            hint="end other machines, name a size of another family, or ask for more: portal, Usage + quotas",
        )


def _skus(location: str, cloud: Cloud) -> dict[str, Description]:
    wanted = f"location eq '{location}'"
    found = cloud.ask("list sizes", lambda sdk: sdk.pages(sdk.compute.resource_skus.list, filter=wanted))
    return {str(it["name"]).lower(): it for it in found if it.get("resourceType") == "virtualMachines"}


def _why_not(sku: Description | None, source: SourceImage, spec: Azure, disks: Sequence[Disk]) -> str:
    """Why a size does not serve; empty when it does."""
    if sku is None:
        return "is no size there"
    if blocked := [it for it in sku.get("restrictions") or () if it.get("type") == "Location"]:
        return f"is not available to this subscription ({blocked[0].get('reasonCode', 'restricted')})"
    can = _capabilities(sku)
    if source.generation not in can.get("HyperVGenerations", "V1,V2"):
        return f"takes no image of generation {source.generation}"
    if can.get("CpuArchitectureType", "x64").lower() != source.architecture.lower():
        return f"has {can['CpuArchitectureType']} processors, and the image is for {source.architecture}"
    if len(disks) + len(source.luns) > int(can.get("MaxDataDiskCount", "64")):
        return f"takes only {can['MaxDataDiskCount']} data disks"
    if spec.spot == "only" and can.get("LowPriorityCapable", "True") != "True":
        return "cannot be had as a spot machine"
    if spec.security == "TrustedLaunch" and can.get("TrustedLaunchDisabled", "False") == "True":
        return "knows no Trusted Launch"
    return ""


def _capabilities(sku: Description) -> dict[str, str]:
    return {str(it["name"]): str(it["value"]) for it in sku.get("capabilities") or ()}


def _short_of_quota(sku: Description, spec: Azure, location: str, cloud: Cloud) -> str:
    """What is missing for a machine of this size; empty when nothing is."""
    cores = int(_capabilities(sku).get("vCPUs", "1"))
    usages = cloud.ask("look at quotas", lambda sdk: sdk.pages(sdk.compute.usage.list, location))
    left = {str(it["name"]["value"]).lower(): int(it["limit"]) - int(it["currentValue"]) for it in usages}
    spot, full = ("lowprioritycores",), ("cores", str(sku.get("family", "")).lower())
    ways = {"never": (full,), "prefer": (spot, full), "only": (spot,)}[spec.spot]
    missing = [_missing(way, left, cores) for way in ways]
    return "" if not all(missing) else f"{sku['name']} needs {cores}, and there are {missing[-1]}"


def _missing(names: tuple[str, ...], left: Mapping[str, int], cores: int) -> str:
    short = [f"{max(left[name], 0)} left of {name}" for name in names if left.get(name, cores) < cores]
    return " and ".join(short)


def definition_problems(spec: Azure, definition: Definition, cloud: Cloud) -> Iterator[Problem]:
    """Whether the version can be made: free, and of a definition that takes the machine."""
    gallery = spec.gallery
    if gallery is None:
        return
    group = cloud.group(gallery.group)
    found = cloud.find(group.definition(gallery.name, definition.name))
    if found and gallery.version and cloud.find(group.version(gallery.name, definition.name, gallery.version)):
        yield Problem(
            summary=f"the gallery has a version {gallery.version} of {definition.name} already",
            hint="name another version, or none: then it is made from the time",
        )
    problem = definition_problem(found, definition) if found else None
    if problem and (spec.security is not None or "Trusted Launch" not in problem):  # else only the machine shows it
        yield Problem(
            summary=f"the machine does not go into the gallery's definition {definition.name}: {problem}",
            hint="name another definition in the Gallery(...), or a source and a security type that fit",
        )


def permission_problems(spec: Azure, cloud: Cloud) -> Iterator[Problem]:
    """What the account may not do, where Azure says what it may."""
    subscription = f"/subscriptions/{cloud.subscription}"
    wanted: list[tuple[str, tuple[str, ...]]] = []
    if spec.resource_group:
        wanted.append((cloud.group(spec.resource_group).id, ON_MACHINE_GROUP))
    else:
        wanted.append((subscription, ON_SUBSCRIPTION + ON_MACHINE_GROUP))
    if spec.image_group:
        wanted.append((cloud.group(spec.image_group).id, ON_IMAGE_GROUP))
    if spec.gallery:
        wanted.append((cloud.group(spec.gallery.group).id, ON_GALLERY_GROUP))
    for scope, actions in wanted:
        granted = _asked(lambda scope=scope: cloud.permissions(scope))
        missing = [action for action in actions if not _is_granted(action, granted)] if granted else []
        if missing:
            yield Problem(
                summary=f"the account may not do {len(missing)} things that the bake does in {scope}: "
                + ", ".join(missing[:4]) + (", ..." if len(missing) > 4 else ""),
                hint="baker/builders/azure/roles has the role that a bake needs; with narrow rights set resource_group",
            )  # fmt: skip


def _is_granted(action: str, granted: Sequence[Description]) -> bool:
    def among(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return any(among(it.get("actions") or ()) and not among(it.get("notActions") or ()) for it in granted)


def _asked(ask: Any) -> list[dict[str, Any]]:
    """An answer; nothing where Azure does not let the account look."""
    try:
        return list(ask())
    except AzureError as error:
        if error.status in (400, 403, 404, 405):
            return []
        raise
