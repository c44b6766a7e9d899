"""The roles that are shipped, as files. What they are good for is seen in `test_roles`."""

import json
from pathlib import Path
from typing import Any

import pytest

import baker.builders.azure
from baker.builders.azure.preflight import ON_GALLERY_GROUP, ON_IMAGE_GROUP, ON_MACHINE_GROUP, ON_SUBSCRIPTION

FOLDER = Path(baker.builders.azure.__file__).parent / "roles"
NAMES = ("bake", "bake-in-group", "look", "share", "sweep")
README = (Path(__file__).parents[3] / "README.md").read_text()


def role(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text()))


def test_there_are_no_others() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_role_as_azure_takes_it(name: str) -> None:
    document = role(name)
    assert set(document) == {
        "Name", "IsCustom", "Description", "Actions", "NotActions", "DataActions", "NotDataActions", "AssignableScopes",
    }  # fmt: skip
    assert document["Actions"] == sorted(set(document["Actions"]))
    assert document["AssignableScopes"] == ["/subscriptions/SUBSCRIPTION"]
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", NAMES)
def test_none_has_a_pattern(name: str) -> None:
    assert not [action for action in role(name)["Actions"] if "*" in action]


def test_what_preflight_asks_for_is_in_them() -> None:
    on_images = {*ON_IMAGE_GROUP, *ON_GALLERY_GROUP}
    assert {*ON_SUBSCRIPTION, *ON_MACHINE_GROUP, *on_images} <= set(role("bake")["Actions"])
    assert {*ON_MACHINE_GROUP, *on_images} <= set(role("bake-in-group")["Actions"])


def test_a_sweep_makes_and_changes_nothing() -> None:
    assert {action.rpartition("/")[2] for action in role("sweep")["Actions"]} == {"read", "delete"}
