"""The calls that a builder makes of the world, counted, and each of them made to fail.

A call is known by its name and its number among the calls of that name. It fails before it is sent, or after it was
accepted with the reply lost, or from there on always.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

T = TypeVar("T")

Mode = Literal["before", "after", "always"]

MODES: tuple[Mode, ...] = ("before", "after", "always")


@dataclass(frozen=True, slots=True)
class Call:
    """`number` counts from 0 among the calls of this name."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens at a call: `act` raises, or sends a signal."""

    call: Call
    mode: Mode
    act: Callable[[], None]

    def hits(self, call: Call) -> bool:
        if self.mode == "always":
            return call.name == self.call.name and call.number >= self.call.number
        return call == self.call


@dataclass(kw_only=True)
class Calls:
    """All calls of one bake, in order. `fault` is None for one that is only to be watched."""

    fault: Fault | None = None
    seen: list[Call] = field(default_factory=list)
    is_reached: bool = False
    _counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, name: str, do: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Make the call, as far as the fault lets it through."""
        call = Call(name, self._counts[name])
        self._counts[name] += 1
        self.seen.append(call)
        fault = self.fault
        if fault is None or not fault.hits(call):
            return do(*arguments, **options)
        self.is_reached = True
        if fault.mode != "after":
            fault.act()
        result = do(*arguments, **options)
        if fault.mode == "after":
            fault.act()
        return result

    def lift(self) -> None:
        """From here on nothing fails."""
        self.fault = None
