"""The seal: the `Sealer` of `baker.ports`. Says the order, and does nothing itself."""

from collections.abc import Mapping

from baker.deadman import make_transient
from baker.events import Emit
from baker.ports import MirroredRemote, RemovedLater
from baker.recipe import AllowedSecret, Disk
from baker.seal.access import drop_access
from baker.seal.inventory import take_inventory
from baker.seal.scan import scan
from baker.seal.scrub import scrub


def seal(
    remote: MirroredRemote,
    *,
    disks: tuple[Disk, ...],
    allow: tuple[AllowedSecret, ...],
    secrets: Mapping[str, str],
    own_keys: Mapping[str, str],
    removed_later: RemovedLater,
    emit: Emit,
) -> None:
    """Take stock, undo the mirrors, scrub, scan, move the dead-man switch to /run, drop access: in this order.

    The scan sees what will be in the image, so what is removed is removed before it. Access goes last, because nothing
    can be looked at or repaired without it. SealError when one of them cannot be done, or the scan found something:
    the machine must not become an image.

    What `finalize` will remove is neither searched nor removed here: it is not in the image, and a tool that tidies up
    after itself, as Azure's agent does, finds out from it what there is to remove. The bake's key goes all the same.
    """
    take_inventory(remote, disks, emit)
    remote.remove_mirrors()
    scrub(remote)
    scan(remote, disks=disks, allow=allow, secrets=secrets, own_keys=own_keys, leave_out=removed_later.paths, emit=emit)
    make_transient(remote)
    drop_access(remote, emit, keep_account=removed_later.account)
