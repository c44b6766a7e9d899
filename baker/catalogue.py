"""The images that exist, over one builder or all of them. Reads; changes nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from baker.artifact import Artifact
from baker.errors import BakeError
from baker.ports import Builder


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """`images` oldest first; `unreadable` holds, for each builder that could not answer, why."""

    images: tuple[Artifact, ...]
    unreadable: tuple[tuple[str, BakeError], ...] = ()


def read_catalogue(kinds: Iterable[str], find_builder: Callable[[str], Builder[Any]]) -> Catalogue:
    """Ask each builder for its images; one that fails does not keep the others from answering."""
    images: list[Artifact] = []
    unreadable: list[tuple[str, BakeError]] = []
    for kind in kinds:
        try:
            images += find_builder(kind).images(None)
        except BakeError as error:
            unreadable.append((kind, error))
    images.sort(key=lambda image: (image.created, image.name))
    return Catalogue(images=tuple(images), unreadable=tuple(unreadable))
