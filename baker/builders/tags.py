"""What everything that a bake makes in a cloud is called, and the tags by which it is found again.

A name is chosen before anything is asked for, so that what a lost reply made can be found; a tag says whose it is, and
from when on nobody can still need it.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from baker.ports import RunInfo

RUN, RECIPE, OWNER, EXPIRES, ROLE, DISK = (
    "bake:run",
    "bake:recipe",
    "bake:owner",
    "bake:expires",
    "bake:role",
    "bake:disk",
)

_RUN_ID = re.compile(r"\d{8}t\d{6}-[0-9a-z]{4}")
_NAME = re.compile(rf"bake-({_RUN_ID.pattern})(-image)?")
_NOT_IN_A_TAG = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_VALUE = 256

Tags = Mapping[str, str]


def resource_name(run: RunInfo, role: str) -> str:
    """`bake-<run id>`; what is made for a machine that is started from an image has `-image` after it."""
    return f"bake-{run.run_id}" + ("-image" if role == "image" else "")


def run_tags(run: RunInfo, role: str) -> dict[str, str]:
    """The tags of everything that a run makes. `role` is `bake`, or `image` for a machine started from one.

    `bake:expires` is ISO 8601 in UTC, to the second.
    """
    return {
        "Name": resource_name(run, role),
        RUN: run.run_id,
        RECIPE: run.recipe,
        OWNER: _fit(run.owner),
        EXPIRES: expires_at(run.expires),
        ROLE: role,
    }


def expires_at(instant: float) -> str:
    """The value of `bake:expires` for seconds since the epoch."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def expiry(tags: Tags) -> float | None:
    """When nobody can still need what has these tags, in seconds since the epoch; None when they do not say."""
    try:
        return datetime.strptime(tags.get(EXPIRES, ""), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def run_of(tags: Tags) -> str | None:
    """The run that made what has these tags; None when no run of ours did."""
    run_id = tags.get(RUN, "")
    return run_id if _RUN_ID.fullmatch(run_id) else None


def run_of_name(name: str) -> str | None:
    """The run that a resource's name tells of; None when it is none of ours."""
    found = _NAME.fullmatch(name)
    return found[1] if found else None


def label_tags(labels: Mapping[str, str]) -> dict[str, str]:
    """An image's labels as tags: ours under `bake:`, where nobody else's can be mistaken for them."""
    return {f"bake:{name}"[:128]: _fit(value) for name, value in labels.items()}


def labels_of(tags: Tags) -> dict[str, str]:
    """The labels that `label_tags` wrote: all of ours but the instant that only temporary things have."""
    ours = {name: value for name, value in tags.items() if name.startswith("bake:") and name != EXPIRES}
    return {name.removeprefix("bake:"): value for name, value in ours.items()}


def _fit(value: str) -> str:
    """A tag's value: at most 256 characters, of which EC2 and Azure take any that can be printed.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html, and of Azure's only names are restricted:
    https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources
    """
    return _NOT_IN_A_TAG.sub("_", value)[:_LONGEST_VALUE]
