"""Finds the image that a machine starts from: by name, id, public parameter or filter, in the region of the bake."""

import re
from dataclasses import dataclass
from typing import Any

from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import AwsError, explain
from baker.builders.aws.requests import SourceImage
from baker.builders.aws.spec import AmiFilter, Aws
from baker.errors import BuilderError, RecipeError
from baker.suggestion import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An image that has a name of ours: where its newest one is found, and who may log in to it."""

    parameter: str
    login_user: str


_UBUNTU = "/aws/service/canonical/ubuntu/server/{}/stable/current/{}/hvm/{}/ami-id"
_DEBIAN = "/aws/service/debian/release/{}/latest/{}"

NAMED = {
    "ubuntu-22.04": Named(parameter=_UBUNTU.format("22.04", "amd64", "ebs-gp2"), login_user="ubuntu"),
    "ubuntu-24.04": Named(parameter=_UBUNTU.format("24.04", "amd64", "ebs-gp3"), login_user="ubuntu"),
    "ubuntu-24.04-arm64": Named(parameter=_UBUNTU.format("24.04", "arm64", "ebs-gp3"), login_user="ubuntu"),
    "debian-12": Named(parameter=_DEBIAN.format("12", "amd64"), login_user="admin"),
    "debian-12-arm64": Named(parameter=_DEBIAN.format("12", "arm64"), login_user="admin"),
    "debian-13": Named(parameter=_DEBIAN.format("13", "amd64"), login_user="admin"),
    "amazon-linux-2023": Named(
        parameter="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64", login_user="ec2-user"
    ),
}
"""Public SSM parameters of the publishers themselves, so that no list of ids has to be kept:
https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/, https://wiki.debian.org/Cloud/AmazonEC2Image"""

_ID = re.compile(r"ami-[0-9a-f]{8,17}")
_LOGIN_USERS = (("/canonical/", "ubuntu"), ("/debian/", "admin"), ("/ami-amazon-linux", "ec2-user"))


def source_problem(source: object) -> str | None:
    """What is wrong with how a source is written, in words; None when it can be looked up."""
    match source:
        case AmiFilter(owner=owner, name=name):
            return (
                None
                if owner and name
                else "AmiFilter wants an owner and a name: an image without owner can be anybody's"
            )
        case str() if source in NAMED or _ID.fullmatch(source) or source.startswith("/"):
            return None
        case str():
            meant = did_you_mean(source, NAMED) or f"known are {', '.join(sorted(NAMED))}"
            return f"is no image id, no SSM parameter, and no name that is known; {meant}"
    return "must be a name, an image id, an SSM parameter or an AmiFilter(...)"


def login_user(spec: Aws) -> str | None:
    """Who may log in to the source image; None when nobody can know, and the spec must say."""
    if spec.login_user:
        return spec.login_user
    match spec.source:
        case AmiFilter(login_user=user):
            return user or None
        case str() as name if name in NAMED:
            return NAMED[name].login_user
        case str() as path:
            return next((user for part, user in _LOGIN_USERS if part in path), None)
    return None


def known_login_user(spec: Aws) -> str:
    """Who may log in. RecipeError when nobody can know; the check of the spec has said so before."""
    user = login_user(spec)
    if user is None:
        raise RecipeError("nobody can know who may log in to the source image", hint="set login_user in the Aws(...)")
    return user


def find_source(spec: Aws, cloud: Cloud) -> SourceImage:
    """The image, as it is now in this region. BuilderError when there is none."""
    try:
        return _described(_found(spec.source, cloud))
    except AwsError as error:
        raise explain(error, f"looking up the source image {_shown(spec.source)}") from error


def _found(source: str | AmiFilter, cloud: Cloud) -> dict[str, Any]:
    match source:
        case AmiFilter():
            return _newest(source, cloud)
        case str() if _ID.fullmatch(source):
            return _by_id(source, cloud)
        case str():
            path = NAMED[source].parameter if source in NAMED else source
            value = cloud.ask("get_parameter", "ssm", Name=path)["Parameter"]["Value"]
            return _by_id(str(value), cloud)


def _by_id(image_id: str, cloud: Cloud) -> dict[str, Any]:
    images = cloud.ask("describe_images", ImageIds=[image_id])["Images"]
    if not images:
        raise BuilderError(
            f"there is no image {image_id} in {cloud.region}",
            hint='image ids differ from region to region; a name such as "ubuntu-24.04" is looked up in each',
        )
    return dict(images[0])


def _newest(wanted: AmiFilter, cloud: Cloud) -> dict[str, Any]:
    filters = {"name": wanted.name, "architecture": wanted.architecture, "state": "available"}
    images = cloud.all_of(
        "describe_images",
        "Images",
        Owners=[wanted.owner],
        Filters=[{"Name": name, "Values": [value]} for name, value in filters.items()],
    )
    newest = max(images, key=lambda image: str(image["CreationDate"]), default=None)
    if newest is None:
        raise BuilderError(
            f"no image of {wanted.owner} in {cloud.region} is called {wanted.name}",
            details=(("architecture", wanted.architecture),),
            hint="`aws ec2 describe-images --owners ... --filters Name=name,Values=...` shows what there is",
        )
    return newest


def _described(image: dict[str, Any]) -> SourceImage:
    if image.get("RootDeviceType", "ebs") != "ebs":
        raise BuilderError(
            f"image {image['ImageId']} has no EBS root volume", hint="only those can be stopped and captured"
        )
    devices = {mapping["DeviceName"]: mapping for mapping in image.get("BlockDeviceMappings", ())}
    root = image["RootDeviceName"]
    return SourceImage(
        id=image["ImageId"],
        name=image.get("Name", ""),
        architecture=image["Architecture"],
        root_device=root,
        root_gib=int(devices.get(root, {}).get("Ebs", {}).get("VolumeSize", 0)),
        boot_mode=image.get("BootMode"),
        other_devices=tuple(sorted(name for name in devices if name != root)),
    )


def _shown(source: str | AmiFilter) -> str:
    return source if isinstance(source, str) else f"{source.name} of {source.owner}"
