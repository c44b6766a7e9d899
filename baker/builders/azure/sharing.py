"""Lets others have an image: through its gallery, or by a role on the image itself. Each target has its own result.

**A gallery is shared as a whole**, with every version in it, verified or not; Azure shares nothing smaller with a
subscription, a tenant or everybody. Whether a gallery can be shared so at all is decided when it is made, by its owner
(`sharingProfile.permissions`), and is not changed here. For one image and no other there is the role.

What is asked for twice is the same as once: a gallery says whom it is shared with, and a role assignment has a name
that is computed from whom, what and where, so that a lost reply leaves nothing that would be made again.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from baker.artifact import Artifact, ShareResult
from baker.builders.azure import ids
from baker.builders.azure.calls import Cloud
from baker.builders.azure.errors import AzureError, explain
from baker.builders.azure.operations import Operation
from baker.builders.azure.replication import Replicator
from baker.builders.azure.targets import Target, parse
from baker.builders.azure.waiting import finish
from baker.errors import BakeError, BuilderError
from baker.events import Emit
from baker.ports import Clock
from baker.recipe import Share

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
"""Azure's own role: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"""

EVERYBODY = "everybody"

SHARING_SECONDS = 900.0

_ASSIGNMENTS_VERSION = "2022-04-01"
_GROUPS = {"subscription": "Subscriptions", "tenant": "AADTenants"}

Payload = Mapping[str, Any]


def sharing_update(target: Target) -> Payload:
    """What shares a gallery with one more."""
    return {"operationType": "Add", "groups": [{"type": _GROUPS[target.kind], "ids": [target.id]}]}


def enable_community() -> Payload:
    """What shares a gallery with everybody."""
    return {"operationType": "EnableCommunity"}


def assignment_id(scope: str, principal: str) -> str:
    """The id of the assignment that lets a principal read: always the same one."""
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{scope.lower()}/{principal.lower()}/{READER}")
    return f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"


def role_assignment(subscription: str, principal: str) -> Payload:
    """What lets a principal read. Its type is left to Azure to look up."""
    role = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{READER}"
    return {"properties": {"roleDefinitionId": role, "principalId": principal}}


def share_image(artifact: Artifact, share: Share, cloud: Cloud, *, clock: Clock, emit: Emit) -> tuple[ShareResult, ...]:
    """Share with each target, with everybody where that is wanted, and copy to the regions. A result for each."""
    sharing = _Sharing(artifact.id, cloud, clock)
    results = [_result(target, lambda: sharing.with_target(target)) for target in share.targets]  # noqa: B023
    if share.public:
        results.append(_result(EVERYBODY, sharing.with_everybody))
    return (*results, *_copies(artifact.id, share.regions, cloud, clock=clock, emit=emit))


def _copies(id: str, regions: tuple[str, ...], cloud: Cloud, *, clock: Clock, emit: Emit) -> tuple[ShareResult, ...]:
    if not regions:
        return ()
    try:
        _gallery_of(id)
        return Replicator(id, cloud, clock=clock, emit=emit).replicate(regions)
    except (AzureError, BakeError) as error:
        message = _words(error, "copying the image")
        return tuple(ShareResult(target=region, ok=False, message=message) for region in regions)


def _result(target: str, share: Callable[[], str]) -> ShareResult:
    try:
        return ShareResult(target=target, ok=True, message=share())
    except (AzureError, BakeError) as error:
        return ShareResult(target=target, ok=False, message=_words(error, f"sharing with {target}"))


def _words(error: AzureError | BakeError, doing: str) -> str:
    """Why, in one line, with Azure's own code and words."""
    if isinstance(error, AzureError):
        return f"{explain(error, doing).summary}: {error.code}: {error.message}"
    return f"{error.summary}; {error.hint}" if error.hint else error.summary


