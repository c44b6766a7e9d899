"""Virtual machines: their states, one after the other, and the machine in each of them."""

import base64
import json
import threading
from typing import Any

from baker.errors import BakeError
from baker.testing.sandbox import File, Seed
from tests.builders.aws.fake.machines import DataVolume, NoMachines, RunningMachine
from tests.builders.aws.fake.user_data import UserDataError, seed
from tests.builders.azure.fake.catalogue import size_of
from tests.builders.azure.fake.disks import disks_of, new_disk
from tests.builders.azure.fake.ids import group_id, key, new_guid, shout
from tests.builders.azure.fake.kinds import Answer, Call, Json, Kind
from tests.builders.azure.fake.locks import check_writable
from tests.builders.azure.fake.network import addresses_of, admits, public_to_delete
from tests.builders.azure.fake.operations import instant
from tests.builders.azure.fake.refusal import Refusal, invalid, not_allowed
from tests.builders.azure.fake.sources import Source
from tests.builders.azure.fake.vm_check import check_new, security_type, shortage_of
from tests.builders.azure.fake.waagent import OVF_ENVIRONMENT, PROGRAM, ovf_environment
from tests.builders.azure.fake.world import Resource, world

_UNCHANGEABLE = ("imageReference", "osProfile", "priority", "securityProfile")
_DISPLAYED = {"running": "VM running", "stopped": "VM stopped", "deallocated": "VM deallocated"}


class Guest:
    """The machine of a virtual machine, while it is on."""

    def __init__(self, told: Seed) -> None:
        self.seed = told
        self.machine: RunningMachine | None = None
        self.wanted_on = False
        self.console = ""
        self.failed: str | None = None
        self._power = threading.Lock()
        self._busy = 0

    @property
    def settled(self) -> bool:
        """Whether it neither starts nor ends."""
        return self._busy == 0

    def switch_on(self, volume: str, data: tuple[DataVolume, ...]) -> None:
        """Start it; see `settled`."""
        self.wanted_on = True
        if not isinstance(world.machines, NoMachines):
            self._beside(lambda: self._boot(volume, data))

    def cut(self, *, graceful: bool) -> None:
        """End it; see `settled`."""
        self.wanted_on = False
        self._beside(lambda: self._end(graceful=graceful))

    def kill(self) -> None:
        """It has ended when this returns."""
        self.wanted_on = False
        with self._power:
            self._end_now(graceful=False)

    def restart(self) -> None:
        """As by its reset button."""
        if self.machine is not None:
            self.machine.restart()

    def _beside(self, work: Any) -> None:
        self._busy += 1

        def run() -> None:
            try:
                work()
            finally:
                self._busy -= 1

        threading.Thread(target=run, daemon=True).start()

    def _boot(self, volume: str, data: tuple[DataVolume, ...]) -> None:
        with self._power:
            if not self.wanted_on:
                return
            try:
                self.machine = world.machines.start(self.seed, volume, data)
            except BakeError as error:
                self.failed = self.console = f"the machine does not start: {error}"

    def _end(self, *, graceful: bool) -> None:
        with self._power:
            self._end_now(graceful=graceful)

    def _end_now(self, *, graceful: bool) -> None:
        machine, self.machine = self.machine, None
        if machine is not None:
            self.console = machine.last_words()
            if graceful:
                machine.stop()
            else:
                machine.kill()


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
        resource.facts["guest"] = Guest(_told(resource, source))
        _complete_disks(resource, source)
        _make_disks(call, resource, source)
        _complete_account(properties["osProfile"], source)
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


def switch_off(machine: Resource) -> None:
    """Deallocate it, as a schedule or an eviction does; at once."""
    machine.facts["guest"].kill()
    machine.facts["power"] = "deallocated"


def notice_ended_machines() -> None:
    """A poweroff from inside: stopped, but paid for."""
    for machine in world.of_type(VirtualMachines.type):
        guest = machine.facts["guest"]
        ended = guest.machine is not None and not guest.machine.running
        if machine.facts["power"] == "running" and guest.wanted_on and ended:
            machine.facts["power"] = "stopped"
            guest.cut(graceful=False)


