"""What happens to instances by itself, between two calls: machines that end, and addresses that begin and cease."""

from moto.moto_api._internal.models import moto_api_backend

from tests.builders.aws.fake.world import world


def watch_instances() -> None:
    """From now on at each tick."""
    world.watchers.append(_notice_ended_machines)
    world.watchers.append(_keep_network)


def _notice_ended_machines() -> None:
    for instance in world.instances():
        instance.watch()


def _keep_network() -> None:
    if world.network is None:
        return
    wanted = {address: instance for instance in world.instances() for address in instance.reachable_at()}
    for address in world.network.addresses() - set(wanted):
        world.network.silence(address)
    for address in set(wanted) - world.network.addresses():
        world.network.listen(address, wanted[address].route, wanted[address].admits)


def start_over() -> None:
    """An account in which nothing ever happened. The machines that are left end."""
    settings = world.settings
    for instance in world.instances():
        instance.lose_power()
        for volume in instance.block_device_mapping.values():
            world.machines.forget(volume.volume_id)
    for backend in world.backends():
        for id in (*backend.volumes, *backend.snapshots):
            world.machines.forget(id)
    moto_api_backend.reset()
    world.addresses.begin_anew()
    world.clear()
    world.settings.machines, world.settings.ssh_port = settings.machines, settings.ssh_port
