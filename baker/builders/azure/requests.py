"""What Azure is asked, as plain data: pure functions from a spec to the bodies of calls, in the form of the wire.

Approved as files in tests/builders/azure/golden. Every resource is tagged in the call that makes it, and a machine
takes with it what was made for it: `deleteOption` is said for each disk, interface and address.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from baker.builders.azure.spec import Azure, Gallery
from baker.recipe import Disk

SSH_PORT = 22
SPACE = "10.77.0.0/24"
"""The addresses of the network that is made for one machine; nothing else is ever in it."""

SUBNET_NAME = "bake"
MOST_DISKS = 64
"""More than any size takes; what the size takes, Azure says."""

_FIRST_PRIORITY = 100
_DAY_SECONDS = 24 * 3600.0

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """An image to start from. `reference` is how a machine names it; `luns` are the data disks that it brings.

    `generation` is "V1" or "V2", `architecture` "x64" or "Arm64"; `features` are those that a gallery definition knows.
    `plan` is that of a marketplace image which is sold.
    """

    reference: Mapping[str, str]
    name: str
    generation: str
    architecture: str
    root_gib: int = 0
    luns: tuple[int, ...] = ()
    features: Mapping[str, str] | None = None
    plan: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What one attempt to start a machine asks for."""

    size: str
    spot: bool


def resource_group(location: str, tags: Mapping[str, str]) -> Payload:
    return {"location": location, "tags": dict(tags)}


def security_group(location: str, networks: tuple[str, ...], tags: Mapping[str, str]) -> Payload:
    """Admit `networks` (CIDR) to SSH; everything else is closed from outside by Azure's own last rules."""
    rules = [
        {
            "name": f"ssh-{number}",
            "properties": {
                "priority": _FIRST_PRIORITY + number,
                "direction": "Inbound",
                "access": "Allow",
                "protocol": "Tcp",
                "sourceAddressPrefix": network,
                "sourcePortRange": "*",
                "destinationAddressPrefix": "*",
                "destinationPortRange": str(SSH_PORT),
            },
        }
        for number, network in enumerate(networks)
    ]
    return {"location": location, "tags": dict(tags), "properties": {"securityRules": rules}}


def network(location: str, tags: Mapping[str, str]) -> Payload:
    subnet = {"name": SUBNET_NAME, "properties": {"addressPrefix": SPACE}}
    properties = {"addressSpace": {"addressPrefixes": [SPACE]}, "subnets": [subnet]}
    return {"location": location, "tags": dict(tags), "properties": properties}


def public_address(location: str, tags: Mapping[str, str]) -> Payload:
    """A Standard one, which is closed until a security group opens it. Basic ones can be had no more."""
    return {
        "location": location,
        "tags": dict(tags),
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"},
    }


