"""Shares an image, and only one that is verified: what was tested is what others get.

Whether it is verified is asked of its content at this moment, not of its label alone: an image that was changed
afterwards is another one.
"""

from typing import Any

from baker.artifact import Artifact, ShareResult
from baker.errors import BuilderError, UsageError
from baker.events import ArtifactShared, Emit
from baker.ports import Builder, Uploader
from baker.recipe import Share


def share_image(
    builder: Builder[Any], artifact: Artifact, share: Share, *, upload: Uploader, emit: Emit
) -> tuple[ShareResult, ...]:
    """Share `artifact` with all targets, and emit what became of each.

    UsageError for a target that cannot be meant, BuilderError when the image is not verified, or when it could not be
    shared with all.
    """
    refuse_share(builder, share)
    require_verified(builder, artifact)
    results = builder.share(artifact, share, upload=upload, emit=emit)
    for result in results:
        emit(ArtifactShared(id=artifact.id, target=result.target, ok=result.ok, message=result.message))
    failed = [result for result in results if not result.ok]
    if failed:
        raise BuilderError(
            f"image {artifact.name} could not be shared with {len(failed)} of {len(results)} targets",
            details=[(result.target, result.message) for result in failed],
            hint=f"when that is mended: bake share {artifact.name} "
            + " ".join(_option(result.target, share) for result in failed),
        )
    return results


def _option(target: str, share: Share) -> str:
    """How a target is asked for on the command line."""
    if target in share.targets:
        return f"--with {target}"
    return f"--region {target}" if target in share.regions else "--yes-public"


def refuse_share(builder: Builder[Any], share: Share) -> None:
    """UsageError when something in a share list cannot be meant by this builder; all of it at once."""
    if problems := builder.check_share(share):
        first, *others = problems
        details = [("also", problem.summary) for problem in others]
        raise UsageError(first.summary, details=details, hint=first.hint)


def require_verified(builder: Builder[Any], artifact: Artifact) -> None:
    """BuilderError unless the image, as it is now, has been verified."""
    way_out = f"`bake verify {artifact.name} --recipe RECIPE` verifies it"
    if not artifact.verified:
        raise BuilderError(f"image {artifact.name} is not verified, and so not shared", hint=way_out)
    if artifact.verified != builder.digest(artifact):
        raise BuilderError(
            f"image {artifact.name} has been changed since it was verified, and so is not shared",
            hint=f"find out by whom; {way_out} as it is now",
        )
