"""What a bake makes, and what a bake may leave behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NOT_VERIFIED = "no"
"""The label `verified` of an image that is not; of one that is, it is the digest that was verified."""


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

    @property
    def recipe(self) -> str:
        """The name of the recipe that it was baked from; empty when it does not say."""
        return self.labels.get("recipe", "")

    @property
    def verified(self) -> str:
        """The digest that was verified, empty when none was. Whether the image still has it, its builder can say."""
        digest = self.labels.get("verified", NOT_VERIFIED)
        return "" if digest == NOT_VERIFIED else digest

    @property
    def age(self) -> tuple[str, str]:
        """What images are ordered by, oldest first."""
        return (self.created, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that a run created and did not remove.

    `id` is what the builder needs to remove it. `run_id` is empty where it carries none. `created` and `expires` are
    seconds since the epoch (UTC), None where unknown. `cost` is what it costs in words ("0.20 USD a day"), where known.
    `remove_hint` is a command that removes it by hand.
    """

    builder: str
    kind: str
    id: str
    location: str
    run_id: str
    created: float | None
    expires: float | None
    remove_hint: str
    cost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareResult:
    """What became of sharing an image with one target. `message`: where it is now, or why it could not be."""

    target: str
    ok: bool
    message: str = ""
