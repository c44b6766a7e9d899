"""Every call that the fake knows, with the api-versions that it takes, the right that it needs, and who answers it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.builders.azure.fake import catalogue, groups, shapes
from tests.builders.azure.fake.authorization import LOCKS, ROLE_ASSIGNMENTS, permissions
from tests.builders.azure.fake.disks import DISKS, SNAPSHOTS
from tests.builders.azure.fake.galleries import DEFINITIONS, GALLERIES, VERSIONS
from tests.builders.azure.fake.ids import group_name
from tests.builders.azure.fake.images import IMAGES
from tests.builders.azure.fake.kinds import Answer, Call, Kind
from tests.builders.azure.fake.network import (
    INTERFACES,
    PUBLIC_ADDRESSES,
    SECURITY_GROUPS,
    SUBNETS,
    VIRTUAL_NETWORKS,
)
from tests.builders.azure.fake.refusal import Refusal, not_found
from tests.builders.azure.fake.schedules import SCHEDULES
from tests.builders.azure.fake.vms import VIRTUAL_MACHINES
from tests.builders.azure.fake.world import world

S = "/subscriptions/{s}"
G = S + "/resourceGroups/{g}"

COMPUTE = frozenset({"2021-07-01", "2024-11-01", "2025-04-01", "2026-04-01"})
DISK = frozenset({"2020-12-01", "2026-03-02"})
GALLERY = frozenset({"2021-07-01", "2026-03-03"})
NETWORK = frozenset({"2020-04-01", "2021-02-01", "2024-05-01"})
RESOURCES = frozenset({"2016-02-01", "2020-06-01", "2021-04-01", "2025-04-01"})
SUBSCRIPTIONS = frozenset({"2019-11-01", "2022-12-01"})
AUTHORIZATION = frozenset({"2016-09-01", "2020-05-01", "2022-04-01"})

Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A call. `shape` checks its body; None: it has none. `right` None: the answer holds what the caller may see."""

    method: str
    template: str
    name: str
    versions: frozenset[str]
    right: str | None
    handler: Handler
    shape: Callable[[object], None] | None = None
    verb: bool = False
    """Whether the last word of its path is what is done to the resource before it."""

    def id(self, path: str) -> str:
        """The resource that a path is about."""
        return path.rpartition("/")[0] if self.verb else path

    @property
    def pattern(self) -> re.Pattern[str]:
        """Of its paths."""
        literal = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.template))
        literal = literal.replace("(?P<scope>[^/]+)", "(?P<scope>.+)")
        return re.compile(literal, re.IGNORECASE)

    @property
    def namespace(self) -> str:
        """Whose call it is."""
        return self.name.partition(" ")[2].partition("/")[0]


def _kind(kind: Kind, path: str, versions: frozenset[str]) -> Iterator[Route]:
    """The calls that every kind has: put, get, head, patch, delete, and the lists."""
    item = f"{G}/providers/{path}"
    collection = item.rpartition("/")[0]

    def route(method: str, template: str, right: str, handler: Handler, *, body: str = "") -> Route:
        shape = None
        if body:
            shape = lambda it, patch=body == "patch": shapes.check(kind.type, it, patch=patch)  # noqa: E731
        return Route(
            method=method, template=template, name=f"{method} {kind.type}", versions=versions,
            right=f"{kind.type}/{right}", handler=handler, shape=shape,
        )  # fmt: skip

    yield route("PUT", item, "write", kind.put, body="put")
    yield route("GET", item, "read", kind.get)
    yield route("HEAD", item, "read", kind.head)
    yield route("DELETE", item, "delete", kind.delete)
    if kind.type in shapes.COMPUTE:
        yield route("PATCH", item, "write", kind.patch, body="patch")

    nested = path.count("{") > 1

    def listed(call: Call) -> Answer:
        scope = call.id.rpartition("/")[0] if nested else call.id.partition("/providers/")[0]
        if nested and world.find(scope) is None:
            raise not_found(scope)
        if scope.count("/") > 2 and world.group_of(scope) is None:
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{group_name(scope)}' could not be found.")
        return Answer(status=200, body={"value": kind.list(call, scope)})

    for template in (collection,) if nested else (collection, collection.replace(G, S)):
        yield Route(
            method="GET", template=template, name=f"GET {kind.type}", versions=versions, right=f"{kind.type}/read",
            handler=listed,
        )  # fmt: skip


def _action(kind: Kind, path: str, versions: frozenset[str], word: str, handler: Handler, body: str = "") -> Route:
    return Route(
        method="POST",
        template=f"{G}/providers/{path}/{word}",
        name=f"POST {kind.type}/{word}",
        versions=versions,
        right=f"{kind.type}/{word}/action",
        handler=handler,
        verb=True,
        shape=(lambda it: shapes.check_model(body, it)) if body else None,
    )


