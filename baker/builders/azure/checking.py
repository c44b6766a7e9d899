"""What is wrong with a spec, seen without any network. Values may have any type: a recipe is not type-checked."""

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from baker.builders.admission import admit_problem
from baker.builders.azure import ids
from baker.builders.azure.endpoints import cloud_problem
from baker.builders.azure.leftovers import SUBSCRIPTION
from baker.builders.azure.requests import MOST_DISKS
from baker.builders.azure.source import source_problem
from baker.builders.azure.spec import SECURITY_TYPES, Azure, Gallery, Region
from baker.builders.azure.tags import NOT_IN_A_NAME
from baker.ports import Problem
from baker.recipe import Disk

_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]")
_SIZE = re.compile(r"(Standard|Basic)_\w+")
_LOCATION = re.compile(r"[a-z][a-z0-9]+")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_GALLERY = re.compile(r"[A-Za-z0-9]([\w.]{0,78}[A-Za-z0-9])?")
_DEFINITION = re.compile(r"[A-Za-z0-9]([\w.-]{0,78}[A-Za-z0-9])?")
_VERSION = re.compile(r"(0|[1-9]\d{0,9})(\.(0|[1-9]\d{0,9})){2}")
_STORAGE = ("Standard_LRS", "StandardSSD_LRS", "StandardSSD_ZRS", "Premium_LRS", "Premium_ZRS")
_REPLICAS = ("Standard_LRS", "Standard_ZRS", "Premium_LRS")
_LARGEST_GIB = 32767

_RESERVED = re.compile(
    "1|123|a|actuser|adm|admin[12]?|administrator|aspnet|backup|console|david|guest|john|owner|root|server|sql|support|"
    "support_388945a0|sys|test[123]?|user[1-5]?|video"
)
"""Names that Azure refuses for the account of a machine."""

Wrong = Callable[[str, str], Problem]


def spec_problems(spec: Azure) -> Iterator[Problem]:
    """What is wrong with the spec itself; asks nobody."""

    def wrong(field: str, must: str) -> Problem:
        return Problem(summary=f"Azure({field}={getattr(spec, field)!r}): {must}", exit_code=2)

    yield from _place_problems(spec, wrong)
    yield from _machine_problems(spec, wrong)
    yield from _network_problems(spec, wrong)
    yield from _target_problems(spec, wrong)


def disk_problems(disks: tuple[Disk, ...]) -> Iterator[Problem]:
    """What is wrong with the disks of a recipe, here."""
    if len(disks) > MOST_DISKS:
        yield Problem(
            summary=f"{len(disks)} disks are too many: no size of Azure takes more than {MOST_DISKS}", exit_code=2
        )
    for disk in disks:
        if disk.size_gib > _LARGEST_GIB:
            yield Problem(
                summary=f"disk {disk.name!r} has {disk.size_gib} GiB, and a managed disk at most {_LARGEST_GIB}",
                exit_code=2,
            )


def _place_problems(spec: Azure, wrong: Wrong) -> Iterator[Problem]:
    if spec.subscription is not None and not _is(spec.subscription, SUBSCRIPTION):
        yield wrong(
            "subscription", "must be an id such as 00000000-1111-2222-3333-444444444444; `az account list` has it"
        )
    if spec.location is not None and not _is(spec.location, _LOCATION):
        yield wrong("location", 'must be the name of a region, such as "westeurope"')
    if spec.cloud is not None and (problem := cloud_problem(spec.cloud)):
        yield wrong("cloud", problem)
    if spec.resource_group is not None and not _is(spec.resource_group, _GROUP):
        yield wrong("resource_group", "must be the name of a resource group, not its id")
    if not isinstance(spec.tags, Mapping) or not all(isinstance(it, str) for pair in spec.tags.items() for it in pair):
        yield wrong("tags", "must be a mapping of text to text")
    elif bad := [name for name in spec.tags if any(letter in NOT_IN_A_NAME for letter in name)]:
        yield wrong("tags", f"Azure takes none of {NOT_IN_A_NAME} in the name of a tag: {', '.join(bad)}")


