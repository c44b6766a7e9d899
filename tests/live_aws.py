"""`make live-aws`: one tiny bake in a real account, looked at from outside, and swept whatever happens.

A machine with a data disk becomes an image, which is verified, listed, shared with the account that owns it, and
deleted. At the end nothing may be there that has the tag of the run, or of this test: all kinds of things are asked for
by their tags, and what is left is removed, named, and fails the test.

It does nothing unless the environment says BAKER_LIVE_AWS=1. Account and region are those of the SDK's own chain, and
so is the endpoint: `tests/builders/aws/test_live.py` has it run at EC2's double, which is how it is known to work.
BAKER_LIVE_AWS_CALLER names another service than AWS's that says the caller's address.

What it costs: two machines of type t3.micro for a few minutes each, 9 GiB of gp3 volumes for as long, and snapshots of
about 2 GiB for some minutes: below 0.05 USD in all.
"""

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from baker.builders.aws.builder import AwsBuilder
from baker.clock import SystemClock
from baker.errors import BakeError
from baker.wait import wait_until

ON, CALLER = "BAKER_LIVE_AWS", "BAKER_LIVE_AWS_CALLER"
TAG = "bake-live"
ENDED_SECONDS = 600.0
"""How long what was told to go may take until it is gone."""

KINDS = (
    ("describe_instances", "Reservations", "InstanceId"),
    ("describe_spot_instance_requests", "SpotInstanceRequests", "SpotInstanceRequestId"),
    ("describe_images", "Images", "ImageId"),
    ("describe_snapshots", "Snapshots", "SnapshotId"),
    ("describe_volumes", "Volumes", "VolumeId"),
    ("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("describe_addresses", "Addresses", "AllocationId"),
    ("describe_security_groups", "SecurityGroups", "GroupId"),
    ("describe_key_pairs", "KeyPairs", "KeyPairId"),
)
"""All that a bake makes: how it is listed, under which name, and what its id is called."""

_GONE = ({"Code": 48, "Name": "terminated"}, "cancelled", "closed", "deregistered")

RECIPE = """
from baker import Disk, Recipe
from baker.builders.aws.spec import Aws
from provisioners import DiskMount, Shell


def the_data_is_there(host):
    assert host.file("/data/catch").content_string == "the catch of the day\\n"


def recipe(mark: str, caller_service: str = Aws().caller_service) -> Recipe:
    return Recipe(
        name="live",
        builders=(
            Aws(
                source="debian-12", instance_types=("t3.micro", "t3a.micro"), root_gib=8, tags={"bake-live": mark},
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
    """One run of the test. `mark` is on all that it makes."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"live-{uuid.uuid4().hex[:12]}"
        self._folder = folder
        self._recipe = folder / "live.py"
        self._recipe.write_text(RECIPE)
        self._ec2: Any = boto3.client("ec2")

    def bake_and_delete(self) -> None:
        """The test. FailedError, or what the SDK says."""
        account = boto3.client("sts").get_caller_identity()["Account"]
        _say(f"account {account}, region {self._ec2.meta.region_name}, everything is tagged {TAG}={self.mark}")
        caller = os.environ.get(CALLER)
        image = self._bake(
            "run", str(self._recipe), "--run-dir", str(self._folder / "run"), "--set", f"mark={self.mark}",
            *(("--set", f"caller_service={caller}") if caller else ()),
        ).splitlines()[-1]  # fmt: skip
        listed = [json.loads(line) for line in self._bake("images", "--on", "aws", "--json").splitlines()]
        (state,) = [it["state"] for it in listed if it["id"] == image] or ["not listed"]
        if state != "yes":
            raise FailedError(f"`bake images` does not say that {image} is verified: {state}")
        self._bake("share", f"aws:{image}", "--with", account)
        leftovers = self._bake("sweep", "--on", "aws", "--json", may_find=True)
        if self._run_id() in leftovers:
            raise FailedError(f"`bake sweep` finds something of a bake that has ended:\n{leftovers}")
        builder = AwsBuilder()
        builder.delete(builder.resolve(image))
        _say(f"{image} is deleted")

    def sweep(self) -> None:
        """Remove all that is left; FailedError when there was something, whether it could be removed or not."""
        ending = wait_until(lambda: self._settled() or None, timeout=ENDED_SECONDS, clock=SystemClock(), longest=10.0)
        left = sorted(set(self._left()))
        for thing in left:
            _say(f"left behind: {thing}")
        if left:
            self._remove_all()
            still = sorted(set(self._left()))
            raise FailedError(f"left behind: {', '.join(left)}; still there: {', '.join(still) or 'nothing'}")
        if not ending:
            raise FailedError("machines were told to end, and have not")
        _say("nothing is left")

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

    def _left(self) -> Iterator[str]:
        """What has a tag of ours: each kind is asked for, as the tags of what is gone may be listed for an hour."""
        marks = {TAG: self.mark, "bake:run": self._run_id()}
        for key, value in marks.items():
            filters = [{"Name": f"tag:{key}", "Values": [value]}]
            for action, listed, id in KINDS if value else ():
                for thing in self._described(action, listed, filters):
                    if thing.get("State", {}) not in _GONE:
                        yield f"{id} {thing[id]}"

    def _described(self, action: str, listed: str, filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        paged = self._ec2.can_paginate(action)
        pages = (
            self._ec2.get_paginator(action).paginate if paged else lambda **asked: [getattr(self._ec2, action)(**asked)]
        )
        for page in pages(Filters=filters):
            for entry in page[listed]:
                yield from entry["Instances"] if listed == "Reservations" else (entry,)

    def _settled(self) -> bool:
        """Whether no machine of ours is on its way out, nor what goes with it."""
        return not {thing.partition(" ")[0] for thing in self._left()} & {
            "InstanceId",
            "VolumeId",
            "NetworkInterfaceId",
        }

    def _remove_all(self) -> None:
        """What cannot be removed is said, and keeps nothing else."""
        builder, run_id = AwsBuilder(), self._run_id()
        for image in builder.images():
            if image.labels.get("run") == run_id:
                _try(partial(builder.delete, image))
        for leftover in builder.leftovers(None):
            if leftover.run_id == run_id:
                _try(partial(builder.destroy, leftover))


def main() -> int:
    if os.environ.get(ON) != "1":
        print(f"make live-aws works in the AWS account of your environment, which costs some cents: {ON}=1 permits it")
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
    except (FailedError, BakeError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  (a refusal of the SDK's, in its words)
        return f"{type(error).__name__}: {error}"
    return None


def _try(act: Callable[[], None]) -> None:
    if (said := _failure(act)) is not None:
        _say(said)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
