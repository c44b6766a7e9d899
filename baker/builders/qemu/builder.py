"""The QEMU builder: temporary virtual machines on this host, and the images made of them.

This module is the lifetimes: each context here owns all that it makes, and leaves nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from baker.artifact import Artifact, Leftover, ShareResult
from baker.builders.qemu import accelerator, conditions, diagnosis, export, leftovers, qemu_img, shelf, sources
from baker.builders.qemu.accelerator import Accelerator
from baker.builders.qemu.capture import Describe
from baker.builders.qemu.errors import explaining
from baker.builders.qemu.firmware import find_firmware
from baker.builders.qemu.image import ROOT_DISK, Image, ImageDisk, find_images, read_image
from baker.builders.qemu.launch import Launch, NewDisk, launch
from baker.builders.qemu.machine import POWER_OFF_SECONDS, Capturing, DescribeImage, QemuMachine
from baker.builders.qemu.sources import PreparedSource
from baker.builders.qemu.spec import Qemu
from baker.cleanup import CleanupStack
from baker.clock import SystemClock
from baker.errors import BuilderError, LaunchError
from baker.events import Emit, FactRecorded, Notice
from baker.home import Home
from baker.plan import Plan
from baker.ports import Clock, Finding, Problem, RunInfo, Uploader
from baker.recipe import Disk, Share

GIB = 1 << 30
ARCHITECTURE = "x86_64"
VISITOR = "visitor"
"""Who logs in to a machine started from an image: not the account that baked it, as whoever uses it will not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuBuilder:
    """Machines on this host. The fields are for tests; a bake uses them as they are."""

    kind: ClassVar[str] = "qemu"
    modules: ClassVar[tuple[str, ...]] = ("qemu.qmp", "pycdlib")
    baking_host: ClassVar[str] = "10.0.2.2"
    """As QEMU's user networking calls this host."""

    home: Callable[[], Home] = Home.from_environment
    prepare_source: Callable[..., PreparedSource] = sources.prepare
    source_problems: Callable[..., Iterable[Problem]] = sources.source_problems
    choose_accelerator: Callable[..., Accelerator] = accelerator.choose
    clock: Clock = field(default_factory=SystemClock)
    power_off_seconds: float = POWER_OFF_SECONDS
    warnings_told: set[str] = field(default_factory=set)
    """Of this host, each to be told once, though a bake starts two machines."""

    def check(self, spec: Qemu) -> tuple[Problem, ...]:
        """What is wrong with the spec itself."""
        return tuple(conditions.spec_problems(spec))

    def preflight(self, plan: Plan, *, until: float = 0.0) -> tuple[Problem, ...]:  # noqa: ARG002  (nothing here expires)
        """What this host lacks. BuilderUnavailableError when programs or the firmware are not installed."""
        spec = _qemu_spec(plan)
        sources.require_installed(sources.missing_tools(spec.source))
        home = self.home()
        return (
            *shelf.name_problems(plan.recipe.name, home.path / "images"),  # a preflight makes no folder
            *conditions.host_problems(spec, home),
            *self.source_problems(spec.source, home),
        )

    @contextmanager
    def machine(self, spec: Qemu, disks: tuple[Disk, ...], run: RunInfo, emit: Emit) -> Iterator[QemuMachine]:
        """A machine from the source image, with empty disks. Entering returns once QEMU runs."""
        home = self.home()
        source = self.prepare_source(spec.source, home, refresh=run.refresh, emit=emit)
        for name, value in _facts(source).items():
            emit(FactRecorded(source="launch", name=name, value=value))
        root = NewDisk(name=ROOT_DISK, backing=source.path, size_bytes=_root_size(spec, source.path))
        data = tuple(NewDisk(name=disk.name, size_bytes=disk.size_gib * GIB) for disk in disks)
        request = Launch(
            label="bake",
            run=run,
            login_user=spec.login_user,
            memory_mib=spec.memory_mib,
            cpus=spec.cpus,
            accelerator=self._accelerator(spec.accelerator, home, emit),
            firmware=find_firmware(),
            disks=(root, *data),
        )
        with CleanupStack(emit, self.clock) as cleanup:
            yield self._launched(request, source.digest, home, cleanup, emit)

    @contextmanager
    def launch_image(
        self, artifact: Artifact, run: RunInfo, emit: Emit, *, spec: Qemu | None = None
    ) -> Iterator[QemuMachine]:
        """A machine from an image, which stays as it is: all its disks under their names, and everything else new."""
        home = self.home()
        folder = Path(artifact.id)
        image = read_image(folder)
        request = Launch(
            label="image",
            run=run,
            login_user=VISITOR,
            memory_mib=image.memory_mib,
            cpus=image.cpus,
            accelerator=self._accelerator(spec.accelerator if spec else "auto", home, emit),
            firmware=find_firmware(),
            disks=tuple(
                NewDisk(name=disk.name, backing=folder / disk.file, size_bytes=disk.virtual_size_bytes)
                for disk in image.disks
            ),
        )
        with CleanupStack(emit, self.clock) as cleanup:
            yield self._launched(request, image.source_digest, home, cleanup, emit)

    def images(self, location: str | None = None) -> tuple[Artifact, ...]:
        """The images in a folder (None, "all": in BAKER_HOME), newest last; an unreadable one has a label `problem`."""
        return find_images(self.home().images if location in (None, "all") else Path(location))

    def resolve(self, reference: str) -> Artifact:
        """The image of this name, in this folder, or that the link of this recipe leads to."""
        return shelf.resolve(reference, self.home().images)

    def digest(self, artifact: Artifact) -> str:
        """SHA-256 over the disks' files, read now."""
        return shelf.digest(artifact)

    def keep_manifest(self, artifact: Artifact, manifest: str) -> None:
        """Write it into the image's folder."""
        shelf.keep_manifest(artifact, manifest)

    def set_labels(self, artifact: Artifact, labels: Mapping[str, str]) -> Artifact:
        """Write labels into the image's description."""
        return shelf.set_labels(artifact, labels)

    def mark_newest(self, artifact: Artifact) -> None:
        """Move the link that has the recipe's name."""
        shelf.mark_newest(artifact, self.home().images)

    def delete(self, artifact: Artifact) -> None:
        """Remove the image's folder; not one that a link leads to."""
        shelf.delete(artifact, self.home().images)

    def check_share(self, share: Share) -> tuple[Problem, ...]:
        """What in a share list is no folder, here or on a server."""
        return tuple(export.share_problems(share))

    def share(self, artifact: Artifact, share: Share, *, upload: Uploader, emit: Emit) -> tuple[ShareResult, ...]:
        """Copy an image to folders, here or on servers."""
        return export.export(artifact, share, upload=upload, emit=emit)

    def leftovers(self, location: str | None = None) -> Iterator[Leftover]:
        """What bakes left below BAKER_HOME, the one location there is; anywhere else is nothing of this builder's."""
        home = self.home()
        if location in (None, "all", leftovers.location_of(home)):
            yield from leftovers.find_leftovers(home)

    def destroy(self, leftover: Leftover) -> None:
        """End a process, or remove a folder: one that carries the name of a run, below BAKER_HOME."""
        leftovers.destroy(leftover, self.home())

    def diagnose_host(self) -> Iterator[Finding]:
        """For `bake doctor`: what is installed, and how fast machines will be."""
        return diagnosis.findings(self.home())

    def _launched(
        self, request: Launch, source_digest: str, home: Home, cleanup: CleanupStack, emit: Emit
    ) -> QemuMachine:
        with explaining(f"making a folder in {home.path}", LaunchError):
            home.images.stat()  # that an image can be written is known before the machine is started
        capturing = Capturing(
            describe=self._describing(request, source_digest), power_off_seconds=self.power_off_seconds
        )
        return QemuMachine(launch(request, home, cleanup, emit), capturing, emit=emit, clock=self.clock)

    def _accelerator(self, wanted: str, home: Home, emit: Emit) -> tuple[str, ...]:
        chosen = self.choose_accelerator(wanted, home, emit=emit)
        emit(FactRecorded(source="launch", name="accelerator", value=chosen.name))
        if chosen.warning and chosen.warning not in self.warnings_told:
            self.warnings_told.add(chosen.warning)
            emit(Notice(level="warning", text=chosen.warning))
        return chosen.qemu_arguments

    def _describing(self, request: Launch, source_digest: str) -> DescribeImage:
        """What completes `image.json` for a machine, once its image has a name and its disks are written."""

        def named(name: str, labels: Mapping[str, str]) -> Describe:
            def describe(disks: tuple[ImageDisk, ...]) -> Image:
                return Image(
                    name=name,
                    created=datetime.fromtimestamp(self.clock.now(), UTC).isoformat(timespec="seconds"),
                    fingerprint=request.run.fingerprint,
                    labels=dict(labels),
                    source_digest=source_digest,
                    architecture=ARCHITECTURE,
                    firmware="uefi",
                    memory_mib=request.memory_mib,
                    cpus=request.cpus,
                    disks=disks,
                )

            return describe

        return named


def _qemu_spec(plan: Plan) -> Qemu:
    if not isinstance(plan.spec, Qemu):
        raise TypeError(f"a plan for {plan.spec.kind} was handed to the qemu builder")
    return plan.spec


def _facts(source: PreparedSource) -> Mapping[str, str]:
    """What the manifest says of a source image."""
    made = datetime.fromtimestamp(source.made, UTC).isoformat(timespec="seconds")
    return {
        "source image": source.description,
        "source image digest": f"sha256:{source.digest}",
        "source image made": made,
    }


def _root_size(spec: Qemu, source: Path) -> int:
    """Bytes. BuilderError when the source image does not fit: a disk can be made larger, never smaller."""
    least = qemu_img.virtual_size(source)
    if spec.disk_gib * GIB < least:
        raise BuilderError(
            f"the source image is larger than disk_gib={spec.disk_gib}",
            hint=f"set disk_gib to {-(-least // GIB)} or more in the Qemu(...) of the recipe",
        )
    return spec.disk_gib * GIB
