"""Images and their snapshots, in place of moto's.

moto's create_image takes any instance in any state and any name twice, snapshots a volume that never was, drops data
volumes and knows no tags of snapshots. Here an image is what AWS says it is: a name that is unique in its region, and
one snapshot for each volume of the instance; both take their time, and the snapshots stay when the image goes.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.utils import generic_filter, random_ami_id, random_snapshot_id
from moto.kms.models import kms_backends

from tests.builders.aws.fake.refusal import Refusal
from tests.builders.aws.fake.settings import REGIONS
from tests.builders.aws.fake.tagging import tags_of
from tests.builders.aws.fake.world import Call, Wait, world

_NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")


class FakeSnapshot(Snapshot):
    """A snapshot that takes its time."""

    image: str | None = None

    @property
    def progress(self) -> str:
        """As DescribeSnapshots shows it."""
        wait = world.waiting(self.image) if self.image and self.status == "pending" else None
        return f"{wait.progress}%" if wait else ("100%" if self.status == "completed" else "0%")


FakeSnapshot.__module__ = "moto.ec2.models.elastic_block_store"  # moto keeps a register of its models by module


@dataclass(frozen=True, kw_only=True)
class Volume:
    """What a snapshot of somebody else's image was made of."""

    id: str
    size: int


class Image(TaggedEC2Resource):
    """An image, with what DescribeImages tells of it."""

    def __init__(self, backend: Any, *, id: str, name: str, owner: str, state: str = "pending", **facts: Any) -> None:
        self.ec2_backend = backend
        self.id = id
        self.name = name
        self.owner_id = owner
        self.state = state
        self.description = ""
        self.creation_date = utcnow()
        self.architecture = "x86_64"
        self.boot_mode: str | None = "uefi-preferred"
        self.ena_support = True
        self.hypervisor = "xen"
        self.image_type = "machine"
        self.imds_support: str | None = None
        self.kernel_id = None
        self.owner_alias: str | None = None
        self.image_owner_alias: str | None = None
        self.platform = None
        self.platform_details = "Linux/UNIX"
        self.usage_operation = "RunInstances"
        self.product_codes: list[str] = []
        self.root_device_name = "/dev/sda1"
        self.root_device_type = "ebs"
        self.sriov_net_support = "simple"
        self.virtualization_type = "hvm"
        self.default_user = "ec2-user"
        """The account that its cloud-init makes; part of its disk, and nothing that AWS knows."""
        self.deprecation_time: str | None = None
        self.deregistration_protection = "disabled"
        self.last_launched_time: str | None = None
        self.source_instance_id: str | None = None
        self.source_image_id: str | None = None
        self.source_image_region: str | None = None
        self.state_reason: dict[str, str] | None = None
        self.launch_permissions: list[dict[str, str]] = []
        self.block_device_mappings: list[dict[str, Any]] = []
        for fact, value in facts.items():
            if not hasattr(self, fact):
                raise AttributeError(fact)
            setattr(self, fact, value)

    @property
    def image_id(self) -> str:
        return self.id

    @property
    def image_location(self) -> str:
        return f"{self.owner_id}/{self.name}"

    @property
    def public(self) -> bool:
        return {"Group": "all"} in self.launch_permissions

    @property
    def is_public(self) -> bool:
        return self.public

    @property
    def tag_set(self) -> list[dict[str, str]] | None:  # type: ignore[override]
        """None rather than no tags, as AWS has it."""
        return self.get_tags() or None

    @property
    def snapshots(self) -> list[str]:
        """Their ids."""
        return [it["Ebs"]["SnapshotId"] for it in self.block_device_mappings if "Ebs" in it]

    def visible_to(self, account: str) -> bool:
        """Whether it can be launched."""
        return self.owner_id == account or self.public or {"UserId": account} in self.launch_permissions

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        """For moto's filters."""
        values = {
            "image-id": self.id,
            "is-public": str(self.public).lower(),
            "creation-date": self.creation_date.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "ena-support": str(self.ena_support).lower(),
            "block-device-mapping.snapshot-id": self.snapshots,
            "owner-alias": self.owner_alias or "",
            "state-reason-code": (self.state_reason or {}).get("Code", ""),
        }
        if filter_name in values:
            return values[filter_name]
        return super().get_filter_value(filter_name, "DescribeImages")