def interface(
    location: str, tags: Mapping[str, str], *, subnet: str, security_group: str, address: str | None
) -> Payload:
    """The arguments are ids; without `address` it has none that is public."""
    properties: Payload = {"primary": True, "privateIPAllocationMethod": "Dynamic", "subnet": {"id": subnet}}
    if address:
        properties["publicIPAddress"] = {"id": address, "properties": {"deleteOption": "Delete"}}
    return {
        "location": location,
        "tags": dict(tags),
        "properties": {
            "networkSecurityGroup": {"id": security_group},
            "ipConfigurations": [{"name": "bake", "properties": properties}],
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine to ask for. `disks` are as `data_disks` or `image_disks` give them; `interface` is an id."""

    name: str
    source: SourceImage
    disks: tuple[Payload, ...]
    login_user: str
    public_key: str
    user_data: str
    interface: str
    location: str
    tags: Mapping[str, str]
    security: str | None = None


def virtual_machine(spec: Azure, machine: Machine, placement: Placement) -> Payload:
    """One machine: a key and no password, its console kept by Azure, and nothing that outlives it."""
    root: Payload = {
        "name": root_disk_name(machine.name),
        "createOption": "FromImage",
        "deleteOption": "Delete",
        "caching": "ReadWrite",
        "managedDisk": {"storageAccountType": spec.root_storage},
    }
    root |= {"diskSizeGB": spec.root_gib} if spec.root_gib else {}
    properties: Payload = {
        "hardwareProfile": {"vmSize": placement.size},
        "storageProfile": {
            "imageReference": dict(machine.source.reference),
            "osDisk": root,
            "dataDisks": list(machine.disks),
        },
        "osProfile": {
            "computerName": machine.name,
            "adminUsername": machine.login_user,
            "customData": base64.b64encode(machine.user_data.encode()).decode(),
            "linuxConfiguration": {
                "disablePasswordAuthentication": True,
                "provisionVMAgent": True,
                "ssh": {
                    "publicKeys": [
                        {
                            "path": f"/home/{machine.login_user}/.ssh/authorized_keys",
                            "keyData": machine.public_key,
                        }
                    ]
                },
            },
        },
        "networkProfile": {
            "networkInterfaces": [
                {"id": machine.interface, "properties": {"primary": True, "deleteOption": "Delete"}},
            ]
        },
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
    }
    if machine.security:
        properties["securityProfile"] = security_profile(machine.security)
    if placement.spot:
        spot = {"priority": "Spot", "evictionPolicy": spec.eviction, "billingProfile": {"maxPrice": -1}}
        properties |= spot  # -1 is up to the full price
    body: Payload = {"location": machine.location, "tags": dict(machine.tags), "properties": properties}
    return body | ({"plan": dict(machine.source.plan)} if machine.source.plan else {})


def security_profile(security: str) -> Payload:
    if security == "TrustedLaunch":
        return {"securityType": security, "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True}}
    return {"securityType": security}


def root_disk_name(machine: str) -> str:
    return f"{machine}-root"


def data_disk_name(machine: str, lun: int) -> str:
    return f"{machine}-data-{lun}"


def data_disks(machine: str, disks: tuple[Disk, ...], luns: Mapping[str, int], storage: str) -> tuple[Payload, ...]:
    """An empty managed disk for each disk of the recipe, at its number (LUN)."""
    return tuple(
        {**_disk(machine, luns[disk.name], storage), "createOption": "Empty", "diskSizeGB": disk.size_gib}
        for disk in disks
    )


def image_disks(machine: str, luns: tuple[int, ...], storage: str) -> tuple[Payload, ...]:
    """The data disks that an image brings, named so that they go with the machine."""
    return tuple({**_disk(machine, lun, storage), "createOption": "FromImage"} for lun in luns)


def _disk(machine: str, lun: int, storage: str) -> Payload:
    return {
        "lun": lun,
        "name": data_disk_name(machine, lun),
        "deleteOption": "Delete",
        "caching": "None",
        "managedDisk": {"storageAccountType": storage},
    }


def luns_for(disks: tuple[Disk, ...], source: SourceImage) -> dict[str, int]:
    """A number for each disk of the recipe, beside those that the source brings."""
    free = (lun for lun in range(MOST_DISKS) if lun not in source.luns)
    return {disk.name: lun for disk, lun in zip(disks, free, strict=False)}


def shutdown_schedule(
    location: str, machine: str, expires: float, now: float, tags: Mapping[str, str]
) -> Payload | None:
    """Azure's own switch, which deallocates the machine at the minute in which `expires` lies, or the next one.

    It knows a time of the day and no date: None for an instant that is more than a day away, as the machine would be
    ended too early.
    """
    at = datetime.fromtimestamp(expires, UTC) + timedelta(seconds=59)
    if expires - now > _DAY_SECONDS - 120:
        return None
    return {
        "location": location,
        "tags": dict(tags),
        "properties": {
            "status": "Enabled",
            "taskType": "ComputeVmShutdownTask",
            "dailyRecurrence": {"time": at.strftime("%H%M")},
            "timeZoneId": "UTC",
            "targetResourceId": machine,
            "notificationSettings": {"status": "Disabled", "timeInMinutes": 30},
        },
    }


def managed_image(location: str, machine: str, generation: str, tags: Mapping[str, str]) -> Payload:
    """An image of all disks of a machine, which is an id."""
    properties = {"hyperVGeneration": generation, "sourceVirtualMachine": {"id": machine}}
    return {"location": location, "tags": dict(tags), "properties": properties}


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What all versions of a gallery image have in common. `security` is the machine's security type."""

    name: str
    recipe: str
    generation: str
    architecture: str
    security: Literal["TrustedLaunch", "Standard"]
    features: Mapping[str, str]
    plan: Mapping[str, str] | None = None


def gallery_definition(location: str, definition: Definition, tags: Mapping[str, str]) -> Payload:
    features = dict(definition.features)
    if definition.security == "TrustedLaunch":
        features["SecurityType"] = definition.security  # an image of such a machine starts as such a machine alone
    properties: Payload = {
        "osType": "Linux",
        "osState": "Generalized",
        "hyperVGeneration": definition.generation,
        "architecture": definition.architecture,
        "identifier": {"publisher": "image-baker", "offer": definition.recipe, "sku": definition.name},
        "features": [{"name": name, "value": value} for name, value in sorted(features.items())],
    }
    if plan := definition.plan:
        properties["purchasePlan"] = {key: plan[key] for key in ("publisher", "product", "name")}
    return {"location": location, "tags": dict(tags), "properties": properties}


def gallery_version(
    location: str, gallery: Gallery, machine: str, tags: Mapping[str, str], *, end_of_life: float | None
) -> Payload:
    """A version made of a machine, which is an id. `end_of_life` is in seconds since the epoch."""
    counts = {location: gallery.replicas} | {region.name: region.replicas for region in gallery.regions}
    storage = {"storageAccountType": gallery.storage} if gallery.storage else {}
    publishing: Payload = {
        "targetRegions": [{"name": name, "regionalReplicaCount": count, **storage} for name, count in counts.items()],
        "replicationMode": "Shallow" if gallery.shallow else "Full",
        "excludeFromLatest": True,  # until it has been verified
    }
    if end_of_life is not None:
        publishing["endOfLifeDate"] = datetime.fromtimestamp(end_of_life, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "location": location,
        "tags": dict(tags),
        "properties": {
            "publishingProfile": publishing,
            "storageProfile": {"source": {"virtualMachineId": machine}},
        },
    }
