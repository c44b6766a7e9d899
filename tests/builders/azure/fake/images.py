"""Managed images."""

from tests.builders.azure.fake.capture import as_image_disk, copy_disks, forget_volumes
from tests.builders.azure.fake.ids import key, new_guid
from tests.builders.azure.fake.kinds import Call, Json, Kind, referred
from tests.builders.azure.fake.refusal import Refusal, invalid, not_allowed
from tests.builders.azure.fake.world import Resource, world


class ManagedImages(Kind):
    """Made of a virtual machine, or of disks and snapshots."""

    type = "Microsoft.Compute/images"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        given = body.get("properties") or {}
        source = (given.get("sourceVirtualMachine") or {}).get("id")
        if old is not None:
            before = (old.properties.get("sourceVirtualMachine") or {}).get("id")
            if source is not None and (before is None or key(before) != key(source)):
                raise Refusal(
                    409, "PropertyChangeNotAllowed", "Changing property 'sourceVirtualMachine' is not allowed."
                )
            return
        if source is not None:
            machine = referred(call, source, "machine", right="Microsoft.Compute/virtualMachines/read")
            self._check_machine(machine, body)
            return
        system = (given.get("storageProfile") or {}).get("osDisk") or {}
        origin = system.get("snapshot") or system.get("managedDisk")
        if not origin:
            raise invalid("image", "Either sourceVirtualMachine or storageProfile must be given.")
        referred(call, origin.get("id"), "disk")

    @staticmethod
    def _check_machine(machine: Resource, body: Json) -> None:
        location = body["location"].lower().replace(" ", "")
        if machine.location != location:
            raise invalid("sourceVirtualMachine", f"The image must be in the machine's region, {machine.location}.")
        check_capturable(machine)
        if (machine.properties.get("securityProfile") or {}).get("securityType") == "TrustedLaunch":
            raise Refusal(
                400,
                "BadRequest",
                "Creation of managed images are not supported for virtual machine with TrustedLaunch security type.",
            )
        generation = (body.get("properties") or {}).get("hyperVGeneration", "V1")
        if generation != machine.facts["source"].generation:
            raise invalid(
                "hyperVGeneration",
                f"The value '{generation}' differs from that of the source virtual machine, "
                f"'{machine.facts['source'].generation}'.",
            )

    def complete(self, call: Call, resource: Resource) -> None:
        given = resource.properties
        if "volumes" in resource.facts:
            return
        given.setdefault("hyperVGeneration", "V1")
        machine = world.find((given.get("sourceVirtualMachine") or {}).get("id", "/"))
        if machine is not None:
            resource.facts["image_disks"] = as_image_disk(machine)
            copy_disks(machine, resource)
            return
        system = given["storageProfile"]["osDisk"]
        origin = world.find((system.get("snapshot") or system.get("managedDisk"))["id"])
        assert origin is not None
        for word in ("snapshot", "managedDisk"):
            if word in system:
                system[word]["id"] = origin.id
        system.setdefault("caching", "None")
        system.setdefault("storageAccountType", "Standard_LRS")
        given["storageProfile"].setdefault("dataDisks", [])
        given["storageProfile"].setdefault("zoneResilient", False)
        resource.facts |= {"size": origin.properties["diskSizeGB"], "volumes": {"os": new_guid()}}
        resource.facts["not_deprovisioned"] = ["made of a disk"]
        world.machines.copy_snapshot(resource.facts["volumes"]["os"], origin.properties["uniqueId"])

    def made(self, resource: Resource) -> None:
        if "image_disks" in resource.facts:
            resource.properties["storageProfile"] = resource.facts["image_disks"]
        elif "size" in resource.facts:
            resource.properties["storageProfile"]["osDisk"].setdefault("diskSizeGB", resource.facts["size"])

    def gone(self, resource: Resource) -> None:
        forget_volumes(resource)


IMAGES = ManagedImages()


def check_capturable(machine: Resource) -> None:
    """Refusal unless it is generalized, and off."""
    if not machine.facts["generalized"]:
        raise not_allowed("Capture operation cannot be completed because the VM is not generalized.")
    if machine.facts["power"] != "deallocated":
        raise not_allowed(
            f"Capture operation cannot be completed because VM '{machine.name}' is not deallocated but "
            f"{machine.facts['power']}."
        )
