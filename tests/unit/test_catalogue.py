"""The images of all builders, as one list."""

from collections.abc import Iterable
from typing import Any

import pytest

from baker.artifact import Artifact
from baker.catalogue import Catalogue, find_image, read_catalogue, verified_state
from baker.errors import BuilderError, BuilderUnavailableError, UsageError
from baker.ports import Builder


class Shelf:
    """A builder that only has images."""

    def __init__(self, *images: Artifact) -> None:
        self._images = images

    def images(self, location: str | None) -> Iterable[Artifact]:
        assert location is None
        return self._images

    def resolve(self, reference: str) -> Artifact:
        for image in self._images:
            if reference in (image.name, image.id):
                return image
        raise BuilderError(f"no image {reference!r} here", hint="did you mean another?")


def _image(name: str, created: str, **labels: str) -> Artifact:
    return Artifact(
        builder="x", id=f"/{name}", location="here", name=name, fingerprint="f", created=created, labels=labels
    )


OLD, NEW, NEWEST = _image("old", "2025-01-01"), _image("new", "2026-01-01"), _image("newest", "2026-02-01")
SHELVES: dict[str, Any] = {"one": Shelf(OLD, NEWEST), "two": Shelf(NEW), "three": Shelf(NEW)}
for _kind, _shelf in SHELVES.items():
    _shelf.kind = _kind


def _find(kind: str) -> Builder[Any]:
    if kind not in SHELVES:
        raise BuilderUnavailableError(f"no {kind}")
    found: Builder[Any] = SHELVES[kind]
    return found


def test_images_of_all_builders_the_newest_last() -> None:
    assert read_catalogue(("one", "two"), _find).images == (OLD, NEW, NEWEST)


def test_a_builder_that_cannot_answer_keeps_no_other_from_it() -> None:
    catalogue = read_catalogue(("gone", "two"), _find)
    assert catalogue.images == (NEW,)
    assert [(kind, error.summary) for kind, error in catalogue.unreadable] == [("gone", "no gone")]


def test_an_image_is_found_with_its_builder_wherever_it_is() -> None:
    builder, image = find_image("newest", ("gone", "one", "two"), _find)
    assert (builder.kind, image) == ("one", NEWEST)


def test_a_builder_that_is_named_is_the_only_one_asked() -> None:
    assert find_image("two:new", ("gone", "one", "two"), _find)[1] == NEW
    with pytest.raises(BuilderError, match="no image 'new' here"):
        find_image("one:new", ("one", "two"), _find)


def test_a_colon_that_ends_no_builder_s_name_is_part_of_the_image_s() -> None:
    with pytest.raises(BuilderError, match="no image 'oen:new' here"):
        find_image("oen:new", ("one",), _find)


def test_an_image_of_two_builders_has_to_be_told_apart() -> None:
    with pytest.raises(UsageError, match="two and three both have 'new'") as caught:
        find_image("new", ("one", "two", "three"), _find)
    assert caught.value.hint == "say which: two:new"


def test_an_image_of_none_is_answered_with_what_each_said() -> None:
    with pytest.raises(BuilderError, match="no image 'reef'") as caught:
        find_image("reef", ("one", "gone"), _find)
    assert caught.value.details == (("one", "no image 'reef' here"), ("gone", "no gone"))
    assert caught.value.hint == "did you mean another?"


def test_the_newest_of_a_recipe_is_the_newest_that_is_still_what_was_verified() -> None:
    reef = [
        _image("a", "2026-01-01", recipe="reef", verified="abc"),
        _image("b", "2026-01-02", recipe="reef", verified="abc"),
        _image("c", "2026-01-03", recipe="reef", verified="abc", changed="yes"),
        _image("d", "2026-01-04", recipe="reef", verified="no"),
    ]
    waves = _image("e", "2025-01-01", recipe="waves", verified="abc")
    catalogue = Catalogue(images=(waves, *reef))
    assert [image.name for image in catalogue.images if catalogue.is_newest(image)] == ["e", "b"]
    assert [verified_state(image) for image in reef] == ["yes", "yes", "changed", "no"]
