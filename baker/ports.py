"""What the engine needs of the world, as protocols; who provides it is decided in `baker.cli` alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from baker.artifact import Artifact, Leftover, ShareResult
from baker.events import CheckFinished, Emit
from baker.plan import Plan
from baker.provisioner import CommandResult, Remote, SftpSource
from baker.recipe import AllowedSecret, BuilderSpec, Check, Disk, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """An ed25519 key pair: the private half as OpenSSH PEM, the public one as `ssh-ed25519 AAAA...`."""

    private: str = field(repr=False)
    public: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """How to log in: as `user`, with `key`, to a machine that must show `host_key` (a public key line).

    `proxy_command` are the words of a program that carries the connection over its standard input and output; without
    one it is a TCP connection to `host` and `port`.
    """

    host: str
    port: int
    user: str
    key: KeyPair
    host_key: str
    proxy_command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Who and what a run is; becomes the tags of every resource. Times are seconds since the epoch, UTC.

    `run_id` is 20 characters of 0-9, a-z and -: UTC time to the second and four random ones. `image_name` is
    what the artifact will be called. `run_dir` is the run's folder on the baking host (0700); what a builder writes
    there itself, and not as events, goes through `redact` first. `wait_cleanup`: a builder whose place removes things
    by itself once it is asked to waits until they are gone; else until it has been seen that they will be.
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
    wait_cleanup: bool = False
    redact: Callable[[str], str] = field(default=str, repr=False, compare=False)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedLater:
    """What the seal leaves on the machine, because `finalize` needs it and then removes it.

    `account` is the login account with its home; `paths` are folders of the machine. Neither is searched for secrets.
    """

    account: bool = False
    paths: tuple[str, ...] = ()


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

    @property
    def removed_by_finalize(self) -> RemovedLater:
        """What the seal shall leave to `finalize`; nothing, where no tool of the place wants to do it itself."""
        ...

    def finalize(self, remote: Remote) -> None:
        """The last commands on the machine (flush, trim, deprovision). Nothing runs there afterwards.

        SealError when something of `removed_by_finalize` is still there then: it would be in the image.
        """
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

    def preflight(self, plan: Plan, *, until: float) -> tuple[Problem, ...]:
        """What would make this plan fail here. Creates nothing. BuilderUnavailableError when parts are missing.

        `until` is when the bake ends at the latest, in seconds since the epoch: credentials must live as long.
        """
        ...

    def machine(
        self, spec: SpecT_contra, disks: tuple[Disk, ...], run: RunInfo, emit: Emit
    ) -> AbstractContextManager[Machine]:
        """A machine from the source image, with empty disks. Leaving the context ends it, whatever happened.

        Entering returns once the machine exists; it need not answer yet.
        """
        ...

    def launch_image(
        self, artifact: Artifact, run: RunInfo, emit: Emit, *, spec: SpecT_contra | None = None
    ) -> AbstractContextManager[Machine]:
        """A machine from an image, with all its disks under their names, a new user key, another host name.

        `spec` says where and on what; None leaves it to what the image says of itself.
        """
        ...

    def images(self, location: str | None) -> Iterable[Artifact]:
        """The images that exist, newest last. `location` None is the default one, "all" every one.

        Quick: reads what is written on them. One that is seen not to be what was verified has a label `changed`.
        """
        ...

    def resolve(self, reference: str) -> Artifact:
        """The image that a person means by a name, an id, a path, or a recipe's name: its newest verified image.

        BuilderError, with what was perhaps meant, when there is none.
        """
        ...

    def digest(self, artifact: Artifact) -> str:
        """What identifies the image's content, found out now. The image is verified when its label says the same."""
        ...

    def keep_manifest(self, artifact: Artifact, manifest: str) -> None:
        """Keep the manifest with the image, where an image can hold more than its disks; a newer one replaces it."""
        ...

    def set_labels(self, artifact: Artifact, labels: Mapping[str, str]) -> Artifact:
        """Add these labels to the image, or replace them: all or none, for good. The image as it is then."""
        ...

    def mark_newest(self, artifact: Artifact) -> None:
        """Have the recipe's name mean this image, which has just been verified, unless it means a newer one.

        Nothing to do where that is computed. BuilderError when something else has the name.
        """
        ...

    def delete(self, artifact: Artifact) -> None:
        """Remove an image and all its parts. Idempotent. BuilderError when it stays, or is what a name stands for."""
        ...

    def leftovers(self, location: str | None) -> Iterable[Leftover]:
        """All temporary things that are there and carry a run's name or tag, of any run, live or dead.

        In the order in which they can be removed. `location` None is the default one, "all" every one; else one under
        which something was acquired. BakeError when it cannot be asked: an empty answer means that nothing is there,
        and closes what the ledger has open of dead runs there.
        """
        ...

    def destroy(self, leftover: Leftover) -> None:
        """Remove one of `leftovers`; return when it is gone, or when the place has accepted that it will be.

        Idempotent: what is gone already is no error. Looks again at the thing itself whether it is a temporary thing of
        that run, as what a list says may be old or forged. BuilderError when it stays, or is something else.
        """
        ...

    def check_share(self, share: Share) -> tuple[Problem, ...]:
        """What in a share list this builder cannot mean. No network, no SDK."""
        ...

    def share(self, artifact: Artifact, share: Share, *, upload: "Uploader", emit: Emit) -> tuple[ShareResult, ...]:
        """Share an image that has been verified: a result for each target, whatever becomes of the others.

        `upload` is for builders that copy images to servers; Progress is emitted meanwhile.
        """
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
        the calling thread, and `stdin`, unless it is a tuple or a list, asked in another one. TimeoutError when it
        has not ended after `timeout` seconds: the channel is closed, the command may live on. ConnectionLostError
        when the connection ends first.
        """
        ...

    def close(self) -> None:
        """Idempotent."""
        ...


class Connector(Protocol):
    """Makes connections."""

    def __call__(self, address: Address, *, timeout: float, check_alive: Callable[[], None]) -> Communicator:
        """Connect as soon as the SSH banner answers, trying for `timeout` seconds.

        Calls `check_alive` between tries, which may raise. ConnectionLostError at once for a wrong host key,
        LoginRefusedError for a refused login, NoAnswerError when the time is up.
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


