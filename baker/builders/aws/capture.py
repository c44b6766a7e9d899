"""Makes a machine into an image: all of it, or nothing. No image and no snapshot stays of a capture that failed."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from baker.artifact import Artifact
from baker.builders.aws import instances, requests, tags
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import Answer, AwsError, explaining
from baker.builders.aws.images import artifact_of, delete_image, images_of_run, require_imdsv2, snapshots_of
from baker.builders.aws.instances import LOST_MACHINE, Seen
from baker.builders.aws.unseen import Asked
from baker.builders.aws.waiting import STOPPED, poll
from baker.cleanup import CleanupStack
from baker.errors import CaptureError, MachineDiedError
from baker.events import Emit, Notice, Progress
from baker.ports import Clock, RunInfo

STOP_SECONDS = 600.0
LEAST_SECONDS, SECONDS_PER_GIB = 1800.0, 60.0
"""How long an image may take: a first snapshot moves all that was ever written, at a rate that AWS does not promise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capturing:
    """What completes an image. `gib` is the size of all its volumes together."""

    run: RunInfo
    tags: Mapping[str, str]
    labels: Mapping[str, str]
    gib: int
    timeout_seconds: float | None = None
    deprecate_after_days: int | None = None

    @property
    def seconds(self) -> float:
        return self.timeout_seconds or max(LEAST_SECONDS, math.ceil(self.gib * SECONDS_PER_GIB))


