"""What is written on an image, so that whoever has nothing but the image can verify it.

    recipe fingerprint run       what it was baked from, and in which run
    verified verified-at         the digest that was verified ("no" for none), and when (ISO 8601, UTC)
    user-key host-key            fingerprints of the builder's login key and host key, as `ssh-keygen -l` prints them
    machine-id                   SHA-256 of the builder's machine-id
    disk-NAME                    where and as what it was mounted, and whether it was empty: `/data xfs filled`
    checks check-1 check-2 ...   how many checks the recipe has; those that are ready-made, with their arguments

and the tags of the recipe. A value has at most 256 characters, as the tags of clouds have no more: a check with longer
arguments is not written down, and what is said of a disk is cut.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from baker.artifact import NOT_VERIFIED, Artifact
from baker.comparison import MACHINE_ID, disks_in
from baker.keys import fingerprint_of
from baker.plan import Plan
from baker.ports import Address, RunInfo
from baker.recipe import Check

LONGEST_VALUE = 256
_DISK = "disk-"
_CHECK = "check-"
_READY_MADE = "baker.checks."


def labels_of(plan: Plan, run: RunInfo, builder: Address, facts: Mapping[str, str]) -> dict[str, str]:
    """The labels of an image that is about to be captured. A tag of the recipe cannot change what the baker says.

    `builder` is the address of its machine; `facts` are those that the seal found.
    """
    checks = plan.recipe.checks
    return {
        **plan.recipe.tags,
        "recipe": run.recipe,
        "fingerprint": plan.fingerprint,
        "run": run.run_id,
        "verified": NOT_VERIFIED,
        "user-key": fingerprint_of(builder.key.public),
        "host-key": fingerprint_of(builder.host_key),
        **({MACHINE_ID: facts[MACHINE_ID]} if MACHINE_ID in facts else {}),
        **{f"{_DISK}{name}": value[:LONGEST_VALUE] for name, value in disks_in(facts).items()},
        "checks": str(len(checks)),
        **{f"{_CHECK}{number}": text for number, text in enumerate(filter(None, map(recorded, checks)), start=1)},
    }


def disk_labels(artifact: Artifact) -> Mapping[str, str]:
    """What the labels say of each disk of the recipe, by its name."""
    return {name.removeprefix(_DISK): value for name, value in artifact.labels.items() if name.startswith(_DISK)}


def agrees(seen: str, label: str) -> bool:
    """Whether what is seen of a disk is what its label says, as far as there was room in it."""
    return seen[:LONGEST_VALUE] == label


def recorded(check: Check) -> str | None:
    """A ready-made check with its arguments, as JSON; None for any other, and for one that is too long."""
    if not is_dataclass(check) or isinstance(check, type) or not type(check).__module__.startswith(_READY_MADE):
        return None
    text = json.dumps({"check": type(check).__name__, **asdict(check)}, separators=(",", ":"))
    return text if len(text) <= LONGEST_VALUE else None


def recorded_checks(artifact: Artifact, ready_made: Iterable[Callable[..., object]]) -> tuple[Check, ...]:
    """The checks that its labels hold, made anew from the classes `ready_made`; those that cannot be are left out."""
    classes = {cls.__name__: cls for cls in ready_made}
    texts = [value for name, value in _numbered(artifact.labels)]
    return tuple(check for text in texts if (check := _made(text, classes)) is not None)


def _numbered(labels: Mapping[str, str]) -> list[tuple[int, str]]:
    found = [(name.removeprefix(_CHECK), value) for name, value in labels.items() if name.startswith(_CHECK)]
    return sorted((int(number), value) for number, value in found if number.isdecimal())


def _made(text: str, classes: Mapping[str, Callable[..., Any]]) -> Check | None:
    """A label may come from another baker, or from anywhere: what does not fit is no check."""
    try:
        values = json.loads(text)
        cls = classes[values.pop("check")]
        made: Check = cls(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return made
