"""The machine in a virtual machine: switched on and off beside the API, which only looks whether that is done."""

import threading
from typing import Any

from baker.errors import BakeError
from tests.builders.aws.fake.machines import DataVolume, NoMachines, RunningMachine
from tests.builders.aws.fake.user_data import Told
from tests.builders.azure.fake.world import world


class Guest:
    """The machine of a virtual machine, while it is on."""

    def __init__(self, told: Told) -> None:
        self._told = told
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
                self.machine = world.machines.start(self._told, volume, data)
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
