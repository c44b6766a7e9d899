"""Where in the network a machine goes, and who may reach it."""

import ipaddress
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from baker.builders.aws.calls import Cloud
from baker.builders.aws.requests import Placement
from baker.builders.aws.spec import ANYWHERE, CALLER, Aws
from baker.errors import BuilderError, ReachError

CALLER_SECONDS = 10.0

Subnet = Mapping[str, Any]
"""A subnet as EC2 describes it."""


def admitted_networks(spec: Aws) -> tuple[str, ...]:
    """Who may reach the machine's SSH, as CIDR. ReachError when the caller's address cannot be found out."""
    if spec.admit == ANYWHERE:
        return ("0.0.0.0/0", "::/0")
    if spec.admit != CALLER:
        return (str(ipaddress.ip_network(spec.admit)),)
    return (str(ipaddress.ip_network(_caller_address(spec.caller_service))),)  # /32, or /128


def admit_problem(admit: object) -> str | None:
    """What is wrong with how `admit` is written; None when nothing is."""
    if admit in (CALLER, ANYWHERE):
        return None
    try:
        network = ipaddress.ip_network(str(admit))
    except ValueError as error:
        return f'must be "{CALLER}", a network such as "192.0.2.0/24", or "{ANYWHERE}": {error}'
    return f'admits everyone; if that is meant, write "{ANYWHERE}"' if network.prefixlen == 0 else None


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


def _caller_address(service: str) -> str:
    """The baking host's own address, as a service out there sees it: behind a router nobody else can know."""
    try:
        with urllib.request.urlopen(service, timeout=CALLER_SECONDS) as answer:  # noqa: S310  (checked in the spec)
            text = answer.read(100).decode("ascii", "replace").strip()
        return str(ipaddress.ip_address(text))
    except (OSError, ValueError) as error:
        raise ReachError(
            f"the address of this host cannot be found out at {service}",
            details=(("reason", str(error)),),
            hint='name the network that may reach the machine: Aws(admit="192.0.2.7/32"), or another caller_service',
        ) from error
