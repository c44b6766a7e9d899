"""`make live-azure`: one tiny bake in a real subscription, looked at from outside, and swept whatever happens.

A group with a gallery is made. A machine with a data disk becomes a version in it, which is verified, listed, shared
and deleted. At the end nothing may be there that has the tag of the run, or of this test, but that group: what is left
is removed, named, and fails the test. Then the group goes.

It does nothing unless the environment says BAKER_LIVE_AZURE=1. Account, subscription and cloud are those of the
environment (see README): `tests/builders/azure/test_live.py` has it run at the fake, which is how it is known to work.
BAKER_LIVE_AZURE_LOCATION is where (westeurope), BAKER_LIVE_AZURE_PRINCIPAL somebody to share with (an object id;
nobody without), BAKER_LIVE_AZURE_CALLER another service that says the caller's address.

What it costs: two machines of size Standard_D2s_v5 for a quarter of an hour each with their disks and addresses, and a
version of some GiB for as long: about 0.10 USD in all.
"""

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from baker.builders.azure import ids
from baker.builders.azure.builder import AzureBuilder
from baker.builders.azure.calls import Cloud
from baker.builders.azure.errors import AzureError
from baker.builders.azure.tags import RUN, tags_of
from baker.builders.azure.waiting import finish
from baker.clock import SystemClock
from baker.errors import BakeError
from baker.wait import wait_until

ON, LOCATION, PRINCIPAL, CALLER = (
    "BAKER_LIVE_AZURE",
    "BAKER_LIVE_AZURE_LOCATION",
    "BAKER_LIVE_AZURE_PRINCIPAL",
    "BAKER_LIVE_AZURE_CALLER",
)
TAG = "bake-live"
GALLERY = "live"
ENDED_SECONDS = 1800.0
"""How long what was told to go may take until it is gone."""

RECIPE = """
from baker import Disk, Recipe
from baker.builders.azure.spec import Azure, Gallery
from provisioners import DiskMount, Shell


def the_data_is_there(host):
    assert host.file("/data/catch").content_string == "the catch of the day\\n"


def recipe(mark: str, caller_service: str = Azure().caller_service) -> Recipe:
    return Recipe(
        name="live",
        builders=(
            Azure(
                source="Debian:debian-12:12-gen2:latest", sizes=("Standard_D2s_v5", "Standard_D2as_v5"),
                gallery=Gallery(group=mark, name="live", shallow=True), tags={"bake-live": mark},
                caller_service=caller_service,
            ),
        ),
        disks=(Disk(name="data", size_gib=1),),
        provisioners=(
            DiskMount(disk="data", path="/data"),
            Shell(command="echo 'the catch of the day' >/data/catch", sudo=True),
        ),
        checks=(the_data_is_there,),
    )
"""


class FailedError(Exception):
    """What was not as it should be."""


