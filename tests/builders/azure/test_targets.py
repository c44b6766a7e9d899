"""Whom an image in Azure can be shared with, and what is sent for it. Asks nobody."""

import pytest

from baker.builders.azure import replication, sharing, targets
from baker.recipe import Share

SOMEBODY = "12345678-1234-4234-8234-123456789abc"

GOLDEN: dict[str, tuple[object, object]] = {
    "subscription": (
        sharing.sharing_update(targets.Target("subscription", SOMEBODY)),
        {"operationType": "Add", "groups": [{"type": "Subscriptions", "ids": [SOMEBODY]}]},
    ),
    "tenant": (
        sharing.sharing_update(targets.Target("tenant", SOMEBODY)),
        {"operationType": "Add", "groups": [{"type": "AADTenants", "ids": [SOMEBODY]}]},
    ),
    "everybody": (sharing.enable_community(), {"operationType": "EnableCommunity"}),
    "principal": (
        sharing.role_assignment("s", SOMEBODY),
        {
            "properties": {
                "roleDefinitionId": "/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/"
                "acdd72a7-3385-48ef-bd42-f606fba81ae7",
                "principalId": SOMEBODY,
            }
        },
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_bodies_are_what_was_approved(name: str) -> None:
    made, approved = GOLDEN[name]
    assert made == approved


def test_an_assignment_has_one_name_however_azure_spells_the_image() -> None:
    one = sharing.assignment_id("/subscriptions/s/resourceGroups/G/x", SOMEBODY)
    other = sharing.assignment_id("/subscriptions/s/resourcegroups/g/X", SOMEBODY.upper())
    assert one.rpartition("/")[2] == other.rpartition("/")[2]


@pytest.mark.parametrize("target", [SOMEBODY, "subscription:x", "principal:", "group:" + SOMEBODY, "123456789012", ""])
def test_what_is_no_target_is_refused_with_what_was_perhaps_meant(target: str) -> None:
    (problem,) = targets.share_problems(Share(targets=(target,)))
    assert problem.exit_code == 2
    assert "subscription:GUID" in (problem.hint or "")


def test_targets_and_regions_that_can_be_meant() -> None:
    wanted = tuple(f"{kind}:{SOMEBODY.upper()}" for kind in ("subscription", "Tenant", "principal", "definition"))
    assert not list(targets.share_problems(Share(targets=wanted, regions=("westeurope", "eastus2"))))
    assert [problem.summary for problem in targets.share_problems(Share(regions=("West Europe",)))]


def test_a_managed_image_is_refused_what_only_a_gallery_can() -> None:
    share = Share(targets=(f"tenant:{SOMEBODY}", f"principal:{SOMEBODY}"), regions=("eastus",), public=True)
    assert len(list(targets.managed_image_problems(share))) == 3


PROFILE = {
    "targetRegions": [{"name": "West Europe", "regionalReplicaCount": 2}],
    "publishedDate": "2026-01-02T03:04:05Z",
    "excludeFromLatest": True,
}


def test_regions_are_added_and_taken_out_and_the_others_stay_as_they_are() -> None:
    more = replication.with_regions(PROFILE, ["eastus"])
    assert more == {
        "targetRegions": [*PROFILE["targetRegions"], {"name": "eastus", "regionalReplicaCount": 1}],  # type: ignore[misc]
        "excludeFromLatest": True,
    }
    assert replication.without_regions(more, ["East US"])["targetRegions"] == PROFILE["targetRegions"]
