"""The instance actions of EC2, in place of moto's."""

import base64
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ec2.models.instances import Reservation
from moto.ec2.utils import generic_filter, random_reservation_id, random_spot_request_id
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends

from tests.builders.aws.fake import images, user_data
from tests.builders.aws.fake.images import Image
from tests.builders.aws.fake.instance import FakeInstance, SpotRequest
from tests.builders.aws.fake.refusal import Refusal
from tests.builders.aws.fake.tagging import tags_of
from tests.builders.aws.fake.world import Call, world

_USER_DATA_BYTES = 16 * 1024
_STANDARD_FAMILIES = "acdhimrtz"
_IOPS = {"gp3": (3000, 80000), "io1": (100, 64000), "io2": (100, 256000)}
_THROUGHPUT = (125, 2000)


def run_instances(call: Call) -> Any:
    tags = tags_of("RunInstances", call.parameters)
    again = world.answered_before(call)
    if again is not None:
        return _answer_again(call, again)
    image = images.find(call, _required(call, "ImageId"))
    if image.state != "available":
        raise Refusal("InvalidAMIID.Unavailable", f"The image ID '{image.id}' is {image.state}, and cannot be run")
    kind = _type(call, image)
    interfaces = _interfaces(call)
    subnet = interfaces[0]["subnet"]
    _check_offered(call, kind, subnet.availability_zone)
    key = _key(call)
    data = call.get("UserData") or b""
    plain = base64.b64decode(data) if isinstance(data, str) else bytes(data)
    if len(plain) > _USER_DATA_BYTES:
        raise Refusal("InvalidParameterValue", f"User data is limited to {_USER_DATA_BYTES} bytes")
    mappings = _mappings(call, image)
    _check_profile(call)
    market = _market(call)
    count = call.get("MaxCount")
    if not 1 <= call.get("MinCount") <= count:
        raise Refusal("InvalidParameterValue", "minCount must be at least 1 and at most maxCount")
    _check_seed(plain)
    call.stop_if_dry()
    _check_capacity(kind, subnet.availability_zone, market)
    _check_quota(call, kind, market, count)

    reservation = Reservation(random_reservation_id(), owner_id=call.account)
    call.backend.reservations[reservation.id] = reservation
    for index in range(count):
        instance = FakeInstance(
            call.backend, image.id, base64.b64encode(plain).decode() if plain else None, [],
            **_facts(call, kind, interfaces, tags, index),
        )  # fmt: skip
        reservation.instances.append(instance)
        instance.security_groups = [call.backend.get_security_group_from_id(it) for it in interfaces[0]["groups"]]
        instance.image = image
        instance.add_tags(tags.get("instance", {}))
        for nic in instance.nics.values():
            nic.add_tags(tags.get("network-interface", {}))
        _attach_volumes(call, instance, mappings, tags.get("volume", {}))
        if market == "spot":
            _request_spot(call, instance, tags.get("spot-instances-request", {}))
        instance.told = user_data.Told(
            user_data=plain,
            instance_id=instance.id,
            host_name=instance.private_dns_name.partition(".")[0],
            default_user=image.default_user,
            public_keys=(key,) if key else (),
        )
        image.last_launched_time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        world.created(instance.id)
        instance.launch()
    _associate_profile(call, reservation)
    world.answer(call, [it.id for it in reservation.instances])
    return reservation


def describe_instances(call: Call) -> Any:
    ids = call.get("InstanceIds", [])
    backend, filters = call.backend, images.filters_of(call)
    if ids:
        reservations = backend.get_reservations_by_instance_ids(ids, filters=filters)
    else:
        reservations = backend.describe_instances(filters=filters)
        for reservation in reservations:
            reservation.instances = world.seen(reservation.instances)
        reservations = [it for it in reservations if it.instances]
    world.polled("instance", [it.id for reservation in reservations for it in reservation.instances] or [""])
    return {"Reservations": reservations}


def describe_instance_status(call: Call) -> Any:
    ids, everything = call.get("InstanceIds", []), call.get("IncludeAllInstances", False)
    if call.get("Filters"):
        raise Refusal("NotInTheFake", "filters of DescribeInstanceStatus")
    found = [call.backend.get_instance(id) for id in ids] if ids else world.seen(call.backend.all_instances())
    world.polled("instance", [it.id for it in found] or [""])
    return {"InstanceStatuses": [it for it in found if everything or it.state == "running"]}


