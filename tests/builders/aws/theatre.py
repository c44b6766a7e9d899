"""Plays acts in one account of the double, one after the other, and looks at what each of them left."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baker.artifact import Leftover
from baker.builders.aws.builder import AwsBuilder
from baker.errors import BakeError
from baker.events import CleanupFailed
from baker.ports import RunInfo
from tests.builders.aws.acts import ELSEWHERE, Act, ImpatientClock, Scene, SharedClouds
from tests.builders.aws.failures import Failure
from tests.builders.aws.fake.client import REGION, TAG, FakeAws

GOES_WITH = {"network interface": "instance", "volume": "instance", "spot request": "instance", "snapshot": "image"}
"""Who removes the one removes the other."""

Resource = Mapping[str, Any]


@dataclass(kw_only=True)
class Outcome:
    """What became of an act. `made` are the ids of the images that it says it made."""

    act: Act
    scene: Scene
    made: tuple[str, ...] = ()
    error: Exception | None = None

    @property
    def reported(self) -> list[CleanupFailed]:
        """What it said that it could not remove."""
        return [event for event in self.scene.told if isinstance(event, CleanupFailed)]

    @property
    def text(self) -> str:
        """All that a person reads of the error, and of what could not be removed."""
        details = getattr(self.error, "details", ())
        said = [str(self.error), *(f"{label}: {text}" for label, text in details)]
        return "\n".join([*said, *(f"{event.what}: {event.error}" for event in self.reported)])

    def tells_of(self, leftover: Leftover) -> bool:
        """Whether a person knows that it is left, and how to remove it."""
        if self.act.says_what_is_left:
            return self.error is not None
        kind = GOES_WITH.get(leftover.kind, leftover.kind)
        return any(it.what.startswith(kind) and it.remove_hint.startswith("aws ec2 ") for it in self.reported)


class Theatre:
    """See the module. Between two acts the account is as it was at first."""

    def __init__(self, ec2: FakeAws, folder: Path, run: RunInfo) -> None:
        self._ec2 = ec2
        self._folder = folder
        self._run = run
        self._number = 0
        self._builder = AwsBuilder(cloud_in=SharedClouds(), clock=ImpatientClock())
        self._clients = {region: ec2.client(region=region) for region in (REGION, ELSEWHERE)}
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another account, with nothing but other people's things in it."""
        self._ec2.reset()
        self._ec2.settings(shutting_down={"polls": 0})  # else it lasts until somebody looks at the instance
        for region in self._clients:
            self._ec2.look_alikes(region)
        self._clients[REGION].disable_image_block_public_access()
        self._before = self._ec2.account()

    def journal(self, act: Act) -> list[dict[str, Any]]:
        """All that it asks of AWS when nothing else goes wrong than what always does; it leaves nothing."""
        scene = self.prepare(act)
        began = len(self._ec2.calls())
        outcome = self.play(act, scene)
        journal = self._ec2.calls()[began:]
        assert isinstance(outcome.error, act.ends_with or type(None)), repr(outcome.error)
        assert not outcome.reported
        assert self.problems(outcome) == []
        return journal

    def prepare(self, act: Act) -> Scene:
        self._number += 1  # a client token is spent once its instance has ended
        run_id = f"20260102t{self._number:06}-abcd"
        run = replace(self._run, run_id=run_id, image_name=f"reef-{run_id[:15]}-ffffffff")
        scene = Scene(
            ec2=self._ec2, client=self._clients[REGION], builder=self._builder, run=run, folder=self._folder
        )  # fmt: skip
        act.prepare(scene)
        return scene

    def play(self, act: Act, scene: Scene, *faults: Mapping[str, Any]) -> Outcome:
        """The act, whatever it ends with."""
        for fault in (*act.spoiled, *faults):
            self._ec2.fault(**fault)
        outcome = Outcome(act=act, scene=scene)
        try:
            outcome.made = act.do(scene)
        except Exception as error:  # noqa: BLE001  (looked at by the test)
            outcome.error = error
        return outcome

    def is_spoiled(self, faults: int) -> bool:
        """Whether the last `faults` that were injected have all struck."""
        return all(fault["spoiled"] for fault in self._ec2.faults()[-faults:])

    def problems(self, outcome: Outcome) -> list[str]:
        """What is wrong in the account after the act. It is as before then."""
        self._ec2.forget_faults()
        self._ec2.renew()
        wrong = [*self._left(outcome), *self._images(outcome)]
        if outcome.scene.address:
            self._clients[REGION].release_address(AllocationId=outcome.scene.address)
        now = self._settled()
        wrong += [f"{it['kind']} {it['id']} is still there" for it in _without(now, self._before)]
        wrong += [f"somebody's {it['kind']} {it['id']} is gone or changed" for it in _without(self._before, now)]
        if wrong:
            self.begin_anew()
        return wrong

    def _left(self, outcome: Outcome) -> list[str]:
        """What is temporary, and was not told of; a sweep removes all of it."""
        ours = self._ours()
        if not ours or (outcome.error is None and not any(_is_temporary(it) for it in ours)):
            return []  # nothing that a listing, which takes long, could show
        wrong = []
        for region, client in self._clients.items():
            client.describe_images(Owners=["self"])  # the first look shows nothing of what was made just now
            client.describe_instances()
            for leftover in self._builder.leftovers(region):
                if not outcome.tells_of(leftover):
                    wrong.append(f"{leftover.kind} {leftover.id} was left, and not told of: {outcome.text}")
                self._builder.destroy(leftover)
        return wrong

    def _images(self, outcome: Outcome) -> list[str]:
        """Those that are not as the act says. Removes all of ours."""
        scene, act = outcome.scene, outcome.act
        prepared = {scene.image.id} if scene.image else set()
        there = [it for it in self._ours() if it["kind"] == "image"]
        ids = {it["id"] for it in there}
        if outcome.error is None:
            wanted = set(outcome.made) | (set() if act.removes else prepared)
            wrong = [] if ids == wanted else [f"images: {sorted(ids)}, and it made {sorted(wanted)}"]
        else:
            stays = {it["id"] for it in there if it["region"] in act.stays_in and it["facts"]["state"] != "failed"}
            wrong = [f"image {it} was left" for it in ids - stays - prepared]
            wrong += [f"image {it} is gone" for it in prepared - ids if not act.removes]
        for image in there:
            client = self._clients[image["region"]]
            client.deregister_image(ImageId=image["id"], DeleteAssociatedSnapshots=True)
        return wrong

    def _ours(self) -> list[dict[str, Any]]:
        return [it for it in self._settled() if TAG in it["tags"]]

    def _settled(self) -> list[dict[str, Any]]:
        """The account, once machines that were told to end have ended."""
        for _ in range(10):
            account = self._ec2.account()
            if not any(it["facts"].get("state") == "shutting-down" for it in account):
                break
            self._clients[REGION].describe_instances()
        return account


def wrong_end(outcome: Outcome, failure: Failure) -> list[str]:
    """What is wrong with how an act ended that met a failure."""
    act, error = outcome.act, outcome.error
    if failure.is_transient:
        if not isinstance(error, act.ends_with or type(None)):
            return [f"it ended with {error!r}: {outcome.text}"]
        return [f"{it.what} was not removed: {it.error}" for it in outcome.reported]
    if error is None or (act.ends_with and isinstance(error, act.ends_with)):
        return []
    if not isinstance(error, BakeError):
        return [f"it ended with a bug: {error!r}"]
    wrong = [] if error.exit_code in failure.exit_codes else [f"exit code {error.exit_code}: {outcome.text}"]
    if failure.says not in outcome.text and not act.is_brief:
        wrong.append(f"it does not say {failure.says!r}: {outcome.text}")
    return wrong if error.hint else [*wrong, f"no way out is named: {outcome.text}"]


def _is_temporary(resource: Resource) -> bool:
    return resource["kind"] not in ("image", "snapshot") or "bake:expires" in resource["tags"]


def _without(some: Iterable[Resource], others: Iterable[Resource]) -> list[Resource]:
    known = {it["id"]: it for it in others}
    return [it for it in some if known.get(it["id"]) != it]
