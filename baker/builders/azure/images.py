"""The images that bakes made in Azure: found by our tags, described, labelled, deleted."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from baker.artifact import Artifact
from baker.builders.azure import ids
from baker.builders.azure.calls import Cloud
from baker.builders.azure.errors import AzureError, explaining
from baker.builders.azure.operations import Operation
from baker.builders.azure.tags import EXPIRES, MOST, RUN, label_tags, labels_of, run_of, tags_of
from baker.builders.azure.waiting import finish
from baker.errors import BuilderError
from baker.ports import Clock
from baker.suggestion import did_you_mean

KIND = "azure"
GIB = 1 << 30

DISKS, LOGIN_USER, SIZE, SECURITY, CLOUD = "disks", "login-user", "size", "security", "cloud"
"""Labels of an image: which disk of the recipe has which number, who logged in, on what and where it was baked."""

NAME, CREATED = "image-name", "created"
IMAGE_TOO, PART_OF = "managed-image", "part-of"
"""Where both were made: the version names group and name of the managed image, which is a part of it."""

CHANGE_SECONDS = 3600.0

Description = Mapping[str, Any]


def launch_labels(luns: Mapping[str, int], login_user: str, size: str, security: str) -> dict[str, str]:
    """What has to be known to start a machine from an image later."""
    disks = " ".join(f"{disk}={lun}" for disk, lun in luns.items())
    return {DISKS: disks, LOGIN_USER: login_user, SIZE: size, SECURITY: security}


def luns_of(labels: Mapping[str, str]) -> dict[str, int]:
    """Disks and their numbers, as `launch_labels` wrote them."""
    pairs = (entry.split("=", 1) for entry in labels.get(DISKS, "").split())
    return {disk: int(lun) for disk, lun in pairs}


def find_images(cloud: Cloud) -> tuple[Artifact, ...]:
    """The finished images of the subscription, newest last."""
    with explaining("listing images"):
        found = [artifact_of(resource) for resource in cloud.tagged(RUN) if _is_finished(resource)]
    whole = (artifact for artifact in found if PART_OF not in artifact.labels)
    return tuple(sorted(whole, key=lambda artifact: artifact.age))


def _is_finished(resource: Description) -> bool:
    parsed, tags = ids.parse(str(resource["id"])), tags_of(resource)
    is_image = parsed is not None and parsed.type in (ids.IMAGE, ids.VERSION)
    return is_image and run_of(tags) is not None and EXPIRES not in tags and CREATED in labels_of(tags)


def resolve(reference: str, cloud: Cloud) -> Artifact:
    """The image that is meant: an id, a name, or a recipe's name for its newest verified one. BuilderError."""
    if ids.parse(reference) is not None:
        return artifact_of(describe(reference, cloud))
    found = find_images(cloud)
    named = [it for it in found if it.name == reference]
    newest = [it for it in found if it.recipe == reference and it.verified]
    if named or newest:
        return (named or newest)[-1]
    known = sorted({name for it in found for name in (it.name, it.recipe) if name})
    raise BuilderError(
        f"there is no image {reference} of ours in subscription {cloud.subscription}",
        hint=did_you_mean(reference, known) or "`bake images --on azure` lists them",
    )


def describe(id: str, cloud: Cloud) -> dict[str, Any]:
    """The image as Azure has it now. BuilderError when it is not there."""
    with explaining(f"looking at image {id}"):
        return cloud.get(id)


def artifact_of(resource: Description) -> Artifact:
    """From Azure's own description, or its entry in a list, which says less."""
    labels = labels_of(tags_of(resource))
    gib = _gib(resource.get("properties") or {})
    return Artifact(
        builder=KIND,
        id=ids.canonical(str(resource["id"])),
        location=str(resource.get("location", "")),
        name=labels.get(NAME) or str(resource.get("name", "")),
        fingerprint=labels.get("fingerprint", ""),
        created=labels.get(CREATED, ""),
        size_bytes=gib * GIB if gib else None,
        labels=labels,
    )


def _gib(properties: Description) -> int:
    storage = properties.get("storageProfile") or {}
    disks = [storage.get("osDiskImage"), *(storage.get("dataDiskImages") or ())]
    disks += [storage.get("osDisk"), *(storage.get("dataDisks") or ())]
    return sum(int(disk.get("sizeInGB") or disk.get("diskSizeGB") or 0) for disk in disks if disk)


