"""Lets other accounts, organisations and regions have an image. Each target for itself: one failure loses no other."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from baker.artifact import Artifact, ShareResult
from baker.builders.aws import requests, tags
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import Answer, AwsError, explain
from baker.builders.aws.images import delete_image, describe, require_imdsv2, snapshots_of
from baker.builders.aws.requests import Permission
from baker.builders.aws.waiting import poll
from baker.errors import BakeError, BuilderError
from baker.events import Emit, Progress
from baker.ports import Clock, Problem
from baker.recipe import Share

COPIES_AT_ONCE = 5
"""EC2 takes about this many into one region at a time; more are refused, not queued."""

COPY_SECONDS = 3 * 3600.0

_ACCOUNT = re.compile(r"\d{12}")
_ORGANISATION = re.compile(r"arn:[a-z0-9-]+:organizations::\d{12}:organization/o-[a-z0-9]{10,32}")
_UNIT = re.compile(r"arn:[a-z0-9-]+:organizations::\d{12}:ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}")
_REGION = re.compile(r"[a-z]{2,3}(-[a-z]+)+-\d")

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
        if not _REGION.fullmatch(region):
            yield Problem(summary=f"{region!r} is no region", hint="such as eu-central-1", exit_code=2)


def share_image(artifact: Artifact, share: Share, cloud: Cloud, *, clock: Clock, emit: Emit) -> tuple[ShareResult, ...]:
    """Share in the image's own region, then copy it to the others and share it there, too. A result for each target."""
    wanted = [*share.targets, *([EVERYBODY] if share.public else [])]
    results = [_result(target, lambda: _permit(artifact.id, target, share.copyable, cloud)) for target in wanted]  # noqa: B023
    with ThreadPoolExecutor(max_workers=COPIES_AT_ONCE) as queue:
        copies = [
            queue.submit(
                _result,
                region,
                lambda there: _copy(
                    artifact, there, wanted, copyable=share.copyable, cloud=cloud, clock=clock, emit=emit
                ),
                region,
            )
            for region in share.regions
            if region != artifact.location
        ]
    return (*results, *(copy.result() for copy in copies))


def _result(target: str, share: Callable[..., str], *given: str) -> ShareResult:
    try:
        return ShareResult(target=target, ok=True, message=share(*given))
    except AwsError as error:
        reason = explain(error, f"sharing with {target}")
    except BakeError as error:
        reason = error
    said = "; ".join(text for label, text in reason.details if label == "AWS says")
    return ShareResult(target=target, ok=False, message=f"{reason.summary}: {said}" if said else reason.summary)


def _permit(image_id: str, target: str, copyable: bool, cloud: Cloud) -> str:
    """Permit one target to launch the image; then look whether it is so."""
    permission: Permission = "Group" if target == EVERYBODY else permission_of(target) or "UserId"
    cloud.ask("modify_image_attribute", **requests.permit_launch(image_id, permission, target))
    granted = cloud.ask("describe_image_attribute", ImageId=image_id, Attribute="launchPermission")["LaunchPermissions"]
    if not any(entry.get(permission) == target for entry in granted):
        raise BuilderError("EC2 accepted the permission, and does not show it")
    if copyable and permission in ("UserId", "Group"):
        for snapshot in snapshots_of(describe(image_id, cloud)):
            cloud.ask("modify_snapshot_attribute", **requests.permit_volumes(snapshot, permission, target))
    return f"may launch {image_id} in {cloud.region}"


def _copy(
    artifact: Artifact, region: str, wanted: list[str], *, copyable: bool, cloud: Cloud, clock: Clock, emit: Emit
) -> str:
    """Copy to a region, wait for the copy, and share it as the original is. A copy that fails is removed."""
    there = cloud.in_region(region)
    mine = _lasting_tags(artifact, cloud)
    body = requests.copy_image(artifact.id, artifact.name, source=artifact.location, target=region, mine=mine)
    copied = _existing(artifact.name, there) or str(there.ask("copy_image", **body)["ImageId"])

    def probe() -> bool | None:
        try:
            images = there.ask("describe_images", ImageIds=[copied])["Images"]
        except AwsError as error:
            if error.code == "InvalidAMIID.NotFound":
                return None
            raise
        state = images[0]["State"] if images else "pending"
        emit(Progress(what=f"copy to {region}", done=0, total=None, unit="image"))
        if state == "pending":
            return None
        if state != "available":
            delete_image(there, images[0])
            raise BuilderError(f"the copy failed: {(images[0].get('StateReason') or {}).get('Message', state)}")
        require_imdsv2(images[0], there)
        return True

    if poll(probe, timeout=COPY_SECONDS, clock=clock) is None:
        raise BuilderError(
            f"the copy {copied} was not ready after {COPY_SECONDS / 3600:.0f} hours; EC2 still works on it"
        )
    for target in wanted:
        _permit(copied, target, copyable, there)
    return f"copied to {region} as {copied}"


def _lasting_tags(artifact: Artifact, cloud: Cloud) -> dict[str, str]:
    """The user's tags and ours, without the one that would make a copy a leftover of its bake."""
    marks = tags.from_tag_list(describe(artifact.id, cloud).get("Tags"))
    return {key: value for key, value in (marks | tags.label_tags(artifact.labels)).items() if key != tags.EXPIRES}


def _existing(name: str, cloud: Cloud) -> str | None:
    """A copy of this name that is there already: made by an earlier try whose reply was lost."""
    filters = [{"Name": "name", "Values": [name]}]
    try:
        images = cloud.ask("describe_images", Owners=["self"], Filters=filters)["Images"]
    except AwsError as error:
        if error.answer is Answer.GONE:
            return None
        raise
    return str(images[0]["ImageId"]) if images else None
