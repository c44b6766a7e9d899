"""Sharing and copying at the fake, by the real SDK: each target for itself, twice as once, nothing half-made."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from baker.artifact import Artifact, ShareResult
from baker.builders.azure import ids, images, sharing
from baker.builders.azure.calls import Cloud
from baker.builders.azure.waiting import finish
from baker.clock import SystemClock
from baker.recipe import Share
from tests.builders.azure.fake.client import FakeAzure

SOMEBODY = "12345678-1234-4234-8234-123456789abc"
OTHER = "22345678-1234-4234-8234-123456789abc"
NOBODY = "00000000-0000-4000-8000-000000000bad"

SHARE, ASSIGN = "POST Microsoft.Compute/galleries/share", "PUT Microsoft.Authorization/roleAssignments"
UPDATE = "PATCH Microsoft.Compute/galleries/images/versions"


class QuickClock(SystemClock):
    """Waits a hundredth as long as it is told to."""

    def sleep(self, seconds: float) -> None:
        super().sleep(min(seconds / 100, 0.05))


CLOCK = QuickClock()


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A subscription with images to share."""

    fake: FakeAzure
    cloud: Cloud
    version: Artifact
    managed: Artifact

    def share(self, *who: str, image: Artifact | None = None, **more: Any) -> dict[str, ShareResult]:
        results = sharing.share_image(
            image or self.version, Share(targets=who, **more), self.cloud, clock=CLOCK, emit=lambda event: None
        )
        return {result.target: result for result in results}

    @property
    def gallery(self) -> str:
        return ids.parent(ids.parent(self.version.id))

    def regions(self) -> list[str]:
        profile = self.cloud.get(self.version.id)["properties"]["publishingProfile"]
        return [str(region["name"]).replace(" ", "").lower() for region in profile["targetRegions"]]

    def groups(self) -> Any:
        found = self.cloud.get(self.gallery, **{"$expand": "SharingProfile/Groups"})
        return found["properties"]["sharingProfile"].get("groups")


@pytest.fixture
def make_shelf(azure: FakeAzure, as_caller: Callable[[FakeAzure], None]) -> Callable[..., Shelf]:
    def make(permissions: str = "Groups") -> Shelf:
        as_caller(azure)
        azure.group("images")
        cloud = Cloud(None, None, CLOCK)
        group = cloud.group("images")
        disk, image = group.holds(ids.DISK, "system"), group.holds(ids.IMAGE, "reef")
        definition = group.definition("reefs", "reef")
        version = group.version("reefs", "reef", "1.0.0")
        profile = {"targetRegions": [{"name": "West Europe", "regionalReplicaCount": 2}], "excludeFromLatest": True}
        for id, properties in (
            (disk, {"creationData": {"createOption": "Empty"}, "diskSizeGB": 8}),
            (group.holds(ids.GALLERY, "reefs"), {"sharingProfile": {"permissions": permissions}}),
            (definition, {"osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2",
                          "identifier": {"publisher": "p", "offer": "o", "sku": "s"}}),
            (version, {"publishingProfile": profile, "storageProfile": {"osDiskImage": {"source": {"id": disk}}}}),
            (image, {"hyperVGeneration": "V2", "storageProfile": {"osDisk": {
                "osType": "Linux", "osState": "Generalized", "managedDisk": {"id": disk}}}}),
        ):  # fmt: skip
            body: Mapping[str, Any] = {"location": "westeurope", "properties": properties}
            finish(cloud, cloud.put(id, body), timeout=60, clock=CLOCK)
        return Shelf(
            fake=azure,
            cloud=cloud,
            version=images.artifact_of(cloud.get(version)),
            managed=images.artifact_of(cloud.get(image)),
        )

    return make


@pytest.fixture
def shelf(make_shelf: Callable[..., Shelf]) -> Shelf:
    return make_shelf()


def test_a_gallery_is_shared_with_subscriptions_and_tenants(shelf: Shelf) -> None:
    results = shelf.share(f"subscription:{SOMEBODY}", f"tenant:{OTHER}")
    assert [result.ok for result in results.values()] == [True, True], results
    assert "all of gallery reefs" in results[f"subscription:{SOMEBODY}"].message
    assert shelf.groups() == [
        {"type": "Subscriptions", "ids": [SOMEBODY]}, {"type": "AADTenants", "ids": [OTHER]},
    ]  # fmt: skip


def test_sharing_twice_asks_once(shelf: Shelf) -> None:
    who = (f"subscription:{SOMEBODY}", f"principal:{SOMEBODY}")
    shelf.share(*who)
    assert all(result.ok for result in shelf.share(*who).values())
    assert len(shelf.fake.calls(SHARE)) == 1
    assert len({it["id"] for it in shelf.fake.calls(ASSIGN)}) == 1


def test_a_principal_may_read_the_image_or_its_definition(shelf: Shelf) -> None:
    results = shelf.share(f"principal:{SOMEBODY}", f"definition:{OTHER}")
    assert [result.ok for result in results.values()] == [True, True], results
    assert results[f"principal:{SOMEBODY}"].message == f"may read {shelf.version.id}"
    assert results[f"definition:{OTHER}"].message == f"may read {ids.parent(shelf.version.id)}"


def test_one_that_fails_loses_no_other(shelf: Shelf) -> None:
    results = shelf.share(f"principal:{NOBODY}", f"subscription:{SOMEBODY}")
    assert not results[f"principal:{NOBODY}"].ok
    assert "PrincipalNotFound" in results[f"principal:{NOBODY}"].message
    assert results[f"subscription:{SOMEBODY}"].ok