Image.__module__ = "moto.ec2.models.amis"


def find(call: Call, id: str) -> Image:
    """The image that the caller sees. Refusal."""
    if not re.fullmatch(r"ami-[0-9a-f]{8,17}", id):
        raise Refusal("InvalidAMIID.Malformed", f'Invalid id: "{id}" (expecting "ami-...")')
    image: Any = call.backend.amis.get(id)
    if image is None or not image.visible_to(call.account):
        raise Refusal("InvalidAMIID.NotFound", f"The image id '[{id}]' does not exist")
    return image


def find_own(call: Call, id: str) -> Image:
    """An image that the caller may change. Refusal."""
    if id in call.backend.deleted_amis:
        raise Refusal("InvalidAMIID.Unavailable", f"The image ID '{id}' is no longer available")
    image = find(call, id)
    if image.owner_id != call.account:
        raise Refusal("AuthFailure", f"Not authorized for image:{id}", status=403)
    return image


def create_image(call: Call) -> Any:
    instance = call.backend.get_instance(call.get("InstanceId"))
    tags = tags_of("CreateImage", call.parameters)
    _check_name(call, call.get("Name"))
    if instance.state not in ("running", "stopped"):
        raise Refusal(
            "InvalidParameterValue",
            f"Invalid value '{instance.id}' for instanceId. Instance is not in state 'running' or 'stopped'",
        )
    call.stop_if_dry()
    source: Image = instance.image
    image = Image(
        call.backend,
        id=random_ami_id(),
        name=call.get("Name"),
        owner=call.account,
        description=call.get("Description", ""),
        architecture=source.architecture,
        boot_mode=source.boot_mode,
        default_user=source.default_user,
        ena_support=source.ena_support,
        imds_support=source.imds_support,
        root_device_name=source.root_device_name,
        sriov_net_support=source.sriov_net_support,
        source_instance_id=instance.id,
        source_image_id=source.id,
        source_image_region=call.region,
    )
    with instance.held_still(reboot=not call.get("NoReboot", False)):
        image.block_device_mappings = _snapshot_all(call, instance, image, tags.get("snapshot", {}))
    _register(call, image, tags.get("image", {}))
    _arrive(call, image, world.settings.image)
    return {"ImageId": image.id}


def copy_image(call: Call) -> Any:
    known = world.answered_before(call)
    if known:
        return {"ImageId": known[0]}
    region = call.get("SourceRegion")
    if region not in REGIONS:
        raise Refusal("InvalidParameterValue", f"Invalid source region: {region}")
    source = find(
        Call(action=call.action, parameters={}, region=region, account=call.account), call.get("SourceImageId")
    )
    if source.state != "available":
        raise Refusal("InvalidRequest", f"The source AMI {source.id} is not available")
    tags = tags_of("CopyImage", call.parameters)
    _check_name(call, call.get("Name"))
    call.stop_if_dry()
    copies = [it for it in call.backend.amis.values() if it.state == "pending" and it.source_instance_id is None]
    if len(copies) >= world.settings.copies_at_once:
        raise Refusal(
            "ResourceLimitExceeded",
            f"Too many snapshot copies in progress. The limit is {world.settings.copies_at_once} for this destination "
            "region.",
        )
    image = Image(
        call.backend,
        id=random_ami_id(),
        name=call.get("Name"),
        owner=call.account,
        description=call.get("Description", ""),
        architecture=source.architecture,
        boot_mode=source.boot_mode,
        default_user=source.default_user,
        ena_support=source.ena_support,
        imds_support=source.imds_support,
        root_device_name=source.root_device_name,
        sriov_net_support=source.sriov_net_support,
        source_image_id=source.id,
        source_image_region=region,
    )
    key = _copy_key(call)
    for mapping in source.block_device_mappings:
        image.block_device_mappings.append(_copied(call, image, mapping, key, tags.get("snapshot", {})))
    copied_tags = source.get_tags() if call.get("CopyImageTags") and source.owner_id == call.account else []
    _register(call, image, {it["key"]: it["value"] for it in copied_tags} | tags.get("image", {}))
    _arrive(call, image, world.settings.copy)
    world.answer(call, [image.id])
    return {"ImageId": image.id}


