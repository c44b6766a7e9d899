"""The seal: the `Sealer` of `baker.ports`. Says the order, and does nothing itself."""

from baker.events import Emit
from baker.ports import MirroredRemote
from baker.recipe import Disk
from baker.seal.access import drop_access
from baker.seal.inventory import take_inventory
from baker.seal.scrub import scrub


def seal(remote: MirroredRemote, *, disks: tuple[Disk, ...], emit: Emit) -> None:  # noqa: ARG001  (a scan reads them too)
    """Take stock, undo the mirrors, scrub, drop access: in this order, in five round trips.

    Access goes last, because nothing can be looked at or repaired without it; the scrub before it removes traces of
    the steps that come before. SealError when one of them cannot be done: the machine must not become an image.
    """
    take_inventory(remote, emit)
    remote.remove_mirrors()
    scrub(remote)
    drop_access(remote, emit)
