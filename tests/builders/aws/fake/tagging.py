"""TagSpecifications as EC2 checks them; moto takes any."""

from typing import Any

from tests.builders.aws.fake.refusal import Refusal

_MOST = 50

TAGGABLE = {
    "AllocateAddress": {"elastic-ip"},
    "CopyImage": {"image", "snapshot"},
    "CopySnapshot": {"snapshot"},
    "CreateImage": {"image", "snapshot"},
    "CreateKeyPair": {"key-pair"},
    "CreateNetworkInterface": {"network-interface"},
    "CreateSecurityGroup": {"security-group"},
    "AuthorizeSecurityGroupIngress": {"security-group-rule"},
    "AuthorizeSecurityGroupEgress": {"security-group-rule"},
    "CreateSnapshot": {"snapshot"},
    "CreateSubnet": {"subnet"},
    "CreateVolume": {"volume"},
    "ImportKeyPair": {"key-pair"},
    "RunInstances": {"instance", "volume", "network-interface", "spot-instances-request"},
}
"""By action, what its TagSpecifications may name (each action's API reference)."""


def tags_of(action: str, parameters: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The tags by resource type. Refusal for those that EC2 refuses."""
    found: dict[str, dict[str, str]] = {}
    for specification in parameters.get("TagSpecifications", ()):
        kind = specification.get("ResourceType")
        if kind not in TAGGABLE.get(action, ()):
            raise Refusal(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )
        if kind in found:
            raise Refusal("InvalidParameterValue", f"'{kind}': duplicate resource types in tag specifications")
        found[kind] = checked(specification.get("Tags", ()))
        if not found[kind]:
            raise Refusal("InvalidParameterValue", "Tag specification must have at least one tag")
    return found


def checked(tags: list[dict[str, str]]) -> dict[str, str]:
    """Tags as a mapping. Refusal."""
    found: dict[str, str] = {}
    for tag in tags:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not 1 <= len(key) <= 127:  # "Maximum 127 Unicode characters" (CreateTags)
            raise Refusal("InvalidParameterValue", f"Tag key exceeds the maximum length of 127 characters: {key!r}")
        if len(value) > 256:
            raise Refusal("InvalidParameterValue", f"Tag value exceeds the maximum length of 256 characters: {key}")
        if key.lower().startswith("aws:"):
            raise Refusal("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        if key in found:
            raise Refusal("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        found[key] = value
    if len(found) > _MOST:
        raise Refusal("TagLimitExceeded", f"The maximum number of Tags for a resource has been reached: {_MOST}")
    return found