def listeners() -> dict[str, Resource]:
    """The machines that are on, by the addresses that lead to them."""
    found = {}
    for machine in world.of_type(VirtualMachines.type):
        if machine.facts["power"] in ("starting", "running") and machine.facts["guest"].wanted_on:
            for card in _cards(machine):
                found |= dict.fromkeys(addresses_of(card), machine)
    return found


def lets_in(machine: Resource, peer: str) -> bool:
    """Whether the security rules let somebody through to its SSH."""
    return any(admits(card, peer, world.settings.ssh_port) for card in _cards(machine))


def _cards(machine: Resource) -> list[Resource]:
    ids = [it["id"] for it in machine.properties["networkProfile"]["networkInterfaces"]]
    return [it for it in map(world.find, ids) if it is not None]


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


def _complete_disks(machine: Resource, source: Source) -> None:
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


def _make_disks(call: Call, machine: Resource, source: Source) -> None:
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


def _complete_account(profile: Json, source: Source) -> None:
    if source.system == "Windows":
        windows = profile.setdefault("windowsConfiguration", {})
        windows.setdefault("provisionVMAgent", True)
        windows.setdefault("patchSettings", {"patchMode": "AutomaticByOS", "assessmentMode": "ImageDefault"})
    else:
        linux = profile.setdefault("linuxConfiguration", {})
        linux.setdefault("provisionVMAgent", True)
        linux.setdefault("patchSettings", {"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"})
    profile |= {"secrets": [], "allowExtensionOperations": True, "requireGuestProvisionSignal": True}


def _told(machine: Resource, source: Source) -> Seed:
    """What the machine is told: by its custom data, and by Azure's agent."""
    profile = machine.properties["osProfile"]
    user, host_name, data = profile["adminUsername"], profile["computerName"], profile.get("customData", "")
    ssh = (profile.get("linuxConfiguration") or {}).get("ssh") or {}
    keys = tuple(it["keyData"].strip() for it in ssh.get("publicKeys") or ())
    files = [File(path=OVF_ENVIRONMENT, mode=0o600,
                  content=ovf_environment(user=user, host_name=host_name, custom_data=data))]  # fmt: skip
    if source.resource is None:
        files.append(File(path="/usr/sbin/waagent", content=PROGRAM, mode=0o755))
    try:
        told = seed(
            base64.b64decode(data),
            instance_id=machine.properties["vmId"],
            host_name=host_name,
            default_user=user,
            public_keys=keys,
        )
    except UserDataError as error:
        raise invalid("customData", str(error)) from error
    return Seed(
        instance_id=told.instance_id,
        host_name=told.host_name,
        accounts=told.accounts,
        host_key=told.host_key,
        files=(*told.files, *files),
        boot_commands=told.boot_commands,
        run_commands=told.run_commands,
    )


def evict(machine: Resource) -> None:
    """Azure needs the place of a Spot machine."""
    if machine.properties.get("evictionPolicy") == "Delete":
        world.remove(machine)
    else:
        switch_off(machine)


def evict_all() -> None:
    """All Spot machines."""
    for machine in list(world.of_type(VirtualMachines.type)):
        if machine.properties.get("priority") == "Spot":
            evict(machine)


def die(machine: Resource) -> None:
    """It ends, as by a fault of its host; Azure knows it as stopped."""
    machine.facts["guest"].kill()
    machine.facts["power"] = "stopped"


def kill_all() -> None:
    """All machines end."""
    for machine in world.of_type(VirtualMachines.type):
        die(machine)


def console(vm_id: str) -> str | None:
    """What a machine said, or None where there is no such machine."""
    for machine in world.of_type(VirtualMachines.type):
        if machine.properties["vmId"] == vm_id:
            guest = machine.facts["guest"]
            words = guest.machine.last_words() if guest.machine is not None else ""
            return "\n".join(it for it in (guest.console, words) if it)
    return None
