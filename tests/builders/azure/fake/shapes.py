"""What a body may hold: Compute's from the SDK's own model of it, all other services' written down here.

Azure refuses a member that it does not know, and a value that is not one of those that it lists; a fake that let them
pass would take silence for consent.
"""

import typing
from enum import Enum
from functools import cache
from typing import Any

import typing_extensions
from azure.mgmt.compute import models, types

from tests.builders.azure.fake.refusal import Refusal, invalid

Shape = Any
"""`...`: anything; a type: a value of it; a set: one of these words; a list: of the shape in it; a dict: members."""

_ENVELOPE = {"id": str, "name": str, "type": str, "location": str, "tags": ..., "etag": str}
_REFERENCE = {"id": str}
_SUBNET = {
    "addressPrefix": str, "addressPrefixes": [str], "networkSecurityGroup": _REFERENCE, "delegations": [...],
    "serviceEndpoints": [...], "privateEndpointNetworkPolicies": str, "privateLinkServiceNetworkPolicies": str,
    "defaultOutboundAccess": bool, "natGateway": _REFERENCE, "provisioningState": str, "ipConfigurations": [...],
}  # fmt: skip
_RULE = {
    "priority": int, "direction": {"Inbound", "Outbound"}, "access": {"Allow", "Deny"},
    "protocol": {"Tcp", "Udp", "Icmp", "*", "Esp", "Ah"}, "sourceAddressPrefix": str, "sourceAddressPrefixes": [str],
    "sourcePortRange": str, "sourcePortRanges": [str], "destinationAddressPrefix": str,
    "destinationAddressPrefixes": [str], "destinationPortRange": str, "destinationPortRanges": [str],
    "description": str, "provisioningState": str,
}  # fmt: skip
_IP_CONFIGURATION = {
    "primary": bool, "privateIPAddress": str, "privateIPAllocationMethod": {"Dynamic", "Static"},
    "privateIPAddressVersion": {"IPv4", "IPv6"}, "subnet": _REFERENCE,
    "publicIPAddress": {
        "id": str, "location": str, "sku": ...,
        "properties": {"deleteOption": {"Delete", "Detach"}, "provisioningState": str},
    },
    "provisioningState": str,
}  # fmt: skip


def _resource(properties: dict[str, Shape], **more: Shape) -> dict[str, Shape]:
    return {**_ENVELOPE, "properties": {**properties, "provisioningState": str, "resourceGuid": str}, **more}


def _child(properties: dict[str, Shape]) -> dict[str, Shape]:
    return {"id": str, "name": str, "type": str, "etag": str, "properties": properties}


OTHERS: dict[str, Shape] = {
    "Microsoft.Network/virtualNetworks": _resource(
        {
            "addressSpace": {"addressPrefixes": [str]}, "subnets": [_child(_SUBNET)], "dhcpOptions": ...,
            "virtualNetworkPeerings": [...], "enableDdosProtection": bool, "enableVmProtection": bool,
        }
    ),
    "Microsoft.Network/virtualNetworks/subnets": _child(_SUBNET),
    "Microsoft.Network/networkSecurityGroups": _resource(
        {
            "securityRules": [_child(_RULE)], "defaultSecurityRules": [...], "flushConnection": bool,
            "networkInterfaces": [...], "subnets": [...],
        }
    ),
    "Microsoft.Network/publicIPAddresses": _resource(
        {
            "publicIPAllocationMethod": {"Dynamic", "Static"}, "publicIPAddressVersion": {"IPv4", "IPv6"},
            "idleTimeoutInMinutes": int, "dnsSettings": ..., "ipTags": [...], "ipAddress": str,
            "deleteOption": {"Delete", "Detach"}, "ipConfiguration": ...,
        },
        sku={"name": {"Basic", "Standard"}, "tier": {"Regional", "Global"}},
        zones=[str],
    ),
    "Microsoft.Network/networkInterfaces": _resource(
        {
            "ipConfigurations": [_child(_IP_CONFIGURATION)], "networkSecurityGroup": _REFERENCE, "dnsSettings": ...,
            "enableAcceleratedNetworking": bool, "enableIPForwarding": bool, "primary": bool, "virtualMachine": ...,
            "macAddress": str, "nicType": str, "hostedWorkloads": [...], "tapConfigurations": [...],
            "vnetEncryptionSupported": bool,
        }
    ),
    "Microsoft.DevTestLab/schedules": _resource(
        {
            "status": {"Enabled", "Disabled"}, "taskType": str, "dailyRecurrence": {"time": str}, "timeZoneId": str,
            "notificationSettings": {
                "status": {"Enabled", "Disabled"}, "timeInMinutes": int, "webhookUrl": str, "emailRecipient": str,
                "notificationLocale": str,
            },
            "targetResourceId": str, "uniqueIdentifier": str, "createdDate": str,
        }
    ),
    "Microsoft.Authorization/locks": {
        "id": str, "name": str, "type": str,
        "properties": {"level": {"CanNotDelete", "ReadOnly"}, "notes": str, "owners": [...]},
    },
    "Microsoft.Authorization/roleAssignments": {
        "id": str, "name": str, "type": str,
        "properties": {
            "roleDefinitionId": str, "principalId": str, "principalType": str, "description": str, "condition": str,
            "conditionVersion": str, "scope": str,
        },
    },
    "Microsoft.Resources/resourceGroups": {
        "id": str, "name": str, "type": str, "location": str, "tags": ..., "managedBy": str,
        "properties": {"provisioningState": str},
    },
    "PATCH Microsoft.Resources/resourceGroups": {"name": str, "tags": ..., "managedBy": str, "properties": ...},
    "Microsoft.Resources/tags": {
        "operation": {"Merge", "Replace", "Delete"}, "properties": {"tags": ...}, "id": str, "name": str, "type": str,
    },
}  # fmt: skip

