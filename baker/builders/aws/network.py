"""Where in the network a machine goes."""

from collections.abc import Iterator, Mapping
from typing import Any

from baker.builders.admission import admitted_networks
from baker.builders.aws.calls import Cloud
from baker.builders.aws.requests import Placement
from baker.builders.aws.spec import NOBODY, Aws
from baker.errors import BuilderError

Subnet = Mapping[str, Any]
"""A subnet as EC2 describes it."""


def admitted(spec: Aws) -> tuple[str, ...]:
    """Who may reach the machine's SSH, as CIDR; nobody, where a program leads to it from inside."""
    return () if spec.admit == NOBODY else admitted_networks(spec.admit, spec.caller_service)


def subnets(spec: Aws, cloud: Cloud) -> tuple[Subnet, ...]:
    """The subnets to try, in order, as EC2 describes them. BuilderError when there is none that will do."""
    if spec.subnets:
        found = cloud.ask("describe_subnets", SubnetIds=list(spec.subnets))["Subnets"]
        return tuple(sorted(found, key=lambda subnet: spec.subnets.index(subnet["SubnetId"])))
    vpc = spec.vpc or _default_vpc(cloud)
    found = list(cloud.all_of("describe_subnets", "Subnets", Filters=[{"Name": "vpc-id", "Values": [vpc]}]))
    if not found:
        raise BuilderError(
            f"VPC {vpc} has no subnet", hint="make one, or name others with subnets=(...) in the Aws(...)"
        )
    return tuple(sorted(found, key=lambda subnet: (not subnet.get("MapPublicIpOnLaunch"), subnet["AvailabilityZone"])))


def placements(spec: Aws, found: tuple[Subnet, ...]) -> Iterator[Placement]:
    """All places to try, the wanted first: spot before on-demand, type by type, in each all zones."""
    markets = {"never": (False,), "prefer": (True, False), "only": (True,)}[spec.spot]
    for spot in markets:
        for instance_type in spec.instance_types:
            for subnet in found:
                yield Placement(
                    instance_type=instance_type, subnet=subnet["SubnetId"], zone=subnet["AvailabilityZone"], spot=spot
                )


def _default_vpc(cloud: Cloud) -> str:
    vpcs = cloud.ask("describe_vpcs", Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not vpcs:
        raise BuilderError(
            f"region {cloud.region} has no default VPC",
            hint='name a subnet with a route to the internet: Aws(subnets=("subnet-...",)); '
            "`aws ec2 create-default-vpc` makes a default one again",
        )
    return str(vpcs[0]["VpcId"])
