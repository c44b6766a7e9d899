"""Which images of a recipe go when a newer one has been verified: only what the recipe's `keep` says is too many."""

from collections.abc import Iterable
from typing import Any

from baker.artifact import Artifact
from baker.errors import BakeError
from baker.events import Emit, Notice
from baker.ports import Builder


def superseded(images: Iterable[Artifact], newest: Artifact, keep: int | None) -> tuple[Artifact, ...]:
    """The verified images of the recipe of `newest`, beyond the `keep` newest ones, oldest first; None keeps all.

    An image that is not verified is never among them, nor one that was changed: somebody may want to know why, or have
    wanted it so. Nor is `newest` itself.
    """
    if keep is None:
        return ()
    of_recipe = [image for image in images if image.recipe == newest.recipe and image.location == newest.location]
    verified = sorted((it for it in of_recipe if it.verified and "changed" not in it.labels), key=lambda it: it.age)
    return tuple(image for image in verified[: max(0, len(verified) - keep)] if image.id != newest.id)


def retire(builder: Builder[Any], newest: Artifact, keep: int | None, emit: Emit) -> None:
    """Remove what is superseded, and say so. What cannot be removed is no failure of the bake: a warning."""
    if keep is None:
        return
    try:
        images = superseded(builder.images(newest.location), newest, keep)
    except BakeError as error:
        emit(Notice(level="warning", text=f"older images were not looked for: {error.summary}"))
        return
    for image in images:
        try:
            builder.delete(image)
        except BakeError as error:
            emit(Notice(level="warning", text=f"the older image {image.name} could not be removed: {error.summary}"))
        else:
            emit(Notice(level="info", text=f"removed the older image {image.name} (keep={keep})"))
