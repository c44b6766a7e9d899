"""What Azure offers to everybody: sizes of machines, images of publishers, and how much of it one may have."""

from dataclasses import dataclass
from typing import Any

from tests.builders.azure.fake.faults import fits
from tests.builders.azure.fake.refusal import Refusal
from tests.builders.azure.fake.settings import LOCATIONS, SUBSCRIPTION
from tests.builders.azure.fake.world import Resource, world

Json = dict[str, Any]
VM_TYPE = "Microsoft.Compute/virtualMachines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A size of virtual machines. `temporary_gib`: its disk that nothing is kept on; 0: none."""

    name: str
    family: str
    cpus: int
    memory_gib: int
    generations: str = "V1,V2"
    architecture: str = "x64"
    temporary_gib: int = 0
    spot: bool = True
    trusted_launch: bool = True
    data_disks: int = 4


SIZES = {
    it.name.lower(): it
    for it in (
        Size(name="Standard_B2s", family="standardBSFamily", cpus=2, memory_gib=4, temporary_gib=8, spot=False),
        Size(name="Standard_D2s_v5", family="standardDSv5Family", cpus=2, memory_gib=8),
        Size(name="Standard_D4s_v5", family="standardDSv5Family", cpus=4, memory_gib=16, data_disks=8),
        Size(name="Standard_D8s_v5", family="standardDSv5Family", cpus=8, memory_gib=32, data_disks=16),
        Size(name="Standard_D64s_v5", family="standardDSv5Family", cpus=64, memory_gib=256, data_disks=32),
        Size(name="Standard_D2ds_v5", family="standardDDSv5Family", cpus=2, memory_gib=8, temporary_gib=75),
        Size(
            name="Standard_D2ps_v5", family="standardDPSv5Family", cpus=2, memory_gib=8, generations="V2",
            architecture="Arm64", trusted_launch=False,
        ),
        Size(
            name="Standard_D2_v2", family="standardDv2Family", cpus=2, memory_gib=7, generations="V1",
            temporary_gib=100,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """An image of a publisher, in some versions."""

    urn: str
    versions: tuple[str, ...]
    generation: str = "V2"
    architecture: str = "x64"
    gib: int = 30
    system: str = "Linux"
    trusted_launch: bool = True
    default: bool = True


OFFERED = (
    Offered(
        urn="Canonical:ubuntu-24_04-lts:server",
        versions=("24.04.202506100", "24.04.202508210", "24.04.202510020"),
    ),
    Offered(urn="Canonical:ubuntu-24_04-lts:server-gen1", versions=("24.04.202510020",), generation="V1"),
    Offered(urn="Canonical:ubuntu-24_04-lts:server-arm64", versions=("24.04.202510020",), architecture="Arm64"),
    Offered(urn="Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2", versions=("22.04.202510020",)),
    Offered(urn="Debian:debian-12:12-gen2", versions=("0.20250814.2204", "0.20251006.2257")),
    Offered(urn="Debian:debian-12:12", versions=("0.20251006.2257",), generation="V1"),
    Offered(
        urn="MicrosoftWindowsServer:WindowsServer:2016-Datacenter", versions=("14393.4583.2108010852",),
        generation="V1", gib=127, system="Windows",
    ),
)  # fmt: skip


def offered(publisher: str, offer: str, sku: str) -> Offered | None:
    """The image that is called so, in any case."""
    urn = f"{publisher}:{offer}:{sku}".lower()
    return next((it for it in OFFERED if it.urn.lower() == urn), None)


def size_of(name: str, location: str) -> Size:
    """Refusal when there is none of this name."""
    found = SIZES.get(str(name).lower())
    if found is None:
        raise Refusal(
            400,
            "InvalidParameter",
            f"The value {name} provided for the VM size is not valid. The valid sizes in the current region are: "
            f"{', '.join(it.name for it in SIZES.values())}.",
        )
    return found


def image_versions(location: str, publisher: str, offer: str, sku: str, query: dict[str, str]) -> list[Json]:
    """The versions of an image, as their list has them."""
    found = _published(location, publisher, offer, sku)
    versions = sorted(found.versions, reverse="desc" in query.get("$orderby", ""))
    if "$top" in query:
        versions = versions[: int(query["$top"])]
    return [{"location": location, "name": it, "id": _image_id(location, found, it)} for it in versions]


def image_version(location: str, publisher: str, offer: str, sku: str, version: str) -> Json:
    """A version of an image. Refusal."""
    found = _published(location, publisher, offer, sku)
    if version not in found.versions:
        raise Refusal(
            404,
            "NotFound",
            f"Artifact: VMImage was not found. Publisher {publisher}, offer {offer}, sku {sku}, version {version}.",
        )
    properties: Json = {
        "hyperVGeneration": found.generation,
        "architecture": found.architecture,
        "replicaType": "Managed",
        "disallowed": {"vmDiskType": "Unmanaged"},
        "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": False},
        "imageDeprecationStatus": {"imageState": "Active"},
        "features": features_of(found),
        "osDiskImage": {"operatingSystem": found.system, "sizeInGb": found.gib, "sizeInBytes": found.gib << 30},
        "dataDiskImages": [],
    }
    return {
        "properties": properties,
        "location": location,
        "name": version,
        "id": _image_id(location, found, version),
    }


def features_of(image: Offered) -> list[Json]:
    """What an image says that it can."""
    found = [{"name": "IsAcceleratedNetworkSupported", "value": "True"}]
    if image.generation == "V2" and image.architecture == "x64" and image.trusted_launch:
        found.append({"name": "SecurityType", "value": "TrustedLaunchAndConfidentialVmSupported"})
    return found


def _published(location: str, publisher: str, offer: str, sku: str) -> Offered:
    found = offered(publisher, offer, sku)
    if location not in LOCATIONS:
        raise Refusal(400, "NoRegisteredProviderFound", f"No registered resource provider found for '{location}'.")
    if found is None:
        raise Refusal(
            404, "NotFound", f"Artifact: VMImage was not found. Publisher {publisher}, offer {offer}, sku {sku}."
        )
    return found


def _image_id(location: str, image: Offered, version: str) -> str:
    publisher, offer, sku = image.urn.split(":")
    return (
        f"/Subscriptions/{SUBSCRIPTION}/Providers/Microsoft.Compute/Locations/{location}/Publishers/{publisher}"
        f"/ArtifactTypes/VMImage/Offers/{offer}/Skus/{sku}/Versions/{version}"
    )


def skus(query: dict[str, str]) -> list[Json]:
    """The sizes of machines, of one location or of all."""
    wanted = query.get("$filter", "")
    if wanted and not wanted.lower().startswith("location eq '"):
        raise Refusal(400, "InvalidFilter", f"The filter {wanted} is not supported.")
    named = wanted.partition("'")[2].rstrip("'").lower()
    return [_sku(it, location) for location in LOCATIONS if named in ("", location) for it in SIZES.values()]


def _sku(size: Size, location: str) -> Json:
    capabilities = {
        "MaxResourceVolumeMB": size.temporary_gib * 1024, "vCPUs": size.cpus, "MemoryGB": size.memory_gib,
        "HyperVGenerations": size.generations, "CpuArchitectureType": size.architecture,
        "MaxDataDiskCount": size.data_disks, "PremiumIO": True, "LowPriorityCapable": size.spot,
    }  # fmt: skip
    if not size.trusted_launch:
        capabilities["TrustedLaunchDisabled"] = True
    restrictions = [
        {
            "type": "Location",
            "values": [location],
            "restrictionInfo": {"locations": [location]},
            "reasonCode": "NotAvailableForSubscription",
        }
        for it in world.settings.shortages
        if not it.later and it.priority == "*" and fits(size.name, it.size) and fits(location, it.location)
    ]
    return {
        "resourceType": "virtualMachines",
        "name": size.name,
        "tier": "Standard",
        "size": size.name.removeprefix("Standard_"),
        "family": size.family,
        "locations": [location],
        "locationInfo": [{"location": location, "zones": ["1", "2", "3"], "zoneDetails": []}],
        "capabilities": [{"name": name, "value": str(value)} for name, value in capabilities.items()],
        "restrictions": restrictions,
    }


def usages(location: str) -> list[Json]:
    """How much is used of what one may have."""
    names = dict.fromkeys(("cores", "virtualMachines", "lowPriorityCores", *(it.family for it in SIZES.values())))
    return [
        {
            "limit": limit(name),
            "unit": "Count",
            "currentValue": used(name, location),
            "name": {"value": name, "localizedValue": name},
        }
        for name in names
    ]


def limit(name: str) -> int:
    """Of a quota; families have as many cores as there are in all, when nothing else is set."""
    return world.settings.quotas.get(name, world.settings.quotas["cores"])


def used(name: str, location: str) -> int:
    """Of a quota, by virtual machines that are not deallocated."""
    total = 0
    for machine in _allocated(location):
        size = SIZES[machine.properties["hardwareProfile"]["vmSize"].lower()]
        spot = machine.properties.get("priority") == "Spot"
        if name == "virtualMachines":
            total += 1
        elif name == "lowPriorityCores":
            total += size.cpus * spot
        elif name in ("cores", size.family):
            total += size.cpus * (not spot)
    return total


def check_quota(size: Size, location: str, *, spot: bool) -> None:
    """Refusal when one machine more would be too many."""
    for name in ("lowPriorityCores",) if spot else ("cores", size.family):
        current = used(name, location)
        if current + size.cpus > limit(name):
            raise Refusal(
                409,
                "OperationNotAllowed",
                f"Operation could not be completed as it results in exceeding approved {name} Cores quota. Additional "
                f"details - Deployment Model: Resource Manager, Location: {location}, Current Limit: {limit(name)}, "
                f"Current Usage: {current}, Additional Required: {size.cpus}, (Minimum) New Limit Required: "
                f"{current + size.cpus}. Submit a request for Quota increase.",
            )


def _allocated(location: str) -> list[Resource]:
    return [it for it in world.of_type(VM_TYPE) if it.location == location and it.facts.get("power") != "deallocated"]
