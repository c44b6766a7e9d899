"""An instance with a machine in it, and states that come one after the other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instances import Instance, InstanceState, StateReason

from baker.errors import BakeError
from tests.builders.aws.fake.images import Image
from tests.builders.aws.fake.machines import DataVolume, NoMachines, RunningMachine, names_on_nitro
from tests.builders.aws.fake.network import rule_admits
from tests.builders.aws.fake.settings import Pace
from tests.builders.aws.fake.user_data import Told
from tests.builders.aws.fake.world import Wait, always, world

_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

BY_USER = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
FROM_INSIDE = ("Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
INTERRUPTED = ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")


class SpotRequest(TaggedEC2Resource):
    """What stands behind a spot instance; a persistent one outlives it."""

    def __init__(self, backend: Any, id: str, instance: "FakeInstance", *, type: str, behavior: str) -> None:
        self.ec2_backend = backend
        self.id = id
        self.instance = instance
        self.type = type
        self.state = "active"
        self.status = {"Code": "fulfilled", "Message": "Your Spot request is fulfilled."}
        self.instance_interruption_behavior = behavior
        self.launched_availability_zone = instance.availability_zone
        self.product_description = "Linux/UNIX"
        self.create_time = instance.launch_time

    @property
    def spot_instance_request_id(self) -> str:
        return self.id

    @property
    def instance_id(self) -> str:
        return self.instance.id

    def instance_ended(self, reason: str) -> None:
        """Its instance was terminated."""
        if self.state != "active":
            return
        by_user = reason != INTERRUPTED[0]
        code = "instance-terminated-by-user" if by_user else "instance-terminated-no-capacity"
        self.status = {"Code": code, "Message": code.replace("-", " ")}
        self.state = "closed" if self.type == "one-time" else "open"


SpotRequest.__module__ = "moto.ec2.models.spot_requests"


class FakeInstance(Instance):
    """moto's instance, whose state changes when it is time, and which has a machine while it is on."""

    image: Image
    told: Told
    root_volume: str
    spot_request: SpotRequest | None
    doomed: tuple[str, str] | None
    """A state reason, for an instance that will never run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.machine: RunningMachine | None = None
        self.spot_request = None
        self.doomed = None
        self.state_reason = None  # type: ignore[assignment]
        self.ena_support = True
        self.wanted_on = False
        self.console = ""
        self._power = threading.Lock()
        self._state = InstanceState("pending", 0)

    @property
    def boot_mode(self) -> str | None:
        return self.image.boot_mode

    @property
    def current_instance_boot_mode(self) -> str:
        return "uefi"

    @property
    def platform_details(self) -> str:
        return "Linux/UNIX"

    @property
    def instance_lifecycle(self) -> str | None:
        return "spot" if self.spot_request else None

    @property
    def spot_instance_request_id(self) -> str | None:
        return self.spot_request.id if self.spot_request else None

    def launch(self) -> None:
        """All is made that it needs: start it."""
        if self.doomed:
            self.end(*self.doomed)
            return
        self._switch_on(world.settings.pending)

    def start(self) -> InstanceState:
        """StartInstances."""
        before = self._copy_of_state()
        for nic in self.nics.values():
            nic.start()
        self.state_reason = None  # type: ignore[assignment]
        self._switch_on(world.settings.pending)
        return before

    def stop(self) -> InstanceState:
        """StopInstances, on an instance that is on."""
        before = self._copy_of_state()
        self._go("stopping")
        self._cut_power(graceful=True)
        self._later("stopped", world.settings.stopping, lambda: self._stopped(*BY_USER))
        return before

    def terminate(self) -> InstanceState:
        """TerminateInstances."""
        before = self._copy_of_state()
        if before.name not in ("shutting-down", "terminated"):
            self.end(*BY_USER)
        return before

    def reboot(self) -> None:
        """RebootInstances."""
        if self.machine is not None:
            self.machine.restart()

    def end(self, code: str, message: str, *, graceful: bool = False) -> None:
        """Shut down for good."""
        self._go("shutting-down")
        self._cut_power(graceful=graceful)
        self._later("terminated", world.settings.shutting_down, lambda: self._terminated(code, message))

    def die(self, code: str, message: str) -> None:
        """The hardware, or AWS, ends it; at once."""
        world.cancel(self.id)
        self.lose_power()
        self._terminated(code, message)

    def lose_power(self) -> None:
        """Its machine has ended when this returns."""
        self.wanted_on = False
        self._power_down(graceful=False)

    def watch(self) -> None:
        """Notice that the machine ended by itself."""
        machine = self.machine
        if not self.wanted_on or machine is None or machine.running:
            return
        self._cut_power(graceful=False)
        one_time = self.spot_request is not None and self.spot_request.type == "one-time"
        if one_time or self.instance_initiated_shutdown_behavior == "terminate":
            self.end(*FROM_INSIDE)
        else:
            self._go("stopping")
            self._later("stopped", world.settings.stopping, lambda: self._stopped(*FROM_INSIDE))

    @contextmanager
    def held_still(self, *, reboot: bool) -> Iterator[None]:
        """While its disks are copied: off when `reboot`, and then on again."""
        with self._power:
            if self.machine is None or not reboot:
                yield
                return
            self.machine.stop()
            yield
            self._boot()

    def is_off(self) -> bool:
        """Whether its machine has ended."""
        return self.machine is None and not self._power.locked()

    def admits(self, peer: str) -> bool:
        """Whether a security group lets `peer` reach SSH."""
        groups = {group for nic in self.nics.values() for group in nic.group_set}
        return any(rule_admits(rule, peer, world.settings.ssh_port) for it in groups for rule in it.ingress_rules)

    def route(self, _peer: str) -> int | None:
        """Where its sshd is."""
        return self.machine.port if self.machine is not None and self.machine.running else None

    def reachable_at(self) -> set[str]:
        """Its addresses that lead here, while it is on."""
        if self.state != "running" or not self.wanted_on:
            return set()
        addresses = {it for nic in self.nics.values() for it in (nic.public_ip, nic.private_ip_address)}
        return {it for it in addresses if it and it.startswith("127.")}

    def data_volumes(self) -> tuple[DataVolume, ...]:
        """In the order of their devices."""
        attached = [(device, it.volume_id) for device, it in self.block_device_mapping.items()]
        data = [volume for _, volume in sorted(attached) if volume != self.root_volume]
        return tuple(
            DataVolume(
                id=volume, size_gib=int(self.ec2_backend.get_volume(volume).size), names=names_on_nitro(number, volume)
            )
            for number, volume in enumerate(data, start=1)
        )

    def last_words(self) -> str:
        """What GetConsoleOutput tells."""
        return "\n".join(it for it in (self.console, self.machine.last_words() if self.machine else "") if it)

    def _copy_of_state(self) -> InstanceState:
        return InstanceState(self._state.name, self._state.code)

    def _go(self, name: str) -> None:
        self._state.name, self._state.code = name, _CODES[name]

    def _later(self, name: str, pace: Pace, then: Any) -> None:
        world.cancel(self.id)
        ready = always if name == "running" else self.is_off
        world.wait(Wait(kind="instance", id=self.id, pace=pace, then=then, ready=ready))

    def _switch_on(self, pace: Pace) -> None:
        self._go("pending")
        self.wanted_on = True
        if not isinstance(world.machines, NoMachines):
            threading.Thread(target=self._power_up, daemon=True).start()
        self._later("running", pace, lambda: self._go("running"))

    def _power_up(self) -> None:
        with self._power:
            self._boot()

    def _boot(self) -> None:
        if not self.wanted_on:
            return
        try:
            self.machine = world.machines.start(self.told, self.root_volume, self.data_volumes())
        except BakeError as error:
            self.console = f"the machine does not start: {error}"
        if not self.wanted_on and self.machine is not None:
            self.machine.kill()
            self.machine = None

    def _cut_power(self, *, graceful: bool) -> None:
        self.wanted_on = False
        threading.Thread(target=self._power_down, kwargs={"graceful": graceful}, daemon=True).start()

    def _power_down(self, *, graceful: bool) -> None:
        with self._power:
            machine = self.machine
            if machine is not None:
                self.console = machine.last_words()
                if graceful:
                    machine.stop()
                else:
                    machine.kill()
                self.machine = None

    def _stopped(self, code: str, message: str) -> None:
        for nic in self.nics.values():
            nic.stop()
        self._go("stopped")
        self.state_reason = StateReason(message, code)

    def _terminated(self, code: str, message: str) -> None:
        for address in self.ec2_backend.addresses.copy():
            if address.instance is self:
                self.ec2_backend.disassociate_address(association_id=address.association_id)
        volumes = [(it.volume_id, it.delete_on_termination) for it in self.block_device_mapping.values()]
        super().terminate()
        self.state_reason = StateReason(message, code)
        for volume, deleted in volumes:
            if deleted:
                world.machines.forget(volume)
        if self.spot_request is not None:
            self.spot_request.instance_ended(code)


FakeInstance.__module__ = "moto.ec2.models.instances"
