"""Restarting the machine in the middle of a bake: for a new kernel, or for what only a start shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from baker.fields import require_types
from baker.provisioner import NOTHING_REQUIRED, Remote, Requirements
from provisioners.fields import require_at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot:
    """Restart, and go on once the machine answers again; ConnectionLostError after `timeout_seconds` without it."""

    timeout_seconds: float = 600

    revision: ClassVar[int] = 1
    not_fingerprinted: ClassVar[Mapping[str, str]] = {
        "timeout_seconds": "how long to wait does not change what the restart makes",
    }

    def __post_init__(self) -> None:
        require_types(self)
        require_at_least("Reboot", "timeout_seconds", self.timeout_seconds, 1)

    @property
    def name(self) -> str:
        return "reboot"

    def inputs(self) -> tuple[Path, ...]:
        return ()

    def requires(self) -> Requirements:
        return NOTHING_REQUIRED

    def apply(self, remote: Remote) -> None:
        remote.reboot(timeout=self.timeout_seconds)
