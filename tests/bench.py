"""`make bench`: the channel to the machine, measured beside HashiCorp Packer in one run; prints ratios.

Both talk to the same sshd, in a sandbox machine, through the same proxy with 25 ms in each direction (a round trip
of 50 ms, as to a cloud region). Packer runs its null builder, so nothing but the channel is measured; the time of an
empty run is taken off. Needs Debian's package `packer` for the second column.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baker.clock import SystemClock
from baker.communicators.sftp import open_sftp
from baker.communicators.ssh import SshConnector
from baker.remote import MachineRemote
from baker.testing.proxy import Proxy
from baker.testing.sandbox import Sandbox

ONE_WAY_SECONDS = 0.025


@dataclass(frozen=True, kw_only=True)
class Work:
    """The same work for both."""

    name: str
    ours: Callable[[MachineRemote, Path], object]
    packers: Callable[[Path], list[dict[str, Any]]]


def twenty_commands(remote: MachineRemote, _folder: Path) -> None:
    for number in range(20):
        remote.run(f"echo {number}")


WORKS = (
    Work(
        name="20 short commands",
        ours=twenty_commands,
        packers=lambda _: [{"type": "shell", "inline": [f"echo {number}"]} for number in range(20)],
    ),
    Work(
        name="300 files of 2 KB",
        ours=lambda remote, folder: remote.put_tree(folder / "many", "/tmp/ours"),
        packers=lambda folder: [{"type": "file", "source": f"{folder}/many/", "destination": "/tmp/packers"}],
    ),
    Work(
        name="one file of 20 MB",
        ours=lambda remote, folder: remote.put(folder / "large", "/tmp/ours-large"),
        packers=lambda folder: [{"type": "file", "source": f"{folder}/large", "destination": "/tmp/packers-large"}],
    ),
)


def main() -> int:
    with tempfile.TemporaryDirectory() as name, Sandbox.start() as sandbox:
        folder = Path(name)
        (folder / "many").mkdir()
        for number in range(300):
            (folder / "many" / f"{number:03}.dat").write_bytes(bytes(2048))
        (folder / "large").write_bytes(bytes(range(256)) * 80_000)
        with Proxy(sandbox.address.port, delay_seconds=ONE_WAY_SECONDS) as proxy:
            ours = measure_ours(sandbox, proxy.port, folder)
            packers = measure_packer(sandbox, proxy.port, folder) if shutil.which("packer") else {}
    print(f"a round trip of {2000 * ONE_WAY_SECONDS:.0f} ms; seconds, and how many times faster the baker is")
    for work in WORKS:
        other = packers.get(work.name)
        column = f"packer {other:7.2f}   ratio {other / ours[work.name]:6.1f}" if other else "packer is not installed"
        print(f"  {work.name:<20} baker {ours[work.name]:7.2f}   {column}")
    return 0


def measure_ours(sandbox: Sandbox, port: int, folder: Path) -> dict[str, float]:
    clock = SystemClock()

    class Delayed:
        """The sandbox, behind the proxy."""

        address = replace(sandbox.address, port=port)
        check_alive = staticmethod(sandbox.check_alive)

    remote = MachineRemote(
        machine=Delayed(),  # type: ignore[arg-type]
        connector=SshConnector(clock=clock),
        transfer=open_sftp,
        resolve=lambda secret: secret.name,
        folder=folder,
        emit=lambda _event: None,
        clock=clock,
    )
    with remote:
        remote.connect(timeout=60)
        return {work.name: seconds(lambda work=work: work.ours(remote, folder)) for work in WORKS}


def measure_packer(sandbox: Sandbox, port: int, folder: Path) -> dict[str, float]:
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_text(sandbox.address.key.private)
    builder = {
        "type": "null",
        "ssh_host": "127.0.0.1",
        "ssh_port": port,
        "ssh_username": sandbox.address.user,
        "ssh_private_key_file": str(key),
    }

    def build(provisioners: list[dict[str, Any]]) -> None:
        template = folder / "template.json"
        template.write_text(json.dumps({"builders": [builder], "provisioners": provisioners}))
        result = subprocess.run(["packer", "build", template], capture_output=True, text=True, check=False)
        if result.returncode:
            sys.exit(f"packer failed:\n{result.stdout[-2000:]}")

    empty = seconds(lambda: build([]))
    return {work.name: seconds(lambda work=work: build(work.packers(folder))) - empty for work in WORKS}


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
