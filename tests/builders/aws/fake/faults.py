"""What goes wrong, and when: a fault waits for a call that fits, and then spoils it."""

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

EFFECTS = ("kill-instances", "interrupt-spot", "expire-credentials", "fail-image")
"""What a fault can do to the world once the call has been done."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """Spoils call number `skip` + 1 to `skip` + `times` of those whose action fits `action` (with `*`) and whose
    parameters have the values of `where` (a path like `Placement.AvailabilityZone` or `InstanceIds.0`).

    `delay` seconds pass first. `error` refuses (the code of AWS; the call is not done). `lose` = "request": the
    connection ends before anything is done; "reply": after it was done. `html`: the answer is a proxy's page with this
    status. `effect`: one of EFFECTS, after the call was done; `reason` is its state reason.
    """

    action: str
    where: dict[str, Any] = field(default_factory=dict)
    skip: int = 0
    times: int = 1
    delay: float = 0.0
    error: str | None = None
    message: str = "injected by a test"
    status: int | None = None
    html: int | None = None
    lose: str | None = None
    effect: str | None = None
    reason: str | None = None
    seen: int = 0
    spoiled: int = 0

    def __post_init__(self) -> None:
        if self.lose not in (None, "request", "reply"):
            raise ValueError(f"a fault loses the request or the reply, not {self.lose}")
        if self.effect not in (None, *EFFECTS):
            raise ValueError(f"there is no effect {self.effect}; there are {', '.join(EFFECTS)}")

    def takes(self, action: str, parameters: dict[str, Any]) -> bool:
        """Whether this call is to be spoiled; counts it."""
        if self.spoiled >= self.times or not fnmatchcase(action, self.action):
            return False
        if any(_value_at(parameters, path) != value for path, value in self.where.items()):
            return False
        self.seen += 1
        if self.seen <= self.skip:
            return False
        self.spoiled += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """All of it, with how often it has struck."""
        return asdict(self)


def _value_at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
