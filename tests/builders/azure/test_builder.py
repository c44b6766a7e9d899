"""The Azure builder against Azure's double: from launch to image, and nothing left whatever fails."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baker.artifact import Artifact
from baker.builders.azure import ids
from baker.builders.azure.builder import AzureBuilder
from baker.builders.azure.calls import Cloud
from baker.builders.azure.spec import Azure, Gallery, Region
from baker.builders.azure.waiting import finish
from baker.clock import SystemClock
from baker.errors import BakeError, BuilderError, CaptureError, LaunchError, MachineDiedError, ReachError
from baker.events import CleanupFailed, Event, Notice, Progress, ResourceAcquired, ResourceKept, ResourceReleased
from baker.plan import Plan, make_plan
from baker.ports import RunInfo
from baker.recipe import Disk, Recipe
from tests.builders.azure.conftest import RUN_ID
from tests.builders.azure.fake.client import FakeAzure

DISKS = (Disk(name="data", size_gib=3),)
LABELS = {"recipe": "reef", "fingerprint": "f", "run": RUN_ID, "verified": "no"}
GALLERY = Gallery(group="images", name="reefs", version="1.0.0")
FOR_EVER = 1 << 30

VM, GROUP = "Microsoft.Compute/virtualMachines", "Microsoft.Resources/resourceGroups"


class QuickClock(SystemClock):
    """Waits a hundredth as long as it is told to."""

    def sleep(self, seconds: float) -> None:
        super().sleep(min(seconds / 100, 0.05))


class ImpatientClock(QuickClock):
    """On which time passes as it sleeps, so that waits come to their end."""

    def __init__(self) -> None:
        self._slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        self._slept += seconds


BUILDER = AzureBuilder(clock=QuickClock())


def spec_for(fake: FakeAzure, **changes: Any) -> Azure:
    """By default into a gallery, as that takes what Azure makes by itself."""
    values: dict[str, Any] = {
        "gallery": GALLERY, "sizes": ("Standard_D2s_v5", "Standard_D4s_v5"), "caller_service": fake.caller_address_url,
    }  # fmt: skip
    return Azure(**(values | changes))


def managed(**changes: Any) -> dict[str, Any]:
    """A managed image in place of a version."""
    return {"gallery": None, "image_group": "images", "security": "Standard", **changes}


def prepare(fake: FakeAzure) -> FakeAzure:
    """What the user has: a group for images, with a gallery, and one for machines."""
    fake.group("images")
    fake.group("mine")
    cloud = Cloud(None, None, QuickClock())
    gallery = cloud.group("images").holds(ids.GALLERY, "reefs")
    made = cloud.put(gallery, {"location": "westeurope", "properties": {}})
    finish(cloud, made, timeout=30, clock=QuickClock())
    return fake


@pytest.fixture
def arm(azure: FakeAzure, as_caller: Callable[[FakeAzure], None]) -> FakeAzure:
    """The double, without machines; the environment leads there."""
    as_caller(azure)
    return prepare(azure)


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def run(run_info: Callable[..., RunInfo]) -> RunInfo:
    return run_info()


def plan_of(spec: Azure, **recipe: Any) -> Plan:
    return make_plan(Recipe(name="reef", builders=(spec,), **recipe), spec)


def bake(arm: FakeAzure, run: RunInfo, told: list[Event], builder: AzureBuilder = BUILDER, **changes: Any) -> Artifact:
    """An image of a machine that nobody logged in to."""
    with builder.machine(spec_for(arm, **changes), DISKS, run, told.append) as machine:
        return machine.capture(run.image_name, LABELS)


def balance(told: list[Event]) -> None:
    acquired = [(event.kind, event.id) for event in told if isinstance(event, ResourceAcquired)]
    ended = [(event.kind, event.id) for event in told if isinstance(event, ResourceReleased | ResourceKept)]
    assert sorted(acquired) == sorted(ended)


WAYS = {
    "version": {},
    "managed image": managed(),
    "both, in a group of the user": {"image_group": "images", "security": "Standard", "resource_group": "mine"},
}


@pytest.mark.parametrize("way", WAYS)
def test_an_image_is_made_and_nothing_else_stays(arm: FakeAzure, run: RunInfo, told: list[Event], way: str) -> None:
    arm.look_alikes()
    before = arm.account()
    image = bake(arm, run, told, **WAYS[way])
    assert (image.builder, image.location, image.name) == ("azure", "westeurope", run.image_name)
    assert (image.labels["recipe"], image.labels["disks"]) == ("reef", "data=0")
    assert [it.id for it in BUILDER.images(None)] == [image.id]
    assert "expires" not in BUILDER.images(None)[0].labels
    assert BUILDER.resolve(image.name).id == BUILDER.resolve(image.id).id == image.id
    assert list(BUILDER.leftovers(None)) == []
    balance(told)
    BUILDER.delete(image)
    arm.assert_clean(before)


def test_a_label_is_for_good_and_a_digest_is_the_same_until_the_image_is_another(
    arm: FakeAzure, run: RunInfo, told: list[Event]
) -> None:
    image = bake(arm, run, told)
    digest = BUILDER.digest(image)
    verified = BUILDER.set_labels(image, {"verified": digest})
    BUILDER.mark_newest(verified)
    assert BUILDER.resolve("reef").verified == digest == BUILDER.digest(verified)
    BUILDER.delete(image)
    assert BUILDER.digest(bake(arm, run, told)) != digest


def test_latest_means_no_version_that_was_not_verified(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    image = bake(arm, run, told)

    def is_left_out() -> bool:
        return bool(
            Cloud(None, None, QuickClock()).get(image.id)["properties"]["publishingProfile"]["excludeFromLatest"]
        )

    assert is_left_out()
    BUILDER.mark_newest(image)
    assert not is_left_out()


def test_the_group_admits_the_caller_alone_and_azure_ends_the_machine_itself(
    arm: FakeAzure, run: RunInfo, told: list[Event]
) -> None:
    with BUILDER.machine(spec_for(arm), DISKS, run, told.append) as machine:
        assert machine.disks == {"data": "/dev/disk/azure/scsi1/lun0"}
        (rules,) = [it["body"]["properties"] for it in arm.calls("PUT Microsoft.Network/networkSecurityGroups")]
        assert [rule["properties"]["sourceAddressPrefix"] for rule in rules["securityRules"]] == ["127.0.0.1/32"]
        arm.pass_time(3600 + 120)
        assert "deallocated" in machine.diagnose()


def test_of_the_group_only_the_beginning_of_its_end_is_waited_for(
    arm: FakeAzure, run_info: Callable[..., RunInfo], told: list[Event]
) -> None:
    arm.settings(paces={f"DELETE {GROUP}": {"seconds": 3.0, "polls": 1}})
    with BUILDER.machine(spec_for(arm), (), run_info(), told.append):
        left = time.monotonic()
    assert [it for it in arm.ours() if it["id"].endswith(RUN_ID)], "it is still going"
    assert list(BUILDER.leftovers(None)) == [], "what is going is no leftover"
    assert time.monotonic() - left < 60
    patient = run_info(run_id="20260102t030405-wait", wait_cleanup=True)
    with BUILDER.machine(spec_for(arm), (), patient, told.append):
        pass
    assert not [it for it in arm.ours() if it["id"].endswith("wait")], "it was waited for"


def test_a_managed_image_is_said_to_be_legacy_once(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    bake(arm, run, told, **managed())
    assert len([event for event in told if isinstance(event, Notice) and "legacy" in event.text]) == 1


def test_how_far_the_replicas_are_is_told(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    arm.settings(paces={"PUT Microsoft.Compute/galleries/images/versions": {"polls": 4}})
    bake(arm, run, told, gallery=Gallery(group="images", name="reefs", regions=(Region(name="northeurope"),)))
    assert [event for event in told if isinstance(event, Progress) and event.what == "replicas"]


# --- what goes wrong in ways of its own; test_faults has each call fail in turn


def test_a_lock_is_reported_and_not_looped_over(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    arm.fault(f"DELETE {GROUP}", error="ScopeLocked", status=409, times=FOR_EVER)
    bake(arm, run, told)
    (failed,) = [event for event in told if isinstance(event, CleanupFailed)]
    assert "lock" in failed.error
    assert failed.remove_hint.startswith("az group delete ")
    assert len(arm.calls(f"DELETE {GROUP}")) == 3, "as often as the clean-up tries anything"
    (left,) = BUILDER.leftovers(None)
    with pytest.raises(BuilderError, match="lock"):
        BUILDER.destroy(left)
    arm.forget_faults()
    BUILDER.destroy(left)
    assert list(BUILDER.leftovers(None)) == []


def test_the_token_expires_in_the_middle(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    with pytest.raises(BakeError) as caught:  # noqa: SIM117
        with BUILDER.machine(spec_for(arm), DISKS, run, told.append) as machine:
            arm.expire()
            machine.capture(run.image_name, LABELS)
    assert caught.value.exit_code == 4
    assert [event.remove_hint.split(" --")[0] for event in told if isinstance(event, CleanupFailed)] == [
        "az group delete"
    ]
    arm.renew()


# --- capacity


def test_another_size_is_tried_where_there_is_no_capacity(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    arm.settings(shortages=[{"size": "Standard_D2s_v5", "later": True}])
    assert bake(arm, run, told).labels["size"] == "Standard_D4s_v5"
    balance(told)
    assert list(BUILDER.leftovers(None)) == []


def test_nothing_to_be_had_names_all_that_was_tried(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    arm.settings(shortages=[{}])
    with pytest.raises(LaunchError, match="no machine of the wanted size") as caught:
        bake(arm, run, told, spot="prefer")
    tried = [label for label, _ in caught.value.details if label.startswith("Standard_")]
    assert len(tried) == 4 == len(arm.calls(f"PUT {VM}"))
    assert list(BUILDER.leftovers(None)) == []


def test_spot_falls_back_to_the_full_price(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    arm.settings(shortages=[{"priority": "Spot"}])
    bake(arm, run, told, spot="prefer")
    asked = [it["body"]["properties"].get("priority") for it in arm.calls(f"PUT {VM}")]
    assert asked == ["Spot", "Spot", None]


@pytest.mark.parametrize("eviction", ["Delete", "Deallocate"])
def test_an_evicted_machine_is_said_to_be_one(arm: FakeAzure, run: RunInfo, told: list[Event], eviction: str) -> None:
    with pytest.raises(MachineDiedError, match="evicted"):  # noqa: SIM117
        with BUILDER.machine(spec_for(arm, spot="only", eviction=eviction), DISKS, run, told.append) as machine:
            arm.evict(machine.id.rsplit("/", 1)[-1])
            machine.capture(run.image_name, LABELS)
    assert list(BUILDER.leftovers(None)) == []


# --- what only the machine shows


def test_trusted_launch_with_a_managed_image_is_refused_before_anything_is_done(
    arm: FakeAzure, run: RunInfo, told: list[Event]
) -> None:
    with pytest.raises(LaunchError, match="Trusted Launch") as caught:
        bake(arm, run, told, **managed(security=None))
    hint = str(caught.value.hint)
    assert "generation 1" in hint
    assert 'security="Standard"' in hint
    assert "gallery" in hint
    assert list(BUILDER.leftovers(None)) == []


def test_a_version_that_exists_is_refused(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    bake(arm, run, told)
    assert preflight(arm, run) == ["the gallery has a version 1.0.0 of reef already"]
    with pytest.raises(CaptureError, match="exists already"):
        bake(arm, run, told)
    assert len(BUILDER.images(None)) == 1


def test_a_definition_for_others_is_refused(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    bake(arm, run, told)
    older = {
        "source": "Canonical:ubuntu-24_04-lts:server-gen1:latest",
        "gallery": Gallery(group="images", name="reefs"),
    }
    assert [it for it in preflight(arm, run, **older) if "generation" in it]
    with pytest.raises(LaunchError, match="generation"):
        bake(arm, run, told, **older)


# --- what is asked before anything is made


def preflight(arm: FakeAzure, run: RunInfo, **changes: Any) -> list[str]:
    plan = plan_of(spec_for(arm, **changes), disks=DISKS)
    return [problem.summary for problem in BUILDER.preflight(plan, until=run.expires)]


def said(arm: FakeAzure, run: RunInfo, changes: dict[str, Any]) -> list[str]:
    """What a preflight finds, or what stops it."""
    try:
        return preflight(arm, run, **changes)
    except BakeError as error:
        return [f"{error.summary} {error.hint}"]


def test_a_sound_plan_has_no_problems_and_makes_nothing(arm: FakeAzure, run: RunInfo) -> None:
    before = arm.account()
    assert preflight(arm, run) == []
    assert preflight(arm, run, **WAYS["both, in a group of the user"]) == []
    assert arm.account() == before


SUBSCRIPTION = "00000000-1111-2222-3333-444444444444"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sizes": ("Standard_D2s_v9",)}, "Standard_D2s_v9 is no size there"),
        ({"location": "westeurop"}, "there is no location 'westeurop'"),
        ({"location": "northeurope"}, "is in westeurope, and the machine would be in northeurope"),
        ({"source": "Canonical:ubuntu-24_04-lts:severe:latest"}, "there is no source image Canonical:"),
        (managed(image_group="nowhere"), "there is no group nowhere for the image"),
        ({"gallery": Gallery(group="images", name="coasts")}, "there is no gallery coasts for the image"),
        ({"resource_group": "nowhere"}, "there is no resource group nowhere"),
        ({"subscription": SUBSCRIPTION}, "there is no such subscription"),
    ],
)
def test_what_cannot_be_had_is_found_before(arm: FakeAzure, run: RunInfo, changes: dict[str, Any], says: str) -> None:
    found = said(arm, run, changes)
    assert any(says in summary for summary in found), found
    made = ("PUT ", "POST ", "DELETE ")
    assert not [it for it in arm.calls() if it["call"].startswith(made) and "galleries" not in it["call"]]


def test_quota(arm: FakeAzure, run: RunInfo) -> None:
    arm.settings(quotas={"cores": 1, "lowPriorityCores": 1})
    assert any("quota of processors" in it for it in preflight(arm, run))
    assert any("lowprioritycores" in it for it in preflight(arm, run, spot="only"))


def test_a_provider_that_is_not_registered(arm: FakeAzure, run: RunInfo) -> None:
    arm.settings(registered=["Microsoft.Compute", "Microsoft.Network"])
    assert any("Microsoft.DevTestLab is not registered" in it for it in preflight(arm, run))


def test_missing_rights_are_found_before(arm: FakeAzure, run: RunInfo) -> None:
    arm.permit(["*/read", "Microsoft.Compute/*", "Microsoft.Network/*"])
    (problem,) = preflight(arm, run, **managed(resource_group="mine"))[:1]
    assert "Microsoft.DevTestLab/schedules/write" in problem


def test_no_credentials(arm: FakeAzure, run: RunInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuilderError, match="no Azure credentials") as caught:
        preflight(arm, run)
    assert "az login" in str(caught.value.hint)


def test_the_wrong_tenant(arm: FakeAzure, run: RunInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000bad")
    with pytest.raises(BuilderError, match="no Azure credentials are found, or Azure does not accept them") as caught:
        preflight(arm, run)
    assert caught.value.details


def test_nobody_answers(arm: FakeAzure, run: RunInfo) -> None:
    plan = plan_of(spec_for(arm, cloud="https://127.0.0.1:1"))
    with pytest.raises(ReachError, match="cannot be reached"):
        AzureBuilder(clock=ImpatientClock()).preflight(plan, until=run.expires)


# --- what dead runs left


def test_leftovers_of_a_group_are_one_and_of_a_users_group_each(
    arm: FakeAzure, run: RunInfo, told: list[Event]
) -> None:
    arm.look_alikes()
    before = arm.account()
    with ExitStack() as never_left_in_time:
        for group in (None, "mine"):
            machine = BUILDER.machine(spec_for(arm, resource_group=group), DISKS, run, told.append)
            never_left_in_time.enter_context(machine)
        found = list(BUILDER.leftovers(None))
        assert [it.kind for it in found] == [
            "resource group", "shutdown schedule", "machine", "network interface", "public address", "security group",
            "network",
        ]  # fmt: skip
        assert {it.run_id for it in found} == {RUN_ID}
        assert all(it.remove_hint.startswith("az ") and it.created and it.location for it in found)
        assert {it.id for it in BUILDER.leftovers("all")} == {it.id for it in found}
        for leftover in found:
            BUILDER.destroy(leftover)
            BUILDER.destroy(leftover)
        arm.assert_clean(before)


def test_what_is_not_of_that_run_is_never_removed(arm: FakeAzure, run: RunInfo, told: list[Event]) -> None:
    with BUILDER.machine(spec_for(arm, resource_group="mine"), (), run, told.append):
        left = list(BUILDER.leftovers(None))
        for leftover in left:
            with pytest.raises(BuilderError, match="is left alone"):
                BUILDER.destroy(replace(leftover, run_id="20260102t030405-zzzz"))
        other = replace(left[0], kind="resource group", id=arm.group("bake-20260102t030405-zzzz"), run_id=RUN_ID)
        with pytest.raises(BuilderError, match="is left alone"):
            BUILDER.destroy(other)
        for leftover in left:
            BUILDER.destroy(leftover)


# --- with a machine behind it


@pytest.fixture
def arm_with_machines(azure_with_machines: FakeAzure, as_caller: Callable[[FakeAzure], None]) -> FakeAzure:
    as_caller(azure_with_machines)
    return prepare(azure_with_machines)


@pytest.mark.sandbox
@pytest.mark.xdist_group("azure-machines")
def test_what_was_done_on_the_machine_is_in_the_image_and_the_account_is_not(
    arm_with_machines: FakeAzure, run: RunInfo, make_remote: Callable[..., Any], told: list[Event]
) -> None:
    spec, before = spec_for(arm_with_machines), arm_with_machines.account()
    with BUILDER.machine(spec, DISKS, run, told.append) as machine:
        remote = make_remote(machine)
        remote.run("echo the catch of the day >/srv/catch", sudo=True)
        remote.run(f"test -b $(readlink -f {machine.disks['data']})", sudo=True)
        machine.finalize(remote)
        image = machine.capture(run.image_name, LABELS)
        builders_key = machine.address.key
    assert arm_with_machines.not_deprovisioned() == []
    other = spec_for(arm_with_machines, login_user="ada")
    with BUILDER.launch_image(image, run, told.append, spec=other) as machine:
        remote = make_remote(machine)
        assert remote.run("cat /srv/catch").stdout == "the catch of the day\n"
        assert remote.run("getent passwd baker", check=False).exit_code
        assert machine.address.key != builders_key
    BUILDER.delete(image)
    arm_with_machines.assert_clean(before)
