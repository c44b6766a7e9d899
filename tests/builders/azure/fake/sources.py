"""What a virtual machine can be made from: a publisher's image, a managed image, or a version in a gallery."""

from dataclasses import dataclass, field
from typing import Any

from tests.builders.azure.fake.catalogue import features_of, offered
from tests.builders.azure.fake.ids import parent_of, type_of
from tests.builders.azure.fake.kinds import Call
from tests.builders.azure.fake.refusal import Refusal, invalid
from tests.builders.azure.fake.rights import require
from tests.builders.azure.fake.world import Resource, world

Json = dict[str, Any]
IMAGE_TYPE = "Microsoft.Compute/images"
DEFINITION_TYPE = "Microsoft.Compute/galleries/images"
VERSION_TYPE = "Microsoft.Compute/galleries/images/versions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An image as a launch sees it. `security`: what its features say, or None.

    `volume` is what its disk holds, None for a publisher's; `data` are the sizes and contents of its data disks by lun.
    """

    generation: str
    architecture: str
    gib: int
    system: str
    security: str | None
    exact_version: str | None = None
    volume: str | None = None
    data: dict[int, tuple[int, str]] = field(default_factory=dict)
    resource: Resource | None = None

    @property
    def trusted_by_default(self) -> bool:
        """Whether a machine of it is of type TrustedLaunch when nothing is said."""
        return self.generation == "V2" and self.security is not None


def source_of(call: Call, reference: Json, location: str) -> Source:
    """Refusal when there is none, or not there."""
    if id := reference.get("id"):
        return _own(call, id, location)
    for word in ("publisher", "offer", "sku", "version"):
        if not reference.get(word):
            raise invalid(f"imageReference.{word}", "Required parameter is missing (null).")
    found = offered(reference["publisher"], reference["offer"], reference["sku"])
    version = reference["version"]
    if found is None or version not in (*found.versions, "latest"):
        raise Refusal(
            404,
            "PlatformImageNotFound",
            f"The platform image '{':'.join(reference[it] for it in ('publisher', 'offer', 'sku', 'version'))}' is not "
            "available. Verify that all fields in the storage profile are correct. For more details about storage "
            "profile information, please refer to https://aka.ms/storageprofile",
        )
    security = next((it["value"] for it in features_of(found) if it["name"] == "SecurityType"), None)
    return Source(
        generation=found.generation,
        architecture=found.architecture,
        gib=found.gib,
        system=found.system,
        security=security,
        exact_version=found.versions[-1] if version == "latest" else version,
    )


def _own(call: Call, id: str, location: str) -> Source:
    resource = world.find(id)
    if resource is not None and resource.type == DEFINITION_TYPE:
        versions = [
            it
            for it in world.of_type(VERSION_TYPE, resource.id)
            if it.state == "Succeeded" and not it.properties["publishingProfile"].get("excludeFromLatest")
        ]
        resource = max(versions, key=lambda it: [int(word) for word in it.name.split(".")], default=None)
    if resource is None or resource.type not in (IMAGE_TYPE, VERSION_TYPE):
        kind = "GalleryImageNotFound" if "/galleries/" in id.lower() else "ResourceNotFound"
        raise Refusal(404, kind, f"The image '{id}' was not found, used by {call.id}.")
    require(f"{type_of(resource.id)}/read", resource.id, linked=call.id)
    if resource.state != "Succeeded":
        raise Refusal(
            409,
            "OperationNotAllowed",
            f"Image {resource.id} is in provisioning state {resource.state}; it cannot be used.",
        )
    return _managed(resource, location) if resource.type == IMAGE_TYPE else _version(resource, location)


def _managed(image: Resource, location: str) -> Source:
    if image.location != location:
        raise invalid(
            "imageReference.id", f"The image {image.id} is in {image.location}, and cannot be used in {location}."
        )
    profile = image.properties["storageProfile"]
    return Source(
        generation=image.properties["hyperVGeneration"],
        architecture="x64",
        gib=profile["osDisk"]["diskSizeGB"],
        system=profile["osDisk"]["osType"],
        security=None,
        volume=image.facts["volumes"]["os"],
        data={it["lun"]: (it["diskSizeGB"], image.facts["volumes"][str(it["lun"])]) for it in profile["dataDisks"]},
        resource=image,
    )


def _version(version: Resource, location: str) -> Source:
    regions = {it["name"].lower().replace(" ", "") for it in version.properties["publishingProfile"]["targetRegions"]}
    if location not in regions:
        raise Refusal(
            404,
            "GalleryImageNotFound",
            f"The gallery image {version.id} is not available in {location} region. Please contact image owner to "
            "replicate to this region, or change your requested region.",
        )
    definition = world.find(parent_of(version.id))
    assert definition is not None
    profile = version.properties["storageProfile"]
    return Source(
        generation=definition.properties["hyperVGeneration"],
        architecture=definition.properties["architecture"],
        gib=profile["osDiskImage"]["sizeInGB"],
        system=definition.properties["osType"],
        security=security_feature(definition),
        volume=version.facts["volumes"]["os"],
        data={
            it["lun"]: (it["sizeInGB"], version.facts["volumes"][str(it["lun"])])
            for it in profile.get("dataDiskImages", ())
        },
        resource=version,
    )


def security_feature(definition: Resource) -> str | None:
    """The SecurityType among the features of a gallery's definition."""
    features = definition.properties.get("features") or ()
    return next((it["value"] for it in features if it["name"] == "SecurityType"), None)
