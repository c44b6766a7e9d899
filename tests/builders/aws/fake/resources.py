"""What stands round an instance (key pairs, groups, addresses, tags, regions), where moto is laxer than AWS."""

from collections.abc import Callable, Iterable
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.utils import generic_filter

from tests.builders.aws.fake import images
from tests.builders.aws.fake.refusal import Refusal
from tests.builders.aws.fake.settings import REGION_NOT_OPTED_IN, REGIONS
from tests.builders.aws.fake.tagging import checked, tags_of
from tests.builders.aws.fake.world import Call, Wait, world


def describe_regions(call: Call) -> Any:
    everything = call.get("AllRegions", False)
    regions = [
        {"RegionName": it, "Endpoint": f"ec2.{it}.amazonaws.com", "OptInStatus": "opt-in-not-required"}
        for it in REGIONS
    ]
    if everything:
        name = REGION_NOT_OPTED_IN
        regions.append({"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com", "OptInStatus": "not-opted-in"})
    wanted = call.get("RegionNames")
    for name in wanted or ():
        if name not in (*REGIONS, REGION_NOT_OPTED_IN):
            raise Refusal("InvalidParameterValue", f"Invalid region '{name}' provided.")
    for it in call.get("Filters", []):
        if it["Name"] != "opt-in-status":
            raise Refusal("NotInTheFake", f"the filter {it['Name']} of DescribeRegions")
        regions = [region for region in regions if region["OptInStatus"] in it["Values"]]
    return {"Regions": [it for it in regions if not wanted or it["RegionName"] in wanted]}


def import_key_pair(call: Call) -> Any:
    tags = tags_of(call.action, call.parameters).get("key-pair", {})
    _check_new_key_name(call)
    call.stop_if_dry()
    pair = call.backend.import_key_pair(call.get("KeyName"), call.get("PublicKeyMaterial"), tags)
    world.created(pair.id)
    return pair


def create_key_pair(call: Call) -> Any:
    tags = tags_of(call.action, call.parameters).get("key-pair", {})
    _check_new_key_name(call)
    call.stop_if_dry()
    return call.backend.create_key_pair(call.get("KeyName"), call.get("KeyType", "rsa"), tags)


def delete_key_pair(call: Call) -> Any:
    """By name or id; what is not there is deleted as well ("Return": true), as with AWS."""
    name, id = call.get("KeyName"), call.get("KeyPairId")
    if not name and not id:
        raise Refusal("MissingParameter", "The request must contain the parameter KeyName or KeyPairId")
    call.stop_if_dry()
    pairs = call.backend.key_pairs
    for pair in list(pairs.values()):
        if pair.key_name == name or pair.id == id:
            pairs.pop(pair.key_name)
    return {"Return": True, "KeyPairId": id}


def describe_key_pairs(call: Call) -> Any:
    pairs = list(call.backend.key_pairs.values())
    for name in call.get("KeyNames", []):
        if name not in call.backend.key_pairs:
            raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
    for id in call.get("KeyPairIds", []):
        if not any(it.id == id for it in pairs):
            raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{id}' does not exist")
    if call.get("KeyNames") or call.get("KeyPairIds"):
        pairs = [it for it in pairs if it.key_name in call.get("KeyNames", []) or it.id in call.get("KeyPairIds", [])]
    else:
        pairs = world.seen(pairs)
    return {
        "KeyPairs": [
            {
                "KeyPairId": it.id,
                "KeyName": it.key_name,
                "KeyType": it.key_type,
                "KeyFingerprint": it.key_fingerprint,
                "CreateTime": it.create_time,
                "Tags": it.tag_set,
                **({"PublicKey": it.public_key} if call.get("IncludePublicKey") else {}),
            }
            for it in generic_filter(images.filters_of(call), pairs)
        ]
    }


def create_security_group(call: Call) -> Any:
    name, tags = call.get("GroupName"), tags_of(call.action, call.parameters).get("security-group", {})
    if not 1 <= len(name) <= 255 or name.startswith("sg-"):
        raise Refusal("InvalidParameterValue", f"Value ({name}) for parameter GroupName is invalid.")
    if not call.get("Description"):
        raise Refusal("MissingParameter", "The request must contain the parameter GroupDescription")
    vpc = call.get("VpcId")
    if vpc is None and call.backend.get_default_vpc() is None:
        raise Refusal("VPCIdNotSpecified", "No default VPC for this user")
    if vpc is not None and vpc not in call.backend.vpcs:
        raise Refusal("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")
    call.stop_if_dry()
    vpc = vpc or call.backend.get_default_vpc().id
    if call.backend.get_security_group_from_name(name, vpc) is not None:
        raise Refusal("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc}'")
    group = call.backend.create_security_group(name, call.get("Description"), vpc_id=vpc, tags=tags)
    world.created(group.id)
    return {"GroupId": group.id, "SecurityGroupArn": group.arn}


