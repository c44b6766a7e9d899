"""A builder whose machines are sandboxes, in a cloud that keeps accounts of what it was asked for.

The engine, the connection, the remote, the checks, the ledger and the clean-up around it are the real ones; so is the
order in which builders of clouds ask: names first, undo before do, everything found by the run's id. Each call to the
cloud goes through `calls`, where a test makes it fail.
"""

import hashlib
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from baker.artifact import Artifact, Leftover
from baker.cleanup import CleanupStack
from baker.clock import SystemClock
from baker.errors import BuilderError
from baker.events import Emit
from baker.plan import Plan
from baker.ports import Address, Problem, RemovedLater, RunInfo
from baker.provisioner import Remote
from baker.recipe import Disk, Share
from baker.testing.sandbox import Sandbox, copy_disk
from tests.faults.calls import Calls

Fault = Callable[[], None]

PLACE = "here"
VISITOR = "visitor"
"""Who logs in to a machine from an image."""


def nothing() -> None:
    """No fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    kind: str = "sandbox"
    name: str = "sandbox"
    boot_timeout_seconds: float = 60


@dataclass(kw_only=True)
class SandboxCloud:
    """What exists, by kind and by the run that asked for it. Asking for what is there, or for its end, is no error."""

    tree: Path
    shelf: Path | None = None
    """Where the disks of machines are, and their copies, the images. None: machines have none, images are a word."""
    calls: Calls = field(default_factory=Calls)
    images: dict[str, Artifact] = field(default_factory=dict)
    """By name."""
    disks: dict[str, Path] = field(default_factory=dict)
    """By the id of the machine."""
    things: dict[tuple[str, str], object] = field(default_factory=dict)
    sandboxes: list[Sandbox] = field(default_factory=list)
    """All that were ever started."""

    def running(self) -> list[str]:
        """The machines that have not ended."""
        return [sandbox.id for sandbox in self.sandboxes if sandbox._root.running]

    def create(self, kind: str, run_id: str) -> None:
        self.calls(f"create {kind}", self.things.setdefault, (kind, run_id), object())

    def start(self, run_id: str, image: str | None = None) -> Sandbox:
        """A machine from the tree, or from an image."""
        return self.calls("start machine", self._start, run_id, image)

    def capture(self, sandbox: Sandbox, name: str) -> None:
        """Keep a copy of the disk of a machine, which stops."""
        if self.shelf is not None:
            sandbox.stop()
            copy_disk(self.disks[sandbox.id], self.image(name))

    def image(self, name: str) -> Path:
        """The folder of an image's disk, in which `upper` is what differs from the tree."""
        assert self.shelf is not None
        return self.shelf / f"image-{name}"

    def delete(self, kind: str, run_id: str) -> None:
        self.calls(f"delete {kind}", self._delete, kind, run_id)

    def _start(self, run_id: str, image: str | None) -> Sandbox:
        machine = Sandbox.start(self.tree) if self.shelf is None else self._start_on_disk(self.shelf, image)
        self.sandboxes.append(machine)
        self.things["machine", run_id] = machine
        return machine

    def _start_on_disk(self, shelf: Path, image: str | None) -> Sandbox:
        disk = shelf / f"disk-{len(self.sandboxes)}"
        if image is None:
            disk.mkdir()
            machine = Sandbox.start(self.tree, may_mount=True, disk=disk)
        else:
            copy_disk(self.image(image), disk)
            machine = Sandbox.start(self.tree, disk=disk, login_user=VISITOR)
        self.disks[machine.id] = disk
        return machine

    def _delete(self, kind: str, run_id: str) -> None:
        thing = self.things.pop((kind, run_id), None)
        if isinstance(thing, Sandbox):
            thing.kill()


@dataclass(kw_only=True)
class SandboxMachine:
    """A sandbox that can be captured."""

    sandbox: Sandbox
    cloud: SandboxCloud
    run: RunInfo
    emit: Emit
    faults: Mapping[str, Fault]
    disks: Mapping[str, str] = field(default_factory=dict)
    killed: bool = False

    @property
    def id(self) -> str:
        return self.sandbox.id

    @property
    def address(self) -> Address:
        self.faults.get("connect", nothing)()
        return self.sandbox.address

    def check_alive(self) -> None:
        self.sandbox.check_alive()

    def diagnose(self) -> str:
        return self.sandbox.diagnose()

    @property
    def removed_by_finalize(self) -> RemovedLater:
        """Nothing: the seal removes it all."""
        return RemovedLater()

    def finalize(self, remote: Remote) -> None:
        self.faults.get("finalize", nothing)()
        remote.run("true", sudo=True)

    def capture(self, name: str, labels: Mapping[str, str]) -> Artifact:
        self.faults.get("capture", nothing)()
        cloud, run_id = self.cloud, self.run.run_id
        cloud.calls("stop machine", lambda: None)
        with CleanupStack(self.emit, SystemClock()) as cleanup:
            cleanup.acquire("image", run_id, PLACE, undo=lambda: cloud.delete("image", run_id), remove_hint="rm image")
            cloud.create("image", run_id)
            cloud.capture(self.sandbox, name)
            cloud.calls("describe image", lambda: None)
            cleanup.keep()
        created = datetime.now(UTC).isoformat()
        cloud.images[name] = Artifact(
            builder="sandbox", id=f"image:{name}", location=PLACE, name=name, fingerprint="f", created=created,
            labels=labels,
        )  # fmt: skip
        return cloud.images[name]

    def kill(self) -> None:
        self.killed = True
        self.sandbox.kill()