def describe_images(call: Call) -> Any:
    ids = call.get("ImageIds", [])
    if ids:
        images = [find(call, id) for id in ids]
    else:
        images = world.seen([it for it in call.backend.amis.values() if it.visible_to(call.account)])
    owners = {call.account if it == "self" else it for it in call.get("Owners", [])}
    if owners:
        images = [it for it in images if it.owner_id in owners or it.owner_alias in owners]
    users = {call.account if it == "self" else it for it in call.get("ExecutableUsers", [])}
    if users:
        images = [it for it in images if _granted(it) & users]
    if not call.get("IncludeDeprecated", False):
        images = [it for it in images if it.owner_id == call.account or not _past(it.deprecation_time)]
    if not call.get("IncludeDisabled", False) and not ids:
        images = [it for it in images if it.state != "disabled"]
    images = generic_filter(filters_of(call), images)
    world.polled("image", [it.id for it in images] or [""])
    return {"Images": images}


def deregister_image(call: Call) -> Any:
    image = find_own(call, call.get("ImageId"))
    if image.deregistration_protection != "disabled":
        raise Refusal("OperationNotPermitted", f"The AMI {image.id} is protected from deregistration.")
    call.stop_if_dry()
    backend = call.backend
    backend.amis.pop(image.id)
    backend.deleted_amis.append(image.id)
    results = []
    if call.get("DeleteAssociatedSnapshots"):
        for id in image.snapshots:
            used = any(id in other.snapshots for other in backend.amis.values())
            if not used:
                backend.snapshots.pop(id)
                world.machines.forget(id)
            results.append({"SnapshotId": id, "ReturnCode": "skipped" if used else "success"})
    return {"Return": True, "DeleteSnapshotResults": results}


def describe_image_attribute(call: Call) -> Any:
    image = find_own(call, call.get("ImageId"))
    name = call.get("Attribute")
    call.stop_if_dry()
    values = {
        "description": ("Description", {"Value": image.description}),
        "launchPermission": ("LaunchPermissions", image.launch_permissions),
        "bootMode": ("BootMode", {"Value": image.boot_mode}),
        "imdsSupport": ("ImdsSupport", {"Value": image.imds_support}),
        "lastLaunchedTime": ("LastLaunchedTime", {"Value": image.last_launched_time}),
        "sriovNetSupport": ("SriovNetSupport", {"Value": image.sriov_net_support}),
        "deregistrationProtection": ("DeregistrationProtection", {"Value": image.deregistration_protection}),
    }
    if name not in values:
        raise Refusal("NotInTheFake", f"DescribeImageAttribute of {name}")
    member, value = values[name]
    return {"ImageId": image.id, member: value}


def modify_image_attribute(call: Call) -> Any:
    image = find_own(call, call.get("ImageId"))
    if image.state != "available" and call.get("Attribute") != "description":
        raise Refusal("InvalidAMIID.Unavailable", f"The image ID '{image.id}' is not available")
    given, taken = _permissions(call)
    _check_sharing(call, image, given)
    call.stop_if_dry()
    image.launch_permissions += [it for it in given if it not in image.launch_permissions]
    image.launch_permissions = [it for it in image.launch_permissions if it not in taken]
    if "Description" in call.parameters:
        image.description = call.get("Description")["Value"]
    if "ImdsSupport" in call.parameters:
        image.imds_support = call.get("ImdsSupport")["Value"]
    if call.get("Attribute") in ("description", "imdsSupport"):
        setattr(
            image,
            {"description": "description", "imdsSupport": "imds_support"}[call.get("Attribute")],
            call.get("Value"),
        )
    return None


def reset_image_attribute(call: Call) -> Any:
    image = find_own(call, call.get("ImageId"))
    call.stop_if_dry()
    image.launch_permissions = []
    return None


