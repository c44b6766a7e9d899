"""How long a caller of EC2's double went on waiting for what had already come, as the double's journal tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Entry = Mapping[str, Any]
"""A call, as the journal has it."""

_OF_INSTANCES = frozenset({"DescribeInstances", "DescribeInstanceStatus"})

_AWAITED = {
    "RunInstances": ("running", "pending", _OF_INSTANCES),
    "StopInstances": ("stopped", "stopping", _OF_INSTANCES),
    "CreateImage": ("image", "image", frozenset({"DescribeImages"})),
}
"""What a call begins: what comes of it, the setting that says when, and the calls by which it is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """A wait for `what`: the seconds that the double took, and those `beyond` until the caller saw it.

    Nobody needs the end of an instance: all that a caller waits for "terminated" is beyond.
    """

    what: str
    needed: float
    beyond: float


def waits(journal: Sequence[Entry], settings: Mapping[str, Any]) -> tuple[Waited, ...]:
    """All waits of one caller, in order; its paces are seconds alone (`polls` 0)."""
    done = [entry for entry in journal if entry["status"] == 200]
    found = []
    for number, entry in enumerate(done):
        later = done[number + 1 :]
        if entry["action"] == "TerminateInstances":
            found.append(Waited(what="terminated", needed=0.0, beyond=_end_awaited(entry, later)))
        elif entry["action"] in _AWAITED:
            what, pace, polls = _AWAITED[entry["action"]]
            needed = float(settings[pace]["seconds"])
            came = _ended(entry) + needed
            seen = next((it for it in later if it["action"] in polls and it["at"] >= came), None)
            if seen is not None:  # else its caller gave up
                found.append(Waited(what=what, needed=needed, beyond=_ended(seen) - came))
    return tuple(found)


def _end_awaited(terminate: Entry, later: Sequence[Entry]) -> float:
    """Until the last of the questions after this instance, and nothing else, that follow its termination."""
    instances = terminate["parameters"]["InstanceIds"]
    ended = _ended(terminate)
    last = ended
    for entry in later:
        if entry["action"] not in _OF_INSTANCES or entry["parameters"].get("InstanceIds") != instances:
            break
        last = _ended(entry)
    return last - ended


def _ended(entry: Entry) -> float:
    return float(entry["at"]) + float(entry["seconds"])
