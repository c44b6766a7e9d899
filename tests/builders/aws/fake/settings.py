"""How the fake behaves: everything a test may turn, over HTTP, while it runs."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

ACCOUNT = "123456789012"
REGIONS = ("eu-central-1", "eu-west-1", "us-east-1", "us-west-2")
REGION_NOT_OPTED_IN = "ap-east-1"
DEFAULT_REGION = "eu-central-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a thing stays as it is: so many seconds, and for so many polls that see it."""

    seconds: float = 0.0
    polls: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Launches that find no capacity. `*` matches anything; `market` is `spot` or `on-demand`."""

    type: str = "*"
    zone: str = "*"
    market: str = "*"
    code: str = "InsufficientInstanceCapacity"


def _shown_late() -> dict[str, int]:
    return {"instance": 1, "image": 1, "security-group": 0, "key-pair": 0, "snapshot": 0}


def _quotas() -> dict[str, float]:
    return {"L-1216C47A": 64.0, "L-34B43A08": 64.0}


@dataclass(slots=True, kw_only=True)
class Settings:
    """`hidden_calls`: how many calls after its creation do not know a resource of a kind yet (eventual consistency).

    `page_size`: no page is longer, whatever was asked for; None: as AWS does. `copies_at_once`: per target region.
    `closed_accounts`: account numbers that nobody has.
    """

    machines: Literal["none", "sandbox", "qemu"] = "none"
    pending: Pace = field(default_factory=Pace)
    stopping: Pace = field(default_factory=Pace)
    shutting_down: Pace = field(default_factory=Pace)
    image: Pace = field(default_factory=Pace)
    copy: Pace = field(default_factory=Pace)
    hidden_calls: dict[str, int] = field(default_factory=_shown_late)
    page_size: int | None = None
    shortages: tuple[Shortage, ...] = ()
    quotas: dict[str, float] = field(default_factory=_quotas)
    closed_accounts: tuple[str, ...] = ("999999999999",)
    copies_at_once: int = 5
    caller_address: str = "127.0.0.1"
    ssh_port: int = 22

    def change(self, changes: dict[str, Any]) -> None:
        """Set what is named. ValueError for a name that is none."""
        known = {it.name: it for it in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"there is no setting {name}; there are {', '.join(known)}")
            setattr(self, name, _like(getattr(self, name), name, value))

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def _like(current: Any, name: str, value: Any) -> Any:
    if isinstance(current, Pace):
        return Pace(**value)
    if name == "shortages":
        return tuple(Shortage(**it) for it in value)
    return {**current, **value} if isinstance(current, dict) else value
