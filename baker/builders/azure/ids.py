"""Resource ids: how Azure calls what it has. It gives them back in another case than it was given: compare with `same`.

/subscriptions/<guid>/resourceGroups/<group>/providers/<namespace>/<type>/<name>[/<type>/<name>]...
"""

import re
from dataclasses import dataclass

_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"(?:/providers/(?P<namespace>[^/]+)/(?P<path>[^/]+/[^/]+(?:/[^/]+/[^/]+)*))?",
    re.IGNORECASE,
)

GROUP = "microsoft.resources/resourcegroups"
VM = "microsoft.compute/virtualmachines"
DISK = "microsoft.compute/disks"
IMAGE = "microsoft.compute/images"
GALLERY = "microsoft.compute/galleries"
DEFINITION = "microsoft.compute/galleries/images"
VERSION = "microsoft.compute/galleries/images/versions"
INTERFACE = "microsoft.network/networkinterfaces"
ADDRESS = "microsoft.network/publicipaddresses"
SECURITY_GROUP = "microsoft.network/networksecuritygroups"
NETWORK = "microsoft.network/virtualnetworks"
SUBNET = "microsoft.network/virtualnetworks/subnets"
SCHEDULE = "microsoft.devtestlab/schedules"
ROLE_ASSIGNMENT = "microsoft.authorization/roleassignments"

_SPELLED = {
    VM: "Microsoft.Compute/virtualMachines",
    DISK: "Microsoft.Compute/disks",
    IMAGE: "Microsoft.Compute/images",
    VERSION: "Microsoft.Compute/galleries/images/versions",
    GALLERY: "Microsoft.Compute/galleries",
    INTERFACE: "Microsoft.Network/networkInterfaces",
    ADDRESS: "Microsoft.Network/publicIPAddresses",
    SECURITY_GROUP: "Microsoft.Network/networkSecurityGroups",
    NETWORK: "Microsoft.Network/virtualNetworks",
    SCHEDULE: "Microsoft.DevTestLab/schedules",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Id:
    """The parts of an id. `type` is in lower case, as above; `names` are those of the resource and what it is in."""

    subscription: str
    group: str
    type: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.names[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A resource group, and the ids of what is in it."""

    subscription: str
    name: str

    @property
    def id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.name}"

    def holds(self, type: str, name: str) -> str:
        """The id of a resource in this group."""
        return f"{self.id}/providers/{_SPELLED[type]}/{name}"

    def version(self, gallery: str, definition: str, version: str) -> str:
        return f"{self.definition(gallery, definition)}/versions/{version}"

    def definition(self, gallery: str, definition: str) -> str:
        return f"{self.holds(GALLERY, gallery)}/images/{definition}"


def parse(id: str) -> Id | None:
    """None for what is no id of a resource or of a resource group."""
    found = _ID.fullmatch(id)
    if found is None:
        return None
    if not found["namespace"]:
        return Id(subscription=found["subscription"], group=found["group"], type=GROUP, names=(found["group"],))
    words = found["path"].split("/")
    return Id(
        subscription=found["subscription"],
        group=found["group"],
        type="/".join([found["namespace"], *words[::2]]).lower(),
        names=tuple(words[1::2]),
    )


def same(one: str, other: str) -> bool:
    """Whether two ids or names mean the same."""
    return one.casefold() == other.casefold()


def canonical(id: str) -> str:
    """One spelling of the id of an image, whatever the case in which Azure gave it."""
    parsed = parse(id)
    if parsed is None or parsed.type not in _SPELLED:
        return id
    namespace, *types = _SPELLED[parsed.type].split("/")
    path = "/".join(f"{type}/{name.lower()}" for type, name in zip(types, parsed.names, strict=True))
    group = Group(subscription=parsed.subscription.lower(), name=parsed.group.lower())
    return f"{group.id}/providers/{namespace}/{path}"


def parent(id: str) -> str:
    """The id of what a resource is in: of a version its definition, of a subnet its network."""
    return id.rsplit("/", 2)[0]
