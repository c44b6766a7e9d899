"""What a user says about a local virtual machine. Data only."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackages:
    """A source image made here from Debian packages alone, by mmdebstrap.

    `suite` is a Debian release name. `packages` come on top of kernel, systemd, sshd, sudo and cloud-init.
    """

    suite: str = "bookworm"
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudImage:
    """Any published cloud-init disk image (Ubuntu, Debian), qcow2 or raw, that boots by UEFI.

    `sha256` (hex) is that of the file at `url`.
    """

    url: str
    sha256: str


SourceImage = DebianPackages | CloudImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Qemu:
    """A virtual machine on this host.

    `accelerator` "auto" uses KVM when a kernel really starts under it, else software emulation (10-30 times slower).
    `disk_gib` is the size of the root disk. `memory_mib` and `cpus` count while baking only.
    `boot_timeout_seconds` is how long the machine may take until it can be logged in to.
    """

    kind: ClassVar[str] = "qemu"

    name: str = "qemu"
    source: SourceImage = field(default_factory=DebianPackages)
    memory_mib: int = 4096
    cpus: int = 2
    disk_gib: int = 12
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    login_user: str = "baker"
    boot_timeout_seconds: float = 900
