"""Makes a machine into an image: all of it, or nothing. No image and no version stays of a capture that failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from baker.artifact import Artifact
from baker.builders.azure import ids, images, removal, requests
from baker.builders.azure.calls import Cloud
from baker.builders.azure.errors import TIMED_OUT, AzureError, explaining
from baker.builders.azure.ids import Group
from baker.builders.azure.operations import Operation
from baker.builders.azure.requests import Definition, Payload
from baker.builders.azure.spec import Azure, Gallery
from baker.builders.azure.tags import EXPIRES, label_tags, tags_of
from baker.builders.azure.waiting import finish
from baker.cleanup import CleanupStack
from baker.errors import CaptureError
from baker.events import Emit, Progress
from baker.ports import Clock, RunInfo

STOP_SECONDS = 900.0
TAGGING_SECONDS = 300.0
LEAST_IMAGE_SECONDS, LEAST_VERSION_SECONDS, SECONDS_PER_GIB = 1800.0, 7200.0, 60.0
"""How long an image may take. A version takes ten minutes as a rule, and hours where it goes to many regions."""

DAY_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Capturing:
    """What completes an image. `labels` say how to start a machine from it; `gib` is the size of all disks together."""

    spec: Azure
    run: RunInfo
    tags: Mapping[str, str]
    labels: Mapping[str, str]
    location: str
    definition: Definition
    gib: int

    def seconds(self, least: float) -> float:
        return self.spec.capture_timeout_seconds or max(least, self.gib * SECONDS_PER_GIB)


class Captor:
    """Captures one machine."""

    def __init__(self, capturing: Capturing, cloud: Cloud, *, clock: Clock, emit: Emit) -> None:
        self._capturing = capturing
        self._cloud = cloud
        self._clock = clock
        self._emit = emit

    def __call__(self, machine: str, name: str, labels: Mapping[str, str]) -> Artifact:
        """The image `name`: a version where a gallery is named, else a managed image. CaptureError."""
        spec = self._capturing.spec
        self._generalize(machine)
        now = self._clock.now()
        created = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = {**self._capturing.labels, **labels, images.NAME: name, images.CREATED: created}
        image = self._cloud.group(spec.image_group).holds(ids.IMAGE, name) if spec.image_group else ""
        version = version_id(spec.gallery, self._cloud, self._capturing.run) if spec.gallery else ""
        with CleanupStack(self._emit, self._clock) as cleanup:
            if image:
                part = {images.PART_OF: version.rsplit("/", 1)[-1]} if version else {}
                self._image(image, machine, self._tags({**said, **part}), cleanup)
            if spec.gallery:
                whole = {images.IMAGE_TOO: f"{spec.image_group}/{name}"} if image else {}
                self._version(version, spec.gallery, machine, self._tags({**said, **whole}), cleanup)
                self._make_lasting(ids.parent(version))
                self._make_lasting(version)
            if image:  # last: a version without it is whole, and it is nothing without the version
                self._make_lasting(image)
            with explaining("looking at the image"):
                artifact = images.artifact_of(self._cloud.get(version or image))
            cleanup.keep()
        return artifact

    def _tags(self, labels: Mapping[str, str]) -> dict[str, str]:
        return {**self._capturing.tags, **label_tags(labels)}

    def _generalize(self, machine: str) -> None:
        """Deallocate it, and tell Azure that it has been deprovisioned; after that it can be started no more."""
        parsed = ids.parse(machine)
        assert parsed is not None  # noqa: S101  (ids of machines are made here)
        group, name = parsed.group, parsed.name
        with explaining("deallocating the machine"):
            stopping: Operation = self._cloud.ask(
                "deallocate", lambda sdk: sdk.begin(sdk.compute.virtual_machines.begin_deallocate, group, name)
            )
            finish(self._cloud, stopping, timeout=STOP_SECONDS, clock=self._clock)
        with explaining("generalizing the machine"):
            self._cloud.ask("generalize", lambda sdk: sdk.compute.virtual_machines.generalize(group, name))

    def _image(self, id: str, machine: str, mine: Mapping[str, str], cleanup: CleanupStack) -> None:
        capturing = self._capturing
        body = requests.managed_image(capturing.location, machine, capturing.definition.generation, mine)
        self._made(id, body, cleanup, seconds=capturing.seconds(LEAST_IMAGE_SECONDS))

    def _version(self, id: str, gallery: Gallery, machine: str, mine: Mapping[str, str], cleanup: CleanupStack) -> None:
        """The version, in a definition that fits."""
        capturing = self._capturing
        definition = ids.parent(id)
        with explaining("looking at the gallery's definition"):
            found = self._cloud.find(definition)
        if found is None:
            tags = {name: value for name, value in capturing.tags.items() if name != "Name"}
            body = requests.gallery_definition(capturing.location, capturing.definition, tags)
            self._made(definition, body, cleanup, seconds=capturing.seconds(LEAST_IMAGE_SECONDS))
        elif problem := definition_problem(found, capturing.definition):
            raise CaptureError(f"the machine does not go into the gallery's definition: {problem}")
        days = capturing.spec.end_of_life_after_days
        body = requests.gallery_version(
            capturing.location,
            gallery,
            machine,
            mine,
            end_of_life=None if days is None else self._clock.now() + days * DAY_SECONDS,
        )
        self._made(id, body, cleanup, seconds=capturing.seconds(LEAST_VERSION_SECONDS))

    def _made(self, id: str, body: Payload, cleanup: CleanupStack, *, seconds: float) -> None:
        """Make what did not exist before, and wait for it. It is removed when it fails."""
        kind = removal.KINDS[_type_of(id)]
        with explaining(f"looking for a {kind} of this name"):
            if self._cloud.find(id) is not None:
                raise CaptureError(f"the {kind} {id} exists already", hint="`bake images --on azure` lists ours")
        run_id = self._capturing.run.run_id
        cleanup.acquire(
            kind,
            id,
            self._cloud.place,
            undo=lambda: removal.remove(id, run_id, self._cloud, clock=self._clock, finished=True),
            remove_hint=removal.hint(id),
        )
        try:
            with explaining(f"making the {kind}"):
                asked = self._cloud.put(id, body)
                finish(self._cloud, asked, timeout=seconds, clock=self._clock, tell=lambda: self._tell(id, kind))
        except CaptureError:
            raise
        except Exception as error:
            if getattr(error.__cause__, "code", "") == TIMED_OUT:
                raise CaptureError(
                    f"the {kind} was not ready within {seconds / 60:.0f} minutes",
                    hint="give it longer with capture_timeout_seconds in the Azure(...) of the recipe",
                ) from error
            raise

    def _tell(self, id: str, kind: str) -> None:
        """How far the replicas of a version are; of an image Azure says nothing until the end."""
        if _type_of(id) != ids.VERSION:
            self._emit(Progress(what=kind, done=0, total=None, unit=kind))
            return
        try:
            status: dict[str, Any] = self._cloud.get(id, **{"$expand": "ReplicationStatus"})["properties"]
        except AzureError:
            return  # it was only to be shown
        regions = (status.get("replicationStatus") or {}).get("summary") or ()
        done = [int(region.get("progress") or 0) for region in regions]
        if done:
            self._emit(Progress(what="replicas", done=sum(done) // len(done), total=100, unit="%"))

    def _make_lasting(self, id: str) -> None:
        """Take off the tag that calls it temporary: from now on it is nobody's leftover."""
        with explaining("finishing the image"):
            instant = tags_of(self._cloud.get(id)).get(EXPIRES)
            if instant is not None:
                tagged = self._cloud.tag(id, "Delete", {EXPIRES: instant})
                finish(self._cloud, tagged, timeout=TAGGING_SECONDS, clock=self._clock)


