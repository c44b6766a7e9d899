"""The tags of `baker.builders.tags`, as EC2 takes and gives them."""

from typing import Any

from baker.builders.tags import (
    DISK,
    EXPIRES,
    OWNER,
    RECIPE,
    ROLE,
    RUN,
    Tags,
    expires_at,
    expiry,
    label_tags,
    labels_of,
    resource_name,
    run_of,
    run_of_name,
    run_tags,
)

__all__ = [
    "DISK",
    "EXPIRES",
    "OWNER",
    "RECIPE",
    "ROLE",
    "RUN",
    "Tags",
    "expires_at",
    "expiry",
    "from_tag_list",
    "label_tags",
    "labels_of",
    "resource_name",
    "run_of",
    "run_of_name",
    "run_tags",
    "specification",
    "tag_list",
]


def tag_list(tags: Tags) -> list[dict[str, str]]:
    """As EC2 takes them."""
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def from_tag_list(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """As EC2 gives them."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags or ()}


def specification(kinds: tuple[str, ...], tags: Tags) -> list[dict[str, Any]]:
    """`TagSpecifications` for all that one call makes."""
    return [{"ResourceType": kind, "Tags": tag_list(tags)} for kind in kinds]
