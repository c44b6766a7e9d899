"""The tags of `baker.builders.tags`, as Azure takes and gives them.

Azure allows 50 tags with names of 512 characters, without < > % & \\ ? /, and values of 256; a name may come back in
another case.
"""

from collections.abc import Mapping
from typing import Any

from baker.builders.tags import EXPIRES, ROLE, RUN, Tags, expiry, resource_name, run_of, run_of_name, run_tags
from baker.ports import RunInfo

__all__ = [
    "EXPIRES",
    "ROLE",
    "RUN",
    "Tags",
    "expiry",
    "is_temporary",
    "label_tags",
    "labels_of",
    "resource_name",
    "run_of",
    "run_of_name",
    "tags_of",
    "tags_of_run",
]

NOT_IN_A_NAME = "<>%&\\?/"
MOST = 50
_LONGEST_NAME, _LONGEST_VALUE = 512, 256
_PREFIX = "bake:"


def tags_of_run(run: RunInfo, role: str, own: Tags) -> dict[str, str]:
    """What goes on everything that a run makes: `own` tags of the spec, and ours."""
    return {**own, **run_tags(run, role)}


def tags_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """The tags of what Azure describes; ours in the case that we know."""
    found: Mapping[str, str] = resource.get("tags") or {}
    return {name.lower() if name.lower().startswith(_PREFIX) else name: value for name, value in found.items()}


def is_temporary(tags: Tags) -> bool:
    """Whether what has these tags was made by a run of ours, and is no finished image."""
    return run_of(tags) is not None and EXPIRES in tags


def label_tags(labels: Mapping[str, str]) -> dict[str, str]:
    """An image's labels as tags under `bake:`; a tag without a value is none."""
    return {_name(name): value[:_LONGEST_VALUE] for name, value in labels.items() if value}


def labels_of(tags: Tags) -> dict[str, str]:
    """The labels that `label_tags` wrote."""
    return {name.removeprefix(_PREFIX): value for name, value in tags.items() if name.startswith(_PREFIX)}


def _name(label: str) -> str:
    return (_PREFIX + "".join("_" if letter in NOT_IN_A_NAME else letter for letter in label))[:_LONGEST_NAME]
