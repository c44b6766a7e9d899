"""`make bench`: the search for secrets over a machine with 60,000 files, beside reading each of them once.

The machine is a sandbox whose own files stand there several times, as linked copies in a tree of conda's form. The
recipe has secrets too, so that nothing of the search is left out. Reading is `cat` of every file, over the same
connection.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from baker.clock import SystemClock
from baker.communicators.ssh import SshConnector
from baker.events import FactRecorded
from baker.remote import MachineRemote
from baker.seal.scan import scan
from baker.testing.sandbox import Sandbox

FILES = 60_000

COPY = """
have=$(find / -xdev -type f | wc -l); number=0
while [ "$have" -lt "$1" ]; do
  number=$((number + 1)); folder=/opt/conda/envs/copy$number/lib/python3.11/site-packages
  mkdir -p "$folder"; cp -rl /usr/. "$folder"; have=$(find / -xdev -type f | wc -l)
done
"""

READ = "find / -xdev -type f -print0 | xargs -0 cat | wc -c"


def main() -> int:
    facts: list[FactRecorded] = []
    with Sandbox.start(may_mount=True) as sandbox, connected(sandbox) as remote:
        remote.run(["sh", "-c", COPY, "copy", str(FILES)], sudo=True, quiet=True)
        size = int(remote.run(READ, sudo=True, quiet=True).stdout)  # from here on all is in the page cache, for both
        read_seconds = seconds(lambda: remote.run(READ, sudo=True, quiet=True))

        def search() -> None:
            secrets = {"env:TOKEN": "correct-horse-battery", "env:OTHER": "another one / with signs"}
            scan(remote, disks=(), allow=(), secrets=secrets, own_keys={}, emit=facts.append)  # type: ignore[arg-type]

        scan_seconds = seconds(search)
    (files,) = {fact.value for fact in facts if fact.name == "files searched for secrets"}
    print(f"the search for secrets in {int(files):,} files of {size / 1e9:.1f} GB")
    ratio = scan_seconds / read_seconds
    print(f"  reading them {read_seconds:7.2f} s   searching them {scan_seconds:7.2f} s   ratio {ratio:6.1f}")
    return 0


def connected(sandbox: Sandbox) -> MachineRemote:
    clock = SystemClock()
    remote = MachineRemote(
        machine=sandbox,
        connector=SshConnector(clock=clock),
        transfer=lambda *_, **__: sys.exit("nothing is imported here"),
        resolve=lambda secret: secret.name,
        folder=Path(),
        emit=lambda _event: None,
        clock=clock,
    )
    remote.connect(timeout=60)
    return remote


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
