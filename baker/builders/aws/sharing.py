"""Lets other accounts, organisations and regions have an image. Each target for itself: one failure loses no other."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Event

from baker.artifact import Artifact, ShareResult
from baker.builders.aws import requests
from baker.builders.aws.calls import Cloud
from baker.builders.aws.copying import Copier
from baker.builders.aws.errors import AwsError, explain
from baker.builders.aws.images import describe, snapshots_of
from baker.builders.aws.requests import Permission
from baker.errors import BakeError, BuilderError
from baker.events import Emit
from baker.ports import Clock, Problem
from baker.recipe import Share

COPIES_AT_ONCE = 8
"""So many regions are copied to at a time; the others wait their turn."""

_ACCOUNT = re.compile(r"\d{12}")
_ORGANISATION = re.compile(r"arn:[a-z0-9-]+:organizations::\d{12}:organization/o-[a-z0-9]{10,32}")
_UNIT = re.compile(r"arn:[a-z0-9-]+:organizations::\d{12}:ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}")
REGION = re.compile(r"[a-z]{2,3}(-[a-z]+)+-\d")

EVERYBODY = "all"


def permission_of(target: str) -> Permission | None:
    """What a target is; None when it is nothing that EC2 shares with."""
    patterns: tuple[tuple[re.Pattern[str], Permission], ...] = (
        (_ACCOUNT, "UserId"), (_ORGANISATION, "OrganizationArn"), (_UNIT, "OrganizationalUnitArn"),
    )  # fmt: skip
    return next((permission for pattern, permission in patterns if pattern.fullmatch(target)), None)


def share_problems(share: Share) -> Iterator[Problem]:
    """What in a share list cannot be meant."""
    for target in share.targets:
        if permission_of(target) is None:
            yield Problem(
                summary=f"an image in EC2 cannot be shared with {target!r}",
                hint="an account of 12 digits, or the ARN of an organisation or of an organisational unit",
                exit_code=2,
            )
    for region in share.regions:
        if not REGION.fullmatch(region):
            yield Problem(summary=f"{region!r} is no region", hint="such as eu-central-1", exit_code=2)


def share_image(artifact: Artifact, share: Share, cloud: Cloud, *, clock: Clock, emit: Emit) -> tuple[ShareResult, ...]:
    """Share in the image's own region, then copy it to the others and share it there, too. A result for each target."""
    wanted = [*share.targets, *([EVERYBODY] if share.public else [])]
    results = [_result(target, lambda: _permit(artifact.id, target, share.copyable, cloud)) for target in wanted]  # noqa: B023
    regions = [region for region in dict.fromkeys(share.regions) if region != artifact.location]
    if not regions:
        return tuple(results)
    source = describe(artifact.id, cloud)
    with _waiting_together() as (queue, stop):
        copier = Copier(artifact=artifact, source=source, clock=clock, emit=emit, stop=stop)
        copies = [
            queue.submit(_result, region, partial(_copy, copier, cloud.in_region(region), wanted, share.copyable))
            for region in regions
        ]
        results += [copy.result() for copy in copies]
    return tuple(results)


@contextmanager
def _waiting_together() -> Iterator[tuple[ThreadPoolExecutor, Event]]:
    """Threads for so many copies at a time; a signal does not have to wait for hours until they are whole."""
    stop, queue = Event(), ThreadPoolExecutor(max_workers=COPIES_AT_ONCE)
    try:
        yield queue, stop
    finally:
        stop.set()
        queue.shutdown(cancel_futures=True)


def _result(target: str, share: Callable[[], str]) -> ShareResult:
    try:
        return ShareResult(target=target, ok=True, message=share())
    except AwsError as error:
        return ShareResult(target=target, ok=False, message=_said(explain(error, f"sharing with {target}")))
    except BakeError as error:
        return ShareResult(target=target, ok=False, message=_said(error))


def _said(reason: BakeError) -> str:
    words = "; ".join(text for label, text in reason.details if label == "AWS says")
    return f"{reason.summary}: {words}" if words else reason.summary


def _permit(image_id: str, target: str, copyable: bool, cloud: Cloud) -> str:
    """Permit one target to launch the image; then look whether it is so."""
    permission: Permission = "Group" if target == EVERYBODY else permission_of(target) or "UserId"
    cloud.ask_of_new("modify_image_attribute", **requests.permit_launch(image_id, permission, target))
    granted = cloud.ask("describe_image_attribute", ImageId=image_id, Attribute="launchPermission")["LaunchPermissions"]
    if not any(entry.get(permission) == target for entry in granted):
        raise BuilderError("EC2 accepted the permission, and does not show it")
    if copyable and permission in ("UserId", "Group"):
        for snapshot in snapshots_of(describe(image_id, cloud)):
            cloud.ask_of_new("modify_snapshot_attribute", **requests.permit_volumes(snapshot, permission, target))
    return f"may launch {image_id} in {cloud.region}"


def _copy(copier: Copier, there: Cloud, wanted: list[str], copyable: bool) -> str:
    """Copy to a region, and share the copy as the original is: launch permissions are not copied."""
    copied = copier.copy(there)
    copier.certify(copied, there)
    results = [_result(target, partial(_permit, copied, target, copyable, there)) for target in wanted]
    refused = [f"{result.target}: {result.message}" for result in results if not result.ok]
    if refused:
        raise BuilderError(f"the copy is {copied}, and could not be shared there with {'; '.join(refused)}")
    return f"copied to {there.region} as {copied}"
