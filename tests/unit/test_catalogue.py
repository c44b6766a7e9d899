"""The images of all builders, as one list."""

from collections.abc import Iterable
from typing import Any

from baker.artifact import Artifact
from baker.catalogue import read_catalogue
from baker.errors import BuilderUnavailableError
from baker.ports import Builder


class Shelf:
    """A builder that only has images."""

    def __init__(self, *images: Artifact) -> None:
        self._images = images

    def images(self, location: str | None) -> Iterable[Artifact]:
        assert location is None
        return self._images


def _image(name: str, created: str) -> Artifact:
    return Artifact(builder="x", id=f"/{name}", location="here", name=name, fingerprint="f", created=created)


OLD, NEW, NEWEST = _image("old", "2025-01-01"), _image("new", "2026-01-01"), _image("newest", "2026-02-01")
SHELVES: dict[str, Any] = {"one": Shelf(OLD, NEWEST), "two": Shelf(NEW)}


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