class Live:
    """One run of the test. `mark` is on all that it makes, and the name of its group."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"live-{uuid.uuid4().hex[:12]}"
        self._folder = folder
        self._recipe = folder / "live.py"
        self._recipe.write_text(RECIPE)
        self._clock = SystemClock()
        self._cloud = Cloud(None, None, self._clock)

    def bake_and_delete(self) -> None:
        """The test. FailedError, or what Azure says."""
        self._make_gallery()
        image = self._bake(
            "run", str(self._recipe), "--run-dir", str(self._folder / "run"), "--set", f"mark={self.mark}",
            *(("--set", f"caller_service={caller}") if (caller := os.environ.get(CALLER)) else ()),
        ).splitlines()[-1]  # fmt: skip
        listed = [json.loads(line) for line in self._bake("images", "--on", "azure", "--json").splitlines()]
        (state,) = [it["state"] for it in listed if ids.same(it["id"], image)] or ["not listed"]
        if state != "yes":
            raise FailedError(f"`bake images` does not say that {image} is verified: {state}")
        if principal := os.environ.get(PRINCIPAL):
            self._bake("share", f"azure:{image}", "--with", f"principal:{principal}")
        leftovers = self._bake("sweep", "--on", "azure", "--json", may_find=True)
        if self._run_id() in leftovers:
            raise FailedError(f"`bake sweep` finds something of a bake that has ended:\n{leftovers}")
        builder = AzureBuilder()
        builder.delete(builder.resolve(image))
        _say(f"{image} is deleted")

    def sweep(self) -> None:
        """Remove all that is left, and the group; FailedError when there was more than that."""
        ending = wait_until(lambda: self._settled() or None, timeout=ENDED_SECONDS, clock=self._clock, longest=10.0)
        left = self._left()
        for thing in left:
            _say(f"left behind: {thing}")
        if left:
            self._remove_all()
        still = self._left()
        finish(self._cloud, self._cloud.delete(self._group), timeout=ENDED_SECONDS, clock=self._clock)
        if left:
            raise FailedError(f"left behind: {', '.join(left)}; still there: {', '.join(still) or 'nothing'}")
        if not ending:
            raise FailedError("groups were told to go, and have not")
        _say("nothing is left")

    @property
    def _group(self) -> str:
        return self._cloud.group(self.mark).id

    def _make_gallery(self) -> None:
        location = os.environ.get(LOCATION) or "westeurope"
        _say(f"subscription {self._cloud.subscription}, {location}, everything is tagged {TAG}={self.mark}")
        body = {"location": location, "tags": {TAG: self.mark}}
        self._cloud.put(self._group, body)
        gallery = self._cloud.group(self.mark).holds(ids.GALLERY, GALLERY)
        finish(self._cloud, self._cloud.put(gallery, body), timeout=ENDED_SECONDS, clock=self._clock)

    def _bake(self, *words: str, may_find: bool = False) -> str:
        """What a command says on standard output. With `may_find` exit code 8 is none: others leave things too."""
        _say(f"bake {' '.join(words)}")
        bake = Path(sys.executable).with_name("bake")
        environment = os.environ | {"BAKER_HOME": str(self._folder / "home")}
        ended = subprocess.run([str(bake), *words], env=environment, stdout=subprocess.PIPE, text=True, check=False)
        if ended.returncode not in ((0, 8) if may_find else (0,)):
            raise FailedError(f"`bake {words[0]}` ended with exit code {ended.returncode}")
        return ended.stdout

    def _run_id(self) -> str:
        """Of the bake; empty when it never began."""
        log = self._folder / "run" / "events.jsonl"
        if not log.exists():
            return ""
        first = json.loads(log.read_text().splitlines()[0])
        return str(first["run_id"])

    def _left(self) -> list[str]:
        """The ids of what has a tag of ours and is not the group of this test, or its gallery."""
        marks = {TAG: self.mark, RUN: self._run_id()}
        found = {
            str(thing["id"])
            for tag, value in marks.items()
            if value
            for thing in (*self._cloud.tagged_groups(tag), *self._cloud.tagged(tag))
            if tags_of(thing).get(tag) == value
        }
        own = (self._group, self._cloud.group(self.mark).holds(ids.GALLERY, GALLERY))
        return sorted(id for id in found if not any(ids.same(id, it) for it in own))

    def _settled(self) -> bool:
        """Whether no group of the bake is on its way out any more."""
        run_id = self._run_id()
        groups = [it for it in self._cloud.tagged_groups(RUN) if tags_of(it)[RUN] == run_id]
        return not [it for it in groups if (it.get("properties") or {}).get("provisioningState") == "Deleting"]

    def _remove_all(self) -> None:
        """What cannot be removed is said, and keeps nothing else."""
        builder, run_id = AzureBuilder(), self._run_id()
        for image in builder.images():
            if image.labels.get("run") == run_id:
                _try(partial(builder.delete, image))
        for leftover in builder.leftovers(None):
            if leftover.run_id == run_id:
                _try(partial(builder.destroy, leftover))
        wait_until(lambda: self._settled() or None, timeout=ENDED_SECONDS, clock=self._clock, longest=10.0)


def main() -> int:
    if os.environ.get(ON) != "1":
        print(f"make live-azure works in the subscription of your environment, for some ten cents: {ON}=1 permits it")
        return 2
    with tempfile.TemporaryDirectory() as name:
        live = Live(Path(name))
        failures = [said for act in (live.bake_and_delete, live.sweep) if (said := _failure(act)) is not None]
    for said in failures:
        print(f"error: {said}", file=sys.stderr)
    return 1 if failures else 0


def _failure(act: Callable[[], None]) -> str | None:
    """What went wrong, whatever it was: the sweep comes after it in any case."""
    try:
        act()
    except KeyboardInterrupt:
        return "interrupted"
    except (FailedError, BakeError, AzureError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  (a bug of this program's must not keep the sweep from running)
        return f"{type(error).__name__}: {error}"
    return None


def _try(act: Callable[[], None]) -> None:
    if (said := _failure(act)) is not None:
        _say(said)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