def test_an_assignment_by_another_name_is_as_good(shelf: Shelf) -> None:
    body = sharing.role_assignment(shelf.cloud.subscription, SOMEBODY)
    other = f"{shelf.version.id}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    put = lambda sdk: sdk.begin(  # noqa: E731
        sdk.resources.resources.begin_create_or_update_by_id, other.lstrip("/"), body, api_version="2022-04-01"
    )
    shelf.cloud.ask("assign", put)
    assert shelf.share(f"principal:{SOMEBODY}")[f"principal:{SOMEBODY}"].ok


@pytest.mark.parametrize(
    ("call", "target"),
    [(SHARE, f"subscription:{SOMEBODY}"), (ASSIGN, f"principal:{SOMEBODY}"), (UPDATE, "northeurope")],
)
@pytest.mark.parametrize("lost", ["request", "reply"])
def test_a_lost_connection_shares_once(shelf: Shelf, call: str, target: str, lost: str) -> None:
    shelf.fake.fault(call, lose=lost)
    region = target == "northeurope"
    results = shelf.share(regions=(target,)) if region else shelf.share(target)
    assert results[target].ok, results
    assert shelf.regions() == ["westeurope", *([target] if region else [])]


@pytest.mark.parametrize(
    ("call", "target"), [(SHARE, f"tenant:{SOMEBODY}"), (ASSIGN, f"definition:{SOMEBODY}"), (UPDATE, "eastus")]
)
def test_what_is_forbidden_is_told_with_azure_s_words(shelf: Shelf, call: str, target: str) -> None:
    shelf.fake.fault(call, error="AuthorizationFailed", status=403, message="does not have authorization")
    result = (shelf.share(regions=(target,)) if target == "eastus" else shelf.share(target))[target]
    assert not result.ok
    assert "AuthorizationFailed: does not have authorization" in result.message


def test_a_sharing_that_fails_later_is_no_success(shelf: Shelf) -> None:
    shelf.fake.fault(SHARE, later="SharingUpdateFailed")
    result = shelf.share(f"subscription:{SOMEBODY}")[f"subscription:{SOMEBODY}"]
    assert not result.ok
    assert "SharingUpdateFailed" in result.message


def test_a_private_gallery_is_left_as_it_is(make_shelf: Callable[..., Shelf]) -> None:
    shelf = make_shelf("Private")
    results = shelf.share(f"subscription:{SOMEBODY}", f"principal:{SOMEBODY}", public=True)
    assert "is Private, and would have to be Groups" in results[f"subscription:{SOMEBODY}"].message
    assert "would have to be Community" in results[sharing.EVERYBODY].message
    assert results[f"principal:{SOMEBODY}"].ok
    assert not shelf.fake.calls(SHARE)


def test_a_gallery_of_the_community_is_shared_with_everybody_once(make_shelf: Callable[..., Shelf]) -> None:
    shelf = make_shelf("Community")
    for _ in range(2):
        result = shelf.share(public=True)[sharing.EVERYBODY]
        assert result.ok, result
        assert "everybody may read all of gallery reefs, as reefs-" in result.message
    assert [call["body"] for call in shelf.fake.calls(SHARE)] == [{"operationType": "EnableCommunity"}]
    assert not shelf.share(f"tenant:{SOMEBODY}")[f"tenant:{SOMEBODY}"].ok


def test_copies_are_made_together_and_those_that_are_there_are_left(shelf: Shelf) -> None:
    results = shelf.share(regions=("northeurope", "westeurope", "eastus", "northeurope"))
    assert {name: (it.ok, it.message) for name, it in results.items()} == {
        "northeurope": (True, "replicated to northeurope"),
        "westeurope": (True, "was there already"),
        "eastus": (True, "replicated to eastus"),
    }
    assert shelf.regions() == ["westeurope", "northeurope", "eastus"]
    assert len(shelf.fake.calls(UPDATE)) == 1
    profile = shelf.cloud.get(shelf.version.id)["properties"]["publishingProfile"]
    assert profile["excludeFromLatest"]
    assert profile["targetRegions"][0]["regionalReplicaCount"] == 2


def test_a_region_that_azure_does_not_know_costs_the_others_nothing(shelf: Shelf) -> None:
    results = shelf.share(regions=("northeurope", "mars"))
    assert results["northeurope"].ok
    assert not results["mars"].ok
    assert "mars" in results["mars"].message
    assert shelf.regions() == ["westeurope", "northeurope"]


def test_a_replication_that_fails_is_taken_out_again(shelf: Shelf) -> None:
    shelf.fake.fault(UPDATE, later="ReplicationFailed")
    result = shelf.share(regions=("northeurope",))["northeurope"]
    assert not result.ok
    assert "ReplicationFailed" in result.message
    assert shelf.regions() == ["westeurope"]


def test_a_managed_image_serves_one_principal_at_a_time_and_no_region(shelf: Shelf) -> None:
    results = shelf.share(
        f"principal:{SOMEBODY}",
        f"tenant:{SOMEBODY}",
        f"definition:{SOMEBODY}",
        image=shelf.managed,
        regions=("eastus",),
    )
    assert [result.ok for result in results.values()] == [True, False, False, False], results
    assert all("managed image" in result.message for result in results.values() if not result.ok)