def _machine_problems(spec: Azure, wrong: Wrong) -> Iterator[Problem]:
    sizes = spec.sizes
    if not isinstance(sizes, tuple) or not sizes or not all(_is(size, _SIZE) for size in sizes):
        yield wrong("sizes", 'must be a tuple of sizes such as ("Standard_D2s_v5", "Standard_D2as_v5")')
    if problem := source_problem(spec.source):
        yield wrong("source", problem)
    if not _is(spec.login_user, _USER) or _RESERVED.fullmatch(spec.login_user):
        yield wrong("login_user", 'must be an account name that Azure does not keep for itself, such as "baker"')
    if spec.root_gib is not None and not (isinstance(spec.root_gib, int) and 1 <= spec.root_gib <= _LARGEST_GIB):
        yield wrong("root_gib", f"must be a whole number from 1 to {_LARGEST_GIB}, or None for that of the source")
    for field in ("root_storage", "data_storage"):
        if getattr(spec, field) not in _STORAGE:
            yield wrong(field, f"must be one of {', '.join(_STORAGE)}")
    if spec.spot not in ("never", "prefer", "only"):
        yield wrong("spot", 'must be "never", "prefer" or "only"')
    if spec.eviction not in ("Delete", "Deallocate"):
        yield wrong("eviction", 'must be "Delete" or "Deallocate"')
    if spec.security is not None and spec.security not in SECURITY_TYPES:
        yield wrong("security", f"must be one of {', '.join(map(repr, SECURITY_TYPES))}, or None")
    if not isinstance(spec.boot_timeout_seconds, int | float) or spec.boot_timeout_seconds <= 0:
        yield wrong("boot_timeout_seconds", "must be a number of seconds larger than 0")


def _network_problems(spec: Azure, wrong: Wrong) -> Iterator[Problem]:
    if spec.subnet is not None:
        found = ids.parse(spec.subnet) if isinstance(spec.subnet, str) else None
        if found is None or found.type != ids.SUBNET:
            yield wrong("subnet", "must be the id of a subnet; `az network vnet subnet list` has it")
    if spec.address not in ("public", "private"):
        yield wrong("address", 'must be "public" or "private"')
    elif spec.address == "private" and spec.subnet is None:
        yield wrong("address", "takes a subnet that this host can reach: a network made for the bake has no way in")
    if problem := admit_problem(spec.admit):
        yield wrong("admit", problem)
    elif ":" in str(spec.admit):
        yield wrong("admit", "must be a network of IPv4: the machine has no other address")
    if urlsplit(str(spec.caller_service)).scheme not in ("https", "http"):
        yield wrong("caller_service", "must be an https:// address")


def _target_problems(spec: Azure, wrong: Wrong) -> Iterator[Problem]:
    if spec.image_group is None and spec.gallery is None:
        yield Problem(
            summary="Azure(...) does not say where the image goes",
            hint='gallery=Gallery(group="images", name="..."), or image_group="images" for a managed image; the group '
            "must be there, and is never the temporary one of the machine",
            exit_code=2,
        )
    if spec.image_group is not None and not _is(spec.image_group, _GROUP):
        yield wrong("image_group", "must be the name of a resource group, not its id")
    if spec.image_group is not None and spec.security == "TrustedLaunch":
        yield wrong(
            "security", "no managed image can be made of such a machine; a gallery takes it, without image_group"
        )
    if spec.gallery is not None:
        yield from _gallery_problems(spec.gallery)
    days = spec.end_of_life_after_days
    if days is not None and (not isinstance(days, int) or days < 1):
        yield wrong("end_of_life_after_days", "must be a number of days, or None")
    if days is not None and spec.gallery is None:
        yield wrong("end_of_life_after_days", "only a gallery knows such a date")


def _gallery_problems(gallery: object) -> Iterator[Problem]:
    if not isinstance(gallery, Gallery):
        yield Problem(summary=f"Azure(gallery={gallery!r}): must be a Gallery(...)", exit_code=2)
        return

    def wrong(field: str, must: str) -> Problem:
        return Problem(summary=f"Gallery({field}={getattr(gallery, field)!r}): {must}", exit_code=2)

    if not _is(gallery.group, _GROUP):
        yield wrong("group", "must be the name of a resource group, not its id")
    if not _is(gallery.name, _GALLERY):
        yield wrong("name", "must be the name of a gallery: letters, digits, _ and .")
    if gallery.definition is not None and not _is(gallery.definition, _DEFINITION):
        yield wrong("definition", "must be a name of letters, digits, _, . and -")
    if gallery.version is not None and not _is(gallery.version, _VERSION):
        yield wrong("version", 'must be three numbers such as "1.2.3"')
    if gallery.storage is not None and gallery.storage not in _REPLICAS:
        yield wrong("storage", f"must be one of {', '.join(_REPLICAS)}, or None")
    if not isinstance(gallery.replicas, int) or not 1 <= gallery.replicas <= 100:
        yield wrong("replicas", "must be a whole number from 1 to 100")
    for region in gallery.regions:
        if not isinstance(region, Region) or not _is(region.name, _LOCATION):
            yield wrong("regions", 'must be a tuple of regions such as Region(name="northeurope", replicas=1)')


def _is(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