def enable_image_deprecation(call: Call) -> Any:
    image = find_own(call, call.get("ImageId"))
    at = call.get("DeprecateAt").replace(tzinfo=UTC)
    if not datetime.now(UTC) < at < datetime.now(UTC) + timedelta(days=3653):
        raise Refusal("InvalidParameterValue", "DeprecateAt must be in the future, at most 10 years ahead")
    call.stop_if_dry()
    image.deprecation_time = at.strftime("%Y-%m-%dT%H:%M:00.000Z")  # "rounds the seconds to the nearest minute"
    return {"Return": True}


def disable_image_deprecation(call: Call) -> Any:
    image = find_own(call, call.get("ImageId"))
    call.stop_if_dry()
    image.deprecation_time = None
    return {"Return": True}


def enable_image_deregistration_protection(call: Call) -> Any:
    image = find_own(call, call.get("ImageId"))
    call.stop_if_dry()
    image.deregistration_protection = (
        "enabled-with-cooldown" if call.get("WithCooldown") else "enabled-without-cooldown"
    )
    return {"Return": "true"}


def disable_image_deregistration_protection(call: Call) -> Any:
    image = find_own(call, call.get("ImageId"))
    call.stop_if_dry()
    image.deregistration_protection = "disabled"
    return {"Return": "true"}


def enable_image(call: Call) -> Any:
    image = find_own(call, call.get("ImageId"))
    call.stop_if_dry()
    image.state = "available"
    return {"Return": True}


def disable_image(call: Call) -> Any:
    """ "If an AMI is shared, all launch permissions are removed" (DisableImage)."""
    image = find_own(call, call.get("ImageId"))
    call.stop_if_dry()
    image.state = "disabled"
    image.launch_permissions = []
    return {"Return": True}


def get_image_block_public_access_state(call: Call) -> Any:
    call.stop_if_dry()
    return {
        "ImageBlockPublicAccessState": world.block_public_access.get(call.region, "block-new-sharing"),
        "ManagedBy": "account",
    }


def enable_image_block_public_access(call: Call) -> Any:
    call.stop_if_dry()
    world.block_public_access[call.region] = call.get("ImageBlockPublicAccessState")
    return {"ImageBlockPublicAccessState": call.get("ImageBlockPublicAccessState")}


def disable_image_block_public_access(call: Call) -> Any:
    call.stop_if_dry()
    world.block_public_access[call.region] = "unblocked"
    return {"ImageBlockPublicAccessState": "unblocked"}


def describe_snapshots(call: Call) -> Any:
    backend, ids = call.backend, call.get("SnapshotIds", [])
    for id in ids:
        if id not in backend.snapshots:
            raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{id}' does not exist.")
    snapshots = [backend.snapshots[id] for id in ids] if ids else world.seen(list(backend.snapshots.values()))
    owners = {call.account if it == "self" else it for it in call.get("OwnerIds", [])}
    if owners:
        snapshots = [it for it in snapshots if it.owner_id in owners]
    return {"Snapshots": generic_filter(filters_of(call), snapshots)}


def delete_snapshot(call: Call) -> Any:
    id = call.get("SnapshotId")
    if id not in call.backend.snapshots:
        raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{id}' does not exist.")
    for image in call.backend.amis.values():
        if id in image.snapshots:
            raise Refusal("InvalidSnapshot.InUse", f"The snapshot {id} is currently in use by {image.id}")
    call.stop_if_dry()
    call.backend.snapshots.pop(id)
    world.machines.forget(id)
    return None


def modify_snapshot_attribute(call: Call) -> Any:
    id = call.get("SnapshotId")
    if id not in call.backend.snapshots:
        raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{id}' does not exist.")
    snapshot = call.backend.snapshots[id]
    given = list(call.get("CreateVolumePermission", {}).get("Add", []))
    taken = list(call.get("CreateVolumePermission", {}).get("Remove", []))
    named = [{"UserId": it} for it in call.get("UserIds", [])] + [{"Group": it} for it in call.get("GroupNames", [])]
    given += named if call.get("OperationType") == "add" else []
    taken += named if call.get("OperationType") == "remove" else []
    for it in given:
        if "UserId" in it:
            _check_account(it["UserId"])
    if given and snapshot.encrypted and snapshot.kms_key_id in aws_managed_keys(call):
        raise Refusal("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared")
    call.stop_if_dry()
    users, groups = snapshot.create_volume_permission_userids, snapshot.create_volume_permission_groups
    users.update(it["UserId"] for it in given if "UserId" in it)
    groups.update(it["Group"] for it in given if "Group" in it)
    users.difference_update(it["UserId"] for it in taken if "UserId" in it)
    groups.difference_update(it["Group"] for it in taken if "Group" in it)
    return None


