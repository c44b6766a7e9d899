"""The roles that are shipped: enough for a bake, a share and a sweep at the fake, and nothing in them for nothing.

What the fake asks for is in `tests/builders/azure/fake/rights.py` and its routes; that Azure asks for the same is
untested.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import baker.builders.azure
from baker.artifact import Artifact
from baker.builders.azure import ids
from baker.builders.azure.builder import AzureBuilder
from baker.builders.azure.calls import Cloud
from baker.builders.azure.removal import KINDS
from baker.builders.azure.spec import Azure, Gallery
from baker.builders.azure.waiting import finish
from baker.builders.tags import run_tags
from baker.clock import SystemClock
from baker.errors import BakeError, BuilderError
from baker.events import CleanupFailed, Event
from baker.plan import make_plan
from baker.ports import RunInfo
from baker.recipe import Disk, Recipe, Share
from tests.builders.azure.fake.client import FakeAzure
from tests.builders.azure.fake.settings import SUBSCRIPTION

FOLDER = Path(baker.builders.azure.__file__).parent / "roles"
NAMES = ("bake", "look", "bake-in-group", "share", "sweep")

S = f"/subscriptions/{SUBSCRIPTION}"
SOMEBODY = "12345678-1234-4234-8234-123456789abc"

_RIGHTS = "https://learn.microsoft.com/azure/role-based-access-control/permissions/{}"

DEMANDED = {
    # A bake without these works, and knows less: what the account may do, that a group is locked, what a machine said.
    "Microsoft.Authorization/permissions/read": _RIGHTS.format("management-and-governance"),
    "Microsoft.Authorization/locks/read": _RIGHTS.format("management-and-governance"),
    "Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action": _RIGHTS.format("compute"),
}
"""Actions that no deed at the fake fails without, with the page of Microsoft that tells of each."""

OFTEN = {
    "bake": ("Microsoft.Compute/virtualMachines/write", "Microsoft.Compute/galleries/images/versions/delete"),
    "bake-in-group": ("Microsoft.Compute/disks/delete", "Microsoft.Network/virtualNetworks/subnets/join/action"),
    "look": ("Microsoft.Compute/skus/read",),
    "share": ("Microsoft.Compute/galleries/share/action",),
    "sweep": ("Microsoft.Network/publicIPAddresses/delete",),
}
"""Those that every run of the tests tries without; `make soak` tries all."""


LOOKED_FOR = (
    "Microsoft.Network/networkSecurityGroups", "Microsoft.Network/virtualNetworks",
    "Microsoft.Network/networkInterfaces", "Microsoft.DevTestLab/schedules",
)  # fmt: skip
"""What is looked for, and not asked for again, when the reply to its making is lost."""


class QuickClock(SystemClock):
    """Waits a hundredth as long as it is told to, and time goes on as if it had waited."""

    def __init__(self) -> None:
        self._slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        self._slept += seconds
        super().sleep(min(seconds / 100, 0.02))


def role(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text()))


def actions_of(name: str) -> tuple[str, ...]:
    return tuple(role(name)["Actions"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The fake, with a group for images, a gallery, a group to work in and a network."""

    fake: FakeAzure
    run: RunInfo
    told: list[Event] = field(default_factory=list)
    clock: QuickClock = field(default_factory=QuickClock)

    @property
    def builder(self) -> AzureBuilder:
        return AzureBuilder(clock=self.clock)

    @property
    def cloud(self) -> Cloud:
        return Cloud(None, None, self.clock)

    def make(self, id: str, properties: dict[str, Any], **more: Any) -> str:
        body = {"location": "westeurope", "properties": properties, **more}
        finish(self.cloud, self.cloud.put(id, body), timeout=60, clock=self.clock)
        return id

    def spec(self, **changes: Any) -> Azure:
        values: dict[str, Any] = {
            "source": "Debian:debian-12:12-gen2:latest", "admit": "192.0.2.0/24",
            "gallery": Gallery(group="images", name="reefs"),
        }  # fmt: skip
        return Azure(**(values | changes))

    def image(self, spec: Azure) -> Artifact:
        disks = (Disk(name="data", size_gib=1),)
        with self.builder.machine(spec, disks, self.run, self.told.append) as machine:
            machine.diagnose()
            return machine.capture(self.run.image_name, {"recipe": "reef", "verified": "no"})

    def permit(self, grants: dict[str, tuple[str, ...]]) -> None:
        """From now on, what the caller may do, by scope."""
        self.fake.grants([{"scope": scope, "actions": list(actions)} for scope, actions in grants.items()])

    def assert_clean(self, before: list[dict[str, Any]], kept: tuple[str, ...] = ()) -> None:
        """Nothing is left, nothing of others was touched, and no clean-up was refused anything."""
        self.permit({"/": ("*",)})
        assert [event for event in self.told if isinstance(event, CleanupFailed)] == []
        self._see_the_end_of_deletions()
        self.fake.assert_clean(before, kept=kept)

    def _see_the_end_of_deletions(self) -> None:
        for _ in range(200):
            if not [it for it in self.fake.ours() if it.get("state") == "Deleting"]:
                return
            self.cloud.tagged_groups("bake:run")


Deed = Callable[[Account], Iterator[None]]
"""Sets the scene, yields, and then does what is to be permitted. AssertionError or BakeError when that fails."""