def start_instances(call: Call) -> Any:
    instances = _instances(call)
    for instance in instances:
        if instance.state not in ("stopped", "pending", "running"):
            raise Refusal(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be started.",
            )
    call.stop_if_dry()
    changed = [(it, it.start() if it.state == "stopped" else it.instance_state) for it in instances]
    return {"StartingInstances": [_change(*it) for it in changed]}


def stop_instances(call: Call) -> Any:
    instances = _instances(call)
    for instance in instances:
        spot = instance.spot_request
        if spot is not None and spot.type == "one-time":
            raise Refusal(
                "UnsupportedOperation",
                f"You can't stop the Spot Instance '{instance.id}' because it is associated with a one-time Spot "
                "Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
            )
        if instance.state not in ("running", "stopping", "stopped"):
            raise Refusal(
                "IncorrectInstanceState",
                f"This instance '{instance.id}' is not in a state from which it can be stopped.",
            )
        if instance.disable_api_stop:
            raise Refusal("OperationNotPermitted", f"The instance '{instance.id}' may not be stopped.")
    call.stop_if_dry()
    changed = [(it, it.stop() if it.state == "running" else it.instance_state) for it in instances]
    return {"StoppingInstances": [_change(*it) for it in changed]}


def reboot_instances(call: Call) -> Any:
    instances = _instances(call)
    for instance in instances:
        if instance.state != "running":
            raise Refusal("IncorrectState", f"The instance '{instance.id}' is not in the 'running' state.")
    call.stop_if_dry()
    for instance in instances:
        instance.reboot()
    return None


def terminate_instances(call: Call) -> Any:
    instances = _instances(call)
    for instance in instances:
        if instance.disable_api_termination:
            raise Refusal(
                "OperationNotPermitted",
                f"The instance '{instance.id}' may not be terminated. Modify its 'disableApiTermination' instance "
                "attribute and try again.",
            )
    call.stop_if_dry()
    return {"TerminatingInstances": [_change(it, it.terminate()) for it in instances]}


def get_console_output(call: Call) -> Any:
    instance: Any = call.backend.get_instance(call.get("InstanceId"))
    call.stop_if_dry()
    output = base64.b64encode(instance.last_words().encode()).decode()
    return {"InstanceId": instance.id, "Output": output, "Timestamp": datetime.now(UTC).replace(tzinfo=None)}


def modify_instance_attribute(call: Call) -> Any:
    instance = call.backend.get_instance(call.get("InstanceId"))
    given = {name: value for name, value in call.parameters.items() if name not in ("InstanceId", "DryRun")}
    if len(given) != 1:
        raise Refusal("InvalidParameterCombination", "Fields for multiple attribute types specified")
    ((name, value),) = given.items()
    stopped_only = name in ("InstanceType", "UserData", "EnaSupport")
    if stopped_only and instance.state != "stopped":
        raise Refusal("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")
    if instance.state in ("shutting-down", "terminated"):
        raise Refusal("IncorrectInstanceState", f"The instance '{instance.id}' is terminated.")
    call.stop_if_dry()
    plain = {
        "InstanceInitiatedShutdownBehavior": "instance_initiated_shutdown_behavior",
        "DisableApiTermination": "disable_api_termination",
        "DisableApiStop": "disable_api_stop",
        "EnaSupport": "ena_support",
        "InstanceType": "instance_type",
        "SourceDestCheck": "source_dest_check",
    }
    if name in plain:
        setattr(instance, plain[name], value["Value"])
    elif name == "Groups":
        _move_to_groups(call, instance, value)
    elif name == "BlockDeviceMappings":
        for mapping in value:
            attached = instance.block_device_mapping.get(mapping["DeviceName"])
            if attached is None:
                raise Refusal("InvalidInstanceAttributeValue", f"No device {mapping['DeviceName']}")
            attached.delete_on_termination = mapping["Ebs"]["DeleteOnTermination"]
    else:
        raise Refusal("NotInTheFake", f"ModifyInstanceAttribute of {name}")
    return None


