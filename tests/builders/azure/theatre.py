"""Plays acts in one subscription of the double, one after the other, and looks at what each of them left."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baker.artifact import Leftover
from baker.builders.azure.builder import AzureBuilder
from baker.errors import BakeError
from baker.events import CleanupFailed
from baker.ports import RunInfo
from tests.builders.azure.acts import Act, ImpatientClock, Scene, SharedClouds, furnish
from tests.builders.azure.fake.client import TAG, FakeAzure

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
        """Whether a person knows that something is left, and how to remove it."""
        if self.act.is_about_leftovers:
            return self.error is not None
        return any(it.remove_hint.startswith("az ") for it in self.reported)


class Theatre:
    """See the module. Between two acts the subscription is as it was at first."""

    def __init__(self, azure: FakeAzure, folder: Path, run: RunInfo) -> None:
        self._azure = azure
        self._folder = folder
        self._run = run
        self._number = 0
        clouds, clock = SharedClouds(), ImpatientClock()
        self._cloud = clouds(None, None, clock)
        self._builder = AzureBuilder(cloud_in=clouds, clock=clock)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another subscription, with what the user has and other people's things in it."""
        self._azure.reset()
        furnish(self._azure)
        self._azure.look_alikes()
        self._before = self._settled()

    def journal(self, act: Act) -> list[dict[str, Any]]:
        """All that it asks of Azure when nothing goes wrong; it leaves nothing."""
        scene = self.prepare(act)
        began = len(self._azure.calls())
        outcome = self.play(act, scene)
        journal = self._azure.calls()[began:]
        assert outcome.error is None, repr(outcome.error)
        assert not outcome.reported
        assert not (wrong := self.problems(outcome)), wrong
        return journal

    def prepare(self, act: Act) -> Scene:
        self._number += 1
        run_id = f"20260102t{self._number:06}-abcd"
        run = replace(self._run, run_id=run_id, image_name=f"reef-{run_id[:15]}-ffffffff")
        folder = self._folder / run_id
        folder.mkdir()
        scene = Scene(azure=self._azure, builder=self._builder, run=run, folder=folder)
        act.prepare(scene)
        return scene

    def play(self, act: Act, scene: Scene, *faults: Mapping[str, Any]) -> Outcome:
        """The act, whatever it ends with."""
        for fault in faults:
            self._azure.fault(**fault)
        outcome = Outcome(act=act, scene=scene)
        try:
            outcome.made = act.do(scene)
        except Exception as error:  # noqa: BLE001  (looked at by the test)
            outcome.error = error
        return outcome

    def is_spoiled(self) -> bool:
        """Whether all that was injected has struck."""
        return all(fault["spoiled"] for fault in self._azure.faults())

    def problems(self, outcome: Outcome) -> list[str]:
        """What is wrong in the subscription after the act. It is as before then."""
        self._azure.forget_faults()
        wrong = [*self._left(outcome), *self._images(outcome)]
        now = self._settled()
        wrong += [f"{it['kind']} {it['id']} is still there" for it in _without(now, self._before)]
        wrong += [f"somebody's {it['kind']} {it['id']} is gone or changed" for it in _without(self._before, now)]
        if wrong or outcome.act.name == "share":  # the gallery stays shared
            self.begin_anew()
        return wrong

    def _left(self, outcome: Outcome) -> list[str]:
        """What is temporary, and was not told of; a sweep removes all of it, or the commands that a person was told."""
        wrong = []
        self._settled()
        for leftover in self._builder.leftovers(None):
            if not outcome.tells_of(leftover):
                wrong.append(f"{leftover.kind} {leftover.id} was left, and not told of: {outcome.text}")
            self._builder.destroy(leftover)
        for told in outcome.reported:
            command, _, id = told.remove_hint.partition(" --ids ")
            if command == "az resource delete":
                self._cloud.delete(id)
        return wrong

    def _images(self, outcome: Outcome) -> list[str]:
        """Those that are not as the act says. Removes all of ours."""
        if outcome.act.removes and outcome.error is not None:
            self._builder.delete(outcome.scene.baked)  # what stayed is removed by asking again
        prepared = {outcome.scene.image.id.lower()} if outcome.scene.image else set()
        there = {it.id.lower(): it for it in self._builder.images(None)}
        wanted = {it.lower() for it in outcome.made} | (set() if outcome.act.removes else prepared)
        if outcome.error is None:
            wrong = [] if set(there) == wanted else [f"images: {sorted(there)}, and it made {sorted(wanted)}"]
        else:
            wrong = [f"image {it} was left" for it in set(there) - prepared]
            wrong += [f"image {it} is gone" for it in prepared - set(there) if not outcome.act.removes]
        for image in there.values():
            self._builder.delete(image)
        return wrong

    def _settled(self) -> list[dict[str, Any]]:
        """What there is, once groups that were told to end have ended."""
        for _ in range(10):
            there = self._azure.account()
            going = [it for it in there if it["facts"].get("state") == "Deleting" and TAG in it["tags"]]
            if not going:
                break
            self._azure.finish()
        for it in there:
            it["facts"].pop("sharing", None)  # whom the user's gallery is shared with is the user's to take back
        return there


def wrong_end(outcome: Outcome, *, transient: bool) -> list[str]:
    """What is wrong with how an act ended that met a failure."""
    error = outcome.error
    if transient and (error is not None or outcome.reported):
        return [f"a failure that passes ended it: {error!r}: {outcome.text}"]
    if error is None:
        return []
    if not isinstance(error, BakeError):
        return [f"it ended with a bug: {error!r}"]
    wrong = [] if error.exit_code in (4, 5) else [f"exit code {error.exit_code}: {outcome.text}"]
    return wrong if error.hint else [*wrong, f"no way out is named: {outcome.text}"]


def _without(some: Iterable[Resource], others: Iterable[Resource]) -> list[Resource]:
    known = {it["id"]: it for it in others}
    return [it for it in some if known.get(it["id"]) != it]
