"""Whom an image in Azure can be shared with: how a person writes it, and what it means there.

    subscription:GUID   everybody in a subscription, by way of the gallery
    tenant:GUID         everybody in a tenant, by way of the gallery
    principal:GUID      a user, group or service principal (its object id), who may read this image and no other
    definition:GUID     the same, who may read all versions of the image's definition, also those to come

An id alone could be any of these, so none is guessed from it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from baker.ports import Problem
from baker.recipe import Share

TargetKind = Literal["subscription", "tenant", "principal", "definition"]

FORMS = ", ".join(f"{kind}:GUID" for kind in get_args(TargetKind))

_GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TARGET = re.compile(rf"(?P<kind>{'|'.join(get_args(TargetKind))}):(?P<id>{_GUID})", re.IGNORECASE)
_REGION = re.compile(r"[a-z][a-z0-9]{2,40}")


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody; `id` is a GUID in lower case."""

    kind: TargetKind
    id: str


def parse(text: str) -> Target | None:
    """None for what is no target."""
    found = _TARGET.fullmatch(text)
    kinds: dict[str, TargetKind] = {kind: kind for kind in get_args(TargetKind)}
    return Target(kinds[found["kind"].lower()], found["id"].lower()) if found else None


def share_problems(share: Share) -> Iterator[Problem]:
    """What in a share list cannot be meant."""
    for target in share.targets:
        if parse(target) is None:
            yield Problem(
                summary=f"an image in Azure cannot be shared with {target!r}",
                hint=f"write {FORMS}; `az account show` tells the first two, `az ad user show --id NAME` a principal's",
                exit_code=2,
            )
    for region in share.regions:
        if not _REGION.fullmatch(region):
            yield Problem(
                summary=f"{region!r} is no region", hint="such as westeurope: `az account list-locations`", exit_code=2
            )


def managed_image_problems(share: Share) -> Iterator[Problem]:
    """What a share list asks for that a managed image cannot give. A gallery can."""
    by_gallery = [it for it in share.targets if (target := parse(it)) and target.kind != "principal"]
    wanted = [*by_gallery, *share.regions, *(["everybody"] if share.public else [])]
    for it in wanted:
        yield Problem(
            summary=f"a managed image serves its own subscription and region, and cannot be shared with {it}",
            hint="name a gallery for the image in the Azure(...) of the recipe",
            exit_code=2,
        )
