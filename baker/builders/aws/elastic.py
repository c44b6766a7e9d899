"""An elastic address for one machine: allocated for the bake and released, or the user's own, which is borrowed."""

from collections.abc import Mapping
from typing import Any

from baker.builders.aws import requests
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import explaining
from baker.builders.aws.tags import RUN, Tags
from baker.builders.aws.unseen import Asked
from baker.cleanup import CleanupStack
from baker.errors import BuilderError
from baker.ports import Clock

KIND = "elastic address"

Address = Mapping[str, Any]
"""An address as EC2 describes it."""


def borrow(allocation: str, instance: str, cloud: Cloud, cleanup: CleanupStack) -> str:
    """Associate the user's address with the machine; at the end it is let go, and never released. The address."""
    with explaining(f"using the elastic address {allocation}"):
        (described,) = cloud.ask("describe_addresses", AllocationIds=[allocation])["Addresses"]
        if used_by := described.get("AssociationId"):
            raise BuilderError(
                f"the elastic address {allocation} is in use",
                details=(("associated as", str(used_by)), ("with", str(described.get("InstanceId", "")))),
                hint="name another one, or leave allocation_id away: then one is allocated for the bake",
            )
        hint = (
            f"aws ec2 disassociate-address --region {cloud.region} --association-id "
            f"$(aws ec2 describe-addresses --region {cloud.region} --allocation-ids {allocation} "
            f"--query Addresses[0].AssociationId --output text)"
        )
        cleanup.acquire(
            "address association", allocation, cloud.region,
            undo=lambda: _let_go(allocation, instance, cloud), remove_hint=hint,
        )  # fmt: skip
        cloud.ask_of_new("associate_address", **requests.associate_address(allocation, instance, take=False))
    return str(described["PublicIp"])


def allocate(mine: Tags, instance: str, cloud: Cloud, cleanup: CleanupStack, clock: Clock) -> str:
    """A new address for the machine, released at the end. The address.

    An allocation cannot be asked for twice without making two: what a lost reply made is released with the other.
    """
    name, asked = mine["Name"], Asked(clock)
    with explaining("allocating an elastic address"):
        cleanup.acquire(
            KIND, name, cloud.region,
            undo=lambda: _release(asked.found(lambda: _of_name(name, cloud)), cloud),
            remove_hint=f"aws ec2 release-address --region {cloud.region} --allocation-id "
            f"$(aws ec2 describe-addresses --region {cloud.region} --filters Name=tag:Name,Values={name} "
            f"--query Addresses[].AllocationId --output text)",
        )  # fmt: skip
        with asked.asking():
            allocated = cloud.ask("allocate_address", **requests.allocate_address(mine))
        allocation = str(allocated["AllocationId"])
        cloud.ask_of_new("associate_address", **requests.associate_address(allocation, instance, take=True))
    return str(allocated["PublicIp"])


def _release(addresses: list[Address], cloud: Cloud) -> None:
    for address in addresses:
        if association := address.get("AssociationId"):
            cloud.remove("disassociate_address", AssociationId=str(association))
        cloud.remove("release_address", AllocationId=str(address["AllocationId"]))


def _let_go(allocation: str, instance: str, cloud: Cloud) -> None:
    """Only what the bake itself associated: the address may be with another machine by now."""
    for address in cloud.ask("describe_addresses", AllocationIds=[allocation])["Addresses"]:
        if address.get("InstanceId") == instance and address.get("AssociationId"):
            cloud.remove("disassociate_address", AssociationId=str(address["AssociationId"]))


def _of_name(name: str, cloud: Cloud) -> list[Address]:
    filters = [{"Name": "tag:Name", "Values": [name]}, {"Name": "tag-key", "Values": [RUN]}]
    return list(cloud.ask("describe_addresses", Filters=filters)["Addresses"])
