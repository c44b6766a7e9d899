"""An elastic address for one machine: allocated for the bake and released, or the user's own, which is borrowed."""

from baker.builders.aws import requests
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import Answer, AwsError, explaining
from baker.builders.aws.tags import Tags
from baker.cleanup import CleanupStack
from baker.errors import BuilderError

KIND = "elastic address"


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
        hint = f"aws ec2 disassociate-address --association-id <that of {allocation}>"
        cleanup.acquire(
            "address association", allocation, cloud.region,
            undo=lambda: _let_go(allocation, instance, cloud), remove_hint=hint,
        )  # fmt: skip
        cloud.ask("associate_address", **requests.associate_address(allocation, instance, take=False))
    return str(described["PublicIp"])


def allocate(mine: Tags, instance: str, cloud: Cloud, cleanup: CleanupStack) -> str:
    """A new address for the machine, released at the end. The address."""
    name = mine["Name"]
    with explaining("allocating an elastic address"):
        cleanup.acquire(
            KIND, name, cloud.region,
            undo=lambda: release(name, cloud),
            remove_hint=f"aws ec2 release-address --allocation-id <that tagged {name}> --region {cloud.region}",
        )  # fmt: skip
        allocated = _of_name(name, cloud) or [cloud.ask("allocate_address", **requests.allocate_address(mine))]
        allocation = str(allocated[0]["AllocationId"])
        cloud.ask("associate_address", **requests.associate_address(allocation, instance, take=True))
    return str(allocated[0]["PublicIp"])


def release(name: str, cloud: Cloud) -> None:
    """Release all addresses of this name; content when there is none."""
    for address in _of_name(name, cloud):
        if association := address.get("AssociationId"):
            _gone("disassociate_address", cloud, AssociationId=str(association))
        _gone("release_address", cloud, AllocationId=str(address["AllocationId"]))


def _let_go(allocation: str, instance: str, cloud: Cloud) -> None:
    """Only what the bake itself associated: the address may be with another machine by now."""
    for address in cloud.ask("describe_addresses", AllocationIds=[allocation])["Addresses"]:
        if address.get("InstanceId") == instance and address.get("AssociationId"):
            _gone("disassociate_address", cloud, AssociationId=str(address["AssociationId"]))


def _of_name(name: str, cloud: Cloud) -> list[dict[str, object]]:
    return list(cloud.ask("describe_addresses", Filters=[{"Name": "tag:Name", "Values": [name]}])["Addresses"])


def _gone(action: str, cloud: Cloud, **parameters: str) -> None:
    try:
        cloud.ask(action, **parameters)
    except AwsError as error:
        if error.answer is not Answer.GONE:
            raise
