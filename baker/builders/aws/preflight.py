"""What can be known to go wrong before anything is created: each refusal names what mends it.

Values of the spec are looked at without any network; the rest is asked of EC2, which changes nothing for being asked
(`DryRun`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from baker.builders.admission import admit_problem
from baker.builders.aws import requests, tags
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import Answer, AwsError, explain, explaining
from baker.builders.aws.network import Subnet
from baker.builders.aws.proxy import program_problems, proxy_problem
from baker.builders.aws.requests import MOST_DISKS, SourceImage
from baker.builders.aws.source import login_user, source_problem
from baker.builders.aws.spec import NOBODY, Aws, ElasticIp, Volume
from baker.ports import Clock, Problem
from baker.recipe import Disk, Share

_INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
_SUBNET = re.compile(r"subnet-[0-9a-f]{8,17}")
_VPC = re.compile(r"vpc-[0-9a-f]{8,17}")
_ALLOCATION = re.compile(r"eipalloc-[0-9a-f]{8,17}")
_LARGEST_GIB = 65536

Wrong = Callable[[str, str], Problem]


def spec_problems(spec: Aws) -> Iterator[Problem]:
    """What is wrong with the spec itself; asks nobody. Values may have any type: a recipe is not type-checked."""

    def wrong(field: str, must: str) -> Problem:
        return Problem(summary=f"Aws({field}={getattr(spec, field)!r}): {must}", exit_code=2)

    types = spec.instance_types
    if not isinstance(types, tuple) or not types or not all(_is(value, _INSTANCE_TYPE) for value in types):
        yield wrong("instance_types", 'must be a tuple of types such as ("t3.large", "t3a.large")')
    if problem := source_problem(spec.source):
        yield wrong("source", problem)
    elif login_user(spec) is None:
        yield wrong("login_user", "must be said for this source: nobody can know whose account its image has")
    if not isinstance(spec.root_gib, int) or not 1 <= spec.root_gib <= _LARGEST_GIB:
        yield wrong("root_gib", f"must be a whole number from 1 to {_LARGEST_GIB}")
    if spec.spot not in ("never", "prefer", "only"):
        yield wrong("spot", 'must be "never", "prefer" or "only"')
    if not all(_is(value, _SUBNET) for value in spec.subnets):
        yield wrong("subnets", 'must be ids such as "subnet-0123456789abcdef0"')
    if spec.vpc is not None and not _is(spec.vpc, _VPC):
        yield wrong("vpc", 'must be an id such as "vpc-0123456789abcdef0"')
    if spec.admit != NOBODY and (problem := admit_problem(spec.admit)):
        yield wrong("admit", problem)
    if problem := proxy_problem(spec.proxy_command):
        yield wrong("proxy_command", problem)
    elif spec.admit == NOBODY and not spec.proxy_command:
        yield wrong("admit", "leaves no way to the machine, but with a proxy_command such as session manager")
    yield from _address_problems(spec, wrong)
    for field in ("root", "data"):
        if not isinstance(getattr(spec, field), Volume):
            yield wrong(field, "must be a Volume(...)")


def _address_problems(spec: Aws, wrong: Wrong) -> Iterator[Problem]:
    match spec.address:
        case "public" | "private" | ElasticIp(allocation_id=None):
            pass
        case ElasticIp(allocation_id=allocation) if _is(allocation, _ALLOCATION):
            pass
        case _:
            yield wrong("address", 'must be "public", "private" or ElasticIp(...)')
    if urlsplit(str(spec.caller_service)).scheme not in ("https", "http"):
        yield wrong("caller_service", "must be an https:// address")
    if not isinstance(spec.boot_timeout_seconds, int | float) or spec.boot_timeout_seconds <= 0:
        yield wrong("boot_timeout_seconds", "must be a number of seconds larger than 0")


def disk_problems(disks: tuple[Disk, ...]) -> Iterator[Problem]:
    if len(disks) > MOST_DISKS:
        yield Problem(summary=f"{len(disks)} disks are too many: EC2 takes {MOST_DISKS} beside the root", exit_code=2)
    for disk in disks:
        if not isinstance(disk.size_gib, int) or not 1 <= disk.size_gib <= _LARGEST_GIB:
            yield Problem(
                summary=f"disk {disk.name!r}: size_gib must be a whole number from 1 to {_LARGEST_GIB}", exit_code=2
            )


def credential_problems(cloud: Cloud, *, until: float, clock: Clock) -> Iterator[Problem]:
    """Credentials that end before the bake may: AWS would refuse its clean-up, too. BuilderError without any."""
    expires = cloud.credentials_expire_at()
    with explaining("asking AWS whose the credentials are"):
        cloud.ask("get_caller_identity", "sts")
    if expires is not None and expires < until:
        minutes = max(0.0, expires - clock.now()) / 60
        yield Problem(
            summary=f"the AWS credentials expire in {minutes:.0f} minutes, before the bake may end",
            hint="log in again for longer, or give a smaller --timeout",
        )


def source_problems(spec: Aws, source: SourceImage, cloud: Cloud, *, has_disks: bool) -> Iterator[Problem]:
    """Whether the image starts on the types of machine that are wanted."""
    if source.root_gib > spec.root_gib:
        yield Problem(
            summary=f"the source image needs a root volume of {source.root_gib} GiB, and root_gib is {spec.root_gib}",
            hint=f"set root_gib={source.root_gib} or more in the Aws(...) of the recipe",
        )
    for name in spec.instance_types:
        kind = _instance_type(name, cloud)
        if kind is None:
            yield Problem(
                summary=f"there is no instance type {name} in {cloud.region}",
                hint="set instance_types in the Aws(...) of the recipe",
                exit_code=2,
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
    for subnet in found:
        if not _leads_to_the_internet(subnet, cloud):
            yield Problem(
                summary=f"subnet {subnet['SubnetId']} has no route to an internet gateway: a public address is no use",
                hint='name another subnet, or set address="private" where this host reaches the network itself',
            )


def sharing_problems(spec: Aws, share: Share, cloud: Cloud) -> Iterator[Problem]:
    """An image encrypted with AWS's own key can be shared with nobody, and the account may encrypt by default."""
    if not share.targets and not share.public:
        return
    volumes = (spec.root, spec.data)
    own_key = any(volume.encrypted and not volume.kms_key for volume in volumes)
    by_default = any(volume.encrypted is None and not volume.kms_key for volume in volumes)
    if own_key or (by_default and _encrypts_with_its_own_key(cloud)):
        yield Problem(
            summary="the image would be encrypted with AWS's own key, and could not be shared with another account",
            hint="give the volumes a key of yours: Aws(root=Volume(kms_key=...), data=Volume(kms_key=...))",
        )
    if (
        share.public
        and cloud.ask("get_image_block_public_access_state").get("ImageBlockPublicAccessState") != "unblocked"
    ):
        yield Problem(
            summary="this account blocks public images in this region",
            hint="`aws ec2 disable-image-block-public-access`, if the image shall really be public",
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
                yield Problem(summary=f"the account that bakes may not {action}", hint=told.hint)
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


def _instance_type(name: str, cloud: Cloud) -> Mapping[str, Any] | None:
    try:
        found = cloud.ask("describe_instance_types", InstanceTypes=[name])["InstanceTypes"]
    except AwsError as error:
        if error.code in ("InvalidInstanceType", "InvalidInstanceType.NotFound", "InvalidParameterValue"):
            return None
        raise
    return dict(found[0]) if found else None


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


def _encrypts_with_its_own_key(cloud: Cloud) -> bool:
    if not cloud.ask("get_ebs_encryption_by_default").get("EbsEncryptionByDefault"):
        return False
    key = str(cloud.ask("get_ebs_default_kms_key_id").get("KmsKeyId", ""))
    return key.endswith("alias/aws/ebs") or not key


def _is(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