class _Sharing:
    """Shares one image."""

    def __init__(self, id: str, cloud: Cloud, clock: Clock) -> None:
        self._id = id
        self._cloud = cloud
        self._clock = clock

    def with_target(self, text: str) -> str:
        """Where the target finds the image now."""
        target = parse(text)
        match target:
            case Target(kind="principal"):
                return self._permit(self._id, target.id)
            case Target(kind="definition"):
                _gallery_of(self._id)
                return self._permit(ids.parent(self._id), target.id)
            case Target():
                return self._add(target)
        raise BuilderError(f"{text!r} is nobody whom an image in Azure can be shared with")

    def with_everybody(self) -> str:
        gallery = _gallery_of(self._id)
        self._must_be(gallery, "Community")
        if not self._names(gallery):
            self._change(gallery, enable_community())
        names = self._names(gallery)
        if not names:
            raise BuilderError("Azure accepted that the gallery is public, and shows no public name of it")
        return f"everybody may read all of gallery {_name(gallery)}, as {names[0]}"

    def _permit(self, scope: str, principal: str) -> str:
        """Let a principal read an image or a definition. An assignment by another name is as good."""
        body = role_assignment(self._cloud.subscription, principal)
        id = assignment_id(scope, principal)
        try:
            self._cloud.ask(
                f"assign the role Reader on {scope}",
                lambda sdk: sdk.begin(
                    sdk.resources.resources.begin_create_or_update_by_id,
                    id.lstrip("/"),
                    dict(body),
                    api_version=_ASSIGNMENTS_VERSION,
                ),
            )
        except AzureError as error:
            if error.code != "RoleAssignmentExists":
                raise
        return f"may read {scope}"

    def _add(self, target: Target) -> str:
        gallery = _gallery_of(self._id)
        self._must_be(gallery, "Groups")
        if not self._has(gallery, target):
            self._change(gallery, sharing_update(target))
            if not self._has(gallery, target):
                raise BuilderError("Azure accepted the sharing, and does not show it")
        return f"may read all of gallery {_name(gallery)}"

    def _must_be(self, gallery: str, permissions: str) -> None:
        """Refuse a gallery that its owner made for another kind of sharing."""
        has = str(self._profile(gallery).get("permissions") or "Private")
        if has.casefold() != permissions.casefold():
            raise BuilderError(
                f"gallery {_name(gallery)} is {has}, and would have to be {permissions} for that",
                hint=f"make another one with `az sig create --permissions {permissions.lower()} ...`, or share with "
                "principal:GUID, which any gallery can",
            )

    def _has(self, gallery: str, target: Target) -> bool:
        groups = self._profile(gallery).get("groups") or ()
        wanted = _GROUPS[target.kind]
        return any(
            ids.same(str(group.get("type")), wanted)
            and any(ids.same(str(id), target.id) for id in group.get("ids") or ())
            for group in groups
        )

    def _names(self, gallery: str) -> list[str]:
        """What a public gallery is called; empty while it is not public."""
        info = self._profile(gallery).get("communityGalleryInfo") or {}
        return list(info.get("publicNames") or ()) if info.get("communityGalleryEnabled") else []

    def _profile(self, gallery: str) -> Mapping[str, Any]:
        found = self._cloud.get(gallery, **{"$expand": "SharingProfile/Groups"})
        return found["properties"].get("sharingProfile") or {}

    def _change(self, gallery: str, body: Payload) -> None:
        parsed = ids.parse(gallery)
        assert parsed is not None  # noqa: S101  (made from the id of a version)
        group, name = parsed.group, parsed.name
        changing: Operation = self._cloud.ask(
            f"share gallery {name}",
            lambda sdk: sdk.begin(sdk.compute.gallery_sharing_profile.begin_update, group, name, dict(body)),
        )
        finish(self._cloud, changing, timeout=SHARING_SECONDS, clock=self._clock)


def _gallery_of(id: str) -> str:
    """The id of the gallery that an image is in. BuilderError for a managed image."""
    parsed = ids.parse(id)
    if parsed is None or parsed.type != ids.VERSION:
        raise BuilderError(
            "a managed image serves its own subscription and region alone",
            hint="name a gallery for the image in the Azure(...) of the recipe",
        )
    return ids.parent(ids.parent(id))


def _name(id: str) -> str:
    return id.rsplit("/", 1)[-1]