def _compute() -> Iterator[Route]:
    vm = "Microsoft.Compute/virtualMachines/{name}"
    yield from _kind(VIRTUAL_MACHINES, vm, COMPUTE)
    for word, handler in (
        ("deallocate", VIRTUAL_MACHINES.deallocate),
        ("powerOff", VIRTUAL_MACHINES.power_off),
        ("start", VIRTUAL_MACHINES.start),
        ("restart", VIRTUAL_MACHINES.restart),
        ("generalize", VIRTUAL_MACHINES.generalize),
        ("retrieveBootDiagnosticsData", VIRTUAL_MACHINES.boot_diagnostics),
    ):
        yield _action(VIRTUAL_MACHINES, vm, COMPUTE, word, handler)
    yield Route(
        method="GET", template=f"{G}/providers/{vm}/instanceView",
        name="GET Microsoft.Compute/virtualMachines/instanceView",
        versions=COMPUTE, right="Microsoft.Compute/virtualMachines/instanceView/read",
        handler=VIRTUAL_MACHINES.instance_view, verb=True,
    )  # fmt: skip
    yield from _kind(IMAGES, "Microsoft.Compute/images/{name}", COMPUTE)
    for kind, word in ((DISKS, "disks"), (SNAPSHOTS, "snapshots")):
        path = f"Microsoft.Compute/{word}/{{name}}"
        yield from _kind(kind, path, DISK)
        yield _action(kind, path, DISK, "beginGetAccess", kind.begin_access, "GrantAccessData")
        yield _action(kind, path, DISK, "endGetAccess", kind.end_access)
    gallery = "Microsoft.Compute/galleries/{gallery}"
    yield from _kind(GALLERIES, gallery, GALLERY)
    yield _action(GALLERIES, gallery, GALLERY, "share", GALLERIES.share, "SharingUpdate")
    yield from _kind(DEFINITIONS, f"{gallery}/images/{{name}}", GALLERY)
    yield from _kind(VERSIONS, f"{gallery}/images/{{image}}/versions/{{name}}", GALLERY)
    yield from _offers()


def _offers() -> Iterator[Route]:
    place = S + "/providers/Microsoft.Compute/locations/{location}"
    versions = place + "/publishers/{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions"
    right = "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read"

    def words(call: Call) -> list[str]:
        parts = call.id.split("/")
        return [parts[6], parts[8], parts[12], parts[14]]

    yield Route(
        method="GET", template=versions, name="GET Microsoft.Compute/images/versions of a publisher", versions=COMPUTE,
        right=right, handler=lambda call: Answer(status=200, body=catalogue.image_versions(*words(call), call.query)),
    )  # fmt: skip
    yield Route(
        method="GET", template=versions + "/{name}", name="GET Microsoft.Compute/images/version of a publisher",
        versions=COMPUTE, right=right,
        handler=lambda call: Answer(status=200, body=catalogue.image_version(*words(call), call.id.rpartition("/")[2])),
    )  # fmt: skip
    yield Route(
        method="GET", template=S + "/providers/Microsoft.Compute/skus", name="GET Microsoft.Compute/skus",
        versions=frozenset({"2021-07-01"}), right="Microsoft.Compute/skus/read",
        handler=lambda call: Answer(status=200, body={"value": catalogue.skus(call.query)}),
    )  # fmt: skip
    yield Route(
        method="GET", template=place + "/usages", name="GET Microsoft.Compute/locations/usages", versions=COMPUTE,
        right="Microsoft.Compute/locations/usages/read",
        handler=lambda call: Answer(status=200, body={"value": catalogue.usages(call.id.split("/")[6].lower())}),
    )  # fmt: skip


def _network() -> Iterator[Route]:
    yield from _kind(VIRTUAL_NETWORKS, "Microsoft.Network/virtualNetworks/{name}", NETWORK)
    yield from _kind(SUBNETS, "Microsoft.Network/virtualNetworks/{network}/subnets/{name}", NETWORK)
    yield from _kind(SECURITY_GROUPS, "Microsoft.Network/networkSecurityGroups/{name}", NETWORK)
    yield from _kind(PUBLIC_ADDRESSES, "Microsoft.Network/publicIPAddresses/{name}", NETWORK)
    yield from _kind(INTERFACES, "Microsoft.Network/networkInterfaces/{name}", NETWORK)
    yield from _kind(SCHEDULES, "Microsoft.DevTestLab/schedules/{name}", frozenset({"2018-09-15"}))


