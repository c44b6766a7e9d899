"""Virtual machines: their states, one after the other, and the machine in each of them."""

import json

from tests.builders.aws.fake.machines import DataVolume
from tests.builders.azure.fake.catalogue import size_of
from tests.builders.azure.fake.disks import disks_of
from tests.builders.azure.fake.guest import Guest
from tests.builders.azure.fake.ids import key, new_guid, shout
from tests.builders.azure.fake.kinds import Answer, Call, Json, Kind
from tests.builders.azure.fake.locks import check_writable
from tests.builders.azure.fake.network import public_to_delete
from tests.builders.azure.fake.operations import instant
from tests.builders.azure.fake.refusal import Refusal, not_allowed
from tests.builders.azure.fake.vm_check import check_new, security_type, shortage_of
from tests.builders.azure.fake.vm_making import complete_account, complete_disks, make_disks, told_to
from tests.builders.azure.fake.world import Resource, world

_UNCHANGEABLE = ("imageReference", "osProfile", "priority", "securityProfile")
_DISPLAYED = {"running": "VM running", "stopped": "VM stopped", "deallocated": "VM deallocated"}


class VirtualMachines(Kind):
    """See the module. A machine's power is in its facts: starting, running, stopping, stopped, deallocat(ing|ed)."""

    type = "Microsoft.Compute/virtualMachines"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        if old is None:
            check_new(call, body)
            return
        asked = json.loads(json.dumps(body.get("properties") or {}))
        for word in _UNCHANGEABLE:
            given = asked.get(word, (asked.get("storageProfile") or {}).get(word))
            before = old.facts["asked"].get(word, (old.facts["asked"].get("storageProfile") or {}).get(word))
            if given is not None and given != before:
                raise Refusal(409, "PropertyChangeNotAllowed", f"Changing property '{word}' is not allowed.")

    def complete(self, call: Call, resource: Resource) -> None:
        if "asked" in resource.facts:
            resource.properties = resource.facts["properties"]
            return
        resource.facts["asked"] = json.loads(json.dumps(call.body["properties"]))
        source = check_new(call, call.body)
        properties = resource.properties
        resource.facts |= {"source": source, "power": "starting", "generalized": False, "disks_made": False}
        size = size_of(properties["hardwareProfile"]["vmSize"], resource.location)
        chosen = security_type(properties, size, source)
        profile = properties["storageProfile"]
        profile["imageReference"] |= {"exactVersion": source.exact_version} if source.exact_version else {}
        properties["vmId"] = new_guid()
        resource.facts["guest"] = Guest(told_to(resource, source))
        complete_disks(resource, source)
        make_disks(call, resource, source)
        complete_account(properties["osProfile"], source)
        properties["timeCreated"] = instant(resource.created)
        if chosen == "TrustedLaunch":
            given = properties.setdefault("securityProfile", {})
            given["securityType"] = chosen
            given.setdefault("uefiSettings", {"secureBootEnabled": True, "vTpmEnabled": True})
        if properties.get("priority") == "Spot":
            properties.setdefault("evictionPolicy", "Deallocate")
            properties.setdefault("billingProfile", {"maxPrice": -1.0})
        for it in properties["networkProfile"]["networkInterfaces"]:
            it.setdefault("properties", {"primary": True})
        if call.version < "2024":
            properties.pop("timeCreated")
        resource.facts["properties"] = properties
        later = shortage_of(size.name, resource.location, spot=properties.get("priority") == "Spot", later=True)
        resource.facts["shortage"] = later and (later.code or "AllocationFailed")
        if later is None:
            self._switch_on(resource)

    def ready(self, resource: Resource) -> bool | tuple[str, str]:
        if resource.facts["shortage"]:
            return str(resource.facts["shortage"]), (
                "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read "
                "more about improving likelihood of allocation success at http://aka.ms/allocation-guidance"
            )
        guest = resource.facts["guest"]
        if guest.failed:
            return "OSProvisioningTimedOut", f"OS Provisioning for VM '{resource.name}' did not finish: {guest.failed}"
        return bool(guest.settled)

    def made(self, resource: Resource) -> None:
        if resource.facts["power"] == "starting":
            resource.facts["power"] = "running"
        resource.facts["disks_made"] = True

    def spoil(self, resource: Resource) -> None:
        if resource.facts["power"] == "starting":
            resource.facts["power"] = "stopped"
            resource.facts["guest"].cut(graceful=False)

    def going(self, resource: Resource) -> None:
        resource.facts["power"] = "stopping"
        resource.facts["guest"].cut(graceful=False)

    def gone_ready(self, resource: Resource) -> bool:
        return bool(resource.facts["guest"].settled)

    def gone(self, resource: Resource) -> None:
        """What was made with `deleteOption: Delete` goes too; all the rest stays."""
        resource.facts["guest"].kill()
        profile = resource.properties["storageProfile"]
        with_it = {
            key(it["managedDisk"]["id"])
            for it in (profile["osDisk"], *profile["dataDisks"])
            if it["deleteOption"] == "Delete"
        }
        for disk in disks_of(resource):
            disk.envelope.pop("managedBy", None)
            disk.properties["diskState"] = "Unattached"
            if key(disk.id) in with_it:
                world.remove(disk)
        for it in resource.properties["networkProfile"]["networkInterfaces"]:
            card = world.find(it["id"])
            if card is not None and it["properties"].get("deleteOption") == "Delete":
                addresses = public_to_delete(card)
                world.remove(card)
                for address in addresses:
                    world.remove(address)
        for it in list(world.of_type("Microsoft.DevTestLab/schedules")):
            if key(it.properties["targetResourceId"]) == key(resource.id):
                it.facts["orphan"] = True

    def shown(self, resource: Resource, query: dict[str, str]) -> Json:
        told = json.loads(json.dumps(resource.properties))
        told["osProfile"].pop("customData", None)
        told["osProfile"].pop("adminPassword", None)
        for it in (told["storageProfile"]["osDisk"], *told["storageProfile"]["dataDisks"]):
            if not resource.facts["disks_made"]:
                it["managedDisk"].pop("id", None)
                if it.get("lun") is not None and not it.get("named"):
                    it.pop("name", None)
            elif world.settings.shout and "id" in it["managedDisk"]:
                it["managedDisk"]["id"] = shout(it["managedDisk"]["id"])
            it.pop("named", None)
        if "instanceview" in query.get("$expand", "").lower():
            told["instanceView"] = _view(resource)
        return dict(told)

    # what can be done to one

    def instance_view(self, call: Call) -> Answer:
        """How it is."""
        world.polled(call.id)
        world.tick()
        return Answer(status=200, body=_view(self.existing(call.id)))

    def boot_diagnostics(self, call: Call) -> Answer:
        """Where its console can be read."""
        machine = self.existing(call.id)
        if not ((machine.properties.get("diagnosticsProfile") or {}).get("bootDiagnostics") or {}).get("enabled"):
            raise not_allowed("Boot diagnostics is not enabled for this VM.")
        return Answer(
            status=200,
            body={
                "consoleScreenshotBlobUri": f"{call.base}/fake/console/{machine.properties['vmId']}.bmp",
                "serialConsoleLogBlobUri": f"{call.base}/fake/console/{machine.properties['vmId']}.log",
            },
        )

    def generalize(self, call: Call) -> Answer:
        """Say that it has been prepared; nothing is done to it, and Azure does not look whether that is true."""
        machine = self._writable(call)
        if machine.facts["power"] not in ("stopped", "deallocated"):
            raise not_allowed(
                f"Operation 'generalize' is not allowed on VM '{machine.name}' since the VM is running. Please shut "
                "down or deallocate the VM before generalizing."
            )
        machine.facts["generalized"] = True
        return Answer(status=200)

    def deallocate(self, call: Call) -> Answer:
        """Switch it off, and pay no more."""
        return self._power(call, "deallocating", "deallocated", graceful=True)

    def power_off(self, call: Call) -> Answer:
        """Switch it off, and go on paying."""
        return self._power(call, "stopping", "stopped", graceful=call.query.get("skipShutdown") != "true")

    def start(self, call: Call) -> Answer:
        """Switch it on again."""
        machine = self._writable(call)
        if machine.facts["generalized"]:
            raise not_allowed(f"Operation 'start' is not allowed on VM '{machine.name}' since the VM is generalized.")
        machine.facts["power"] = "starting"
        self._switch_on(machine)
        return self._begun(call, machine, "running")

    def restart(self, call: Call) -> Answer:
        """Switch it off and on."""
        machine = self._writable(call)
        machine.facts["guest"].restart()
        return self._begun(call, machine, machine.facts["power"])

    def patch(self, call: Call) -> Answer:
        """Change its tags, at once; nothing else is changed in this fake's machines."""
        machine = self._writable(call)
        machine.tags = dict(call.body.get("tags") or machine.tags)
        told = self.body(machine, {})
        told["properties"]["provisioningState"] = "Updating"
        return Answer(status=200, body=told)

    def _writable(self, call: Call) -> Resource:
        machine = self.existing(call.id)
        check_writable(call.id)
        if machine.state in ("Creating", "Deleting"):
            raise not_allowed(f"Operation is not allowed on VM '{machine.name}', which is {machine.state}.")
        return machine

    def _power(self, call: Call, now: str, then: str, *, graceful: bool) -> Answer:
        machine = self._writable(call)
        if machine.facts["power"] != then:
            machine.facts["power"] = now
        machine.facts["guest"].cut(graceful=graceful)
        return self._begun(call, machine, then)

    def _begun(self, call: Call, machine: Resource, then: str) -> Answer:
        before = machine.facts["power"]
        machine.state = "Updating"

        def done() -> None:
            machine.state, machine.facts["power"] = "Succeeded", then

        def failed() -> None:
            machine.state = "Failed"
            machine.facts["power"] = "running" if machine.facts["guest"].wanted_on else "stopped"

        assert before
        ready = lambda: bool(machine.facts["guest"].settled)  # noqa: E731
        operation = self.operation(call, machine, then=done, spoiled=failed, ready=ready)
        return Answer(status=202, headers=operation.headers(call.base, monitor=True))

    def _switch_on(self, machine: Resource) -> None:
        disks = disks_of(machine)
        data = []
        for it in machine.properties["storageProfile"]["dataDisks"]:
            found = world.find(it["managedDisk"]["id"])
            assert found is not None
            names = (f"disk/azure/scsi1/lun{it['lun']}", f"disk/azure/data/by-lun/{it['lun']}")
            data.append(
                DataVolume(id=found.properties["uniqueId"], size_gib=found.properties["diskSizeGB"], names=names)
            )
        machine.facts["guest"].switch_on(disks[0].properties["uniqueId"], tuple(data))