def content_of(resource: Description) -> str:
    """What identifies the content: neither kind of image can be changed, only replaced by another of the same id.

    A version was published at an instant; a managed image names the disks that it was made of, which had the name of a
    run that no other run has. A hash of that, because an id may be longer than a tag.
    """
    return "sha256:" + sha256(_origin(resource).encode()).hexdigest()


def _origin(resource: Description) -> str:
    id, properties = ids.canonical(str(resource["id"])), resource["properties"]
    if published := (properties.get("publishingProfile") or {}).get("publishedDate"):
        return f"{id}@{published}"
    storage = properties.get("storageProfile") or {}
    disks = [storage.get("osDisk") or {}, *(storage.get("dataDisks") or ())]
    made_of = [str((disk.get("managedDisk") or disk.get("snapshot") or {}).get("id", "")) for disk in disks]
    return f"{id}@{'+'.join(name.rsplit('/', 1)[-1].lower() for name in made_of)}"


def set_labels(artifact: Artifact, labels: Mapping[str, str], cloud: Cloud, *, clock: Clock) -> None:
    """Write labels over those of the same name, in one call. BuilderError when there is no room for them."""
    with explaining(f"labelling image {artifact.name}"):
        tags = tags_of(cloud.get(artifact.id)) | label_tags(labels)
        if len(tags) > MOST:
            raise BuilderError(f"image {artifact.name} would have {len(tags)} tags, and Azure takes {MOST}")
        finish(cloud, cloud.tag(artifact.id, "Merge", label_tags(labels)), timeout=CHANGE_SECONDS, clock=clock)


def mark_newest(artifact: Artifact, cloud: Cloud, *, clock: Clock) -> None:
    """Let a version that has been verified be what "latest" means in its gallery; it was left out until now."""
    parsed = ids.parse(artifact.id)
    if parsed is None or parsed.type != ids.VERSION:
        return
    with explaining(f"letting {artifact.name} be the latest version"):
        profile = dict(cloud.get(artifact.id)["properties"]["publishingProfile"])
        if not profile.get("excludeFromLatest"):
            return
        profile.pop("publishedDate", None)
        body = {"properties": {"publishingProfile": {**profile, "excludeFromLatest": False}}}
        changed: Operation = cloud.ask(
            f"update {artifact.id}",
            lambda sdk: sdk.begin(
                sdk.compute.gallery_image_versions.begin_update,
                parsed.group,
                *parsed.names,
                body,
                resource=artifact.id,
            ),
        )
        finish(cloud, changed, timeout=CHANGE_SECONDS, clock=clock)


def delete_image(artifact: Artifact, cloud: Cloud, *, clock: Clock) -> None:
    """Remove an image with what belongs to it alone: its managed image, and a definition of ours without versions."""
    with explaining(f"deleting image {artifact.name}"):
        found = cloud.find(artifact.id)
        if found is not None and run_of(tags_of(found)) is None:
            raise BuilderError(f"{artifact.id} was made by no bake, and is left alone")
        parts = [artifact.id]
        if too := artifact.labels.get(IMAGE_TOO):
            group, name = too.split("/")
            parts.append(cloud.group(group).holds(ids.IMAGE, name))
        for id in parts:
            finish(cloud, cloud.delete(id), timeout=CHANGE_SECONDS, clock=clock)
        delete_empty_definition(artifact.id, cloud, clock=clock)


def delete_empty_definition(id: str, cloud: Cloud, *, clock: Clock) -> None:
    """Remove the definition of a version that is gone, when a bake made it and it has no other."""
    parsed = ids.parse(id)
    if parsed is None or parsed.type != ids.VERSION:
        return
    definition = cloud.find(ids.parent(id))
    if definition is None or run_of(tags_of(definition)) is None:
        return
    versions = cloud.ask(
        "list versions",
        lambda sdk: sdk.pages(
            sdk.compute.gallery_image_versions.list_by_gallery_image, parsed.group, *parsed.names[:-1]
        ),
    )
    if versions:
        return
    try:
        finish(cloud, cloud.delete(ids.parent(id)), timeout=CHANGE_SECONDS, clock=clock)
    except AzureError as error:
        if error.status != 409:  # another bake has just put a version there
            raise
