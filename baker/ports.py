"""What the engine needs of the world, as protocols; who provides it is decided in `baker.cli` alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from baker.artifact import Artifact
from baker.events import CheckFinished, Emit
from baker.plan import Plan
from baker.provisioner import Remote, SftpSource
from baker.recipe import BuilderSpec, Check, Disk


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """An ed25519 key pair: the private half as OpenSSH PEM, the public one as `ssh-ed25519 AAAA...`."""

    private: str = field(repr=False)
    public: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """How to log in: as `user`, with `key`, to a machine that must show `host_key` (a public key line)."""

    host: str
    port: int
    user: str
    key: KeyPair
    host_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Who and what a run is; becomes the tags of every resource. Times are seconds since the epoch, UTC.

    `run_id` is 20 characters of 0-9, a-z and -: UTC time to the second and four random ones. `image_name` is
    what the artifact will be called. `run_dir` is the run's folder on the baking host (0700).
    """

    run_id: str
    recipe: str
    fingerprint: str
    image_name: str
    owner: str
    started: float
    expires: float
    run_dir: Path
    refresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that would make the bake fail; found before anything was created."""

    summary: str
    hint: str | None = None
    exit_code: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a builder found about this host, for `bake doctor`. `hint` is what to type when it is not `ok`.

    A builder may have a method `diagnose_host() -> Iterable[Finding]`; it starts and changes nothing.
    """

    name: str
    ok: bool
    text: str
    hint: str | None = None


class Clock(Protocol):
    """Time, so that tests need not wait for it. All in seconds."""

    def now(self) -> float:
        """Since the epoch, UTC."""
        ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class Machine(Protocol):
    """A running temporary machine."""

    @property
    def id(self) -> str: ...

    @property
    def address(self) -> Address: ...

    @property
    def disks(self) -> Mapping[str, str]:
        """The recipe's disks: name -> a stable device path on the machine (/dev/disk/by-id/...)."""
        ...

    def check_alive(self) -> None:
        """MachineDiedError, with what the machine last said, when it has ended; cheap, called in every wait."""
        ...

    def diagnose(self) -> str:
        """What a person needs when the machine does not come up: last console lines, state, reason."""
        ...

    def finalize(self, remote: Remote) -> None:
        """The last commands on the machine (flush, trim, deprovision). Nothing runs there afterwards."""
        ...

    def capture(self, name: str, labels: Mapping[str, str]) -> Artifact:
        """Stop the machine cleanly and make the image; nothing half-made stays when it fails (CaptureError)."""
        ...

    def kill(self) -> None:
        """End the machine at once; the shortest way, safe from a signal handler, idempotent."""
        ...


SpecT_contra = TypeVar("SpecT_contra", bound=BuilderSpec, contravariant=True)


class Builder(Protocol[SpecT_contra]):
    """One place where machines can be made. Made without arguments; making one costs nothing."""

    @property
    def kind(self) -> str: ...

    @property
    def baking_host(self) -> str | None:
        """The name that its machines have for the baking host; None where they cannot reach it."""
        ...

    def check(self, spec: SpecT_contra) -> tuple[Problem, ...]:
        """What is wrong with the spec itself. No network, no files, no SDK."""
        ...

    def preflight(self, plan: Plan) -> tuple[Problem, ...]:
        """What would make this plan fail here. Creates nothing. BuilderUnavailableError when parts are missing."""
        ...

    def machine(
        self, spec: SpecT_contra, disks: tuple[Disk, ...], run: RunInfo, emit: Emit
    ) -> AbstractContextManager[Machine]:
        """A machine from the source image, with empty disks. Leaving the context ends it, whatever happened.

        Entering returns once the machine exists; it need not answer yet.
        """
        ...

    def launch_image(self, artifact: Artifact, run: RunInfo, emit: Emit) -> AbstractContextManager[Machine]:
        """A machine from an image, with all its disks under their names, a new user key, another host name."""
        ...

    def images(self, location: str | None) -> Iterable[Artifact]:
        """The images that exist, newest last. `location` None is the default one."""
        ...


class OutputSink(Protocol):
    """Receives raw output of a command, in order for each stream."""

    def __call__(self, stream: Literal["stdout", "stderr"], chunk: bytes) -> None: ...


class Communicator(Protocol):
    """A narrow waist: one authenticated connection to one machine that runs commands.

    Everything else (quoting, sudo, files, process groups) is made of this in `baker.remote`.
    """

    def run(
        self,
        command: str,
        *,
        stdin: Iterable[bytes] = (),
        timeout: float | None = None,
        on_output: OutputSink,
    ) -> int:
        """Run `command` by the login shell, without a terminal; its exit code (128 + n after signal n).

        Feeds `stdin` while it drains both streams, so neither side can block the other; `on_output` is called in
        the calling thread. TimeoutError when it has not ended after `timeout` seconds: the channel is closed, the
        command may live on. ConnectionLostError when the connection ends first.
        """
        ...

    def close(self) -> None:
        """Idempotent."""
        ...


class Connector(Protocol):
    """Makes connections."""

    def __call__(self, address: Address, *, timeout: float, check_alive: Callable[[], None]) -> Communicator:
        """Connect as soon as the SSH banner answers, trying for `timeout` seconds.

        Calls `check_alive` between tries, which may raise. ConnectionLostError at once for a wrong host key or a
        refused login, and when the time is up.
        """
        ...


class Transfer(Protocol):
    """Reads an sftp server from the baking host."""

    def __call__(
        self,
        source: SftpSource,
        *,
        password: str | None,
        private_key: str | None,
        host_key: str | None,
    ) -> AbstractContextManager["SftpReader"]: ...


class SftpReader(Protocol):
    """An open sftp server."""

    def files(self) -> Sequence[tuple[str, int]]:
        """All files below the source: (path relative to it, size in bytes), sorted. A file source is one entry."""
        ...

    def read(self, path: str, *, offset: int = 0) -> Iterable[bytes]:
        """The file's content from `offset` on, in chunks, with many requests in flight."""
        ...


class CheckRunner(Protocol):
    """Runs checks against a machine."""

    def __call__(
        self, checks: tuple[Check, ...], remote: Remote, *, folder: Path, emit: Emit
    ) -> tuple[CheckFinished, ...]:
        """Run all checks, even when one fails, and emit each result. `folder` is the recipe's.

        ChecksFailedError only when the checks themselves could not be run.
        """
        ...


class MirroredRemote(Remote, Protocol):
    """A machine whose mirrors can be undone."""

    def remove_mirrors(self) -> None:
        """Remove what the mirrors put on the machine; from now on no command is mirrored."""
        ...


class Sealer(Protocol):
    """Makes the machine fit to become an image."""

    def __call__(self, remote: MirroredRemote, *, disks: tuple[Disk, ...], emit: Emit) -> None:
        """Scrub, scan, drop access; after it nothing but `finalize` runs on the machine. SealError when it must not."""
        ...
