"""Copies of an image in other regions: replicas of a version. A region that fails is taken out again, and told.

A version is changed by one operation at a time, so all regions are asked for together. Where Azure refuses the lot,
as it does for one region that it does not know, each is asked for alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from baker.artifact import ShareResult
from baker.builders.azure import ids
from baker.builders.azure.calls import Cloud
from baker.builders.azure.errors import AzureError, explain
from baker.builders.azure.operations import Operation
from baker.builders.azure.waiting import finish
from baker.events import Emit, Progress
from baker.ports import Clock

REPLICATION_SECONDS = 4 * 3600.0
"""Ten minutes are usual, and hours are seen for large disks."""

Profile = Mapping[str, Any]


def same_region(one: str, other: str) -> bool:
    """Azure spells regions in two ways: "West Europe" is "westeurope"."""
    return one.replace(" ", "").casefold() == other.replace(" ", "").casefold()


def with_regions(profile: Profile, regions: Sequence[str]) -> dict[str, Any]:
    """A version's publishing profile with more regions, one replica each; those that it has stay as they are."""
    return _with_targets(profile, [*_targets(profile), *({"name": it, "regionalReplicaCount": 1} for it in regions)])


def without_regions(profile: Profile, regions: Sequence[str]) -> dict[str, Any]:
    """The profile without some regions."""
    return _with_targets(profile, [it for it in _targets(profile) if not _is_one_of(str(it["name"]), regions)])


class Replicator:
    """Replicates one version, which `id` names."""

    def __init__(self, id: str, cloud: Cloud, *, clock: Clock, emit: Emit) -> None:
        self._id = id
        self._cloud = cloud
        self._clock = clock
        self._emit = emit

    def replicate(self, regions: Iterable[str]) -> tuple[ShareResult, ...]:
        """A result for each region, in their order. AzureError when the version cannot even be looked at."""
        wanted = tuple(dict.fromkeys(regions))
        there = [str(it["name"]) for it in _targets(self._profile())]
        missing = [region for region in wanted if not _is_one_of(region, there)]
        results = {region: ShareResult(target=region, ok=True, message="was there already") for region in wanted}
        for result in self._added(missing):
            results[result.target] = result
        return tuple(results.values())

    def _added(self, regions: Sequence[str]) -> Iterable[ShareResult]:
        if not regions:
            return ()
        try:
            changing = self._update(with_regions(self._profile(), regions))
        except AzureError as error:
            if len(regions) == 1:
                return (_refused(regions[0], error),)
            return [result for region in regions for result in self._added((region,))]
        return self._ended(changing, regions)

    def _ended(self, changing: Operation, regions: Sequence[str]) -> Iterable[ShareResult]:
        """Wait, and see what became of each region."""
        failure: AzureError | None = None
        try:
            finish(self._cloud, changing, timeout=REPLICATION_SECONDS, clock=self._clock, tell=self._tell)
        except AzureError as error:
            failure = error
        states = self._states()
        failed = [region for region in regions if _state_of(region, states) != "Completed"]
        if failed:
            finish(
                self._cloud,
                self._update(without_regions(self._profile(), failed)),
                timeout=REPLICATION_SECONDS,
                clock=self._clock,
            )
        for region in regions:
            if region not in failed:
                yield ShareResult(target=region, ok=True, message=f"replicated to {region}")
            elif failure is not None:
                yield _refused(region, failure)
            else:
                state = _state_of(region, states) or "nothing of it"
                yield ShareResult(
                    target=region, ok=False, message=f"Azure says {state}; taken out of the version again"
                )

    def _profile(self) -> Profile:
        found: Profile = self._cloud.get(self._id)["properties"]["publishingProfile"]
        return found

    def _update(self, profile: Profile) -> Operation:
        parsed = ids.parse(self._id)
        assert parsed is not None  # noqa: S101  (whoever replicates has looked at the kind of the image)
        group, names, body = parsed.group, parsed.names, {"properties": {"publishingProfile": dict(profile)}}
        operation: Operation = self._cloud.ask(
            f"replicate {self._id}",
            lambda sdk: sdk.begin(
                sdk.compute.gallery_image_versions.begin_update, group, *names, body, resource=self._id
            ),
        )
        return operation

    def _states(self) -> list[Mapping[str, Any]]:
        properties = self._cloud.get(self._id, **{"$expand": "ReplicationStatus"})["properties"]
        return list((properties.get("replicationStatus") or {}).get("summary") or ())

    def _tell(self) -> None:
        states = self._states()
        done = sum(int(state.get("progress") or 0) for state in states)
        self._emit(Progress(what="replicas", done=done // max(1, len(states)), total=100, unit="%"))


def _targets(profile: Profile) -> list[Mapping[str, Any]]:
    return list(profile.get("targetRegions") or ())


def _with_targets(profile: Profile, targets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    kept = {name: value for name, value in profile.items() if name != "publishedDate"}  # Azure's own to say
    return {**kept, "targetRegions": [dict(target) for target in targets]}


def _is_one_of(region: str, regions: Iterable[str]) -> bool:
    return any(same_region(region, other) for other in regions)


def _state_of(region: str, states: Iterable[Mapping[str, Any]]) -> str:
    """What Azure says of a region; empty when it says nothing."""
    return next((str(it.get("state", "")) for it in states if same_region(str(it.get("region", "")), region)), "")


def _refused(region: str, error: AzureError) -> ShareResult:
    reason = explain(error, f"replicating to {region}")
    return ShareResult(target=region, ok=False, message=f"{reason.summary}: {error.code}: {error.message}")
