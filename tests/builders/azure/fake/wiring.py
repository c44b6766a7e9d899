"""What happens by itself, between two calls: machines that end, schedules, and addresses that begin and cease."""

from tests.builders.azure.fake.catalogue import VM_TYPE
from tests.builders.azure.fake.power import lets_in, listeners, notice_ended_machines
from tests.builders.azure.fake.schedules import switch_off_what_is_due
from tests.builders.azure.fake.world import Resource, world


def watch() -> None:
    """From now on at each tick."""
    world.watchers += [notice_ended_machines, switch_off_what_is_due, _keep_network]


def _keep_network() -> None:
    if world.network is None:
        return
    wanted = listeners()
    for address in world.network.addresses() - set(wanted):
        world.network.silence(address)
    for address in set(wanted) - world.network.addresses():
        _listen(address, wanted[address])


def _listen(address: str, machine: Resource) -> None:
    def route(_peer: str) -> int | None:
        guest = machine.facts["guest"]
        return guest.machine.port if guest.machine is not None and guest.machine.running else None

    assert world.network is not None
    world.network.listen(address, route, lambda peer: lets_in(machine, peer))


def start_over() -> None:
    """A subscription in which nothing ever happened. The machines that are left end."""
    settings = world.settings
    for machine in world.of_type(VM_TYPE):
        machine.facts["guest"].kill()
    for resource in list(world.resources.values()):
        world.remove(resource)
    if world.network is not None:
        for address in world.network.addresses():
            world.network.silence(address)
    world.clear()
    world.settings.machines, world.settings.ssh_port = settings.machines, settings.ssh_port
