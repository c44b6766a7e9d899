"""Finds the UEFI firmware that is installed on this host. Reads file names, nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baker.errors import BuilderUnavailableError

PACKAGE = "ovmf"
"""As Debian and Ubuntu call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """The UEFI firmware: its code, and the fresh variables that each machine gets a copy of."""

    code: Path
    variables: Path


CANDIDATES = tuple(
    Firmware(code=Path(code), variables=Path(variables))
    for code, variables in (
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),  # Debian 12, Ubuntu 22.04 and later
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),  # before that; Fedora's compatibility link
        ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),  # Fedora
        ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),  # Arch
        ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),  # openSUSE
    )
)
"""Where distributions put it: builds without Secure Boot, which would refuse kernels that nobody has signed."""


def find_firmware(candidates: Sequence[Firmware] = CANDIDATES) -> Firmware:
    """The first that is there, code and variables both. BuilderUnavailableError when there is none."""
    for firmware in candidates:
        if firmware.code.is_file() and firmware.variables.is_file():
            return firmware
    raise BuilderUnavailableError(
        "no UEFI firmware for virtual machines is installed",
        details=(("looked for", "\n".join(str(firmware.code) for firmware in candidates)),),
        hint=f"apt-get install {PACKAGE}; `bake doctor` lists all that is missing",
    )
