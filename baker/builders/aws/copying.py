"""Copies an image to another region, and makes the copy what the original is: its tags, its date, who may launch it.

A copy is another image with other snapshots, so it is labelled as verified by its own content, and only once it is
whole. One that was begun and not waited for goes on in EC2; who asks again takes it up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Any, TypeVar

from baker.artifact import NOT_VERIFIED, Artifact
from baker.builders.aws import images, requests, tags
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import AwsError
from baker.builders.aws.waiting import poll
from baker.errors import BuilderError
from baker.events import Emit, Progress
from baker.ports import Clock

T = TypeVar("T")

COPY_SECONDS = 3 * 3600.0
_TOO_MANY = "ResourceLimitExceeded"
"""EC2 takes about five copies into one region at a time, whoever asks; more are refused, not queued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copier:
    """Copies one image. `stop` ends the waits: EC2 goes on, and nobody looks any more."""

    artifact: Artifact
    source: Mapping[str, Any]
    clock: Clock
    emit: Emit
    stop: Event

    def copy(self, there: Cloud) -> str:
        """The id of the copy in that region, whole. BuilderError or AwsError; a copy that failed is removed."""
        copied = self._begun(there) or self._begin(there)
        image = self._poll(lambda: self._finished(copied, there))
        if image is None:
            hours = COPY_SECONDS / 3600
            raise BuilderError(f"the copy {copied} was not ready after {hours:.0f} hours; EC2 still works on it")
        if until := self.source.get("DeprecationTime"):
            at = datetime.fromisoformat(until)
            there.ask_of_new("enable_image_deprecation", **requests.deprecate_image(copied, at))
        images.require_imdsv2(image, there)
        return copied

    def certify(self, copied: str, there: Cloud) -> None:
        """Label the copy of a verified image as verified."""
        images.set_labels(copied, {"verified": images.content_of(images.describe(copied, there))}, there)

    def _begun(self, there: Cloud) -> str | None:
        """An earlier copy of this image: of a try whose reply was lost, or that was not waited for."""
        filters = [{"Name": "name", "Values": [self.artifact.name]}]
        for image in there.ask("describe_images", Owners=["self"], Filters=filters)["Images"]:
            if tags.run_of(tags.from_tag_list(image.get("Tags"))) != self.artifact.labels.get("run"):
                raise BuilderError(f"{image['ImageId']} has the same name there, and is no copy of this image")
            return str(image["ImageId"])
        return None

    def _begin(self, there: Cloud) -> str:
        body = self._request(there.region)

        def attempt() -> str | None:
            try:
                return str(there.ask("copy_image", **body)["ImageId"])
            except AwsError as error:
                if error.code == _TOO_MANY:
                    return None
                raise

        copied = self._poll(attempt)
        if copied is None:
            raise BuilderError("EC2 went on making other copies into this region, and took no more")
        return copied

    def _request(self, region: str) -> dict[str, Any]:
        mine = tags.from_tag_list(self.source.get("Tags")) | tags.label_tags({"verified": NOT_VERIFIED})
        mine.pop(tags.EXPIRES, None)  # a copy is as lasting as the original is meant to be
        token = f"{self.artifact.id}-{region}-{self.clock.now():.0f}"  # that of a copy that failed leads to it for days
        return requests.copy_image(
            self.artifact.id, self.artifact.name, source=self.artifact.location, token=token, mine=mine
        )

    def _finished(self, copied: str, there: Cloud) -> Mapping[str, Any] | None:
        try:
            found = there.ask("describe_images", ImageIds=[copied])["Images"]
        except AwsError as error:
            if error.code == "InvalidAMIID.NotFound":
                return None  # not known everywhere yet
            raise
        image: dict[str, Any] = dict(found[0]) if found else {"State": "pending"}
        self.emit(Progress(what=f"copy to {there.region}", done=0, total=None, unit="image"))
        if image["State"] == "pending":
            return None
        if image["State"] != "available":
            images.delete_image(there, image)
            reason = (image.get("StateReason") or {}).get("Message", image["State"])
            raise BuilderError(f"EC2 could not make the copy: {reason}")
        return image

    def _poll(self, probe: Callable[[], T | None]) -> T | None:
        def asked() -> T | None:
            if self.stop.is_set():
                raise BuilderError("stopped; a copy that was begun goes on, and is taken up when it is asked for again")
            return probe()

        return poll(asked, timeout=COPY_SECONDS, clock=self.clock)
