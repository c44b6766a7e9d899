"""Resource ids. Azure compares them without regard to case, and answers in another case than it was asked in."""

import re
import uuid

_SHOUTED = re.compile(r"(/resourceGroups/)([^/]+)", re.IGNORECASE)


def key(id: str) -> str:
    """The same for every spelling of an id."""
    return "/" + id.strip("/").lower()


def canonical(path: str) -> str:
    """As Azure writes it: `resourceGroups`, however a caller did."""
    return re.sub(r"^(/subscriptions/[^/]+)/resourcegroups(?=/|$)", r"\1/resourceGroups", path, flags=re.IGNORECASE)


def group_id(id: str) -> str:
    """The id of the group that a resource is in, or of the group itself."""
    return "/".join(id.split("/")[:5])


def group_name(id: str) -> str:
    """The name of that group."""
    return id.split("/")[4]


def name_of(id: str) -> str:
    """The last name in it."""
    return id.rstrip("/").rsplit("/", 1)[1]


def parent_of(id: str) -> str:
    """The resource that a child resource is below."""
    return id.rsplit("/", 2)[0]


def type_of(id: str) -> str:
    """`Microsoft.Compute/galleries/images`: the namespace and every other word after it."""
    _, _, words = id.rpartition("/providers/")
    namespace, *rest = words.split("/")
    return "/".join([namespace, *rest[::2]])


def shout(id: str) -> str:
    """With the group's name in capitals, as lists of Compute have it."""
    return _SHOUTED.sub(lambda found: found[1] + found[2].upper(), id)


def new_guid() -> str:
    """Another one."""
    return str(uuid.uuid4())
