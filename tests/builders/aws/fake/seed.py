"""What is in the account before anybody bakes: its network; on demand, other people's things that look like ours."""

from typing import Any

from baker.keys import new_key_pair
from tests.builders.aws.fake import images, instances, public, resources
from tests.builders.aws.fake.machines import NoMachines
from tests.builders.aws.fake.settings import ACCOUNT, Pace
from tests.builders.aws.fake.world import Call, world

LOOK_ALIKE_TAGS = {
    "Name": "bake-ocean",
    "bake:recipe": "ocean",
    "bake:owner": "ada",
    "bake-run": "20260101t000000-zzzz",
    "Bake:Run": "20260101t000000-zzzz",
}
"""Everything but our tag."""


def furnish(backend: Any) -> None:
    """A new account's default network leads to the world; moto's does not."""
    vpc = backend.get_default_vpc()
    gateway = backend.create_internet_gateway()
    backend.attach_internet_gateway(gateway.id, vpc.id)
    (table,) = [it for it in backend.route_tables.values() if it.vpc_id == vpc.id]
    backend.create_route(table.id, destination_cidr_block="0.0.0.0/0", gateway_id=gateway.id)


def remove_default_network(region: str) -> None:
    """No VPC, no subnet, no gateway and no group is left."""
    backend: Any = Call(action="", parameters={}, region=region, account=ACCOUNT).backend
    vpc = backend.get_default_vpc().id
    for register in (backend.subnets.values(), [backend.internet_gateways, backend.route_tables, backend.vpcs]):
        for things in register:
            for it in [it for it in things.values() if vpc in (it.id, getattr(it, "vpc_id", None), _attached_to(it))]:
                things.pop(it.id)
    backend.groups.pop(vpc)


def look_alikes(region: str, name: str = "bake-ocean-20260101t000000-zzzz") -> None:
    """One of each kind, named as ours would be, tagged almost as ours would be; its instances run nothing."""
    settings, machines = world.settings, world.machines
    hidden, paces = settings.hidden_calls, (settings.pending, settings.image)
    settings.hidden_calls, settings.pending, settings.image = {}, Pace(polls=0), Pace(polls=0)
    world.machines = NoMachines()
    try:
        _make_look_alikes(region, name)
        world.tick()
    finally:
        settings.hidden_calls, (settings.pending, settings.image), world.machines = hidden, paces, machines


def _make_look_alikes(region: str, name: str) -> None:
    def call(handler: Any, action: str, **parameters: Any) -> Any:
        return handler(Call(action=action, parameters=parameters, region=region, account=ACCOUNT))

    def tagged(*kinds: str) -> list[dict[str, Any]]:
        tags = [{"Key": key, "Value": value} for key, value in LOOK_ALIKE_TAGS.items()]
        return [{"ResourceType": kind, "Tags": tags} for kind in kinds]

    key = new_key_pair(name).public.encode()
    call(
        resources.import_key_pair, "ImportKeyPair",
        KeyName=name, PublicKeyMaterial=key, TagSpecifications=tagged("key-pair"),
    )  # fmt: skip
    group = call(
        resources.create_security_group, "CreateSecurityGroup",
        GroupName=name, Description="somebody's", TagSpecifications=tagged("security-group"),
    )["GroupId"]  # fmt: skip
    call(resources.allocate_address, "AllocateAddress", TagSpecifications=tagged("elastic-ip"))
    owner, pattern, _, dates = public._OFFERED[0]
    reservation = call(
        instances.run_instances, "RunInstances",
        ImageId=public.image_id(region, owner, pattern.format(dates[-1])), InstanceType="t3.micro",
        MinCount=1, MaxCount=2, KeyName=name, SecurityGroupIds=[group],
        InstanceInitiatedShutdownBehavior="terminate",
        TagSpecifications=tagged("instance", "volume", "network-interface"),
    )  # fmt: skip
    world.tick()
    call(
        images.create_image, "CreateImage",
        InstanceId=reservation.instances[0].id, Name=name, NoReboot=True, TagSpecifications=tagged("image", "snapshot"),
    )  # fmt: skip
    (root,) = [it.volume_id for it in reservation.instances[0].block_device_mapping.values()]
    call(resources.create_snapshot, "CreateSnapshot", VolumeId=root, TagSpecifications=tagged("snapshot"))
    backend = Call(action="", parameters={}, region=region, account=ACCOUNT).backend
    loose = backend.create_volume(1, f"{region}a")
    loose.add_tags(LOOK_ALIKE_TAGS)


def _attached_to(thing: Any) -> str | None:
    vpc = getattr(thing, "vpc", None)
    return vpc.id if vpc is not None else None
