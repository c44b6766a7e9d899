"""What a bake makes, and what a bake may leave behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An image. `id` is what the builder calls it (QEMU: the folder's path); `created` is ISO 8601 in UTC."""

    builder: str
    id: str
    location: str
    name: str
    fingerprint: str
    created: str
    size_bytes: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that a run created and did not remove. `remove_hint` is a command that removes it."""

    kind: str
    id: str
    location: str
    run_id: str
    age_seconds: float | None
    remove_hint: str