def version_id(gallery: Gallery, cloud: Cloud, run: RunInfo) -> str:
    """The id of the version that a run makes. Without a name it is the time of its start: 2026.1122.5209."""
    at = datetime.fromtimestamp(run.started, UTC)
    by_time = f"{at.year}.{at.month * 100 + at.day}.{at.hour * 10000 + at.minute * 100 + at.second}"
    group: Group = cloud.group(gallery.group)
    return group.version(gallery.name, gallery.definition or run.recipe, gallery.version or by_time)


def definition_problem(found: Mapping[str, Any], wanted: Definition) -> str | None:
    """Why a machine does not go into a definition that exists, in words; None when it does."""
    has = found["properties"]
    features = {it["name"]: it["value"] for it in has.get("features") or ()}
    if str(has.get("osState", "Generalized")).lower() != "generalized" or str(has.get("osType", "Linux")) != "Linux":
        return "it is not for generalized images of Linux"
    if (generation := str(has.get("hyperVGeneration") or "V1")) != wanted.generation:
        return f"it is for machines of generation {generation}, and this one has {wanted.generation}"
    if (architecture := str(has.get("architecture") or "x64")).lower() != wanted.architecture.lower():
        return f"it is for {architecture}, and the machine is {wanted.architecture}"
    security = str(features.get("SecurityType") or "Standard")
    if wanted.security == "TrustedLaunch" and not security.startswith("TrustedLaunch"):
        return "it takes no machines with Trusted Launch (it has no feature SecurityType=TrustedLaunch)"
    if wanted.security == "Standard" and security == "TrustedLaunch":
        return 'it takes machines with Trusted Launch alone, and this one has none (security="TrustedLaunch")'
    return None


def _type_of(id: str) -> str:
    parsed = ids.parse(id)
    return parsed.type if parsed else ""
