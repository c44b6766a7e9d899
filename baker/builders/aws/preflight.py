"""What can be known to go wrong before anything is created: each refusal names what mends it.

All of it is asked of AWS, which changes nothing for being asked (`DryRun`); what is wrong with the spec itself,
`baker.builders.aws.conditions` has said before.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from baker.builders.aws import allowance, network, requests, tags
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import Answer, AwsError, denied_action, explain, explaining
from baker.builders.aws.network import Subnet
from baker.builders.aws.proxy import program_problems
from baker.builders.aws.requests import SourceImage
from baker.builders.aws.source import find_source
from baker.builders.aws.spec import Aws
from baker.errors import BakeError
from baker.plan import Plan
from baker.ports import Clock, Problem
from baker.suggestion import did_you_mean


def account_problems(spec: Aws, plan: Plan, cloud: Cloud, *, until: float, clock: Clock) -> Iterator[Problem]:
    """All of them. Without credentials that work nothing else can be known: BakeError, or these problems alone."""
    unusable = [*region_problems(plan, cloud), *credential_problems(cloud, until=until, clock=clock)]
    if unusable:
        yield from unusable
        return
    found: list[Problem] = []
    with _told("looking up the source image", found):
        source = find_source(spec, cloud)
        found += source_problems(spec, source, cloud, has_disks=bool(plan.disks))
    with _told("looking at the network", found):
        subnets = network.subnets(spec, cloud)
        found += network_problems(spec, subnets, cloud)
    with _told("looking at the quotas of the account", found):
        found += allowance.quota_problems(spec, cloud)
    with _told("looking at the encryption keys", found):
        found += allowance.key_problems(spec, cloud)
    with _told("looking at what can be shared", found):
        found += allowance.sharing_problems(spec, plan.recipe.share, cloud)
    if not found:  # the very calls of a bake: what is wrong already would be refused again, in other words
        with _told("asking what is permitted", found):
            found += permission_problems(spec, source, subnets[0], cloud)
    yield from found


@contextmanager
def _told(doing: str, found: list[Problem]) -> Iterator[None]:
    """That a question is refused is a problem too, and no reason to ask no more."""
    try:
        with explaining(doing):
            yield
    except BakeError as error:
        said = "; ".join(text for label, text in error.details if label == "AWS says")
        summary = f"{error.summary} ({said})" if said else error.summary
        found.append(Problem(summary=summary, hint=error.hint, exit_code=error.exit_code))


def region_problems(plan: Plan, cloud: Cloud) -> Iterator[Problem]:
    """Regions that the SDK does not know: nobody answers for them, which looks like a network that is away."""
    known = cloud.known_regions()
    wanted = {cloud.region: "", **dict.fromkeys(plan.recipe.share.regions, " to copy the image to")}
    for region, why in wanted.items():
        if known and region not in known:
            yield Problem(
                summary=f"AWS has no region {region}{why}, as far as boto3 knows",
                hint=did_you_mean(region, known) or "a newer boto3 may know it: pip install --upgrade boto3",
            )


def credential_problems(cloud: Cloud, *, until: float, clock: Clock) -> Iterator[Problem]:
    """Credentials that end before the bake may: AWS would refuse its clean-up, too. BuilderError without any."""
    expires = cloud.credentials_expire_at()
    if expires is not None and expires < until:
        minutes = (expires - clock.now()) / 60
        when = f"expire in {minutes:.0f} minutes, before the bake may end" if minutes > 0 else "have expired"
        yield Problem(
            summary=f"the AWS credentials {when}",
            hint="log in again for longer, or give a smaller --timeout" if minutes > 0 else "log in again",
        )
        return
    with explaining("asking AWS whose the credentials are"):
        cloud.ask("get_caller_identity", "sts")


def source_problems(spec: Aws, source: SourceImage, cloud: Cloud, *, has_disks: bool) -> Iterator[Problem]:
    """Whether the image starts on the types of machine that are wanted."""
    if source.root_gib > spec.root_gib:
        yield Problem(
            summary=f"the source image needs a root volume of {source.root_gib} GiB, and root_gib is {spec.root_gib}",
            hint=f"set root_gib={source.root_gib} or more in the Aws(...) of the recipe",
        )
    for name in spec.instance_types:
        kind = allowance.instance_type(name, cloud)
        if kind is None:
            yield Problem(
                summary=f"there is no instance type {name} in {cloud.region} (InvalidInstanceType)",
                hint="set instance_types in the Aws(...) of the recipe; `aws ec2 describe-instance-types` lists them",
            )
            continue
        supported = kind.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
        if supported and source.architecture not in supported:
            yield Problem(
                summary=f"{name} is {', '.join(supported)}, and the source image is {source.architecture}",
                hint="choose a type of the image's architecture, or another image",
            )
        if has_disks and kind.get("Hypervisor", "nitro") != "nitro":
            yield Problem(
                summary=f"{name} is not a Nitro machine, so its disks cannot be told apart by volume",
                hint="choose a newer type, such as t3.large",
            )


def network_problems(spec: Aws, found: tuple[Subnet, ...], cloud: Cloud) -> Iterator[Problem]:
    """Whether a machine in these subnets could be reached."""
    yield from program_problems(spec.proxy_command)
    if len({subnet["VpcId"] for subnet in found}) > 1:
        yield Problem(
            summary="the subnets lie in different VPCs", hint="name subnets of one VPC: they share one security group"
        )
    if spec.address == "private":
        return
    if all(subnet.get("AvailableIpAddressCount", 1) == 0 for subnet in found):
        names = ", ".join(str(subnet["SubnetId"]) for subnet in found)
        yield Problem(summary=f"no address is free in {names}", hint="name another subnet in the Aws(...)")
    for subnet in found:
        if not _leads_to_the_internet(subnet, cloud):
            yield Problem(
                summary=f"subnet {subnet['SubnetId']} has no route to an internet gateway: a public address is no use",
                hint='name another subnet, or set address="private" where this host reaches the network itself',
            )


def name_problems(name: str, cloud: Cloud) -> Iterator[Problem]:
    """Whether an image can be called `name`."""
    filters = [{"Name": "name", "Values": [name]}]
    if cloud.ask("describe_images", Owners=["self"], Filters=filters)["Images"]:
        yield Problem(summary=f"an image called {name} exists already", hint="`bake images --on aws` lists them")


def permission_problems(spec: Aws, source: SourceImage, subnet: Subnet, cloud: Cloud) -> Iterator[Problem]:
    """Which of the calls that a bake makes are denied; asked with DryRun, which does nothing."""
    for action, parameters in _dry_runs(spec, source, subnet).items():
        try:
            cloud.ask(action, DryRun=True, **parameters)
        except AwsError as error:
            if error.code in ("UnauthorizedOperation", "AccessDenied"):
                told = explain(error, f"asking whether {action} is permitted")
                denied = denied_action(error) or action
                yield Problem(summary=f"the account that bakes may not {denied} ({error.code})", hint=told.hint)
            elif "iamInstanceProfile" in error.message:
                yield Problem(
                    summary=f"there is no instance profile {spec.instance_profile} ({error.code}: {error.message})",
                    hint="`aws iam list-instance-profiles` shows which there are; a role alone is none",
                )
            elif error.answer is Answer.AGAIN:
                raise
            elif error.answer is Answer.TELL and error.code != "DryRunOperation":
                told = explain(error, f"trying {action}")
                yield Problem(summary=f"{told.summary} ({error.code}: {error.message})", hint=told.hint)


def _dry_runs(spec: Aws, source: SourceImage, subnet: Subnet) -> dict[str, Mapping[str, Any]]:
    """The calls that make something, as a bake would send them, but for those that need what is not there yet.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html on DryRun
    """
    mine = {"Name": "bake-dry-run", tags.RUN: "20000101t000000-0000"}
    placement = requests.Placement(
        instance_type=spec.instance_types[0],
        subnet=str(subnet["SubnetId"]),
        zone=str(subnet["AvailabilityZone"]),
        spot=spec.spot != "never",
    )
    mappings = (requests.root_mapping(source, spec),)
    wanted = requests.Instance(
        image=source, key_name=None, group=None, user_data="", mappings=mappings, tags={**spec.tags, **mine}
    )
    run = requests.run_instances(spec, wanted, placement, token=None)
    return {
        "create_security_group": requests.create_security_group("bake-dry-run", str(subnet["VpcId"]), mine),
        "run_instances": run,
    }


def _leads_to_the_internet(subnet: Mapping[str, Any], cloud: Cloud) -> bool:
    """By its own route table, else by the VPC's main one."""
    for filters in (
        [{"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}],
        [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}, {"Name": "association.main", "Values": ["true"]}],
    ):
        tables = cloud.ask("describe_route_tables", Filters=filters)["RouteTables"]
        if tables:
            return any(str(route.get("GatewayId", "")).startswith("igw-") for route in tables[0].get("Routes", ()))
    return False
