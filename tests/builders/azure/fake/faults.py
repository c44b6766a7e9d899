"""What goes wrong, and when: a fault waits for a call that fits, and then spoils it."""

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

EFFECTS = ("evict", "expire-tokens", "kill-machines")
"""What a fault can do to the world once the call has been done."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """Spoils call number `skip` + 1 to `skip` + `times` of those whose name fits `call` (with `*`, in any case) and
    whose resource's name fits `name`.

    A call's name is its method and the type it is for: `PUT Microsoft.Compute/virtualMachines`,
    `POST Microsoft.Compute/virtualMachines/deallocate`, `DELETE Microsoft.Resources/resourceGroups`.

    `delay` seconds pass first. `error` refuses (the code of Azure, with `status`; the call is not done); with
    `retry_after` that header is sent. `later`: the call is accepted, and its operation fails with this code. `lose` =
    "request": the connection ends before anything is done; "reply": after it was done. `effect`: one of EFFECTS, after
    the call was done.
    """

    call: str
    name: str = "*"
    skip: int = 0
    times: int = 1
    delay: float = 0.0
    error: str | None = None
    status: int = 400
    message: str = "injected by a test"
    retry_after: int | None = None
    later: str | None = None
    lose: str | None = None
    effect: str | None = None
    seen: int = 0
    spoiled: int = 0

    def __post_init__(self) -> None:
        if self.lose not in (None, "request", "reply"):
            raise ValueError(f"a fault loses the request or the reply, not {self.lose}")
        if self.effect not in (None, *EFFECTS):
            raise ValueError(f"there is no effect {self.effect}; there are {', '.join(EFFECTS)}")

    def takes(self, call: str, name: str) -> bool:
        """Whether this call is to be spoiled; counts it."""
        if self.spoiled >= self.times or not fits(call, self.call) or not fits(name, self.name):
            return False
        self.seen += 1
        if self.seen <= self.skip:
            return False
        self.spoiled += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """All of it, with how often it has struck."""
        return asdict(self)


def fits(text: str, pattern: str) -> bool:
    """In any case; `*` matches anything."""
    return fnmatchcase(text.lower(), pattern.lower())