def describe_spot_instance_requests(call: Call) -> Any:
    known, ids = call.backend.spot_instance_requests, call.get("SpotInstanceRequestIds", [])
    for id in ids:
        if id not in known:
            raise Refusal(
                "InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{id}' does not exist"
            )
    found = [known[id] for id in ids] if ids else list(known.values())
    return {"SpotInstanceRequests": generic_filter(images.filters_of(call), found)}


def cancel_spot_instance_requests(call: Call) -> Any:
    known, ids = call.backend.spot_instance_requests, call.get("SpotInstanceRequestIds", [])
    for id in ids:
        if id not in known:
            raise Refusal(
                "InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{id}' does not exist"
            )
    call.stop_if_dry()
    for id in ids:
        known[id].state = "cancelled"
    return {"CancelledSpotInstanceRequests": [{"SpotInstanceRequestId": id, "State": "cancelled"} for id in ids]}


def _required(call: Call, name: str) -> str:
    value = call.get(name)
    if not value:
        raise Refusal("MissingParameter", f"The request must contain the parameter {name}")
    return str(value)


def _instances(call: Call) -> Iterable[Any]:
    return call.backend.get_multi_instances_by_id(call.get("InstanceIds"))


def _change(instance: FakeInstance, before: Any) -> dict[str, Any]:
    def state(it: Any) -> dict[str, Any]:
        return {"Code": it.code, "Name": it.name}

    return {"InstanceId": instance.id, "PreviousState": state(before), "CurrentState": state(instance.instance_state)}


def _answer_again(call: Call, ids: list[str]) -> Any:
    for reservation in call.backend.reservations.values():
        if [it.id for it in reservation.instances] == ids:
            if any(it.state in ("shutting-down", "terminated") for it in reservation.instances):
                raise Refusal(
                    "IdempotentInstanceTerminated",
                    "The client token you have provided is associated with a resource that is already terminated.",
                )
            return reservation
    raise AssertionError(ids)


