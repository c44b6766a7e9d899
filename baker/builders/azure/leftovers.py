"""Finds in Azure what runs made and did not remove, by its tags, and removes it.

A finished image is no leftover: the tag `bake:expires` is taken off it when its capture has succeeded. What still has
it is temporary, and nobody's once that instant has passed. A resource group of a run is told as one, as it goes as one;
what is in one that is going already needs nobody.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from baker.artifact import Leftover
from baker.builders.azure import ids, images, removal
from baker.builders.azure.calls import Cloud
from baker.builders.azure.errors import explaining
from baker.builders.azure.ids import Id
from baker.builders.azure.images import KIND
from baker.builders.azure.tags import RUN, Tags, expiry, is_temporary, run_of, run_of_name, tags_of
from baker.errors import BuilderError
from baker.ports import Clock

ALL = "all"
SUBSCRIPTION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_ORDER = tuple(removal.KINDS)


def subscriptions(cloud: Cloud) -> tuple[str, ...]:
    """All subscriptions that the account may use."""
    with explaining("listing subscriptions"):
        return tuple(str(it["subscriptionId"]) for it in cloud.listed("/subscriptions") if it.get("state") == "Enabled")


def find_leftovers(cloud: Cloud) -> Iterator[Leftover]:
    """All that bears our tag and is no finished image, in one subscription; of runs that live, too."""
    with explaining("looking for what runs left"):
        ours = [group for group in cloud.tagged_groups(RUN) if _is_run_group(group)]
        whole = {str(group["name"]).casefold() for group in ours}
        groups = [group for group in ours if not removal.is_going(group)]
        temporary = [it for it in cloud.tagged(RUN) if is_temporary(tags_of(it))]
        single = {str(it["id"]).casefold(): it for it in (*temporary, *_disks(cloud))}
    found = [(it, id) for it in (*groups, *single.values()) if (id := ids.parse(str(it["id"])))]
    wanted = [(it, id) for it, id in found if id.type == ids.GROUP or id.group.casefold() not in whole]
    known = [(it, id) for it, id in wanted if id.type in removal.KINDS]
    for resource, id in sorted(known, key=lambda pair: _ORDER.index(pair[1].type)):
        yield _leftover(resource, id, cloud.place)


def remove_leftover(leftover: Leftover, cloud: Cloud, *, clock: Clock) -> None:
    """Remove it, when it still bears the tag of its run; content when it is gone. BuilderError when Azure refuses.

    Of a group it is enough that Azure has begun with it.
    """
    id = ids.parse(leftover.id)
    if id is None or id.type not in removal.KINDS:
        raise BuilderError(f"Azure has no {leftover.kind} {leftover.id}", hint=leftover.remove_hint)
    if id.type == ids.GROUP:
        removal.remove_group(leftover.id, leftover.run_id, cloud, clock=clock, wait=False)
    else:
        removal.remove(leftover.id, leftover.run_id, cloud, clock=clock)
        with explaining("removing the definition of what was removed"):
            images.delete_empty_definition(leftover.id, cloud, clock=clock)


def _is_run_group(group: dict[str, Any]) -> bool:
    """A group that a run made for itself: its name and its tags agree."""
    tags = tags_of(group)
    return is_temporary(tags) and run_of_name(str(group["name"]).lower()) == run_of(tags)


def _disks(cloud: Cloud) -> list[dict[str, Any]]:
    """Disks that stayed behind when their machine went: they came with it, and bear its name and no tag."""
    disks = cloud.ask("list disks", lambda sdk: sdk.pages(sdk.compute.disks.list))
    return [disk for disk in disks if removal.run_of_disk(str(disk["name"])) and not disk.get("managedBy")]


def _leftover(resource: dict[str, Any], id: Id, place: str) -> Leftover:
    tags: Tags = tags_of(resource)
    run_id = run_of(tags) or removal.run_of_disk(id.name) or ""
    return Leftover(
        builder=KIND,
        kind=removal.KINDS[id.type],
        id=str(resource["id"]),
        location=place,
        run_id=run_id,
        created=_instant(resource.get("createdTime")) or _begun(run_id),
        expires=expiry(tags),
        remove_hint=removal.hint(str(resource["id"])),
    )


def _instant(value: object) -> float | None:
    """Seconds since the epoch, of ISO 8601 with up to seven digits after the second."""
    if not isinstance(value, str) or not value:
        return None
    return datetime.fromisoformat(re.sub(r"\.\d+", "", value).replace("Z", "+00:00")).timestamp()


def _begun(run_id: str) -> float | None:
    """When a run began, which its id tells: of a group Azure does not say when it was made."""
    try:
        return datetime.strptime(run_id[:15], "%Y%m%dt%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
