"""How the fake behaves: everything a test may turn, over HTTPS, while it runs."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
CLIENT = "99999999-8888-4777-8666-555555555555"
PRINCIPAL = "77777777-6666-4555-8444-333333333333"
LOCATION = "westeurope"
LOCATIONS = {
    "westeurope": "West Europe",
    "northeurope": "North Europe",
    "eastus": "East US",
    "westus": "West US",
    "germanywestcentral": "Germany West Central",
}
NAMESPACES = ("Microsoft.Compute", "Microsoft.Network", "Microsoft.DevTestLab", "Microsoft.Storage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long an operation is under way: so many seconds, and for so many polls that see it."""

    seconds: float = 0.0
    polls: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Machines that cannot be had. `*` matches anything; `priority` is `Spot` or `Regular`.

    `later`: the request is taken, and fails in the end (AllocationFailed); otherwise it is refused (SkuNotAvailable).
    """

    size: str = "*"
    location: str = "*"
    priority: str = "*"
    later: bool = False
    code: str | None = None


def _quotas() -> dict[str, int]:
    return {"cores": 100, "lowPriorityCores": 100, "virtualMachines": 25000, "PublicIPAddresses": 1000}


@dataclass(slots=True, kw_only=True)
class Settings:
    """`paces`: by the name of a call ("PUT Microsoft.Compute/virtualMachines", `*` allowed), the last that fits counts.

    `retry_after`: seconds that answers tell to wait; None: they do not say. `page_size`: no page is longer. `shout`:
    lists answer ids in another case. `quotas`: `cores`, `lowPriorityCores` and families of sizes.
    `registered`: namespaces that the subscription may use. `features`: registered features of subscriptions.
    `standard_needs_feature`: whether `securityType: Standard` does. `deprovisioned`: what is taken for granted of
    virtual machines that run nothing. `unknown_principals`: nobody has these object ids.
    """

    machines: Literal["none", "sandbox"] = "none"
    pace: Pace = field(default_factory=Pace)
    paces: dict[str, Pace] = field(default_factory=dict)
    retry_after: int | None = None
    page_size: int | None = None
    shout: bool = True
    shortages: tuple[Shortage, ...] = ()
    quotas: dict[str, int] = field(default_factory=_quotas)
    registered: tuple[str, ...] = NAMESPACES
    features: tuple[str, ...] = ()
    standard_needs_feature: bool = False
    deprovisioned: bool = True
    unknown_principals: tuple[str, ...] = ("00000000-0000-4000-8000-000000000bad",)
    caller_address: str = "127.0.0.1"
    ssh_port: int = 22

    def change(self, changes: dict[str, Any]) -> None:
        """Set what is named. ValueError for a name that is none."""
        known = {it.name for it in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"there is no setting {name}; there are {', '.join(sorted(known))}")
            setattr(self, name, self._like(name, value))

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    def _like(self, name: str, value: Any) -> Any:
        match name:
            case "pace":
                return Pace(**value)
            case "paces":
                return self.paces | {call: Pace(**it) for call, it in value.items()}
            case "shortages":
                return tuple(Shortage(**it) for it in value)
            case "quotas":
                return self.quotas | value
        return tuple(value) if isinstance(value, list) else value