def bake(account: Account, **changes: Any) -> Iterator[None]:
    """All that a bake asks: a preflight, an image that fails, one that does not, a machine from it, its end."""
    before = account.fake.account()
    yield
    builder = account.builder
    spec = account.spec(image_group="images", security="Standard", spot="prefer", **changes)
    plan = make_plan(Recipe(name="reef", builders=(spec,)), spec)
    assert builder.preflight(plan, until=account.run.expires) == ()
    account.fake.fault("PUT Microsoft.Compute/galleries/images/versions", later="InternalError")
    with pytest.raises(BuilderError):
        account.image(spec)
    for type in LOOKED_FOR:
        account.fake.fault(f"PUT {type}", lose="reply")
    image = account.image(spec)
    with builder.launch_image(image, account.run, account.told.append, spec=spec):
        image = builder.set_labels(image, {"verified": builder.digest(image)})
    builder.mark_newest(image)
    assert builder.resolve("reef") == builder.images()[-1]
    builder.delete(image)
    account.assert_clean(before)


def bake_in_group(account: Account) -> Iterator[None]:
    """The same in a group and a network that are there, with rights on these alone."""
    network = account.cloud.group("network").holds(ids.NETWORK, "reef")
    return bake(account, resource_group="work", subnet=f"{network}/subnets/bakes")


def share(account: Account) -> Iterator[None]:
    """With everybody that it can be shared with, and in another region."""
    image = account.image(account.spec())
    managed = account.image(account.spec(gallery=None, image_group="images", security="Standard"))
    yield
    share = Share(
        targets=tuple(f"{kind}:{SOMEBODY}" for kind in ("subscription", "tenant", "principal", "definition")),
        regions=("northeurope",),
    )
    one = Share(targets=(f"principal:{SOMEBODY}",))
    for which, wanted in ((image, share), (managed, one)):
        found = account.builder.resolve(which.id)
        results = account.builder.share(found, wanted, upload=None, emit=account.told.append)  # type: ignore[arg-type]
        assert all(result.ok for result in results), results


def sweep(account: Account) -> Iterator[None]:
    """What a bake leaves that may delete nothing: a group, and one of each kind of thing in groups of others."""
    account.fake.look_alikes()
    before = account.fake.account()
    account.fake.permit(["*"], not_actions=["*/delete"])
    _fail_to_clean_up(account, account.spec(resource_group="work", image_group="images", security="Standard"))
    _fail_to_clean_up(account, account.spec())
    parted = account.cloud.group("work").holds(ids.DISK, f"bake-{account.run.run_id}-data-7")
    account.make(parted, {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1})
    _leave_alone(account)
    account.told.clear()
    yield
    found = list(account.builder.leftovers(None))
    assert {it.kind for it in found} == set(KINDS.values())
    for leftover in found:
        account.builder.destroy(leftover)
    account.assert_clean(before)


def _leave_alone(account: Account) -> None:
    """A network card and an address of a run, which no machine takes with it when it goes."""
    group, tags = account.cloud.group("work"), run_tags(account.run, "bake")
    subnet = f"{account.cloud.group('network').holds(ids.NETWORK, 'reef')}/subnets/bakes"
    address = {"publicIPAllocationMethod": "Static"}
    account.make(group.holds(ids.ADDRESS, "alone"), address, sku={"name": "Standard"}, tags=tags)
    card = [{"name": "alone", "properties": {"subnet": {"id": subnet}}}]
    account.make(group.holds(ids.INTERFACE, "alone"), {"ipConfigurations": card}, tags=tags)


def _fail_to_clean_up(account: Account, spec: Azure) -> None:
    account.fake.fault("PUT Microsoft.Compute/galleries/images/versions", later="InternalError")
    with pytest.raises(BuilderError):
        account.image(spec)


DEEDS: dict[str, Deed] = {
    "bake": bake, "look": bake_in_group, "bake-in-group": bake_in_group, "share": share, "sweep": sweep,
}  # fmt: skip


@pytest.fixture
def account(azure: FakeAzure, as_caller: Callable[[FakeAzure], None], run_info: Callable[..., RunInfo]) -> Account:
    as_caller(azure)
    account = Account(fake=azure, run=run_info())
    for group in ("images", "work", "network"):
        azure.group(group)
    cloud = account.cloud
    account.make(cloud.group("images").holds(ids.GALLERY, "reefs"), {"sharingProfile": {"permissions": "Groups"}})
    subnets = [{"name": "bakes", "properties": {"addressPrefix": "10.0.0.0/24"}}]
    network = cloud.group("network").holds(ids.NETWORK, "reef")
    account.make(network, {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets})
    return account


def grants(name: str, without: str = "") -> dict[str, tuple[str, ...]]:
    """Where the role is assigned, and in which company, without one of its actions."""

    def actions(of: str) -> tuple[str, ...]:
        return tuple(it for it in actions_of(of) if of != name or it != without)

    groups = [f"{S}/resourceGroups/{group}" for group in ("work", "images", "network")]
    match name:
        case "look" | "bake-in-group":
            return {S: actions("look"), **dict.fromkeys(groups, actions("bake-in-group"))}
        case "share":
            return {groups[1]: actions(name)}
        case _:
            return {S: actions(name)}


def do(name: str, account: Account, without: str = "") -> None:
    deed = DEEDS[name](account)
    next(deed)
    account.permit(grants(name, without))
    for _ in deed:
        raise AssertionError("a deed yields once")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "look"])  # which comes with bake-in-group
def test_it_is_enough(name: str, account: Account) -> None:
    do(name, account)


EACH = [(name, action) for name in NAMES for action in actions_of(name) if action not in DEMANDED]


@pytest.mark.parametrize(
    ("name", "action"),
    [pytest.param(*it, marks=() if it[1] in OFTEN[it[0]] else pytest.mark.soak, id=": ".join(it)) for it in EACH],
)
def test_nothing_can_be_left_out(name: str, action: str, account: Account) -> None:
    with pytest.raises((AssertionError, BakeError)):
        do(name, account, without=action)