def delete_security_group(call: Call) -> Any:
    id, name = call.get("GroupId"), call.get("GroupName")
    if not id and not name:
        raise Refusal("MissingParameter", "The request must contain the parameter groupName or groupId")
    backend = call.backend
    group = backend.get_security_group_from_id(id) if id else backend.get_security_group_from_name(name)
    if group is None:
        raise Refusal("InvalidGroup.NotFound", f"The security group '{id or name}' does not exist")
    if group.is_default:
        raise Refusal("CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user')
    call.stop_if_dry()
    used = any(group in nic.group_set for nic in backend.enis.values())
    named = any(
        group.id == rule.source_group.get("GroupId")
        for groups in backend.groups.values()
        for other in groups.values()
        for rule in (*other.ingress_rules, *other.egress_rules)
        if other is not group
    )
    if used or named:
        raise Refusal("DependencyViolation", f"resource {group.id} has a dependent object")
    backend.delete_security_group(group_id=group.id)
    return {"Return": True, "GroupId": group.id}


def create_subnet(call: Call) -> Any:
    """moto takes the first subnet of a zone for a default one, which gives public addresses."""
    tags = tags_of(call.action, call.parameters).get("subnet", {})
    vpc = call.get("VpcId")
    if vpc not in call.backend.vpcs:
        raise Refusal("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")
    call.stop_if_dry()
    zone = call.get("AvailabilityZone", f"{call.region}a")
    subnet = call.backend.create_subnet(vpc, call.get("CidrBlock"), availability_zone=zone)
    subnet.add_tags(tags)
    subnet.default_for_az, subnet.map_public_ip_on_launch = False, False
    return {"Subnet": subnet}


def allocate_address(call: Call) -> Any:
    tags = tags_of(call.action, call.parameters).get("elastic-ip", {})
    call.stop_if_dry()
    address = call.backend.allocate_address("vpc", address=world.addresses.next(), tags=tags)
    return {"PublicIp": address.public_ip, "AllocationId": address.allocation_id, "Domain": "vpc"}


def associate_address(call: Call) -> Any:
    address = _address(call, call.get("AllocationId"))
    interface = call.get("NetworkInterfaceId")
    if interface:
        nic = call.backend.get_network_interface(interface)
        instance = nic.instance
    else:
        instance = call.backend.get_instance(call.get("InstanceId"))
        nic = None
    if instance is not None and instance.state not in ("running", "stopped"):
        raise Refusal(
            "InvalidInstanceID",
            f"The {instance.state} instance '{instance.id}' is not in a valid state for this operation.",
        )
    elsewhere = address.association_id is not None and address.instance is not instance
    if elsewhere and not call.get("AllowReassociation", False):
        raise Refusal(
            "Resource.AlreadyAssociated",
            f"resource {address.allocation_id} is already associated with associate-id {address.association_id}",
        )
    call.stop_if_dry()
    if elsewhere:
        call.backend.disassociate_address(association_id=address.association_id)
    call.backend.associate_address(
        instance=None if nic else instance, eni=nic, allocation_id=address.allocation_id, reassociate=True
    )
    address.instance = instance
    return {"AssociationId": address.association_id}


def disassociate_address(call: Call) -> Any:
    id = call.get("AssociationId")
    if not any(it.association_id == id for it in call.backend.addresses):
        raise Refusal("InvalidAssociationID.NotFound", f"The association ID '{id}' does not exist")
    call.stop_if_dry()
    call.backend.disassociate_address(association_id=id)
    return None


def release_address(call: Call) -> Any:
    address = _address(call, call.get("AllocationId"))
    if address.association_id is not None:
        raise Refusal("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
    call.stop_if_dry()
    call.backend.addresses.remove(address)
    return None


def create_snapshot(call: Call) -> Any:
    volume = call.backend.get_volume(call.get("VolumeId"))
    tags = tags_of(call.action, call.parameters).get("snapshot", {})
    call.stop_if_dry()
    snapshot = images.new_snapshot(
        call, volume, call.get("Description", ""), status="pending", encrypted=volume.encrypted,
        kms_key_id=volume.kms_key_id,
    )  # fmt: skip
    snapshot.add_tags(tags)
    world.machines.take_snapshot(snapshot.id, volume.id)
    world.created(snapshot.id)
    world.wait(
        Wait(
            kind="snapshot",
            id=snapshot.id,
            pace=world.settings.image,
            then=lambda: setattr(snapshot, "status", "completed"),
        )
    )
    return snapshot


def modify_network_interface_attribute(call: Call) -> Any:
    nic = call.backend.get_network_interface(call.get("NetworkInterfaceId"))
    groups = []
    for id in call.get("Groups", []):
        group = call.backend.get_security_group_from_id(id)
        if group is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{id}' does not exist")
        groups.append(group)
    call.stop_if_dry()
    nic._group_set = groups
    if nic.instance is not None:
        nic.instance.security_groups = list(groups)
    return None


def create_tags(call: Call) -> Any:
    for id in call.get("Resources"):
        _check_exists(call, id)
    tags = checked(call.get("Tags"))
    call.stop_if_dry()
    call.backend.create_tags(call.get("Resources"), tags)
    return None


def delete_tags(call: Call) -> Any:
    for id in call.get("Resources"):
        _check_exists(call, id)
    call.stop_if_dry()
    if "Tags" in call.parameters:
        call.backend.delete_tags(call.get("Resources"), {it["Key"]: it.get("Value") for it in call.get("Tags")})
    else:
        for id in call.get("Resources"):
            call.backend.tags.pop(id, None)
    return None


def describe_addresses(call: Call) -> Any:
    found, ids = list(call.backend.addresses), call.get("AllocationIds", [])
    for id in ids:
        _address(call, id)
    found = [it for it in found if not ids or it.allocation_id in ids]
    ips = call.get("PublicIps", [])
    return {
        "Addresses": generic_filter(images.filters_of(call), [it for it in found if not ips or it.public_ip in ips])
    }


def _check_new_key_name(call: Call) -> None:
    name = call.get("KeyName")
    if not name or len(name) > 255 or not name.isascii():
        raise Refusal("InvalidParameterValue", f"Value ({name}) for parameter KeyName is invalid.")
    if name in call.backend.key_pairs:
        raise Refusal("InvalidKeyPair.Duplicate", f"The keypair already exists: {name}")


def _address(call: Call, id: str) -> Any:
    for it in call.backend.addresses:
        if it.allocation_id == id:
            return it
    raise Refusal("InvalidAllocationID.NotFound", f"The allocation ID '{id}' does not exist")


def _check_exists(call: Call, id: str) -> None:
    backend = call.backend
    registers: dict[str, Iterable[str] | Callable[[], Iterable[str]]] = {
        "i": lambda: [it.id for it in backend.all_instances()],
        "ami": backend.amis,
        "snap": backend.snapshots,
        "vol": backend.volumes,
        "eni": backend.enis,
        "sg": lambda: [id for groups in backend.groups.values() for id in groups],
        "key": lambda: [it.id for it in backend.key_pairs.values()],
        "sir": backend.spot_instance_requests,
        "eipalloc": lambda: [str(it.allocation_id) for it in backend.addresses],
        "vpc": backend.vpcs,
        "subnet": lambda: [id for subnets in backend.subnets.values() for id in subnets],
    }
    register = registers.get(id.partition("-")[0])
    if register is None:
        try:
            backend.do_resources_exist([id])
        except (KeyError, ServiceException) as error:
            raise Refusal("InvalidID", f"The ID '{id}' is not valid") from error
        return
    if id not in (register() if callable(register) else register):
        names = {
            "i": "InvalidInstanceID", "ami": "InvalidAMIID", "snap": "InvalidSnapshot", "vol": "InvalidVolume",
            "eni": "InvalidNetworkInterfaceID", "sg": "InvalidGroup", "key": "InvalidKeyPair",
            "sir": "InvalidSpotInstanceRequestID", "eipalloc": "InvalidAllocationID", "vpc": "InvalidVpcID",
            "subnet": "InvalidSubnetID",
        }  # fmt: skip
        raise Refusal(f"{names[id.partition('-')[0]]}.NotFound", f"The ID '{id}' does not exist")