COMPUTE = {
    "Microsoft.Compute/virtualMachines": "VirtualMachine",
    "Microsoft.Compute/disks": "Disk",
    "Microsoft.Compute/snapshots": "Snapshot",
    "Microsoft.Compute/images": "Image",
    "Microsoft.Compute/galleries": "Gallery",
    "Microsoft.Compute/galleries/images": "GalleryImage",
    "Microsoft.Compute/galleries/images/versions": "GalleryImageVersion",
}
"""The SDK's model of each body that is put; that of a PATCH has `Update` after its name."""

_NOT_COMPLETE = (models.VirtualMachineSizeTypes,)
"""Lists of words that name a few of many."""

_ONLY_FORMER_VERSIONS = {"CreationData": {"sourceUri": str}}


def check(type: str, body: Any, *, patch: bool = False) -> None:
    """Refusal for a body that is not of the shape that this type of resource has."""
    if not isinstance(body, dict):
        raise Refusal(400, "InvalidRequestContent", "The request content was invalid and could not be deserialized.")
    if type in COMPUTE:
        _check(body, _model(COMPUTE[type] + ("Update" if patch else "")), "")
    elif patch and f"PATCH {type}" in OTHERS:
        _check(body, OTHERS[f"PATCH {type}"], "")
    elif type in OTHERS:
        _check(body, OTHERS[type], "")
    else:
        raise KeyError(type)


def check_model(name: str, body: Any) -> None:
    """Refusal for a body that is not of the shape of a model of Compute's."""
    _check(body or {}, _model(name), "")


@cache
def _hints(name: str) -> dict[str, Any]:
    found = typing.get_type_hints(getattr(types, name), globalns={**vars(models), **vars(types)})
    return found | _ONLY_FORMER_VERSIONS.get(name, {})


@cache
def _model(name: str) -> Shape:
    return {member: _shape(hint) for member, hint in _hints(name).items()}


def _shape(hint: Any) -> Shape:
    """Of a type hint of the SDK. Models are left by name, so that those which hold themselves come to an end."""
    origin = typing.get_origin(hint)
    if origin is typing.Union:
        enums = [it for it in typing.get_args(hint) if isinstance(it, type) and issubclass(it, Enum)]
        if not enums or enums[0] in _NOT_COMPLETE:
            return ...
        return frozenset(str(it.value) for it in enums[0])
    if origin is list:
        return [_shape(typing.get_args(hint)[0])]
    if typing_extensions.is_typeddict(hint):
        return f"model {hint.__name__}"
    return hint if hint in (str, int, bool, float) else ...


def _check(value: Any, shape: Shape, path: str) -> None:
    if value is None or shape is ...:
        return
    if isinstance(shape, str):
        shape = _model(shape.removeprefix("model "))
    if isinstance(shape, dict):
        _check_members(value, shape, path)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _unreadable(path, value)
        for number, it in enumerate(value):
            _check(it, shape[0], f"{path}[{number}]")
    elif isinstance(shape, (set, frozenset)):
        if str(value).lower() not in {it.lower() for it in shape}:
            raise invalid(
                path, f"The value '{value}' of parameter '{path}' is invalid; valid are {', '.join(sorted(shape))}."
            )
    elif not isinstance(value, (int, float) if shape is float else shape) or (shape is int and isinstance(value, bool)):
        raise _unreadable(path, value)


def _check_members(value: Any, shape: dict[str, Shape], path: str) -> None:
    if not isinstance(value, dict):
        raise _unreadable(path, value)
    for member, it in value.items():
        if member not in shape:
            raise Refusal(
                400,
                "InvalidRequestContent",
                "The request content was invalid and could not be deserialized: 'Could not find member "
                f"'{member}' on object. Path '{path}{'.' if path else ''}{member}'.'",
            )
        _check(it, shape[member], f"{path}{'.' if path else ''}{member}")


def _unreadable(path: str, value: Any) -> Refusal:
    return Refusal(
        400,
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: 'Error converting value {value!r:.80}. "
        f"Path '{path}'.'",
    )