class Captor:
    """Captures one machine."""

    def __init__(self, capturing: Capturing, cloud: Cloud, *, clock: Clock, emit: Emit) -> None:
        self._capturing = capturing
        self._cloud = cloud
        self._clock = clock
        self._emit = emit
        self._asked = Asked(clock)

    def __call__(self, machine: Seen, name: str, labels: Mapping[str, str]) -> Artifact:
        """The image `name`. CaptureError, or what AWS refused."""
        self._refuse_name(name)
        if not machine.spot:
            self._stop(machine)
        else:
            text = "a one-time spot machine cannot be stopped: its image is taken while it runs, its disks flushed"
            self._emit(Notice(level="info", text=text))
        said = tags.label_tags({**self._capturing.labels, **labels})
        mine = {**self._capturing.tags, **said, "Name": name}
        with CleanupStack(self._emit, self._clock) as cleanup:
            hint = (
                f"aws ec2 deregister-image --delete-associated-snapshots --region {self._cloud.region} --image-id "
                f"$(aws ec2 describe-images --region {self._cloud.region} --owners self "
                f"--filters Name=name,Values={name} --query Images[].ImageId --output text)"
            )
            cleanup.acquire("image", name, self._cloud.region, undo=lambda: self._roll_back(name), remove_hint=hint)
            image_id = self._create(machine, name, mine)
            image = self._available(image_id)
            self._deprecate(image_id)
            lasting = self._made_lasting(image)
            cleanup.keep()
        return artifact_of(lasting, self._cloud.region)

    def _refuse_name(self, name: str) -> None:
        with explaining("looking for an image of this name"):
            filters = [{"Name": "name", "Values": [name]}]
            if list(self._cloud.all_of("describe_images", "Images", Owners=["self"], Filters=filters)):
                raise CaptureError(f"an image called {name} exists already", hint="`bake images --on aws` lists them")

    def _stop(self, machine: Seen) -> None:
        with explaining("stopping the machine"):
            self._ask_to_stop(machine)
            stopped = poll(lambda: self._stopped(machine.id), timeout=STOP_SECONDS, clock=self._clock, pauses=STOPPED)
        if stopped is None:
            raise CaptureError(
                f"the machine did not stop within {STOP_SECONDS:.0f} s", hint="a service may hang at its stop"
            )

    def _ask_to_stop(self, machine: Seen) -> None:
        try:
            self._cloud.ask_of_new("stop_instances", InstanceIds=[machine.id])
        except AwsError:
            self._stopped(machine.id)  # one that has ended is told as what it is
            raise

    def _stopped(self, machine_id: str) -> bool | None:
        seen = instances.look(self._cloud, machine_id)
        if seen is not None and seen.has_ended:
            raise MachineDiedError(
                f"the machine ended before its capture, and is not made an image: {seen.reason or seen.state}",
                hint=LOST_MACHINE,
            )
        return True if seen is not None and seen.state == "stopped" else None

    def _create(self, machine: Seen, name: str, mine: Mapping[str, str]) -> str:
        """Ask for the image. EC2 may not know at once that a machine has stopped; what a lost reply made is adopted."""
        description = f"{self._capturing.run.recipe}, baked by run {self._capturing.run.run_id}"
        body = requests.create_image(machine.id, name, description=description, reboot=not machine.spot, mine=mine)

        with explaining("asking for the image"), self._asked.asking():
            try:
                return str(self._cloud.ask_of_new("create_image", **body)["ImageId"])
            except AwsError as error:
                if error.answer is not Answer.MADE:
                    raise
            return self._adopted(name)

    def _adopted(self, name: str) -> str:
        """The image that a call made whose reply was lost."""
        for image in self._asked.found(lambda: self._called(name)):
            return str(image["ImageId"])
        raise CaptureError(f"an image called {name} exists already, and is not this run's")

    def _available(self, image_id: str) -> dict[str, Any]:
        limit = self._capturing.seconds
        with explaining("waiting for the image"):
            image = poll(lambda: self._finished(image_id), timeout=limit, clock=self._clock)
        if image is None:
            raise CaptureError(
                f"the image was not ready within {limit / 60:.0f} minutes",
                hint="give it longer with capture_timeout_seconds in the Aws(...) of the recipe",
            )
        return image

    def _finished(self, image_id: str) -> dict[str, Any] | None:
        image = next(iter(self._described(image_id)), None)
        if image is None:
            return None  # not known everywhere yet
        match image["State"]:
            case "available":
                return image
            case "pending":
                self._tell_progress(image)
                return None
            case state:
                reason = (image.get("StateReason") or {}).get("Message", state)
                raise CaptureError(f"EC2 could not make the image: {reason}")

    def _described(self, image_id: str) -> Iterator[dict[str, Any]]:
        try:
            yield from self._cloud.ask("describe_images", ImageIds=[image_id])["Images"]
        except AwsError as error:
            if error.code not in ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"):
                raise

    def _tell_progress(self, image: dict[str, Any]) -> None:
        ids = [
            it["Ebs"]["SnapshotId"]
            for it in image.get("BlockDeviceMappings", ())
            if it.get("Ebs", {}).get("SnapshotId")
        ]
        if not ids:
            return
        try:
            snapshots = self._cloud.ask("describe_snapshots", SnapshotIds=ids)["Snapshots"]
        except AwsError:
            return  # it was only to be shown
        done = [int(it.get("Progress", "0%").rstrip("%") or 0) for it in snapshots]
        if done:
            self._emit(Progress(what="snapshots", done=sum(done) // len(done), total=100, unit="%"))

    def _deprecate(self, image_id: str) -> None:
        days = self._capturing.deprecate_after_days
        if days is None:
            return
        at = datetime.fromtimestamp(self._clock.now(), UTC) + timedelta(days=days)
        with explaining("setting the image's deprecation date"):
            self._cloud.ask_of_new("enable_image_deprecation", **requests.deprecate_image(image_id, at))

    def _made_lasting(self, image: Mapping[str, Any]) -> dict[str, Any]:
        """As safe as the machine was, and without the tag that calls it temporary: it is nobody's leftover now."""
        with explaining("finishing the image"):
            require_imdsv2(image, self._cloud)
            resources = [image["ImageId"], *snapshots_of(image)]
            self._cloud.ask_of_new("delete_tags", Resources=resources, Tags=[{"Key": tags.EXPIRES}])
        return {**image, "Tags": [tag for tag in image.get("Tags", ()) if tag["Key"] != tags.EXPIRES]}

    def _called(self, name: str) -> Iterator[dict[str, Any]]:
        images = images_of_run(self._cloud, self._capturing.run.run_id)
        return (image for image in images if image.get("Name") == name)

    def _roll_back(self, name: str) -> None:
        """Remove the image, and each snapshot that was made for it: those of an image that failed are in no mapping."""
        for image in self._asked.found(lambda: self._called(name)):
            delete_image(self._cloud, image)
        snapshots = self._cloud.all_of(
            "describe_snapshots", "Snapshots", OwnerIds=["self"],
            Filters=[{"Name": f"tag:{tags.RUN}", "Values": [self._capturing.run.run_id]}],
        )  # fmt: skip
        for snapshot in snapshots:
            self._cloud.remove("delete_snapshot", SnapshotId=snapshot["SnapshotId"])
