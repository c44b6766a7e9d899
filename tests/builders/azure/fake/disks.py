"""Managed disks and snapshots."""

from tests.builders.azure.fake.ids import key, new_guid
from tests.builders.azure.fake.kinds import Answer, Call, Json, Kind, created_at, referred
from tests.builders.azure.fake.operations import nothing
from tests.builders.azure.fake.refusal import Refusal, invalid, not_allowed
from tests.builders.azure.fake.world import Resource, world

STORAGE = ("Standard_LRS", "StandardSSD_LRS", "Premium_LRS", "Premium_ZRS", "StandardSSD_ZRS", "PremiumV2_LRS")
GIB = 1 << 30


class Disks(Kind):
    """A disk is accepted with 202, and a body that does not know its id yet."""

    type = "Microsoft.Compute/disks"
    style = "DiskOperations"
    put_status = 202
    patch_status = 202

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        given = body.get("properties") or {}
        creation = given.get("creationData") or {}
        if "createOption" not in creation:
            raise invalid("creationData.createOption", "Required parameter is missing (null).")
        if creation["createOption"] == "Empty" and not given.get("diskSizeGB"):
            raise invalid("diskSizeGB", "Required parameter is missing (null).")
        if (body.get("sku") or {}).get("name", "Standard_LRS") not in STORAGE:
            raise invalid("sku.name", f"The value '{body['sku']['name']}' is invalid.")
        if creation["createOption"] == "Copy":
            referred(call, self._source(creation), "disk", right="Microsoft.Compute/disks/read")

    def complete(self, call: Call, resource: Resource) -> None:
        creation = resource.properties["creationData"]
        resource.facts["asked"] = {word: dict(creation) if word == "creationData" else value
                                   for word, value in resource.properties.items()
                                   if word in ("creationData", "diskSizeGB")}  # fmt: skip
        size = resource.properties.get("diskSizeGB")
        if creation["createOption"] == "Copy":
            source = world.find(self._source(creation))
            assert source is not None
            creation.pop("sourceUri", None)
            creation |= {"sourceResourceId": source.id, "sourceUniqueId": source.properties["uniqueId"]}
            resource.facts["asked"]["creationData"]["sourceUniqueId"] = source.properties["uniqueId"]
            size = size or source.properties["diskSizeGB"]
            world.machines.new_volume(
                resource.properties.setdefault("uniqueId", new_guid()), source.properties["uniqueId"]
            )
        if "uniqueId" not in resource.properties:
            resource.properties["uniqueId"] = new_guid()
            world.machines.new_volume(resource.properties["uniqueId"], None)
        self.furnish(resource, size)

    def furnish(self, resource: Resource, size: int) -> None:
        """What every disk tells of itself."""
        sku = resource.envelope.setdefault("sku", {"name": "Standard_LRS"})
        sku["tier"] = sku["name"].partition("_")[0]
        defaults: Json = {
            "diskSizeGB": size, "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
            "timeCreated": created_at(resource), "diskState": "Unattached", "diskSizeBytes": size * GIB,
            "networkAccessPolicy": "AllowAll",
        }  # fmt: skip
        if self.type == Disks.type:
            defaults |= {"diskIOPSReadWrite": 500, "diskMBpsReadWrite": 60}
        for word, value in defaults.items():
            resource.properties.setdefault(word, value)

    def check_gone(self, call: Call, resource: Resource) -> None:
        if resource.envelope.get("managedBy"):
            raise not_allowed(f"Disk {resource.name} is attached to VM {resource.envelope['managedBy']}.")
        if resource.properties["diskState"] == "ActiveSAS":
            raise not_allowed(f"There is an active shared access signature outstanding for disk {resource.name}.")

    def gone(self, resource: Resource) -> None:
        world.machines.forget(resource.properties["uniqueId"])

    def accepted_body(self, resource: Resource) -> Json:
        told: Json = {"location": resource.location}
        if self.type == Disks.type:
            told["name"] = resource.name
        properties = dict(resource.facts.get("asked", {}))
        if resource.state == "Updating":
            told["sku"] = resource.envelope["sku"]
            properties = {word: resource.properties[word] for word in ("creationData", "diskSizeGB")}
            if self.type == Snapshots.type:
                properties["faultDomain"] = 0
        return told | {"properties": {**properties, "provisioningState": "Updating", "isArmResource": True}}

    def begin_access(self, call: Call) -> Answer:
        """Somebody may download it."""
        resource = self.existing(call.id)
        resource.properties["diskState"] = "ActiveSAS"
        operation = self.operation(call, resource, then=nothing, spoiled=nothing)
        operation.output = lambda: {"accessSAS": "FakeUrl"}
        return Answer(status=202, headers=operation.headers(call.base, monitor=True))

    def end_access(self, call: Call) -> Answer:
        """Nobody may any more."""
        resource = self.existing(call.id)
        resource.properties["diskState"] = "Unattached"
        operation = self.operation(call, resource, then=nothing, spoiled=nothing)
        return Answer(status=202, headers=operation.headers(call.base, monitor=True))

    @staticmethod
    def _source(creation: Json) -> str:
        return str(creation.get("sourceResourceId") or creation.get("sourceUri"))


class Snapshots(Disks):
    type = "Microsoft.Compute/snapshots"

    def complete(self, call: Call, resource: Resource) -> None:
        super().complete(call, resource)
        resource.properties.setdefault("incremental", False)


DISKS, SNAPSHOTS = Disks(), Snapshots()


def new_disk(
    call: Call, id: str, *, location: str, size: int, storage: str, source: str | None, machine: str
) -> Resource:
    """A disk that comes with a virtual machine, and is attached to it. Refusal when there is one of its name."""
    if world.find(id) is not None:
        name, group = id.rsplit("/", 1)[1], id.split("/")[4]
        raise Refusal(
            409,
            "ConflictingUserInput",
            f"Disk {name} already exists in resource group {group.upper()}. Only CreateOption.Attach is supported.",
        )
    disk = Resource(id=id, kind=DISKS, location=location, tags={}, properties={"uniqueId": new_guid()})
    disk.envelope = {"sku": {"name": storage}, "managedBy": machine}
    disk.properties["creationData"] = {"createOption": "FromImage" if source else "Empty"}
    DISKS.furnish(disk, size)
    disk.properties["diskState"] = "Attached"
    world.machines.new_volume(disk.properties["uniqueId"], source)
    world.add(disk)
    return disk


def disks_of(machine: Resource) -> list[Resource]:
    """All that are attached to it, the one that it boots from first."""
    profile = machine.properties["storageProfile"]
    ids = [
        it["managedDisk"]["id"]
        for it in (profile["osDisk"], *profile.get("dataDisks", ()))
        if "id" in it["managedDisk"]
    ]
    found = (world.find(it) for it in ids)
    return [it for it in found if it is not None]


def same(one: str, other: str) -> bool:
    """Whether two ids mean the same."""
    return key(one) == key(other)
