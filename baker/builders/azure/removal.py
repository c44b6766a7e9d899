"""Removes what a run made: each thing looked at again, whether it bears the tag of that run."""

import re
from collections.abc import Mapping
from typing import Any

from baker.builders.azure import ids
from baker.builders.azure.calls import Cloud
from baker.builders.azure.errors import Answer, AzureError, explaining
from baker.builders.azure.tags import is_temporary, run_of, run_of_name, tags_of
from baker.builders.azure.waiting import finish, poll
from baker.errors import BuilderError
from baker.ports import Clock

KINDS = {
    ids.GROUP: "resource group",
    ids.SCHEDULE: "shutdown schedule",
    ids.VM: "machine",
    ids.VERSION: "gallery version",
    ids.DEFINITION: "gallery definition",
    ids.IMAGE: "image",
    ids.DISK: "disk",
    ids.INTERFACE: "network interface",
    ids.ADDRESS: "public address",
    ids.SECURITY_GROUP: "security group",
    ids.NETWORK: "network",
}
"""What a run makes, by type, in the order in which it can be removed."""

_DISK = re.compile(r"(bake-.+?)-(root|data-\d+)")

DELETE_SECONDS = 900.0
ACCEPTED_SECONDS = 60.0
GROUP_SECONDS = 3600.0


def hint(id: str) -> str:
    """The command that removes it by hand."""
    parsed = ids.parse(id)
    if parsed is not None and parsed.type == ids.GROUP:
        return f"az group delete --yes --no-wait --subscription {parsed.subscription} --name {parsed.group}"
    return f"az resource delete --ids {id}"


def remove(id: str, run_id: str, cloud: Cloud, *, clock: Clock, finished: bool = False) -> None:
    """Remove a resource, and wait until it is gone; content when it is. BuilderError when it stays, or is not ours.

    What is finished, and so not temporary any more, is only meant when that is said.
    """
    kind = KINDS[_type_of(id)]
    with explaining(f"removing the {kind} {id}"):
        found = cloud.find(id)
        if found is None:
            return
        if not _is_of_run(found, run_id, finished=finished):
            raise BuilderError(f"{kind} {id} does not bear the tag of run {run_id}, and is left alone")
        finish(cloud, cloud.delete(id), timeout=DELETE_SECONDS, clock=clock)


def remove_group(id: str, run_id: str, cloud: Cloud, *, clock: Clock, wait: bool) -> None:
    """Ask for the end of a resource group with all that is in it, and see that Azure has begun with it.

    That takes minutes, which nobody need wait for, unless `wait` says so. BuilderError when it is not ours, or locked.
    """
    with explaining(f"removing the resource group {_name(id)}"):
        found = cloud.find(id)
        if found is None:
            return
        if run_of(tags_of(found)) != run_id or run_of_name(_name(id)) != run_id:
            raise BuilderError(f"resource group {_name(id)} is not that of run {run_id}, and is left alone")
        if not is_going(found):
            asked = cloud.delete(id)
            if wait:
                finish(cloud, asked, timeout=GROUP_SECONDS, clock=clock)
                return
        timeout = GROUP_SECONDS if wait else ACCEPTED_SECONDS
        if poll(lambda: _gone(id, cloud, wait=wait), timeout=timeout, clock=clock, first=0.2) is None:
            raise BuilderError(f"resource group {_name(id)} stays", hint=hint(id))


def _is_of_run(resource: Mapping[str, Any], run_id: str, *, finished: bool) -> bool:
    """By its tag; a disk that came with a machine bears none, and has the machine's name, which no other run has."""
    tags = tags_of(resource)
    is_disk = _type_of(str(resource["id"])) == ids.DISK
    if is_disk and run_of_disk(str(resource["name"])) == run_id:
        return True
    return run_of(tags) == run_id and (finished or is_temporary(tags))


def run_of_disk(name: str) -> str | None:
    """The run whose machine had a disk of this name; None when it is none of ours."""
    found = _DISK.fullmatch(name.lower())
    return run_of_name(found[1]) if found else None


def _gone(id: str, cloud: Cloud, *, wait: bool) -> bool | None:
    try:
        found = cloud.find(id)
    except AzureError as error:
        if error.answer is not Answer.AGAIN:
            raise
        return None
    return True if found is None or (not wait and is_going(found)) else None


def is_going(group: Mapping[str, Any]) -> bool:
    """Whether Azure is removing a resource group already."""
    return (group.get("properties") or {}).get("provisioningState") == "Deleting"


def _type_of(id: str) -> str:
    parsed = ids.parse(id)
    return parsed.type if parsed else ""


def _name(id: str) -> str:
    return id.rsplit("/", 1)[-1]
