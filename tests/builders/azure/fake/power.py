"""What happens to virtual machines without a call of the API: they end, are evicted, are deallocated by a schedule."""

from tests.builders.azure.fake.catalogue import VM_TYPE
from tests.builders.azure.fake.network import addresses_of, admits
from tests.builders.azure.fake.world import Resource, world


def switch_off(machine: Resource) -> None:
    """Deallocate it, as a schedule or an eviction does; at once."""
    machine.facts["guest"].kill()
    machine.facts["power"] = "deallocated"


def notice_ended_machines() -> None:
    """A poweroff from inside: stopped, but paid for."""
    for machine in world.of_type(VM_TYPE):
        guest = machine.facts["guest"]
        ended = guest.machine is not None and not guest.machine.running
        if machine.facts["power"] == "running" and guest.wanted_on and ended:
            machine.facts["power"] = "stopped"
            guest.cut(graceful=False)


def listeners() -> dict[str, Resource]:
    """The machines that are on, by the addresses that lead to them."""
    found = {}
    for machine in world.of_type(VM_TYPE):
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


def evict(machine: Resource) -> None:
    """Azure needs the place of a Spot machine."""
    if machine.properties.get("evictionPolicy") == "Delete":
        world.remove(machine)
    else:
        switch_off(machine)


def evict_all() -> None:
    """All Spot machines."""
    for machine in list(world.of_type(VM_TYPE)):
        if machine.properties.get("priority") == "Spot":
            evict(machine)


def die(machine: Resource) -> None:
    """It ends, as by a fault of its host; Azure knows it as stopped."""
    machine.facts["guest"].kill()
    machine.facts["power"] = "stopped"


def kill_all() -> None:
    """All machines end."""
    for machine in world.of_type(VM_TYPE):
        die(machine)


def console(vm_id: str) -> str | None:
    """What a machine said, or None where there is no such machine."""
    for machine in world.of_type(VM_TYPE):
        if machine.properties["vmId"] == vm_id:
            guest = machine.facts["guest"]
            words = guest.machine.last_words() if guest.machine is not None else ""
            return "\n".join(it for it in (guest.console, words) if it)
    return None