class Drop(Protocol):
    """A place to put files: a folder here, or on a server. Paths are relative to it, with `/`.

    BuilderError for what it refuses, DiskFullError when it is full; ConnectionLostError when it goes away.
    """

    @property
    def name(self) -> str:
        """As a person calls it: a path, or sftp://..."""
        ...

    def size(self, path: str) -> int | None:
        """A file's size in bytes; None when there is none."""
        ...

    def room(self) -> int | None:
        """How many bytes it still takes; None where it cannot say."""
        ...

    def make_folder(self, path: str) -> None:
        """With those above it. One of ours that is there already is fine; who can read these can read the new one."""
        ...

    def write(self, path: str, chunks: Iterable[bytes], *, offset: int = 0) -> None:
        """Write a file from `offset` on, for all to read; flushed to its disk where that can be asked.

        A file is new when `offset` is 0, and BuilderError when there is one.
        """
        ...

    def read(self, path: str) -> bytes:
        """A small file's content."""
        ...

    def sha256(self, path: str) -> str:
        """Of a file as it is there now (hex)."""
        ...

    def rename(self, old: str, new: str) -> None:
        """In one step. BuilderError when `new` is there already."""
        ...

    def remove(self, path: str) -> None:
        """A file; nothing when there is none."""
        ...


class Uploader(Protocol):
    """Opens servers to put files on."""

    def __call__(self, url: str) -> AbstractContextManager[Drop]:
        """`sftp://[user@]host[:port]/folder`, as the caller's own ssh would reach it. ReachError when it cannot."""
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

    def stream(
        self,
        command: str | Sequence[str],
        *,
        stdin: Iterable[bytes] = (),
        on_stdout: Callable[[bytes], object] | None = None,
        sudo: bool = True,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command that takes or gives more than fits in memory; nothing of it is logged."""
        ...


class Sealer(Protocol):
    """Makes the machine fit to become an image."""

    def __call__(
        self,
        remote: MirroredRemote,
        *,
        disks: tuple[Disk, ...],
        allow: tuple[AllowedSecret, ...],
        secrets: Mapping[str, str],
        own_keys: Mapping[str, str],
        removed_later: RemovedLater,
        emit: Emit,
    ) -> None:
        """Scrub, scan, drop access; after it nothing but `finalize` runs on the machine. SealError when it must not.

        `secrets` are those of the recipe and the mirrors: how each is called -> its value. `own_keys` are the bake's:
        how each is called -> its public key line. `removed_later` is left to `finalize`, and nothing else is.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a machine from an image is held to, beside what its labels say.

    `checks` are the recipe's, in its `folder`; `spec` says on what machine to look. `builder` is the address of the
    machine that baked it, None when nobody knows its key any more. `mirrors` are names that no setting may hold which
    was made since `since` (seconds since the epoch, UTC).
    """

    checks: tuple[Check, ...]
    folder: Path
    boot_timeout_seconds: float
    spec: BuilderSpec | None = None
    builder: Address | None = None
    mirrors: tuple[str, ...] = ()
    since: float = 0.0


class Verifier(Protocol):
    """Sees whether an image keeps what it promises."""

    def __call__(self, artifact: Artifact, promise: Promise, run: RunInfo, emit: Emit) -> Artifact:
        """Start a machine from the image, look at it, end it; the image, labelled as verified and its recipe's newest.

        VerifyError when it is not what it should be; then the image stays, and is labelled as not verified.
        """
        ...
