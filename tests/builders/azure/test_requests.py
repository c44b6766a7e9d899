"""What Azure is asked, against golden files: a change in what is sent shows as a diff.

`BAKER_APPROVE=1 pytest tests/builders/azure/test_requests.py` rewrites them; look at the diff.
"""

import difflib
import json
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from baker.builders.azure import ids, requests
from baker.builders.azure.ids import Group
from baker.builders.azure.requests import Definition, Placement, SourceImage
from baker.builders.azure.spec import Azure, Gallery, Region
from baker.builders.azure.tags import label_tags, tags_of_run
from baker.ports import RunInfo
from baker.recipe import Disk

GOLDEN = Path(__file__).parent / "golden"

SUBSCRIPTION = "00000000-1111-2222-3333-444444444444"
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
RUN = RunInfo(
    run_id="20260102t030405-abcd",
    recipe="reef",
    fingerprint="f" * 64,
    image_name="reef-20260102t030405-ffffffff",
    owner="ada@lab",
    started=STARTED,
    expires=STARTED + 4.5 * 3600,
    run_dir=Path("/nowhere"),
)
NAME = f"bake-{RUN.run_id}"
GROUP = Group(subscription=SUBSCRIPTION, name=NAME)
IMAGES = Group(subscription=SUBSCRIPTION, name="images")
WHERE = "westeurope"
UBUNTU = SourceImage(
    reference={
        "publisher": "Canonical",
        "offer": "ubuntu-24_04-lts",
        "sku": "server",
        "version": "24.04.202601010",
    },
    name="Canonical:ubuntu-24_04-lts:server:24.04.202601010",
    generation="V2",
    architecture="x64",
    root_gib=30,
    features={"DiskControllerTypes": "SCSI, NVMe", "IsAcceleratedNetworkSupported": "True"},
)
SOLD = replace(UBUNTU, plan={"publisher": "sold", "product": "by", "name": "somebody"})
FULL = SourceImage(
    reference={"id": IMAGES.holds(ids.IMAGE, "other")}, name="other", generation="V1", architecture="x64", luns=(0, 2)
)
DATA = (Disk(name="data", size_gib=20), Disk(name="scratch", size_gib=100))
GALLERY = Gallery(group="images", name="reefs", regions=(Region(name="northeurope", replicas=2),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A bake of which all requests are approved."""

    spec: Azure = field(default_factory=lambda: Azure(gallery=GALLERY))
    disks: tuple[Disk, ...] = ()
    source: SourceImage = UBUNTU
    networks: tuple[str, ...] = ("192.0.2.7/32",)
    spot: bool = False
    trusted: bool = True


CASES = {
    "plain": Case(),
    "disks": Case(spec=Azure(gallery=GALLERY, root_gib=64, data_storage="Premium_LRS"), disks=DATA),
    "source-with-disks": Case(source=FULL, disks=DATA, trusted=False),
    "managed-image": Case(spec=Azure(image_group="images", security="Standard"), trusted=False),
    "trusted-launch": Case(spec=Azure(gallery=GALLERY, security="TrustedLaunch")),
    "shallow-version-that-ends": Case(
        spec=Azure(
            gallery=replace(
                GALLERY, shallow=True, version="1.2.3", definition="coast", replicas=3, storage="Premium_LRS"
            ),
            end_of_life_after_days=90,
        )
    ),
    "spot": Case(spec=Azure(gallery=GALLERY, spot="only", eviction="Deallocate"), spot=True),
    "private": Case(
        spec=Azure(
            gallery=GALLERY,
            address="private",
            admit="10.0.0.0/16",
            subnet=f"{IMAGES.holds(ids.NETWORK, 'lab')}/subnets/machines",
        ),
        networks=("10.0.0.0/16",),
    ),
    "the-whole-world": Case(networks=("0.0.0.0/0", "::/0")),
    "sold-in-the-marketplace": Case(source=SOLD),
    "tags-of-the-user": Case(spec=Azure(gallery=GALLERY, tags={"Cost Center": "ocean"})),
}


def asked(case: Case) -> dict[str, Any]:
    """Every body of a bake, by the type of what is asked for."""
    spec, tags = case.spec, tags_of_run(RUN, "bake", case.spec.tags)
    luns = requests.luns_for(case.disks, case.source)
    disks = (
        *requests.image_disks(NAME, case.source.luns, spec.data_storage),
        *requests.data_disks(NAME, case.disks, luns, spec.data_storage),
    )
    address = GROUP.holds(ids.ADDRESS, NAME) if spec.address == "public" else None
    subnet = spec.subnet or f"{GROUP.holds(ids.NETWORK, NAME)}/subnets/{requests.SUBNET_NAME}"
    machine = requests.Machine(
        name=NAME,
        source=case.source,
        disks=disks,
        login_user=spec.login_user,
        public_key="ssh-ed25519 AAAAnone",
        user_data="#cloud-config\n{}\n",
        interface=GROUP.holds(ids.INTERFACE, NAME),
        location=WHERE,
        tags=tags,
        security=spec.security,
    )
    id = GROUP.holds(ids.VM, NAME)
    definition = Definition(
        name=(spec.gallery and spec.gallery.definition) or "reef",
        recipe="reef",
        generation=case.source.generation,
        architecture=case.source.architecture,
        security="TrustedLaunch" if case.trusted else "Standard",
        features=case.source.features or {},
        plan=case.source.plan,
    )
    labels = tags | label_tags({"recipe": "reef", "verified": "no", "check-1": '{"check":"jupyter"}', "empty": ""})
    days = spec.end_of_life_after_days
    bodies = {
        ids.GROUP: requests.resource_group(WHERE, tags),
        ids.SECURITY_GROUP: requests.security_group(WHERE, case.networks, tags),
        ids.NETWORK: None if spec.subnet else requests.network(WHERE, tags),
        ids.ADDRESS: requests.public_address(WHERE, tags) if address else None,
        ids.INTERFACE: requests.interface(
            WHERE, tags, subnet=subnet, security_group=GROUP.holds(ids.SECURITY_GROUP, NAME), address=address
        ),
        ids.VM: requests.virtual_machine(spec, machine, Placement(size=spec.sizes[0], spot=case.spot)),
        ids.SCHEDULE: requests.shutdown_schedule(WHERE, id, RUN.expires, RUN.started, tags),
        ids.IMAGE: requests.managed_image(WHERE, id, case.source.generation, labels) if spec.image_group else None,
        ids.DEFINITION: requests.gallery_definition(WHERE, definition, tags) if spec.gallery else None,
        ids.VERSION: requests.gallery_version(
            WHERE, spec.gallery, id, labels, end_of_life=None if days is None else STARTED + days * 24 * 3600
        )
        if spec.gallery
        else None,
    }
    return {type: body for type, body in bodies.items() if body is not None}


@pytest.mark.parametrize("name", CASES)
def test_requests_are_those_that_were_approved(name: str) -> None:
    text = json.dumps(asked(CASES[name]), indent=2) + "\n"
    file = GOLDEN / f"{name}.json"
    if os.environ.get("BAKER_APPROVE"):
        file.write_text(text)
    approved = file.read_text()
    diff = difflib.unified_diff(approved.splitlines(), text.splitlines(), "approved", "now", lineterm="")
    assert text == approved, "\n".join(diff)


def test_no_golden_file_is_forgotten() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_nothing_can_outlive_the_machine_and_everything_says_whose_it_is(name: str) -> None:
    bodies = asked(CASES[name])
    for body in bodies.values():
        assert body["tags"]["bake:run"] == RUN.run_id
        assert body["tags"]["bake:expires"] == "2026-01-02T07:34:05Z"
    profile = bodies[ids.VM]["properties"]
    storage = profile["storageProfile"]
    disks = [storage["osDisk"], *storage["dataDisks"]]
    assert {disk["deleteOption"] for disk in disks} == {"Delete"}
    assert len({disk["name"] for disk in disks}) == len(disks)
    assert [it["properties"]["deleteOption"] for it in profile["networkProfile"]["networkInterfaces"]] == ["Delete"]
    assert "adminPassword" not in json.dumps(bodies)
    (configuration,) = bodies[ids.INTERFACE]["properties"]["ipConfigurations"]
    address = configuration["properties"].get("publicIPAddress")
    assert address is None or address["properties"]["deleteOption"] == "Delete"


def test_disks_of_the_recipe_take_the_numbers_that_the_source_leaves() -> None:
    assert requests.luns_for(DATA, FULL) == {"data": 1, "scratch": 3}
    assert requests.luns_for(DATA, UBUNTU) == {"data": 0, "scratch": 1}


@pytest.mark.parametrize(
    ("expires", "time"),
    [
        (datetime(2026, 1, 2, 7, 34, 0, tzinfo=UTC), "0734"),
        (datetime(2026, 1, 2, 7, 34, 1, tzinfo=UTC), "0735"),
        (datetime(2026, 1, 2, 23, 59, 1, tzinfo=UTC), "0000"),
        (datetime(2026, 1, 3, 3, 1, 0, tzinfo=UTC), "0301"),
        (datetime(2026, 1, 3, 3, 4, 0, tzinfo=UTC), None),  # the same minute of today would come first
        (datetime(2026, 1, 6, 12, 0, tzinfo=UTC), None),
    ],
)
def test_the_schedule_never_ends_a_machine_before_its_time(expires: datetime, time: str | None) -> None:
    schedule = requests.shutdown_schedule(WHERE, "id", expires.timestamp(), STARTED, {})
    assert (schedule and schedule["properties"]["dailyRecurrence"]["time"]) == time
