"""What bakes left in EC2: one question for each kind of thing, all pages, only what bears our tag.

A finished image is no leftover: the tag `bake:expires` is taken off it, and off its snapshots, when its capture has
succeeded. What still has it is temporary, and nobody's once that instant has passed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from baker.artifact import Leftover
from baker.builders.aws import tags
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import AwsError, explaining
from baker.builders.aws.images import KIND
from baker.builders.aws.waiting import poll
from baker.errors import BuilderError
from baker.ports import Clock

Description = Mapping[str, Any]

RELEASE_SECONDS = 300.0
"""How long an instance may take to end, and to let go of what it uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of thing: how all of them are listed, and how one is removed.

    `ask` gives the action, the key of the answer and the parameters; `id` and `created` are keys of a description.
    `remove` is the action and the parameter that takes the id. `is_gone` tells what only looks as if it were there.
    """

    name: str
    action: str
    key: str
    id: str
    remove: tuple[str, str]
    command: str
    created: str = ""
    owned: Mapping[str, Any] | None = None
    is_gone: Callable[[Description], bool] = lambda _: False


def _terminated(instance: Description) -> bool:
    return instance["State"]["Name"] in ("terminated", "shutting-down")


KINDS = (
    Kind(
        name="instance", action="describe_instances", key="Reservations", id="InstanceId", created="LaunchTime",
        remove=("terminate_instances", "InstanceIds"), command="terminate-instances --instance-ids",
        is_gone=_terminated,
    ),
    Kind(
        name="spot request", action="describe_spot_instance_requests", key="SpotInstanceRequests",
        id="SpotInstanceRequestId", created="CreateTime",
        remove=("cancel_spot_instance_requests", "SpotInstanceRequestIds"),
        command="cancel-spot-instance-requests --spot-instance-request-ids",
        is_gone=lambda it: it.get("State") not in ("open", "active"),
    ),
    Kind(
        name="image", action="describe_images", key="Images", id="ImageId", created="CreationDate",
        remove=("deregister_image", "ImageId"), command="deregister-image --image-id", owned={"Owners": ["self"]},
    ),
    Kind(
        name="snapshot", action="describe_snapshots", key="Snapshots", id="SnapshotId", created="StartTime",
        remove=("delete_snapshot", "SnapshotId"), command="delete-snapshot --snapshot-id",
        owned={"OwnerIds": ["self"]},
    ),
    Kind(
        name="volume", action="describe_volumes", key="Volumes", id="VolumeId", created="CreateTime",
        remove=("delete_volume", "VolumeId"), command="delete-volume --volume-id",
        is_gone=lambda it: it.get("State") in ("deleting", "deleted"),
    ),
    Kind(
        name="network interface", action="describe_network_interfaces", key="NetworkInterfaces",
        id="NetworkInterfaceId", remove=("delete_network_interface", "NetworkInterfaceId"),
        command="delete-network-interface --network-interface-id",
    ),
    Kind(
        name="elastic address", action="describe_addresses", key="Addresses", id="AllocationId",
        remove=("release_address", "AllocationId"), command="release-address --allocation-id",
    ),
    Kind(
        name="security group", action="describe_security_groups", key="SecurityGroups", id="GroupId",
        remove=("delete_security_group", "GroupId"), command="delete-security-group --group-id",
    ),
    Kind(
        name="key pair", action="describe_key_pairs", key="KeyPairs", id="KeyPairId", created="CreateTime",
        remove=("delete_key_pair", "KeyPairId"), command="delete-key-pair --key-pair-id",
    ),
)  # fmt: skip
"""In the order in which they can be removed: an instance before what it uses, an image before its snapshots."""

_UNPAGED = ("describe_addresses", "describe_key_pairs")


def find_leftovers(cloud: Cloud) -> Iterator[Leftover]:
    """All that bears our tag and is not a finished image, in the region of `cloud`; of runs that live, too."""
    for kind in KINDS:
        with explaining(f"looking for each {kind.name} of ours"):
            for description in _listed(kind, cloud):
                marks = _marks(description)
                run_id = tags.run_of(marks)
                if run_id is None or tags.EXPIRES not in marks or kind.is_gone(description):
                    continue
                thing = str(description[kind.id])
                yield Leftover(
                    builder=KIND,
                    kind=kind.name,
                    id=thing,
                    location=cloud.region,
                    run_id=run_id,
                    created=_instant(description.get(kind.created)),
                    expires=tags.expiry(marks),
                    remove_hint=f"aws ec2 {kind.command} {thing} --region {cloud.region}",
                )


def remove_leftover(leftover: Leftover, cloud: Cloud, *, clock: Clock) -> None:
    """Remove it, when it still bears the tag of its run; content when it is gone. BuilderError when AWS refuses.

    What an instance uses is in use until that has ended, and is asked for again for a while.
    """
    kind = next((it for it in KINDS if it.name == leftover.kind), None)
    if kind is None:
        raise BuilderError(f"EC2 has no {leftover.kind}", hint=leftover.remove_hint)
    with explaining(f"removing {leftover.kind} {leftover.id}"):
        if not any(_is_meant(description, kind, leftover) for description in _listed(kind, cloud)):
            return
        if poll(lambda: _removed(leftover, kind, cloud), timeout=RELEASE_SECONDS, clock=clock) is None:
            raise BuilderError(f"{leftover.kind} {leftover.id} is still in use", hint="sweep again in some minutes")


def _is_meant(description: Description, kind: Kind, leftover: Leftover) -> bool:
    """A list may be old: what is removed is what bears the tag now."""
    marks = _marks(description)
    return description[kind.id] == leftover.id and tags.run_of(marks) == leftover.run_id and tags.EXPIRES in marks


def _removed(leftover: Leftover, kind: Kind, cloud: Cloud) -> bool | None:
    action, parameter = kind.remove
    value: Any = [leftover.id] if parameter.endswith("Ids") else leftover.id
    try:
        cloud.ask(action, **{parameter: value})
    except AwsError as error:
        if error.is_in_use:
            return None
        if not error.is_gone:
            raise
    return True


def _marks(description: Description) -> tags.Tags:
    """Its tags, which the description of an interface alone calls otherwise."""
    return tags.from_tag_list(description.get("Tags") or description.get("TagSet"))


def _listed(kind: Kind, cloud: Cloud) -> Iterator[Description]:
    filters = [{"Name": "tag-key", "Values": [tags.RUN]}]
    parameters = {"Filters": filters, **(kind.owned or {})}
    if kind.action in _UNPAGED:
        yield from cloud.ask(kind.action, **parameters)[kind.key]
        return
    for entry in cloud.all_of(kind.action, kind.key, **parameters):
        yield from entry["Instances"] if kind.key == "Reservations" else (entry,)


def _instant(value: object) -> float | None:
    """Seconds since the epoch, of what EC2 gives as a time or as ISO 8601."""
    match value:
        case datetime():
            return value.timestamp()
        case str() if value:
            return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    return None
