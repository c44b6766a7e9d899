"""What Azure makes of a request for a virtual machine: what was not said, its disks, and what its machine is told."""

import base64
from dataclasses import dataclass, replace

from baker.testing.sandbox import File, Seed
from tests.builders.aws.fake.user_data import Told, UserDataError
from tests.builders.azure.fake.disks import new_disk
from tests.builders.azure.fake.ids import group_id, new_guid
from tests.builders.azure.fake.kinds import Call
from tests.builders.azure.fake.refusal import Refusal, invalid
from tests.builders.azure.fake.sources import Json, Source
from tests.builders.azure.fake.waagent import OVF_ENVIRONMENT, PROGRAM, ovf_environment
from tests.builders.azure.fake.world import Resource, world


@dataclass(frozen=True, kw_only=True)
class Provisioned(Told):
    """What a machine can ask Azure, with the files that Azure's agent keeps of it."""

    files: tuple[File, ...]

    def as_seed(self) -> Seed:
        """For a private root. UserDataError."""
        told = Told.as_seed(self)
        return replace(told, files=(*told.files, *self.files))


def complete_disks(machine: Resource, source: Source) -> None:
    profile = machine.properties["storageProfile"]
    system = profile["osDisk"]
    system.setdefault("name", f"{machine.name}_OsDisk_1_{new_guid().replace('-', '')}")
    system |= {"osType": source.system, "diskSizeGB": system.get("diskSizeGB") or source.gib}
    given = {it["lun"]: it for it in profile.get("dataDisks") or ()}
    for lun in source.data:
        given.setdefault(lun, {"lun": lun, "createOption": "FromImage"})
    profile["dataDisks"] = [given[lun] for lun in sorted(given)]
    for number, it in enumerate(profile["dataDisks"], start=2):
        it["named"] = "name" in it
        it.setdefault("name", f"{machine.name}_disk{number}_{new_guid().replace('-', '')}")
        it.setdefault("toBeDetached", False)
        if it["lun"] in source.data:
            it["diskSizeGB"] = max(it.get("diskSizeGB") or 0, source.data[it["lun"]][0])
    for it in (system, *profile["dataDisks"]):
        it.setdefault("caching", "ReadWrite" if it is system else "None")
        it.setdefault("deleteOption", "Detach")
        it.setdefault("managedDisk", {}).setdefault("storageAccountType", "Standard_LRS")


def make_disks(call: Call, machine: Resource, source: Source) -> None:
    profile = machine.properties["storageProfile"]
    made: list[Resource] = []
    try:
        for it in (profile["osDisk"], *profile["dataDisks"]):
            content = source.data[it["lun"]][1] if it.get("lun") in source.data else None
            made.append(
                new_disk(
                    call,
                    f"{group_id(machine.id)}/providers/Microsoft.Compute/disks/{it['name']}",
                    location=machine.location,
                    size=it["diskSizeGB"],
                    storage=it["managedDisk"]["storageAccountType"],
                    source=source.volume if it is profile["osDisk"] else content,
                    machine=machine.id,
                )
            )
            it["managedDisk"]["id"] = made[-1].id
    except Refusal:
        for disk in made:
            world.remove(disk)
        raise


def complete_account(profile: Json, source: Source) -> None:
    if source.system == "Windows":
        windows = profile.setdefault("windowsConfiguration", {})
        windows.setdefault("provisionVMAgent", True)
        windows.setdefault("patchSettings", {"patchMode": "AutomaticByOS", "assessmentMode": "ImageDefault"})
    else:
        linux = profile.setdefault("linuxConfiguration", {})
        linux.setdefault("provisionVMAgent", True)
        linux.setdefault("patchSettings", {"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"})
    profile |= {"secrets": [], "allowExtensionOperations": True, "requireGuestProvisionSignal": True}


def told_to(machine: Resource, source: Source) -> Provisioned:
    """What the machine is told: by its custom data, and by Azure's agent. Refusal for data that cannot be read here."""
    profile = machine.properties["osProfile"]
    user, host_name, data = profile["adminUsername"], profile["computerName"], profile.get("customData", "")
    ssh = (profile.get("linuxConfiguration") or {}).get("ssh") or {}
    environment = ovf_environment(user=user, host_name=host_name, custom_data=data)
    files = [File(path=OVF_ENVIRONMENT, mode=0o600, content=environment)]
    if source.resource is None:
        files.append(File(path="/usr/sbin/waagent", content=PROGRAM, mode=0o755))
    told = Provisioned(
        user_data=base64.b64decode(data),
        instance_id=machine.properties["vmId"],
        host_name=host_name,
        default_user=user,
        public_keys=tuple(it["keyData"].strip() for it in ssh.get("publicKeys") or ()),
        files=tuple(files),
    )
    try:
        told.as_seed()
    except UserDataError as error:
        raise invalid("customData", str(error)) from error
    return told
