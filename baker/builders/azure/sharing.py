"""Lets others have an image."""

from collections.abc import Iterator

from baker.artifact import Artifact, ShareResult
from baker.builders.azure.calls import Cloud
from baker.events import Emit
from baker.ports import Clock, Problem
from baker.recipe import Share


def share_problems(share: Share) -> Iterator[Problem]:
    """What in a share list cannot be meant."""
    for target in (*share.targets, *share.regions, *(["everybody"] if share.public else [])):
        yield Problem(
            summary=f"an image in Azure cannot be shared with {target!r} by the baker",
            hint="`az sig share` and `az role assignment create` do it",
            exit_code=2,
        )


def share_image(artifact: Artifact, share: Share, cloud: Cloud, *, clock: Clock, emit: Emit) -> tuple[ShareResult, ...]:  # noqa: ARG001
    """A result for each target."""
    return tuple(ShareResult(target=target, ok=False, message="not by the baker") for target in share.targets)