def _resources() -> Iterator[Route]:
    right = "Microsoft.Resources/subscriptions/resourceGroups"
    for method, handler, verb in (
        ("PUT", groups.put, "write"), ("GET", groups.get, "read"), ("HEAD", groups.head, "read"),
        ("PATCH", groups.patch, "write"), ("DELETE", groups.delete, "delete"),
    ):  # fmt: skip
        shape = None
        if method in ("PUT", "PATCH"):
            shape = lambda it, patch=method == "PATCH": shapes.check(groups.TYPE, it, patch=patch)  # noqa: E731
        yield Route(
            method=method, template=G, name=f"{method} {groups.TYPE}", versions=RESOURCES, right=f"{right}/{verb}",
            handler=handler, shape=shape,
        )  # fmt: skip
    simple: tuple[tuple[str, str, frozenset[str], str | None, Handler], ...] = (
        (S + "/resourceGroups", f"GET {groups.TYPE} of a subscription", RESOURCES, None, groups.every),
        (S + "/resources", "GET Microsoft.Resources/resources", RESOURCES, None, groups.resources),
        (
            G + "/resources", "GET Microsoft.Resources/resources of a group", RESOURCES, f"{right}/read",
            groups.resources,
        ),
        (
            S + "/providers/{namespace}", "GET Microsoft.Resources/providers", RESOURCES,
            "Microsoft.Resources/subscriptions/providers/read", groups.provider,
        ),
        ("/subscriptions", "GET Microsoft.Resources/subscriptions", SUBSCRIPTIONS, None, groups.subscriptions),
        (
            S, "GET Microsoft.Resources/subscription", SUBSCRIPTIONS, "Microsoft.Resources/subscriptions/read",
            groups.subscription,
        ),
        (
            S + "/locations", "GET Microsoft.Resources/locations", SUBSCRIPTIONS,
            "Microsoft.Resources/subscriptions/locations/read", groups.locations,
        ),
    )  # fmt: skip
    for template, name, versions, needed, handler in simple:
        yield Route(
            method="GET", template=template, name=name, versions=versions, right=needed, handler=handler,
            verb=template == G + "/resources",
        )  # fmt: skip
    yield Route(
        method="POST", template=S + "/providers/{namespace}/register",
        name="POST Microsoft.Resources/providers/register",
        versions=RESOURCES, right="Microsoft.Resources/register/action", handler=groups.register,
    )  # fmt: skip
    for method in ("GET", "PUT", "PATCH"):
        yield Route(
            method=method, template="{scope}/providers/Microsoft.Resources/tags/default",
            name=f"{method} Microsoft.Resources/tags", versions=RESOURCES,
            right=f"Microsoft.Resources/tags/{'read' if method == 'GET' else 'write'}", handler=groups.tags,
            shape=None if method == "GET" else lambda it: shapes.check("Microsoft.Resources/tags", it),
        )  # fmt: skip


def _authorization() -> Iterator[Route]:
    for kind, word in ((LOCKS, "locks"), (ROLE_ASSIGNMENTS, "roleAssignments")):
        collection = f"{{scope}}/providers/Microsoft.Authorization/{word}"
        for method, handler, right in (
            ("PUT", kind.put, "write"), ("GET", kind.get, "read"), ("DELETE", kind.delete, "delete"),
        ):  # fmt: skip
            yield Route(
                method=method, template=collection + "/{name}", name=f"{method} {kind.type}", versions=AUTHORIZATION,
                right=f"{kind.type}/{right}", handler=handler,
                shape=(lambda it, type=kind.type: shapes.check(type, it)) if method == "PUT" else None,
            )  # fmt: skip
        yield Route(
            method="GET", template=collection, name=f"GET {kind.type}", versions=AUTHORIZATION,
            right=f"{kind.type}/read", handler=_listed_at(kind),
        )  # fmt: skip
    yield Route(
        method="GET", template="{scope}/providers/Microsoft.Authorization/permissions",
        name="GET Microsoft.Authorization/permissions", versions=AUTHORIZATION,
        right="Microsoft.Authorization/permissions/read",
        handler=lambda call: Answer(status=200, body={"value": permissions(call.id.rpartition("/providers/")[0])}),
    )  # fmt: skip


def _listed_at(kind: Kind) -> Handler:
    def listed(call: Call) -> Answer:
        return Answer(status=200, body={"value": kind.list(call, call.id.rpartition("/providers/")[0])})

    return listed


ROUTES = [*_compute(), *_network(), *_resources(), *_authorization()]
PATTERNS = [(route.pattern, route) for route in ROUTES]


def find(path: str, method: str) -> tuple[Route | None, set[str]]:
    """The call of a path, or the methods that the path has instead."""
    methods = set()
    for pattern, route in PATTERNS:
        if pattern.fullmatch(path):
            if route.method == method:
                return route, set()
            methods.add(route.method)
    return None, methods


def namespaces() -> set[str]:
    """Those that have a call here."""
    return {route.namespace.lower() for route in ROUTES}
