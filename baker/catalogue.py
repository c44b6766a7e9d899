"""The images that exist, over one builder or all of them: listed, and found by what a person calls one.

Reads; changes nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from baker.artifact import Artifact
from baker.errors import NOT_USED_HERE, BakeError, BuilderError, UsageError
from baker.ports import Builder


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """`images` oldest first; `unreadable` holds, for each builder that could not answer, why."""

    images: tuple[Artifact, ...]
    unreadable: tuple[tuple[str, BakeError], ...] = ()

    def is_newest(self, image: Artifact) -> bool:
        """Whether it is the newest verified image of its recipe where it is: what the recipe's name means there."""
        shelf = [it for it in self.images if _place(it) == _place(image) and verified_state(it) == "yes"]
        return bool(shelf) and image.id == max(shelf, key=lambda it: it.age).id


def verified_state(image: Artifact) -> Literal["yes", "no", "changed"]:
    """Whether an image of a list is verified, or was until it was changed."""
    if not image.verified:
        return "no"
    return "changed" if "changed" in image.labels else "yes"


def read_catalogue(
    kinds: Iterable[str], find_builder: Callable[[str], Builder[Any]], location: str | None = None
) -> Catalogue:
    """Ask each builder for its images; what one found before it failed counts, and keeps no other from answering.

    `location` None is each builder's default one, "all" every one.
    """
    images: list[Artifact] = []
    unreadable: list[tuple[str, BakeError]] = []
    for kind in kinds:
        try:
            for image in find_builder(kind).images(location):
                images.append(image)  # what came before a refusal counts
        except BakeError as error:
            unreadable.append((kind, error))
    images.sort(key=lambda image: (image.created, image.name))
    return Catalogue(images=tuple(images), unreadable=tuple(unreadable))


def find_image(
    reference: str, kinds: Sequence[str], find_builder: Callable[[str], Builder[Any]]
) -> tuple[Builder[Any], Artifact]:
    """The image that a person means by `[builder:]name|id|path`, and its builder.

    Without a builder's name all `kinds` are asked; one that cannot answer keeps no other from it. BuilderError when
    there is none, UsageError when there are several.
    """
    kind, colon, rest = reference.partition(":")
    if colon and kind in kinds:
        builder = find_builder(kind)
        return builder, builder.resolve(rest)
    found: list[tuple[Builder[Any], Artifact]] = []
    errors: list[tuple[str, BakeError]] = []
    for each in kinds:
        try:
            builder = find_builder(each)
            found.append((builder, builder.resolve(reference)))
        except BakeError as error:
            errors.append((each, error))
    if len(found) == 1:
        return found[0]
    if found:
        names = [builder.kind for builder, _ in found]
        raise UsageError(f"{' and '.join(names)} both have {reference!r}", hint=f"say which: {names[0]}:{reference}")
    if len(errors) == 1:
        raise errors[0][1]
    raise BuilderError(
        f"no image {reference!r}",
        details=[(each, error.summary) for each, error in errors],
        hint=next((error.hint for _, error in sorted(errors, key=_is_unused) if error.hint), None),
    )


def _is_unused(said: tuple[str, BakeError]) -> bool:
    return isinstance(said[1], NOT_USED_HERE)


def _place(image: Artifact) -> tuple[str, str, str]:
    return (image.builder, image.location, image.recipe)
