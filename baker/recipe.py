"""What a user writes: frozen data, nothing else.

A recipe file holds one module-level `recipe`: a `Recipe`, or a function that returns one and whose parameters
(with defaults and annotations) are what `--set NAME=VALUE` can change.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from baker.provisioner import Provisioner


@runtime_checkable
class BuilderSpec(Protocol):
    """How to build on one builder. `kind` finds the builder; `name` tells two specs of one kind apart."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def boot_timeout_seconds(self) -> float:
        """How long a machine may take until it can be logged in to."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A data disk of the image, found on the machine by its name (at most 20 of a-z, 0-9 and -)."""

    name: str
    size_gib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Whom a verified image is shared with; each target is parsed by the builder."""

    targets: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    public: bool = False


Check = Callable[..., object] | Path | str
"""A function that takes `host` (testinfra) and asserts, or a file of `check_*` functions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A machine image, described.

    `name` is of a-z, 0-9 and -, and at most 40 characters, so that every cloud takes it as part of a name.
    `parameters` and `folder` are filled in by the loader.
    """

    name: str
    builders: tuple[BuilderSpec, ...]
    disks: tuple[Disk, ...] = ()
    provisioners: tuple[Provisioner, ...] = ()
    checks: tuple[Check, ...] = ()
    share: Share = field(default_factory=Share)
    keep_mirrors: bool = False
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()
