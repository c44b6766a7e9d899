"""Which images go when a newer one has been verified: never more than the recipe says, never one that may be wanted."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baker.artifact import Artifact
from baker.errors import BuilderError
from baker.events import Event, Notice
from baker.retention import retire, superseded


def image(day: int, *, verified: bool = True, changed: bool = False, recipe: str = "reef", at: str = "x") -> Artifact:
    labels = {"recipe": recipe, "verified": "abc" if verified else "no"} | ({"changed": "yes"} if changed else {})
    name = f"{recipe}-{day}-{at}"
    return Artifact(
        builder="x", id=f"/{name}", location=at, name=name, fingerprint="f", created=f"2026-01-{day:02}", labels=labels
    )


def test_the_oldest_go_until_as_many_are_left_as_the_recipe_says() -> None:
    images = [image(day) for day in (4, 2, 1, 3)]
    assert [it.created[-2:] for it in superseded(images, images[0], 2)] == ["01", "02"]
    assert superseded(images, images[0], 4) == ()
    assert superseded(images, images[0], None) == ()


def test_only_verified_images_of_the_recipe_in_the_same_place_are_counted_and_go() -> None:
    newest = image(9)
    others = [
        image(1, verified=False), image(2, changed=True), image(3, recipe="waves"), image(4, at="elsewhere"),
    ]  # fmt: skip
    assert superseded([*others, newest], newest, 1) == ()


def test_the_new_one_stays_even_when_it_is_not_the_newest() -> None:
    old, new = image(1), image(2)
    assert superseded([old, new], old, 1) == ()


@given(st.lists(st.integers(1, 28), unique=True, min_size=1), st.integers(1, 10))
def test_as_many_as_the_recipe_says_stay_and_they_are_the_newest(days: list[int], keep: int) -> None:
    images = [image(day) for day in days]
    newest = max(images, key=lambda it: it.age)
    gone = superseded(images, newest, keep)
    stay = [it for it in images if it not in gone]
    assert len(stay) == min(keep, len(images))
    assert newest in stay
    assert all(it.age > lost.age for it in stay for lost in gone)


class Shelf:
    """A builder that only has images, and may refuse to remove some."""

    def __init__(self, *images: Artifact, refused: Iterable[Artifact] = (), unreadable: bool = False) -> None:
        self.left = list(images)
        self._refused = tuple(refused)
        self._unreadable = unreadable

    def images(self, location: str | None) -> tuple[Artifact, ...]:
        if self._unreadable:
            raise BuilderError("no access")
        return tuple(self.left)

    def delete(self, artifact: Artifact) -> None:
        if artifact in self._refused:
            raise BuilderError("in use")
        self.left.remove(artifact)


def retired(shelf: Any, newest: Artifact, keep: int | None) -> list[Event]:
    events: list[Event] = []
    retire(shelf, newest, keep, events.append)
    return events


def test_what_goes_is_said() -> None:
    shelf = Shelf(image(1), image(2), image(3))
    events = retired(shelf, image(3), 2)
    assert shelf.left == [image(2), image(3)]
    assert events == [Notice(level="info", text="removed the older image reef-1-x (keep=2)")]


def test_one_that_cannot_be_removed_is_a_warning_and_keeps_no_other() -> None:
    shelf = Shelf(image(1), image(2), image(3), refused=[image(1)])
    events = retired(shelf, image(3), 1)
    assert shelf.left == [image(1), image(3)]
    assert [(event.level, "in use" in event.text) for event in events if isinstance(event, Notice)] == [
        ("warning", True),
        ("info", False),
    ]


@pytest.mark.parametrize("keep", [None, 1])
def test_a_builder_that_cannot_be_asked_is_a_warning_and_only_when_it_is_asked(keep: int | None) -> None:
    events = retired(Shelf(unreadable=True), image(1), keep)
    assert len(events) == (0 if keep is None else 1)
