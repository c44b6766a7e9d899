"""What Azure refuses when a virtual machine is asked for."""

import base64
import binascii
from typing import Any

from tests.builders.azure.fake.catalogue import Size, check_quota, size_of
from tests.builders.azure.fake.disks import STORAGE
from tests.builders.azure.fake.faults import fits
from tests.builders.azure.fake.ids import key
from tests.builders.azure.fake.kinds import Call, referred
from tests.builders.azure.fake.network import user_of
from tests.builders.azure.fake.refusal import Refusal, invalid
from tests.builders.azure.fake.settings import Shortage
from tests.builders.azure.fake.sources import Source, source_of
from tests.builders.azure.fake.world import world

Json = dict[str, Any]

_NAMES_NOT_ALLOWED = {
    "administrator", "admin", "user", "user1", "test", "user2", "test1", "user3", "admin1", "1", "123", "a", "actuser",
    "adm", "admin2", "aspnet", "backup", "console", "david", "guest", "john", "owner", "root", "server", "sql",
    "support", "support_388945a0", "sys", "test2", "test3", "user4", "user5",
}  # fmt: skip
_CUSTOM_DATA_BYTES = 65535
_STANDARD_FEATURE = "Microsoft.Compute/UseStandardSecurityType"


def check_new(call: Call, body: Json) -> Source:
    """The source of a machine that may be made. Refusal."""
    properties = body.get("properties") or {}
    location = body["location"].lower().replace(" ", "")
    size = size_of((properties.get("hardwareProfile") or {}).get("vmSize"), location)
    spot = properties.get("priority") == "Spot"
    profile = properties.get("storageProfile") or {}
    source = source_of(call, profile.get("imageReference") or {}, location)
    _check_disks(profile, size, source)
    _check_cards(call, properties, location)
    _check_account(properties.get("osProfile"), source)
    _check_fit(size, source)
    security_type(properties, size, source)
    _check_spot(properties, size, spot=spot)
    shortage = shortage_of(size.name, location, spot=spot, later=False)
    if shortage is not None:
        raise Refusal(
            409,
            shortage.code or "SkuNotAvailable",
            f"The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {size.name}' "
            f"is currently not available in location '{location}'. Please try another size or deploy to a different "
            "location or different zone. See https://aka.ms/azureskunotavailable for details.",
        )
    check_quota(size, location, spot=spot)
    return source


def security_type(properties: Json, size: Size, source: Source) -> str:
    """The one that the machine will have. Refusal for one that it cannot have."""
    asked = (properties.get("securityProfile") or {}).get("securityType")
    if asked is None:
        return "TrustedLaunch" if source.trusted_by_default and size.trusted_launch else "Standard"
    if asked == "Standard":
        if world.settings.standard_needs_feature and _STANDARD_FEATURE not in world.settings.features:
            raise Refusal(
                400,
                "BadRequest",
                "The value 'Standard' is not available for property 'securityType' until the feature "
                f"'{_STANDARD_FEATURE}' is registered for the subscription.",
            )
        if source.security == "TrustedLaunch":
            raise Refusal(400, "BadRequest", "The provided gallery image only supports creation of VMs with "
                          "'TrustedLaunch' security type.")  # fmt: skip
        return "Standard"
    if source.generation == "V1":
        raise Refusal(
            400, "BadRequest", "Use of TrustedLaunch setting is not supported for Hypervisor Generation 1 images."
        )
    if source.security is None or not size.trusted_launch:
        raise Refusal(400, "BadRequest", f"The VM size or the image does not support security type {asked}.")
    return str(asked)


def shortage_of(size: str, location: str, *, spot: bool, later: bool) -> Shortage | None:
    """What stands in the way of a machine."""
    priority = "Spot" if spot else "Regular"
    for it in world.settings.shortages:
        there = fits(size, it.size) and fits(location, it.location) and it.priority in ("*", priority)
        if there and it.later is later:
            return it
    return None


