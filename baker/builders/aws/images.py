"""The images that bakes made in EC2: found by our tags, described, labelled, deleted with their snapshots."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from baker.artifact import Artifact
from baker.builders.aws import requests, tags
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import AwsError, explaining
from baker.errors import BuilderError
from baker.suggestion import did_you_mean

KIND = "aws"
GIB = 1 << 30


DISKS, LOGIN_USER, INSTANCE_TYPE = "disks", "login-user", "instance-type"
"""Labels of an image: which device is which disk of the recipe, who logs in, on what it was baked."""


def launch_labels(devices: Mapping[str, str], login_user: str, instance_type: str) -> dict[str, str]:
    """What has to be known to start a machine from an image later."""
    disks = " ".join(f"{disk}={device}" for disk, device in devices.items())
    return {DISKS: disks, LOGIN_USER: login_user, INSTANCE_TYPE: instance_type}


def devices_of(labels: Mapping[str, str]) -> dict[str, str]:
    """Disks and their devices, as `launch_labels` wrote them."""
    return dict(entry.split("=", 1) for entry in labels.get(DISKS, "").split())


def our_images(cloud: Cloud) -> Iterator[dict[str, Any]]:
    """All images of this account and region that a bake made, as EC2 describes them, finished or not."""
    filters = [{"Name": "tag-key", "Values": [tags.RUN]}]
    images = cloud.all_of("describe_images", "Images", Owners=["self"], Filters=filters)
    return (image for image in images if tags.run_of(tags.from_tag_list(image.get("Tags"))))


def images_of_run(cloud: Cloud, run_id: str) -> Iterator[dict[str, Any]]:
    """What a run made, also what is pending or failed."""
    return (image for image in our_images(cloud) if tags.run_of(tags.from_tag_list(image.get("Tags"))) == run_id)


def find_images(cloud: Cloud) -> tuple[Artifact, ...]:
    """The finished images, newest last."""
    with explaining(f"listing images in {cloud.region}"):
        found = [artifact_of(image, cloud.region) for image in our_images(cloud) if image["State"] == "available"]
    return tuple(sorted(found, key=lambda artifact: (artifact.created, artifact.name)))


def resolve(reference: str, cloud: Cloud) -> Artifact:
    """The image that is meant: an id, a name, or a recipe's name for its newest verified one. BuilderError."""
    images = find_images(cloud)
    for artifact in reversed(images):
        if reference in (artifact.id, artifact.name):
            return artifact
    newest = [it for it in images if it.labels.get("recipe") == reference and it.labels.get("verified", "no") != "no"]
    if newest:
        return newest[-1]
    known = sorted({name for it in images for name in (it.name, it.labels.get("recipe", ""), it.id) if name})
    raise BuilderError(
        f"there is no image {reference} of ours in {cloud.region}",
        hint=did_you_mean(reference, known) or "`bake images --on aws` lists them; --location names another region",
    )


def describe(image_id: str, cloud: Cloud) -> dict[str, Any]:
    """The image as EC2 has it now. BuilderError when it is not there."""
    with explaining(f"looking at image {image_id}"):
        images = cloud.ask("describe_images", ImageIds=[image_id])["Images"]
    if not images:
        raise BuilderError(f"there is no image {image_id} in {cloud.region}", hint="`bake images --on aws` lists them")
    return dict(images[0])


def artifact_of(image: Mapping[str, Any], region: str) -> Artifact:
    """From EC2's own description."""
    labels = tags.labels_of(tags.from_tag_list(image.get("Tags")))
    return Artifact(
        builder=KIND,
        id=image["ImageId"],
        location=region,
        name=image.get("Name", ""),
        fingerprint=labels.get("fingerprint", ""),
        created=str(image.get("CreationDate", "")),
        size_bytes=sum(int(ebs.get("VolumeSize", 0)) for ebs in _volumes(image)) * GIB,
        labels=labels,
    )


def content_of(image: Mapping[str, Any]) -> str:
    """What the image is made of: neither an image nor a snapshot can be changed in EC2, only replaced by another."""
    return "+".join([image["ImageId"], *snapshots_of(image)])


def snapshots_of(image: Mapping[str, Any]) -> list[str]:
    """The ids of its snapshots, in the order of their devices' names, whatever the order of EC2's answer."""
    return [ebs["SnapshotId"] for ebs in _volumes(image) if ebs.get("SnapshotId")]


def set_labels(image_id: str, labels: Mapping[str, str], cloud: Cloud) -> None:
    """Write labels on an image and its snapshots, over those of the same name."""
    image = describe(image_id, cloud)
    with explaining(f"labelling image {image_id}"):
        cloud.ask(
            "create_tags", Resources=[image_id, *snapshots_of(image)], Tags=tags.tag_list(tags.label_tags(labels))
        )


def require_imdsv2(image: Mapping[str, Any], cloud: Cloud) -> None:
    """Have machines from the image take IMDSv2 alone, as the one did that it was made of. AwsError when refused."""
    if image.get("ImdsSupport") != "v2.0":
        cloud.ask_of_new("modify_image_attribute", **requests.require_imdsv2(image["ImageId"]))


def retire_image(cloud: Cloud, image: Mapping[str, Any], now: float) -> None:
    """Delete a finished image. AwsError when refused; it stays what it was then.

    It is marked as temporary first, with its snapshots: who dies in the middle, or hears no more of AWS, leaves nothing
    that a sweep does not find.
    """
    parts = [image["ImageId"], *snapshots_of(image)]
    cloud.ask("create_tags", Resources=parts, Tags=tags.tag_list({tags.EXPIRES: tags.expires_at(now)}))
    try:
        delete_image(cloud, image)
    except AwsError as error:
        if error.action == "deregister_image" and not error.may_be_done:
            cloud.ask("delete_tags", Resources=parts, Tags=[{"Key": tags.EXPIRES}])
        raise


def delete_image(cloud: Cloud, image: Mapping[str, Any]) -> None:
    """Deregister it, then delete its snapshots; content when they are gone already. AwsError when refused."""
    # In this order: a snapshot cannot go while an image stands on it.
    cloud.remove("deregister_image", ImageId=image["ImageId"])
    for snapshot in snapshots_of(image):
        cloud.remove("delete_snapshot", SnapshotId=snapshot)


def _volumes(image: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    mappings = sorted(image.get("BlockDeviceMappings", ()), key=lambda mapping: str(mapping.get("DeviceName")))
    return (mapping["Ebs"] for mapping in mappings if "Ebs" in mapping)
