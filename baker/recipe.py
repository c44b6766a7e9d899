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
    """Whom a verified image is shared with; each target is parsed by the builder.

    `regions` are where it is copied to, `public` is everybody, `copyable` lets the targets copy it in their turn. A
    builder refuses what it cannot mean.
    """

    targets: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    public: bool = False
    copyable: bool = False

    def __bool__(self) -> bool:
        """Whether there is anybody to share with."""
        return bool(self.targets or self.regions or self.public)


SECRET_KINDS = (
    "AWS key",
    "Azure key",
    "Google Cloud key",
    "GitHub token",
    "GitLab token",
    "Hugging Face token",
    "Jupyter token",
    "Slack token",
    "credentials file",
    "package index token",
    "password hash",
    "password in a URL",
    "password in a file",
    "private key",
    "secret of the recipe",
    "service token",
    "web token",
)
"""What the seal's scan tells apart, by the names that `AllowedSecret` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedSecret:
    """Something that looks like a secret and may be in the image.

    `path` is a shell pattern of absolute paths, in which `*` stands for slashes too; `kind` is one of SECRET_KINDS.
    `reason` is for whoever reads the manifest.
    """

    path: str
    kind: str
    reason: str


Check = Callable[..., object] | Path | str
"""A function that takes `host` (testinfra) and asserts, or a file of `check_*` functions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A machine image, described.

    `name` is of a-z, 0-9 and -, and at most 40 characters, so that every cloud takes it as part of a name.
    `keep` is how many verified images of this recipe stay on the builder, this one among them, when one more has been
    verified; None keeps all. `keep_mirrors` is for an image that names the mirrors of its bake on purpose, because a
    step writes them into it: verification does not refuse it for that. `parameters` and `folder` are filled in by the
    loader.
    """

    name: str
    builders: tuple[BuilderSpec, ...]
    disks: tuple[Disk, ...] = ()
    provisioners: tuple[Provisioner, ...] = ()
    checks: tuple[Check, ...] = ()
    share: Share = field(default_factory=Share)
    allow_secrets: tuple[AllowedSecret, ...] = ()
    keep_mirrors: bool = False
    keep: int | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()