def _type(call: Call, image: Image) -> str:
    kind = str(call.get("InstanceType", "m1.small"))
    facts = INSTANCE_TYPES.get(kind)
    offered = {it["InstanceType"] for it in INSTANCE_TYPE_OFFERINGS["region"].get(call.region, ())}
    if facts is None or kind not in offered:
        raise Refusal("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
    architectures = facts["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in architectures:
        raise Refusal(
            "InvalidParameterValue",
            f"The architecture '{','.join(architectures)}' of the specified instance type does not match the "
            f"architecture '{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have "
            "matching architectures, and try again.",
        )
    return kind


def _check_offered(call: Call, kind: str, zone: str) -> None:
    offerings = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(call.region, ())
    zones = sorted({it["Location"] for it in offerings if it["InstanceType"] == kind})
    if zone not in zones:
        raise Refusal(
            "Unsupported",
            f"Your requested instance type ({kind}) is not supported in your requested Availability Zone ({zone}). "
            f"Please retry your request by not specifying an Availability Zone or choosing {', '.join(zones)}.",
        )


def _interfaces(call: Call) -> list[dict[str, Any]]:
    """Subnet, groups and address of each network interface; the first is device 0. Refusal."""
    asked = call.get("NetworkInterfaces", [])
    if asked and (call.get("SubnetId") or call.get("SecurityGroupIds") or call.get("SecurityGroups")):
        raise Refusal(
            "InvalidParameterCombination",
            "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same "
            "request",
        )
    if len(asked) > 1 or any(it.get("DeviceIndex", 0) != 0 or "NetworkInterfaceId" in it for it in asked):
        raise Refusal("NotInTheFake", "network interfaces other than one new one, device 0")
    one = asked[0] if asked else {}
    zone = call.get("Placement", {}).get("AvailabilityZone")
    subnet = _subnet(call, one.get("SubnetId") or call.get("SubnetId"), zone)
    ids = list(one.get("Groups", []) if asked else call.get("SecurityGroupIds", []))
    for name in call.get("SecurityGroups", []):
        group = call.backend.get_security_group_from_name(name, subnet.vpc_id)
        if group is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{name}' does not exist")
        ids.append(group.id)
    if not ids:
        ids = [call.backend.get_default_security_group(subnet.vpc_id).id]
    for id in ids:
        _group(call, id, subnet.vpc_id)
    public = one.get("AssociatePublicIpAddress")
    return [
        {
            "subnet": subnet,
            "groups": ids,
            "public": subnet.map_public_ip_on_launch in (True, "true") if public is None else public,
            "delete": one.get("DeleteOnTermination", True),
            "description": one.get("Description", ""),
        }
    ]


def _subnet(call: Call, id: str | None, zone: str | None) -> Any:
    if id:
        for subnets in call.backend.subnets.values():
            if id in subnets:
                subnet = subnets[id]
                if zone and subnet.availability_zone != zone:
                    raise Refusal(
                        "InvalidParameterCombination",
                        "The parameter 'availabilityZone' and the subnet's availability zone differ",
                    )
                return subnet
        raise Refusal("InvalidSubnetID.NotFound", f"The subnet ID '{id}' does not exist")
    if call.backend.get_default_vpc() is None:
        raise Refusal(
            "VPCIdNotSpecified",
            "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.",
        )
    subnets = call.backend.get_default_subnets()
    if not subnets:
        raise Refusal("MissingInput", "No subnets found for the default VPC. Please specify a subnet.")
    if zone is None:
        zone = min(subnets)
    if zone not in subnets:
        if not zone.startswith(call.region):
            raise Refusal("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
        raise Refusal("InvalidInput", f"No default subnet for availability zone: '{zone}'.")
    return subnets[zone]


def _group(call: Call, id: str, vpc: str) -> Any:
    group = call.backend.get_security_group_from_id(id)
    if group is None:
        raise Refusal("InvalidGroup.NotFound", f"The security group '{id}' does not exist")
    if group.vpc_id != vpc:
        raise Refusal("InvalidParameter", f"Security group {id} and subnet belong to different networks.", status=400)
    return group


def _key(call: Call) -> str | None:
    """The public key of the key pair. Refusal."""
    name = call.get("KeyName")
    if name is None:
        return None
    pair = call.backend.key_pairs.get(name)
    if pair is None:
        raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
    return str(pair.material_public.decode()).strip()


def _mappings(call: Call, image: Image) -> list[dict[str, Any]]:
    """Every volume that the instance gets: the image's, with what the call changes, and the call's own. Refusal."""
    merged: dict[str, dict[str, Any]] = {it["DeviceName"]: dict(it["Ebs"]) for it in image.block_device_mappings}
    for asked in call.get("BlockDeviceMappings", []):
        device = asked.get("DeviceName")
        if not device:
            raise Refusal("MissingParameter", "The request must contain the parameter deviceName")
        if "NoDevice" in asked:
            merged.pop(device, None)
            continue
        if "VirtualName" in asked:
            raise Refusal("NotInTheFake", "instance store volumes in a block device mapping")
        before = merged.get(device)
        ebs = {**(before or {"DeleteOnTermination": False}), **asked.get("Ebs", {})}
        if before and ebs.get("VolumeType") != before.get("VolumeType"):  # what the image says is of its own type
            ebs = {k: v for k, v in ebs.items() if k not in ("Iops", "Throughput") or k in asked["Ebs"]}
        if before is None and not ebs.get("VolumeSize") and not ebs.get("SnapshotId"):
            raise Refusal("MissingParameter", "The request must contain the parameter size or snapshotId")
        smallest = before["VolumeSize"] if before else _snapshot_size(call, ebs.get("SnapshotId"))
        ebs.setdefault("VolumeSize", smallest)
        if ebs["VolumeSize"] < smallest:
            raise Refusal(
                "InvalidBlockDeviceMapping",
                f"Volume of size {ebs['VolumeSize']}GB is smaller than snapshot '{ebs['SnapshotId']}', "
                f"expect size >= {smallest}GB",
            )
        merged[device] = ebs
    if image.root_device_name not in merged:
        raise Refusal("InvalidBlockDeviceMapping", "The root device has no mapping")
    for ebs in merged.values():
        _check_volume(ebs)
    return [{"DeviceName": device, "Ebs": ebs} for device, ebs in merged.items()]


def _snapshot_size(call: Call, id: str | None) -> int:
    if id is None:
        return 1
    if id not in call.backend.snapshots:
        raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{id}' does not exist.")
    return int(call.backend.snapshots[id].volume_size)


def _check_volume(ebs: dict[str, Any]) -> None:
    kind, size = ebs.get("VolumeType", "gp2"), ebs["VolumeSize"]
    iops, throughput = ebs.get("Iops"), ebs.get("Throughput")
    if kind not in _IOPS and iops is not None:
        if kind == "gp2" and "SnapshotId" in ebs:
            ebs.pop("Iops")  # gp2's baseline, as an image's mapping lists it
        else:
            raise Refusal("InvalidParameterCombination", f"The parameter iops is not supported for {kind} volumes.")
    if kind in ("io1", "io2") and iops is None:
        raise Refusal("MissingParameter", f"The request must contain the parameter iops for {kind}")
    if kind in _IOPS and iops is not None and not _IOPS[kind][0] <= iops <= _IOPS[kind][1]:
        raise Refusal("InvalidParameterValue", f"Volume iops of {iops} is not supported for {kind}")
    if kind == "gp3" and (iops or 3000) > max(3000, 500 * size):
        raise Refusal("InvalidParameterCombination", "Iops to volume size ratio of more than 500 is not supported")
    if throughput is not None:
        if kind != "gp3":
            raise Refusal(
                "InvalidParameterCombination", f"The parameter throughput is not supported for {kind} volumes."
            )
        if not _THROUGHPUT[0] <= throughput <= _THROUGHPUT[1] or throughput > (iops or 3000) / 4:
            raise Refusal("InvalidParameterValue", f"Volume throughput of {throughput} is not supported")
    if ebs.get("KmsKeyId") and not ebs.get("Encrypted"):
        raise Refusal(
            "InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set."
        )


def _check_profile(call: Call) -> None:
    profile = call.get("IamInstanceProfile", {})
    known = iam_backends[call.account]["aws"].instance_profiles.values()
    if profile and not any(it.name == profile.get("Name") or it.arn == profile.get("Arn") for it in known):
        name = profile.get("Name") or profile.get("Arn")
        raise Refusal(
            "InvalidParameterValue", f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM "
            "Instance Profile name"
        )  # fmt: skip


def _associate_profile(call: Call, reservation: Reservation) -> None:
    profile = call.get("IamInstanceProfile", {})
    for instance in reservation.instances if profile else ():
        call.backend.associate_iam_instance_profile(
            instance_id=instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )


def _market(call: Call) -> str:
    options = call.get("InstanceMarketOptions", {})
    if options.get("MarketType", "on-demand") not in ("on-demand", "spot"):
        raise Refusal("NotInTheFake", f"the market {options['MarketType']}")
    spot = options.get("SpotOptions", {})
    if options.get("MarketType") == "spot":
        one_time = spot.get("SpotInstanceType", "one-time") == "one-time"
        if one_time and spot.get("InstanceInterruptionBehavior", "terminate") != "terminate":
            raise Refusal(
                "InvalidParameterCombination",
                "Interruption behaviors stop and hibernate need a persistent Spot request",
            )
        return "spot"
    return "on-demand"


def _check_seed(plain: bytes) -> None:
    try:
        user_data.seed(plain, instance_id="", host_name="", default_user="", public_keys=())
    except user_data.UserDataError as error:
        raise Refusal("NotInTheFake", str(error)) from error


def _check_capacity(kind: str, zone: str, market: str) -> None:
    for it in world.settings.shortages:
        if fnmatchcase(kind, it.type) and fnmatchcase(zone, it.zone) and fnmatchcase(market, it.market):
            if it.code == "InsufficientInstanceCapacity":
                text = (
                    f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested "
                    f"({zone}). Our system will be working on provisioning additional capacity."
                )
            else:
                text = f"No launch of {kind} in {zone} ({market})."
            raise Refusal(it.code, text)


def _check_quota(call: Call, kind: str, market: str, count: int) -> None:
    """For the standard families alone, whose quota codes are known."""
    if kind[0] not in _STANDARD_FAMILIES:
        return
    code = "L-34B43A08" if market == "spot" else "L-1216C47A"
    running = [
        it.instance_type
        for it in call.backend.all_instances()
        if it.state in ("pending", "running")
        and it.instance_type[0] in _STANDARD_FAMILIES
        and (it.lifecycle == "spot") == (market == "spot")
    ]
    cores = sum(INSTANCE_TYPES[it]["VCpuInfo"]["DefaultVCpus"] for it in [*running, *[kind] * count])
    limit = world.settings.quotas[code]
    if cores > limit and market == "spot":
        raise Refusal("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    if cores > limit:
        raise Refusal(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {limit:g} allows for the instance "
            "bucket that the specified instance type belongs to. Please visit "
            "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        )


def _facts(
    call: Call, kind: str, interfaces: list[dict[str, Any]], tags: dict[str, dict[str, str]], index: int
) -> dict[str, Any]:
    """What moto's Instance takes."""
    it = interfaces[0]
    return {
        "instance_type": kind,
        "region_name": call.region,
        "key_name": call.get("KeyName"),
        "ami_launch_index": index,
        "associate_public_ip": it["public"],
        "client_token": call.get("ClientToken") or str(uuid.uuid4()),
        "disable_api_stop": call.get("DisableApiStop", False),
        "disable_api_termination": call.get("DisableApiTermination", False),
        "ebs_optimized": call.get("EbsOptimized", False),
        "instance_initiated_shutdown_behavior": call.get("InstanceInitiatedShutdownBehavior"),
        "lifecycle": "spot" if _market(call) == "spot" else None,
        "metadata_options": _metadata_options(call),
        "monitoring_state": "enabled" if call.get("Monitoring", {}).get("Enabled") else "disabled",
        "nics": [
            {
                "DeviceIndex": 0,
                "SubnetId": it["subnet"].id,
                "Groups": list(it["groups"]),
                "AssociatePublicIpAddress": it["public"],
                "DeleteOnTermination": it["delete"],
                "Description": it["description"],
            }
        ],
        "tags": tags,
    }


def _metadata_options(call: Call) -> dict[str, Any]:
    """An image made for IMDSv2 makes it the default ("ImdsSupport", DescribeImages)."""
    asked = dict(call.get("MetadataOptions", {}))
    image: Any = call.backend.amis[call.get("ImageId")]
    if image.imds_support == "v2.0":
        asked = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2} | asked
    return asked


def _attach_volumes(call: Call, instance: FakeInstance, mappings: list[dict[str, Any]], tags: dict[str, str]) -> None:
    backend, kms = call.backend, kms_backends[call.account][call.region]
    for mapping in mappings:
        ebs = mapping["Ebs"]
        encrypted = bool(ebs.get("Encrypted") or backend.ebs_encryption_by_default)
        key = ebs.get("KmsKeyId")
        if key is not None:
            try:
                key = kms.describe_key(key).arn
            except Exception:  # noqa: BLE001  (moto's NotFoundException; AWS finds out after it has answered)
                instance.doomed = (
                    "Client.InvalidKMSKey.InvalidState",
                    "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state",
                )
                key = None
        volume = backend.create_volume(
            size=ebs["VolumeSize"],
            zone_name=instance.availability_zone,
            encrypted=encrypted,
            kms_key_id=key,
            volume_type=ebs.get("VolumeType"),
            iops=ebs.get("Iops"),
            throughput=ebs.get("Throughput") or (125 if ebs.get("VolumeType") == "gp3" else None),
        )
        volume.snapshot_id = ebs.get("SnapshotId")
        backend.attach_volume(volume.id, instance.id, mapping["DeviceName"], ebs["DeleteOnTermination"])
        volume.add_tags(tags)
        world.machines.new_volume(volume.id, volume.snapshot_id)
        if mapping["DeviceName"] == instance.root_device_name:
            instance.root_volume = volume.id


def _request_spot(call: Call, instance: FakeInstance, tags: dict[str, str]) -> None:
    options = call.get("InstanceMarketOptions", {}).get("SpotOptions", {})
    request = SpotRequest(
        call.backend,
        random_spot_request_id(),
        instance,
        type=options.get("SpotInstanceType", "one-time"),
        behavior=options.get("InstanceInterruptionBehavior", "terminate"),
    )
    request.add_tags(tags)
    instance.spot_request = request
    call.backend.spot_instance_requests[request.id] = request  # type: ignore[assignment]


def _move_to_groups(call: Call, instance: Any, ids: list[str]) -> None:
    groups = [_group(call, id, instance.vpc_id) for id in ids]
    instance.security_groups = groups
    for nic in instance.nics.values():
        nic._group_set = list(groups)
