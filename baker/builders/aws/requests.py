"""What EC2 is asked, as plain data: pure functions from a spec to the bodies of calls.

Approved as files in tests/builders/aws/golden. Every resource is tagged in the call that makes it.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from baker.builders.aws import tags
from baker.builders.aws.spec import Aws, Volume
from baker.builders.aws.tags import Tags
from baker.errors import RecipeError
from baker.recipe import Disk

SSH_PORT = 22
HOP_LIMIT = 1
"""One hop reaches the metadata service from the machine itself, and not from a container on it."""

_FIRST_DATA_DEVICE = ord("f")
"""/dev/sdf to /dev/sdp is what EC2 recommends for data volumes; a Nitro machine shows them under NVMe names anyway."""

MOST_DISKS = ord("p") - _FIRST_DATA_DEVICE + 1

Payload = dict[str, Any]
Permission = Literal["UserId", "OrganizationArn", "OrganizationalUnitArn", "Group"]
"""Whom a launch permission can name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """An image to start from. `devices` are the block devices that it brings, root first among them by name."""

    id: str
    name: str
    architecture: str
    root_device: str
    root_gib: int
    boot_mode: str | None = None
    other_devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where one attempt to start a machine goes."""

    instance_type: str
    subnet: str
    zone: str
    spot: bool


def import_key_pair(name: str, public_key: str, mine: Tags) -> Payload:
    return {
        "KeyName": name,
        "PublicKeyMaterial": public_key.encode(),
        "TagSpecifications": tags.specification(("key-pair",), mine),
    }


def create_security_group(name: str, vpc: str, mine: Tags) -> Payload:
    return {
        "GroupName": name,
        "Description": "SSH to a temporary machine of the image baker",
        "VpcId": vpc,
        "TagSpecifications": tags.specification(("security-group",), mine),
    }


def authorize_ssh(group: str, networks: tuple[str, ...], mine: Tags) -> Payload:
    """Admit `networks` (CIDR, of either family) to SSH and to nothing else."""
    permission: Payload = {"IpProtocol": "tcp", "FromPort": SSH_PORT, "ToPort": SSH_PORT}
    old = [{"CidrIp": network, "Description": "who bakes"} for network in networks if ":" not in network]
    new = [{"CidrIpv6": network, "Description": "who bakes"} for network in networks if ":" in network]
    permission |= {"IpRanges": old} if old else {}
    permission |= {"Ipv6Ranges": new} if new else {}
    return {
        "GroupId": group,
        "IpPermissions": [permission],
        "TagSpecifications": tags.specification(("security-group-rule",), mine),
    }


def allocate_address(mine: Tags) -> Payload:
    return {"Domain": "vpc", "TagSpecifications": tags.specification(("elastic-ip",), mine)}


def associate_address(allocation: str, instance: str, *, take: bool) -> Payload:
    """`take` False is refused when the address is with another machine by now."""
    return {"AllocationId": allocation, "InstanceId": instance, "AllowReassociation": take}


def client_token(run_id: str, role: str, placement: Placement, attempt: int) -> str:
    """The same for the same request, so that a retry after a lost reply starts no second machine; at most 64 long.

    A token used with other parameters is refused, and that of a terminated instance is spent: whatever may change from
    one try to the next is part of it.
    """
    parts = json.dumps([run_id, role, placement.instance_type, placement.subnet, placement.spot, attempt])
    return f"{run_id}-{hashlib.sha256(parts.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A machine to ask for. Without a key and a group it can only be asked whether it would be permitted."""

    image: SourceImage
    key_name: str | None
    group: str | None
    user_data: str
    mappings: tuple[Payload, ...]
    tags: Tags


