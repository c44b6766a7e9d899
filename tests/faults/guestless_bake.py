"""One whole bake without a guest, as a program: for tests that stop or kill it.

    python -m tests.faults.guestless_bake FOLDER RUN_ID <address.json

FOLDER becomes the run's and holds `home`; the address is that of the sandbox machine that stands in for the guest.
Says `begun` and `over` when the bake is. Its exit code is the bake's.
"""

import json
import sys
from pathlib import Path

from baker.builders.qemu.monitor import Monitor
from baker.events import BakeFinished, BakeStarted, Event
from baker.home import Home
from baker.ports import Address, KeyPair
from baker.recipe import Disk
from tests.faults.baking import Oven
from tests.faults.guestless import SPEC, ConnectTo, execute_with_power_button, guestless_builder


def main() -> int:
    folder, run_id = Path(sys.argv[1]), sys.argv[2]
    values = json.load(sys.stdin)
    address = Address(**(values | {"key": KeyPair(**values["key"])}))
    home = Home(folder / "home")
    oven = Oven(
        builder=guestless_builder(home, folder / "blank.qcow2"),
        spec=SPEC,
        home=home,
        folder=folder,
        connect=ConnectTo(address=address),
        disks=(Disk(name="data", size_gib=1),),
    )
    Monitor.execute = execute_with_power_button  # type: ignore[method-assign]
    return oven.bake(run_id, on_event=say).finished.exit_code


def say(event: Event) -> None:
    match event:
        case BakeStarted():
            print("begun", flush=True)
        case BakeFinished():
            print("over", flush=True)


if __name__ == "__main__":
    sys.exit(main())
