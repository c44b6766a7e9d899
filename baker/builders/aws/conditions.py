"""What is wrong with a spec itself, and with the disks of a recipe in EC2; asks nobody."""

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from baker.builders.admission import admit_problem
from baker.builders.aws.proxy import proxy_problem
from baker.builders.aws.requests import MOST_DISKS
from baker.builders.aws.sharing import REGION
from baker.builders.aws.source import login_user, source_problem
from baker.builders.aws.spec import NOBODY, Aws, ElasticIp, Volume
from baker.ports import Problem
from baker.recipe import Disk

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
    yield from _place_problems(spec, wrong)
    if spec.admit != NOBODY and (problem := admit_problem(spec.admit)):
        yield wrong("admit", problem)
    if problem := proxy_problem(spec.proxy_command):
        yield wrong("proxy_command", problem)
    elif spec.admit == NOBODY and not spec.proxy_command:
        yield wrong("admit", "leaves no way to the machine, but with a proxy_command such as session manager")
    yield from _address_problems(spec, wrong)
    yield from _image_problems(spec, wrong)
    for field in ("root", "data"):
        if not isinstance(getattr(spec, field), Volume):
            yield wrong(field, "must be a Volume(...)")


def _image_problems(spec: Aws, wrong: Wrong) -> Iterator[Problem]:
    days, seconds = spec.deprecate_after_days, spec.capture_timeout_seconds
    if days is not None and (not isinstance(days, int) or days < 1):
        yield wrong("deprecate_after_days", "must be a whole number of days, or None")
    if seconds is not None and (not isinstance(seconds, int | float) or seconds <= 0):
        yield wrong("capture_timeout_seconds", "must be a number of seconds larger than 0, or None")
    if not isinstance(spec.tags, Mapping) or not all(
        isinstance(text, str) for tag in spec.tags.items() for text in tag
    ):
        yield wrong("tags", 'must be texts by their names, such as {"team": "ocean"}')


def _place_problems(spec: Aws, wrong: Wrong) -> Iterator[Problem]:
    if not isinstance(spec.subnets, tuple) or not all(_is(value, _SUBNET) for value in spec.subnets):
        yield wrong("subnets", 'must be a tuple of ids such as ("subnet-0123456789abcdef0",)')
    if spec.region is not None and not _is(spec.region, REGION):
        yield wrong("region", 'must be a region such as "eu-central-1"')
    if spec.vpc is not None and not _is(spec.vpc, _VPC):
        yield wrong("vpc", 'must be an id such as "vpc-0123456789abcdef0"')


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


def _is(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