def aws_managed_keys(call: Call) -> set[str]:
    """The key that AWS keeps for EBS, once there is one."""
    kms = kms_backends[call.account][call.region]
    return {kms.describe_key("alias/aws/ebs").arn} if kms.alias_exists("alias/aws/ebs") else set()


def filters_of(call: Call) -> dict[str, list[str]]:
    """As moto wants them."""
    return {it["Name"]: it.get("Values", []) for it in call.get("Filters", [])}


def new_snapshot(call: Call, volume: Any, description: str, **facts: Any) -> FakeSnapshot:
    """A snapshot of ours, in moto's register."""
    snapshot = FakeSnapshot(call.backend, random_snapshot_id(), volume, description, owner_id=call.account)
    for fact, value in facts.items():
        setattr(snapshot, fact, value)
    call.backend.snapshots[snapshot.id] = snapshot
    return snapshot


def _check_name(call: Call, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Refusal(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', "
            "'-', '/' and '_'",
        )
    for image in call.backend.amis.values():
        if image.name == name and image.owner_id == call.account:
            raise Refusal("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")


def _snapshot_all(call: Call, instance: Any, image: Image, tags: dict[str, str]) -> list[dict[str, Any]]:
    asked = {it["DeviceName"]: it for it in call.get("BlockDeviceMappings", [])}
    mappings = []
    for device, attached in instance.get_block_device_mapping:
        change = asked.get(device, {})
        if "NoDevice" in change:
            continue
        volume = call.backend.get_volume(attached.volume_id)
        snapshot = new_snapshot(
            call,
            volume,
            f"Created by CreateImage({instance.id}) for {image.id}",
            status="pending",
            image=image.id,
            from_ami=image.id,
            encrypted=volume.encrypted,
            kms_key_id=volume.kms_key_id,
        )
        snapshot.add_tags(tags)
        world.machines.take_snapshot(snapshot.id, volume.id)
        ebs = {
            "SnapshotId": snapshot.id,
            "VolumeSize": volume.size,
            "VolumeType": volume.volume_type,
            "DeleteOnTermination": attached.delete_on_termination,
            "Encrypted": volume.encrypted,
            "Iops": volume.iops,
            "Throughput": volume.throughput,
        }
        ebs |= {name: value for name, value in change.get("Ebs", {}).items() if name != "SnapshotId"}
        mappings.append({"DeviceName": device, "Ebs": {k: v for k, v in ebs.items() if v is not None}})
    return mappings


def _copied(call: Call, image: Image, mapping: dict[str, Any], key: str | None, tags: dict[str, str]) -> dict[str, Any]:
    ebs = dict(mapping["Ebs"])
    snapshot = new_snapshot(
        call,
        Volume(id="vol-ffffffff", size=ebs["VolumeSize"]),
        f"Copied for DestinationAmi {image.id} from SourceAmi {image.source_image_id}",
        status="pending",
        image=image.id,
        from_ami=image.id,
        encrypted=bool(ebs.get("Encrypted") or key),
        kms_key_id=key or (_default_key(call) if ebs.get("Encrypted") else None),
    )
    snapshot.add_tags(tags)
    world.machines.copy_snapshot(snapshot.id, ebs["SnapshotId"])
    ebs |= {"SnapshotId": snapshot.id, "Encrypted": snapshot.encrypted}
    return {"DeviceName": mapping["DeviceName"], "Ebs": ebs}


def _copy_key(call: Call) -> str | None:
    """The key that encrypts the copy's snapshots; None: none that was asked for."""
    if call.get("KmsKeyId"):
        if not call.get("Encrypted"):
            raise Refusal(
                "InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set."
            )
        return str(kms_backends[call.account][call.region].describe_key(call.get("KmsKeyId")).arn)
    if call.get("Encrypted") or call.backend.ebs_encryption_by_default:
        return _default_key(call)
    return None


def _default_key(call: Call) -> str:
    backend = call.backend
    return str(backend.default_kms_key_id or backend._create_default_encryption_key())


def _register(call: Call, image: Image, tags: dict[str, str]) -> None:
    call.backend.amis[image.id] = image  # type: ignore[assignment]
    image.add_tags(tags)
    world.created(image.id)
    for id in image.snapshots:
        world.created(id)


def _arrive(call: Call, image: Image, pace: Any) -> None:
    backend, reason = call.backend, world.fail_next_image
    world.fail_next_image = None

    def done() -> None:
        image.state = "failed" if reason else "available"
        image.state_reason = {"Code": "Server.InternalError", "Message": reason} if reason else None
        for id in image.snapshots:
            if id in backend.snapshots:
                backend.snapshots[id].status = "error" if reason else "completed"

    world.wait(Wait(kind="image", id=image.id, pace=pace, then=done))


def _past(time: str | None) -> bool:
    return time is not None and datetime.fromisoformat(time) < datetime.now(UTC)


def _granted(image: Image) -> set[str]:
    return {"all" if "Group" in it else it.get("UserId", "") for it in image.launch_permissions}


def _permissions(call: Call) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    given = list(call.get("LaunchPermission", {}).get("Add", []))
    taken = list(call.get("LaunchPermission", {}).get("Remove", []))
    members = {
        "UserGroups": "Group",
        "UserIds": "UserId",
        "OrganizationArns": "OrganizationArn",
        "OrganizationalUnitArns": "OrganizationalUnitArn",
    }
    named = [{member: it} for name, member in members.items() for it in call.get(name, [])]
    if named and call.get("Attribute") != "launchPermission":
        raise Refusal("InvalidParameterCombination", "The parameter attribute must be launchPermission")
    if named and call.get("OperationType") not in ("add", "remove"):
        raise Refusal("MissingParameter", "The request must contain the parameter operationType")
    given += named if call.get("OperationType") == "add" else []
    taken += named if call.get("OperationType") == "remove" else []
    return given, taken


def _check_sharing(call: Call, image: Image, given: list[dict[str, str]]) -> None:
    """What AWS holds against sharing this image in this way.

    The words for encrypted snapshots are those that hashicorp/packer#7410 and opendevstack/ods-core#1062 got.
    """
    for it in given:
        if "UserId" in it:
            _check_account(it["UserId"])
        if it.get("Group", "all") != "all":
            raise Refusal(
                "InvalidAMIAttributeItemValue", f'Invalid attribute item value "{it["Group"]}" for userGroup item type.'
            )
        for name, kind in (("OrganizationArn", "organization"), ("OrganizationalUnitArn", "ou")):
            if name in it and not re.fullmatch(
                rf"arn:aws[a-z-]*:organizations::\d{{12}}:{kind}/o-[a-z0-9/-]+", it[name]
            ):
                raise Refusal("InvalidParameterValue", f"Invalid {name}: {it[name]}")
    if not given:
        return
    snapshots = [call.backend.snapshots[id] for id in image.snapshots if id in call.backend.snapshots]
    encrypted = [it for it in snapshots if it.encrypted]
    if any(it.kms_key_id in aws_managed_keys(call) for it in encrypted):
        raise Refusal(
            "InvalidParameter",
            "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.",
        )
    if {"Group": "all"} in given:
        if encrypted:
            raise Refusal(
                "UnsupportedOperation", "Encrypted snapshots can't be shared publicly. Specify another snapshot."
            )
        if world.block_public_access.get(call.region, "block-new-sharing") == "block-new-sharing":
            raise Refusal(
                "OperationNotPermitted",
                "You can't publicly share this image because block public access for AMIs is enabled for this account.",
            )


def _check_account(number: str) -> None:
    if not re.fullmatch(r"\d{12}", number) or number in world.settings.closed_accounts:
        raise Refusal("InvalidAMIAttributeItemValue", f'Invalid attribute item value "{number}" for userId item type.')