def _check_disks(profile: Json, size: Size, source: Source) -> None:
    system = profile.get("osDisk") or {}
    if system.get("createOption") != "FromImage":
        raise invalid("osDisk.createOption", "A machine of this fake has a system disk FromImage.")
    given = system.get("diskSizeGB")
    if given is not None and given < source.gib:
        raise Refusal(
            409,
            "OperationNotAllowed",
            f"The specified disk size {given} GB is smaller than the size of the corresponding disk in the VM image: "
            f"{source.gib} GB. This is not allowed. Please choose equal or greater size.",
        )
    disks = [system, *(profile.get("dataDisks") or ())]
    for it in disks:
        storage = (it.get("managedDisk") or {}).get("storageAccountType", STORAGE[0])
        if storage not in STORAGE:
            raise invalid("managedDisk.storageAccountType", f"The value '{storage}' is invalid.")
    luns = [it.get("lun") for it in disks[1:]]
    if None in luns or len(set(luns)) < len(luns):
        raise invalid("dataDisk.lun", f"The luns {luns} of data disks must be given, and differ.")
    if len(luns) > size.data_disks:
        raise Refusal(
            409,
            "OperationNotAllowed",
            f"The maximum number of data disks allowed to be attached to a VM of this size is {size.data_disks}.",
        )
    for it in disks[1:]:
        if it.get("createOption") == "Empty" and not it.get("diskSizeGB"):
            raise invalid("dataDisk.diskSizeGB", "Required parameter is missing (null).")
        if it.get("createOption") == "FromImage" and it["lun"] not in source.data:
            raise invalid("dataDisk.lun", f"The image has no data disk with lun {it['lun']}.")
        if it.get("createOption") == "Empty" and it["lun"] in source.data:
            raise invalid("dataDisk.createOption", f"The image has a data disk with lun {it['lun']}.")


def _check_cards(call: Call, properties: Json, location: str) -> None:
    cards = (properties.get("networkProfile") or {}).get("networkInterfaces") or ()
    if not cards:
        raise invalid("networkProfile", "The VM must have at least one network interface.")
    for it in cards:
        card = referred(call, it.get("id"), "network", right="Microsoft.Network/networkInterfaces/join/action")
        if card.location != location or card.state != "Succeeded":
            raise Refusal(
                400, "InvalidResourceReference", f"Network interface {card.id} is in {card.location}, {card.state}."
            )
        user = user_of(card)
        if user is not None and key(user.id) != key(call.id):
            raise Refusal(400, "NicInUse", f"Network Interface {card.id} is used by existing resource {user.id}.")


def _check_account(profile: Json | None, source: Source) -> None:
    if not profile:
        raise invalid("osProfile", "Required parameter 'osProfile' is missing (null).")
    user = profile.get("adminUsername")
    if not user or not profile.get("computerName"):
        raise invalid("osProfile", "Required parameter 'adminUsername' or 'computerName' is missing (null).")
    if user.lower() in _NAMES_NOT_ALLOWED:
        raise invalid("adminUsername", "The Admin Username specified is not allowed.")
    data = profile.get("customData")
    if data is not None:
        try:
            size = len(base64.b64decode(data, validate=True))
        except binascii.Error as error:
            raise invalid("customData", "Custom data must be base64-encoded.") from error
        if size > _CUSTOM_DATA_BYTES:
            raise invalid("customData", "Custom data is too long.")
    if source.system == "Windows":
        return
    linux = profile.get("linuxConfiguration") or {}
    keys = (linux.get("ssh") or {}).get("publicKeys") or ()
    if not keys and not profile.get("adminPassword"):
        raise invalid("adminPassword", "Authentication using either SSH or by user name and password must be enabled.")
    for it in keys:
        if it.get("path") != f"/home/{user}/.ssh/authorized_keys":
            raise invalid("ssh.publicKeys.path", f"Destination path must be /home/{user}/.ssh/authorized_keys.")
        if not str(it.get("keyData", "")).startswith(("ssh-rsa ", "ssh-ed25519 ")):
            raise invalid("ssh.publicKeys.keyData", "The value is not a key of type RSA or ED25519 in OpenSSH form.")


def _check_fit(size: Size, source: Source) -> None:
    if source.architecture != size.architecture:
        raise Refusal(
            400,
            "BadRequest",
            f"Cannot create a VM of size '{size.name}' because this VM size only supports a CPU Architecture of "
            f"'{size.architecture}', but an image or disk with CPU Architecture '{source.architecture}' was given.",
        )
    if source.generation not in size.generations.split(","):
        raise Refusal(
            400,
            "BadRequest",
            f"The selected VM size '{size.name}' cannot boot Hypervisor Generation '{source.generation[1]}'. If this "
            "was a Create operation please check that the Hypervisor Generation of the Image matches.",
        )


def _check_spot(properties: Json, size: Size, *, spot: bool) -> None:
    if not spot and (properties.get("evictionPolicy") or properties.get("billingProfile")):
        raise invalid("evictionPolicy", "Eviction policy can be set only on Azure Spot Virtual Machines.")
    if spot and not size.spot:
        raise invalid("priority", f"Size {size.name} is not supported for Azure Spot Virtual Machines.")
