"""What an image of a virtual machine is made of: copies of its disks, and whether the machine had been prepared."""

from pathlib import Path
from typing import Any

from tests.builders.aws.fake.machines import NoMachines
from tests.builders.azure.fake.disks import disks_of
from tests.builders.azure.fake.ids import new_guid
from tests.builders.azure.fake.waagent import OVF_ENVIRONMENT
from tests.builders.azure.fake.world import Resource, world

OVERLAY = "upper"


def copy_disks(machine: Resource, image: Resource) -> None:
    """Fill an image with what is on the machine's disks now, and remember whether it had been deprovisioned."""
    profile = machine.properties["storageProfile"]
    luns = ["os", *(str(it["lun"]) for it in profile["dataDisks"])]
    volumes = {}
    for lun, disk in zip(luns, disks_of(machine), strict=True):
        volumes[lun] = new_guid()
        world.machines.take_snapshot(volumes[lun], disk.properties["uniqueId"])
    image.facts["volumes"] = volumes
    image.facts["not_deprovisioned"] = what_is_left(machine, volumes["os"])


def copy_volumes(source: Resource, image: Resource) -> None:
    """Fill an image with what is in another one."""
    volumes = {}
    for lun, volume in source.facts["volumes"].items():
        volumes[lun] = new_guid()
        world.machines.copy_snapshot(volumes[lun], volume)
    image.facts["volumes"] = volumes
    image.facts["not_deprovisioned"] = source.facts["not_deprovisioned"]


def forget_volumes(image: Resource) -> None:
    """The image is gone."""
    for volume in image.facts.get("volumes", {}).values():
        world.machines.forget(volume)


def what_is_left(machine: Resource, volume: str) -> list[str]:
    """What `waagent -deprovision+user` would have removed; Azure never looks, and so nobody is told but the test."""
    if isinstance(world.machines, NoMachines):
        return [] if world.settings.deprovisioned else ["nothing was done"]
    root = world.machines.folder(volume) / OVERLAY
    user = machine.properties["osProfile"]["adminUsername"]
    found = []
    if (root / OVF_ENVIRONMENT.lstrip("/")).is_file():
        found.append(OVF_ENVIRONMENT)
    if _has_line(root / "etc/passwd", user):
        found.append(f"account {user}")
    if (root / "home" / user).is_dir():
        found.append(f"/home/{user}")
    found += [f"/etc/ssh/{it.name}" for it in (root / "etc/ssh").glob("ssh_host_*key") if it.is_file()]
    return found


def _has_line(file: Path, user: str) -> bool:
    return file.is_file() and any(line.startswith(f"{user}:") for line in file.read_text().splitlines())


def as_image_disk(machine: Resource) -> dict[str, Any]:
    """The system disk, as an image describes it."""
    profile = machine.properties["storageProfile"]
    system, *others = disks_of(machine)
    return {
        "osDisk": {
            "osType": profile["osDisk"]["osType"],
            "osState": "Generalized",
            "diskSizeGB": system.properties["diskSizeGB"],
            "managedDisk": {"id": system.id},
            "caching": profile["osDisk"]["caching"],
            "storageAccountType": "Standard_LRS",
        },
        "dataDisks": [
            {
                "lun": it["lun"],
                "diskSizeGB": disk.properties["diskSizeGB"],
                "managedDisk": {"id": disk.id},
                "caching": it["caching"],
                "storageAccountType": "Standard_LRS",
            }
            for it, disk in zip(profile["dataDisks"], others, strict=True)
        ],
        "zoneResilient": False,
    }
