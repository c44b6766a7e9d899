"""What a user does with the Azure builder, act by act, each with all that it needs there: for the table of faults.

An act is prepared while nothing is wrong, and then done with whatever the test has spoiled. Nobody waits: the clock is
moved on by whoever sleeps.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from baker.artifact import Artifact
from baker.builders.azure import ids
from baker.builders.azure.builder import AzureBuilder
from baker.builders.azure.calls import Cloud
from baker.builders.azure.spec import Azure, Gallery
from baker.builders.azure.waiting import finish
from baker.clock import SystemClock
from baker.events import Event
from baker.ledger import Ledger
from baker.ports import Clock, RunInfo
from baker.recipe import Disk, Share
from baker.share import share_image
from baker.sweep import look, remove
from tests.builders.azure.fake.client import FakeAzure
from tests.builders.azure.fake.settings import LOCATION

DISKS = (Disk(name="data", size_gib=3),)
COLLEAGUE = "22222222-3333-4444-8555-666666666666"
GALLERY, ELSEWHERE = "reefs", "northeurope"
FOR_EVER = 1 << 30


class ImpatientClock(SystemClock):
    """On which time passes as somebody sleeps, and so nobody waits."""

    def __init__(self) -> None:
        self._slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        self._slept += seconds


class SharedClouds:
    """`AzureBuilder.cloud_in` for many bakes: the SDK takes a while to make a client and get a token."""

    def __init__(self) -> None:
        self._clouds: dict[tuple[str | None, str | None], Cloud] = {}

    def __call__(self, subscription: str | None, cloud: str | None, clock: Clock) -> Cloud:
        key = (subscription, cloud)
        if key not in self._clouds:
            self._clouds[key] = Cloud(subscription, cloud, clock)
        return self._clouds[key]


@dataclass(kw_only=True)
class Scene:
    """Where an act takes place. `image` is one that was baked before, when the act needs any."""

    azure: FakeAzure
    builder: AzureBuilder
    run: RunInfo
    folder: Path
    told: list[Event] = field(default_factory=list)
    image: Artifact | None = None

    def spec(self, **changes: Any) -> Azure:
        values: dict[str, Any] = {
            "gallery": Gallery(group="images", name=GALLERY),
            "sizes": ("Standard_D2s_v5", "Standard_D4s_v5"),
            "caller_service": self.azure.caller_address_url,
        }
        return Azure(**(values | changes))

    @property
    def labels(self) -> dict[str, str]:
        return {"recipe": "reef", "fingerprint": "f", "run": self.run.run_id, "verified": "no"}

    @property
    def baked(self) -> Artifact:
        assert self.image is not None
        return self.image


def furnish(azure: FakeAzure) -> None:
    """What the user has: a group for images, with a gallery that may be shared, and one for machines."""
    azure.group("images")
    azure.group("mine")
    cloud = Cloud(None, None, ImpatientClock())
    gallery = {"location": LOCATION, "properties": {"sharingProfile": {"permissions": "Groups"}}}
    made = cloud.put(cloud.group("images").holds(ids.GALLERY, GALLERY), gallery)
    finish(cloud, made, timeout=30, clock=ImpatientClock())


def nothing(_scene: Scene) -> None:
    """Needs nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Act:
    """`do` gives the ids of the images that it made.

    `removes`: the image is to go. `is_about_leftovers`: its error is about what it was to remove.
    """

    name: str
    do: Callable[[Scene], tuple[str, ...]]
    prepare: Callable[[Scene], None] = nothing
    removes: bool = False
    is_about_leftovers: bool = False

    def __str__(self) -> str:
        return self.name


# --- what is done


def _bake(scene: Scene, **changes: Any) -> tuple[str, ...]:
    with scene.builder.machine(scene.spec(**changes), DISKS, scene.run, scene.told.append) as machine:
        return (machine.capture(scene.run.image_name, scene.labels).id,)


def bake_a_version(scene: Scene) -> tuple[str, ...]:
    return _bake(scene)


def bake_a_managed_image(scene: Scene) -> tuple[str, ...]:
    return _bake(scene, gallery=None, image_group="images", security="Standard")


def bake_both_in_a_group_of_the_users(scene: Scene) -> tuple[str, ...]:
    return _bake(scene, image_group="images", security="Standard", resource_group="mine")


def start_the_image(scene: Scene) -> tuple[str, ...]:
    with scene.builder.launch_image(scene.baked, scene.run, scene.told.append, spec=scene.spec()) as machine:
        assert machine.address.host
    return ()


def share(scene: Scene) -> tuple[str, ...]:
    """With a subscription, with somebody, and in another region."""
    targets = (f"subscription:{COLLEAGUE}", f"principal:{COLLEAGUE}")
    wanted = Share(targets=targets, regions=(ELSEWHERE,))
    share_image(scene.builder, scene.baked, wanted, upload=None, emit=scene.told.append)  # type: ignore[arg-type]
    return ()


def label(scene: Scene) -> tuple[str, ...]:
    scene.builder.set_labels(scene.baked, {"verified": "yes"})
    scene.builder.mark_newest(scene.baked)
    return ()


def delete(scene: Scene) -> tuple[str, ...]:
    scene.builder.delete(scene.baked)
    return ()


def sweep(scene: Scene) -> tuple[str, ...]:
    """What `bake sweep --yes` does, where the ledger is lost."""
    ledger = Ledger(folder=lambda: scene.folder, clock=SystemClock())
    found = look(ledger, ["azure"], lambda _kind: scene.builder, location=None, clock=SystemClock())
    for _, refusal in found.unasked:
        raise refusal
    assert not found.spared
    for removal in list(remove(found, ledger, lambda _kind: scene.builder)):
        if removal.error:
            raise removal.error
    return ()


# --- what has to be there


def an_image(scene: Scene) -> None:
    """As an earlier bake made it, verified."""
    _bake(scene)
    (image,) = scene.builder.images(None)
    scene.image = scene.builder.set_labels(image, {"verified": scene.builder.digest(image)})
    scene.told.clear()


def two_images(scene: Scene) -> None:
    """One bake's version and managed image, which are one image."""
    _bake(scene, image_group="images", security="Standard")
    (scene.image,) = scene.builder.images(None)
    scene.told.clear()


def dead_runs(scene: Scene) -> None:
    """Of one that had a group of its own and of one in a group of the user's, both without the right to delete."""
    scene.azure.fault("DELETE *", error="AuthorizationFailed", status=403, times=FOR_EVER)
    for suffix, group in (("dea1", None), ("dea2", "mine")):
        run = replace(scene.run, run_id=f"{scene.run.run_id[:-4]}{suffix}", expires=scene.run.started + 1)
        with scene.builder.machine(scene.spec(resource_group=group), DISKS, run, scene.told.append):
            pass
    scene.azure.forget_faults()
    scene.told.clear()


ACTS = (
    Act(name="bake a version", do=bake_a_version),
    Act(name="bake a managed image", do=bake_a_managed_image),
    Act(name="bake both in a group of the user's", do=bake_both_in_a_group_of_the_users),
    Act(name="start the image", do=start_the_image, prepare=an_image),
    Act(name="share", do=share, prepare=an_image),
    Act(name="label", do=label, prepare=an_image),
    Act(name="delete", do=delete, prepare=two_images, removes=True, is_about_leftovers=True),
    Act(name="sweep", do=sweep, prepare=dead_runs, is_about_leftovers=True),
)
