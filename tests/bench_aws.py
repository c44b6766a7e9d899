"""`make bench-aws`: a bake in EC2's double beside HashiCorp Packer's amazon-ebs; prints where the seconds went.

Both make an image of the same machine with the same steps: three commands and a file. The double takes as long for
each change of state as a small machine in EC2 does, but for the image, which there takes minutes to an hour. Its own
seconds are the floor, below which nobody comes. Overshoot is what a caller waited beyond: from the moment at which a
machine ran, had stopped, or an image was there, until the caller saw it, and all waiting for the end of a machine that
nobody needs any more. Packer runs with its default pauses, and with the shortest ones that it takes.

Needs root, for the machines behind the double, and Debian's package `packer` for the rows beside ours.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baker.home import Home
from baker.testing.sandbox import sandbox_tree
from tests.builders.aws.fake.client import ACCESS_KEY, REGION, SECRET_KEY, FakeAws
from tests.builders.aws.waits import Waited, waits

PACES = {"pending": 8.0, "stopping": 16.0, "image": 60.0, "shutting_down": 30.0}
"""Seconds in each state."""

COMMANDS = ("echo one", "sudo mkdir /srv/bench", "ls -ld /srv/bench")
GREETING = "made beside somebody else's\n"

RECIPE = """
from baker import Recipe
from baker.builders.aws.spec import Aws
from provisioners import Files, Shell

recipe = Recipe(
    name="bench",
    builders=(Aws(source="debian-12", instance_types=("t3.micro",), caller_service={caller_service!r}),),
    provisioners=(*(Shell(command=command) for command in {commands!r}), Files(target="/tmp/note", content={text!r})),
)
"""


_FASTEST = {"AWS_POLL_DELAY_SECONDS": "1", "AWS_MAX_ATTEMPTS": "3600"}
"""The shortest pauses that Packer takes; it would give up an image after 40 of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Who bakes: a command line for a folder and the double, and what its environment has besides."""

    name: str
    command: Callable[[Path, FakeAws], tuple[str, ...]]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One bake: its seconds in all, its waits, how often it called what."""

    name: str
    wall: float
    waits: tuple[Waited, ...]
    calls: Counter[str]

    @property
    def floor(self) -> float:
        return sum(it.needed for it in self.waits)

    @property
    def overshoot(self) -> float:
        return sum(it.beyond for it in self.waits)


def main() -> int:
    version = _packer_version()
    rivals = [
        Rival(name="baker, not verified", command=_bake("--no-verify"), environment={}),
        Rival(name="baker", command=_bake(), environment={}),
    ]
    if version is not None:
        rivals += [
            Rival(name=f"{version}, default", command=_packer, environment={}),
            Rival(name=f"{version}, fastest", command=_packer, environment=_FASTEST),
        ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = sandbox_tree(Home.from_environment())
        with FakeAws.start(folder, machines="sandbox", tree=tree) as fake:
            outcomes = [run(rival, fake, folder / f"run-{number}") for number, rival in enumerate(rivals)]
    print(table(outcomes))
    if version is None:
        print("packer is not installed")
    return 0


def run(rival: Rival, fake: FakeAws, folder: Path, paces: Mapping[str, float] = PACES) -> Outcome:
    """Let one of them bake in an account of its own. Ends this program when that fails."""
    print(f"{rival.name} bakes", file=sys.stderr, flush=True)
    folder.mkdir()
    fake.reset()
    settings = fake.settings(**{state: {"seconds": seconds, "polls": 0} for state, seconds in paces.items()})
    environment = {**fake.environment, "BAKER_HOME": str(folder / "home"), **rival.environment}
    started = time.perf_counter()
    ended = subprocess.run(
        rival.command(folder, fake), env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - started
    if ended.returncode:
        sys.exit(f"{rival.name} failed:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    journal = fake.calls()
    calls = Counter(entry["action"] for entry in journal)
    return Outcome(name=rival.name, wall=wall, waits=waits(journal, settings), calls=calls)


def table(outcomes: list[Outcome]) -> str:
    """What is printed: seconds, then calls by name."""
    columns = ("wall", "floor", "overshoot", "work", "calls")
    lines = ["seconds; the floor is the double's own, the overshoot what was waited beyond, work is the rest"]
    lines.append(f"  {'':<24}" + "".join(f"{it:>11}" for it in columns))
    for it in outcomes:
        numbers = (it.wall, it.floor, it.overshoot, it.wall - it.floor - it.overshoot)
        lines.append(f"  {it.name:<24}" + "".join(f"{number:11.1f}" for number in numbers) + f"{it.calls.total():11}")
    lines.append("overshoot, wait by wait")
    lines += [
        f"  {it.name:<24}   " + "  ".join(f"{wait.what} {wait.beyond:.1f}" for wait in it.waits) for it in outcomes
    ]
    lines.append("calls by name")
    for action in sorted({action for it in outcomes for action in it.calls}):
        lines.append(f"  {action:<32}" + "".join(f"{it.calls[action]:6}" for it in outcomes))
    return "\n".join(lines)


def _bake(*options: str) -> Callable[[Path, FakeAws], tuple[str, ...]]:
    def command(folder: Path, fake: FakeAws) -> tuple[str, ...]:
        recipe = folder / "bench.py"
        recipe.write_text(RECIPE.format(caller_service=fake.caller_address_url, commands=COMMANDS, text=GREETING))
        bake = Path(sys.executable).with_name("bake")
        return (str(bake), str(recipe), "--run-dir", str(folder / "run"), *options)

    return command


def _packer(folder: Path, fake: FakeAws) -> tuple[str, ...]:
    note, file = folder / "note", folder / "template.json"
    note.write_text(GREETING)
    builder = {
        "type": "amazon-ebs",
        "region": REGION,
        "custom_endpoint_ec2": fake.url,
        "skip_region_validation": True,
        "skip_metadata_api_check": True,
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "ami_name": "bench-{{timestamp}}",
        "instance_type": "t3.micro",
        "ssh_username": "admin",
        "source_ami_filter": {
            "filters": {"name": "debian-12-amd64-*"}, "owners": ["136693071363"], "most_recent": True,
        },
        "temporary_security_group_source_cidrs": ["127.0.0.1/32"],
    }  # fmt: skip
    steps: list[dict[str, Any]] = [{"type": "shell", "inline": [command]} for command in COMMANDS]
    steps.append({"type": "file", "source": str(note), "destination": "/tmp/note"})
    file.write_text(json.dumps({"builders": [builder], "provisioners": steps}))
    home = f"PACKER_CONFIG_DIR={folder}"
    return ("env", "CHECKPOINT_DISABLE=1", home, "packer", "build", "-color=false", str(file))


def _packer_version() -> str | None:
    """As it calls itself; None when it is not installed."""
    if shutil.which("packer") is None:
        return None
    environment = os.environ | {"CHECKPOINT_DISABLE": "1"}
    said = subprocess.run(["packer", "version"], env=environment, capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