@dataclass(kw_only=True)
class SandboxBuilder:
    """`faults` maps a stage to what happens when the builder gets there; `machines` are all that it ever made."""

    cloud: SandboxCloud
    faults: dict[str, Fault] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    machines: list[SandboxMachine] = field(default_factory=list)
    manifests: list[tuple[str, str]] = field(default_factory=list)
    newest: list[str] = field(default_factory=list)
    kind: str = "sandbox"
    baking_host: str | None = "127.0.0.1"

    def check(self, spec: SandboxSpec) -> tuple[Problem, ...]:
        return ()

    def preflight(self, plan: Plan, *, until: float) -> tuple[Problem, ...]:
        self.faults.get("preflight", nothing)()
        self.cloud.calls("describe quota", lambda: None)
        return self.problems

    @contextmanager
    def machine(self, spec: SandboxSpec, disks: tuple[Disk, ...], run: RunInfo, emit: Emit) -> Iterator[SandboxMachine]:
        cloud, run_id = self.cloud, run.run_id
        with CleanupStack(emit, SystemClock()) as cleanup:
            for kind in ("key pair", "network"):
                undo = partial(cloud.delete, kind, run_id)
                cleanup.acquire(kind, run_id, PLACE, undo=undo, remove_hint=f"rm {kind}")
                cloud.create(kind, run_id)

            def end() -> None:
                cloud.delete("machine", run_id)
                self.faults.get("terminate", nothing)()

            cleanup.acquire("machine", run_id, PLACE, undo=end, remove_hint="kill the sandbox")
            self.faults.get("launch", nothing)()
            sandbox = cloud.start(run_id)
            cloud.calls("describe machine", lambda: None)
            machine = SandboxMachine(sandbox=sandbox, cloud=cloud, run=run, emit=emit, faults=self.faults)
            self.machines.append(machine)
            self.faults.get("launched", nothing)()
            yield machine

    def keep_manifest(self, artifact: Artifact, manifest: str) -> None:
        self.faults.get("keep manifest", nothing)()
        self.manifests.append((artifact.id, manifest))

    def check_share(self, share: Share) -> tuple[Problem, ...]:
        return tuple(Problem(summary=f"{it} is nobody", exit_code=2) for it in share.targets if it == "nobody")

    @contextmanager
    def launch_image(
        self, artifact: Artifact, run: RunInfo, emit: Emit, *, spec: SandboxSpec | None = None
    ) -> Iterator[SandboxMachine]:
        cloud, run_id = self.cloud, run.run_id
        with CleanupStack(emit, SystemClock()) as cleanup:

            def end() -> None:
                cloud.delete("machine", run_id)
                self.faults.get("terminate image", nothing)()

            cleanup.acquire("machine", run_id, PLACE, undo=end, remove_hint="kill the sandbox")
            self.faults.get("launch image", nothing)()
            sandbox = cloud.start(run_id, artifact.name)
            machine = SandboxMachine(sandbox=sandbox, cloud=cloud, run=run, emit=emit, faults={})
            self.machines.append(machine)
            yield machine

    def images(self, location: str | None) -> tuple[Artifact, ...]:
        return tuple(sorted(self.cloud.images.values(), key=lambda artifact: artifact.age))

    def resolve(self, reference: str) -> Artifact:
        try:
            return self.cloud.images[reference]
        except KeyError:
            raise BuilderError(f"no image {reference!r}") from None

    def digest(self, artifact: Artifact) -> str:
        """Of all names, modes, times and contents; a machine that stands on a copy changes none."""
        words = ["tar", "--create", "--sort=name", "--directory", str(self.cloud.image(artifact.name)), "."]
        return hashlib.sha256(subprocess.run(words, check=True, capture_output=True).stdout).hexdigest()

    def set_labels(self, artifact: Artifact, labels: Mapping[str, str]) -> Artifact:
        self.faults.get("label", nothing)()
        current = self.cloud.images[artifact.name]
        self.cloud.images[artifact.name] = replace(current, labels={**current.labels, **labels})
        return self.cloud.images[artifact.name]

    def mark_newest(self, artifact: Artifact) -> None:
        self.newest.append(artifact.name)

    def delete(self, artifact: Artifact) -> None:
        self.faults.get("delete image", nothing)()
        self.cloud.images.pop(artifact.name, None)

    def leftovers(self, location: str | None) -> Iterator[Leftover]:
        for kind, run_id in tuple(self.cloud.things):
            if kind != "image":
                yield Leftover(
                    builder=self.kind, kind=kind, id=run_id, location=PLACE, run_id=run_id, created=None, expires=None,
                    remove_hint=f"rm {kind}",
                )  # fmt: skip

    def destroy(self, leftover: Leftover) -> None:
        self.cloud.delete(leftover.kind, leftover.run_id)
