"""The finished images of a BAKER_HOME as a collection: found by a name, labelled, pointed to, removed.

`<recipe>` in the folder of the images is a link to the newest verified image of that recipe. Links are moved and
images removed under a lock on the folder, so that two bakes that end at once leave the newer one's link.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from baker.artifact import Artifact
from baker.builders.qemu import naming
from baker.builders.qemu.errors import explaining
from baker.builders.qemu.image import (
    MANIFEST_FILE,
    artifact_of,
    digest_of,
    flush,
    read_image,
    write_description,
    write_text,
)
from baker.errors import BuilderError
from baker.ports import Problem
from baker.suggestion import did_you_mean


def resolve(reference: str, images: Path) -> Artifact:
    """The image called so, or that a recipe's link of this name leads to; with a slash in it, the one in that folder.

    BuilderError when there is none.
    """
    named = Path(reference).absolute() if "/" in reference else images / reference
    if not os.path.lexists(named):
        known = [] if "/" in reference else [entry.name for entry in images.iterdir() if entry.name[0] != "."]
        raise BuilderError(
            f"no image {reference!r} " + (f"in {images}" if named.parent == images else "is there"),
            hint=did_you_mean(reference, known) or "`bake images` lists those there are",
        )
    if named.is_symlink() and not named.exists():
        raise BuilderError(
            f"{reference} leads to {named.readlink()}, which is gone",
            hint=f"the next verified bake moves it; until then: rm {named}",
        )
    folder = named.resolve()
    if folder.parent == images.resolve():
        folder = images / folder.name  # as `bake images` calls it
    return artifact_of(folder, read_image(folder))


def digest(artifact: Artifact) -> str:
    """From the files, all of which are read. BuilderError when one is missing or cannot be read."""
    folder = Path(artifact.id)
    with explaining(f"reading the disks of {folder}"):
        return digest_of(folder, read_image(folder))


def set_labels(artifact: Artifact, labels: Mapping[str, str]) -> Artifact:
    """The image with these labels beside those that it has on disk, or in their place. BuilderError, DiskFullError."""
    folder = Path(artifact.id)
    with explaining(f"writing to {folder}"), _locked(folder):
        image = read_image(folder)
        image = replace(image, labels={**image.labels, **labels})
        write_description(folder, image)
    return artifact_of(folder, image)


def keep_manifest(artifact: Artifact, manifest: str) -> None:
    """Write `manifest.json` beside the disks. BuilderError, DiskFullError."""
    folder = Path(artifact.id)
    with explaining(f"writing to {folder}"):
        write_text(folder / MANIFEST_FILE, manifest)


def name_problems(recipe: str, images: Path) -> Iterator[Problem]:
    """What stands where the recipe's link is to be."""
    link = images / recipe
    if os.path.lexists(link) and not link.is_symlink():
        yield Problem(
            summary=f"{link} is in the way: it is to be a link to the newest verified image of {recipe}",
            hint=f"give it another name: mv {link} {link}.old",
        )


def mark_newest(artifact: Artifact, images: Path) -> None:
    """Point the recipe's link to this image, by one rename, unless it points to a newer verified one.

    Images elsewhere than in `images` have no link. BuilderError when the link's place is taken by something else.
    """
    folder = Path(artifact.id)
    if not artifact.recipe or folder.parent.resolve() != images.resolve():
        return
    for problem in name_problems(artifact.recipe, images):
        raise BuilderError(f"the image is verified, but {problem.summary}", hint=problem.hint)
    link = images / artifact.recipe
    fresh = images / f".{artifact.recipe}.{secrets.token_hex(4)}.link"
    with explaining(f"moving the link {link}"), _locked(images):
        current = _linked(link)
        if current is not None and current.verified and current.age > artifact.age:
            return
        for stale in images.glob(f".{artifact.recipe}.*.link"):  # of a bake that was killed right here
            stale.unlink(missing_ok=True)
        fresh.symlink_to(folder.name)
        try:
            fresh.rename(link)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        flush(images)


def delete(artifact: Artifact, images: Path) -> None:
    """Remove an image from `images`. Idempotent. BuilderError for one elsewhere, and for one that a link leads to.

    It is renamed first to what a half-made image is called, so that nobody finds half of one, and `bake sweep` finds
    what a crash leaves of it.
    """
    folder = Path(artifact.id)
    if folder.parent.resolve() != images.resolve() or folder.is_symlink():
        raise BuilderError(f"{folder} is no image in {images}", hint="remove it by hand")
    with explaining(f"removing image {folder}"):
        with _locked(images):
            for link in (entry for entry in images.iterdir() if entry.is_symlink()):
                if link.readlink().name == folder.name:
                    raise BuilderError(f"image {folder.name} is what the link {link.name} leads to, and stays")
            doomed = images / naming.partial_image(artifact.labels.get("run", ""), folder.name)
            try:
                folder.rename(doomed)
            except FileNotFoundError:
                return
        shutil.rmtree(doomed)


def _linked(link: Path) -> Artifact | None:
    """The image that a link leads to; None when there is no link, or no image any more."""
    try:
        folder = link.resolve(strict=True)
        return artifact_of(folder, read_image(folder))
    except (OSError, BuilderError):
        return None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone, among bakers, with a folder. Held for moments; ends with the process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
