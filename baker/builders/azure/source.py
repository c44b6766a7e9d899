"""Finds the image that a machine starts from: of the marketplace, a managed image, a version of a gallery."""

import re
from collections.abc import Mapping
from typing import Any

from baker.builders.azure import ids
from baker.builders.azure.calls import Cloud
from baker.builders.azure.errors import Answer, AzureError, explain
from baker.builders.azure.requests import SourceImage
from baker.errors import RecipeError

_URN = re.compile(r"[\w.-]+:[\w.-]+:[\w.-]+:(latest|\d+\.\d+\.\d+)")
_OF_A_DEFINITION = ("SecurityType",)
"""Features that a machine decides, and not its source."""


def source_problem(source: object) -> str | None:
    """What is wrong with how a source is written, in words; None when it can be looked up."""
    if isinstance(source, str):
        if _URN.fullmatch(source):
            return None
        found = ids.parse(source)
        if found is not None and found.type in (ids.IMAGE, ids.VERSION):
            return None
    return (
        'must be "publisher:offer:sku:version", such as "Canonical:ubuntu-24_04-lts:server:latest", or the id of a '
        "managed image or of a gallery version"
    )


def find_source(source: str, location: str, cloud: Cloud) -> SourceImage:
    """The image, as it is now. RecipeError when there is none."""
    try:
        found = ids.parse(source)
        if found is None:
            return _of_marketplace(source, location, cloud)
        return _of_gallery(source, cloud) if found.type == ids.VERSION else _managed(source, cloud)
    except AzureError as error:
        if error.answer is Answer.GONE:
            raise RecipeError(
                f"there is no source image {source} in {location}",
                details=(("Azure says", f"{error.code}: {error.message}"),),
                hint=f"`az vm image list --all --location {location} --publisher ...` lists what a publisher has",
            ) from error
        raise explain(error, f"looking up the source image {source}") from error


def _of_marketplace(urn: str, location: str, cloud: Cloud) -> SourceImage:
    publisher, offer, sku, version = urn.split(":")
    if version == "latest":
        version = _newest(publisher, offer, sku, location=location, cloud=cloud)
    found: Mapping[str, Any] = cloud.ask(
        f"look up {urn}",
        lambda sdk: sdk.call(sdk.compute.virtual_machine_images.get, location, publisher, offer, sku, version),
    )
    properties = found["properties"]
    plan = properties.get("plan")
    return SourceImage(
        reference={"publisher": publisher, "offer": offer, "sku": sku, "version": version},
        name=f"{publisher}:{offer}:{sku}:{version}",
        generation=properties.get("hyperVGeneration", "V1"),
        architecture=properties.get("architecture", "x64"),
        root_gib=int((properties.get("osDiskImage") or {}).get("sizeInGb") or 0),
        luns=_luns(properties.get("dataDiskImages")),
        features=_features(properties),
        plan={key: plan[key] for key in ("publisher", "product", "name")} if plan else None,
    )


def _newest(publisher: str, offer: str, sku: str, *, location: str, cloud: Cloud) -> str:
    versions = cloud.ask(
        f"list versions of {publisher}:{offer}:{sku}",
        lambda sdk: sdk.call(
            sdk.compute.virtual_machine_images.list, location, publisher, offer, sku, top=1, orderby="name desc"
        ),
    )
    if not versions:
        raise RecipeError(
            f"{publisher}:{offer}:{sku} has no version in {location}",
            hint=f"`az vm image list --all --location {location} --publisher {publisher}` lists what there is",
        )
    return str(versions[0]["name"])


def _managed(id: str, cloud: Cloud) -> SourceImage:
    image = cloud.get(id)
    properties = image["properties"]
    storage = properties.get("storageProfile") or {}
    return SourceImage(
        reference={"id": id},
        name=str(image.get("name", "")),
        generation=properties.get("hyperVGeneration", "V1"),
        architecture="x64",
        root_gib=int((storage.get("osDisk") or {}).get("diskSizeGB") or 0),
        luns=_luns(storage.get("dataDisks")),
    )


def _of_gallery(id: str, cloud: Cloud) -> SourceImage:
    definition = cloud.get(ids.parent(id))["properties"]
    storage = cloud.get(id)["properties"].get("storageProfile") or {}
    plan = definition.get("purchasePlan")
    return SourceImage(
        reference={"id": id},
        name="/".join(id.split("/")[-5::2]),
        generation=definition.get("hyperVGeneration", "V1"),
        architecture=definition.get("architecture", "x64"),
        root_gib=int((storage.get("osDiskImage") or {}).get("sizeInGB") or 0),
        luns=_luns(storage.get("dataDiskImages")),
        features=_features(definition),
        plan={key: plan[key] for key in ("publisher", "product", "name")} if plan else None,
    )


def _features(properties: Mapping[str, Any]) -> dict[str, str]:
    found = properties.get("features") or ()
    return {it["name"]: str(it["value"]) for it in found if it["name"] not in _OF_A_DEFINITION}


def _luns(disks: object) -> tuple[int, ...]:
    return tuple(sorted(int(disk["lun"]) for disk in disks)) if isinstance(disks, list) else ()