VIRTUAL_MACHINES = VirtualMachines()


def _view(machine: Resource) -> Json:
    power = machine.facts["power"]
    statuses = [
        {
            "code": f"ProvisioningState/{machine.state.lower()}",
            "level": "Info",
            "displayStatus": "Provisioning succeeded" if machine.state == "Succeeded" else machine.state,
            "time": instant(machine.created),
        }
    ]
    if machine.facts["generalized"]:
        statuses.append({"code": "OSState/generalized", "level": "Info", "displayStatus": "VM generalized"})
    displayed = _DISPLAYED.get(power, f"VM {power}")
    statuses.append({"code": f"PowerState/{power}", "level": "Info", "displayStatus": displayed})
    told: Json = {"disks": [{"name": it.name, "statuses": statuses[:1]} for it in disks_of(machine)]}
    if power == "running":
        agent = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready",
                 "message": "Guest Agent is running", "time": instant(world.now())}  # fmt: skip
        told = {
            "computerName": machine.properties["osProfile"]["computerName"],
            "osName": "debian",
            "osVersion": "12",
            "vmAgent": {"vmAgentVersion": "2.9.1.1", "statuses": [agent], "extensionHandlers": []},
        } | told
    return told | {"hyperVGeneration": machine.facts["source"].generation, "statuses": statuses}