def run_instances(spec: Aws, instance: Instance, placement: Placement, token: str | None) -> Payload:
    """One machine, terminated when it switches itself off, with nothing that outlives it."""
    kinds = ("instance", "volume", "network-interface", *(("spot-instances-request",) if placement.spot else ()))
    payload: Payload = {
        "ImageId": instance.image.id,
        "InstanceType": placement.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": instance.user_data,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": HOP_LIMIT, "HttpEndpoint": "enabled"},
        "BlockDeviceMappings": list(instance.mappings),
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": placement.subnet,
                **({"Groups": [instance.group]} if instance.group else {}),
                "AssociatePublicIpAddress": spec.address == "public",
                "DeleteOnTermination": True,
            }
        ],
        "TagSpecifications": tags.specification(kinds, instance.tags),
    }
    payload |= {"KeyName": instance.key_name} if instance.key_name else {}
    payload |= {"ClientToken": token} if token else {}
    if placement.spot:
        payload["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
        }
    if spec.instance_profile:
        by = "Arn" if spec.instance_profile.startswith("arn:") else "Name"
        payload["IamInstanceProfile"] = {by: spec.instance_profile}
    return payload


def root_mapping(image: SourceImage, spec: Aws) -> Payload:
    return {"DeviceName": image.root_device, "Ebs": {"VolumeSize": spec.root_gib, **_ebs(spec.root)}}


def data_mappings(image: SourceImage, disks: tuple[Disk, ...], volume: Volume) -> tuple[Payload, ...]:
    """One EBS volume for each disk, on the devices that the image leaves free; those that it brings are not wanted.

    RecipeError when there are more disks than free devices.
    """
    taken = {image.root_device, *image.other_devices}
    free = (f"/dev/sd{chr(letter)}" for letter in range(_FIRST_DATA_DEVICE, ord("p") + 1))
    names = [name for name in free if name not in taken]
    if len(disks) > len(names):
        raise RecipeError(f"the source image leaves {len(names)} devices free, and the recipe has {len(disks)} disks")
    wanted = tuple(
        {"DeviceName": name, "Ebs": {"VolumeSize": disk.size_gib, **_ebs(volume)}}
        for disk, name in zip(disks, names, strict=False)
    )
    unwanted = tuple({"DeviceName": name, "NoDevice": ""} for name in image.other_devices)
    return (*wanted, *unwanted)


def create_image(instance: str, name: str, *, description: str, reboot: bool, mine: Tags) -> Payload:
    """An image of all volumes of a machine. `reboot` False takes it of a running one."""
    return {
        "InstanceId": instance,
        "Name": name,
        "Description": description[:255],
        "NoReboot": not reboot,
        "TagSpecifications": tags.specification(("image", "snapshot"), mine),
    }


def require_imdsv2(image: str) -> Payload:
    """Machines from the image take IMDSv2 alone, unless who starts one says otherwise; this cannot be undone.

    CreateImage has no parameter for it, as it has none for ENA and boot mode; those it takes from the instance:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-IMDS-new-instances.html
    """
    return {"ImageId": image, "ImdsSupport": {"Value": "v2.0"}}


def deprecate_image(image: str, at: datetime) -> Payload:
    """EC2 wants whole minutes."""
    return {"ImageId": image, "DeprecateAt": at.replace(second=0, microsecond=0)}


def permit_launch(image: str, permission: Permission, target: str) -> Payload:
    return {"ImageId": image, "LaunchPermission": {"Add": [{permission: target}]}}


def permit_volumes(snapshot: str, permission: Permission, target: str) -> Payload:
    """Have an account, or everybody, make volumes of a snapshot, and so copy it; organisations cannot be named."""
    return {
        "SnapshotId": snapshot,
        "Attribute": "createVolumePermission",
        "OperationType": "add",
        {"UserId": "UserIds", "Group": "GroupNames"}[permission]: [target],
    }


def copy_image(image: str, name: str, *, source: str, token: str, mine: Tags) -> Payload:
    """Asked in the region where the copy shall be; a second one with the same token makes no second copy."""
    return {
        "Name": name,
        "SourceImageId": image,
        "SourceRegion": source,
        "ClientToken": token[:64],
        "TagSpecifications": tags.specification(("image", "snapshot"), mine),
    }


def _ebs(volume: Volume) -> Payload:
    values: Payload = {
        "VolumeType": volume.type,
        "Iops": volume.iops,
        "Throughput": volume.throughput_mibps,
        "Encrypted": True if volume.kms_key else volume.encrypted,
        "KmsKeyId": volume.kms_key,
    }
    return {name: value for name, value in values.items() if value is not None} | {"DeleteOnTermination": True}
