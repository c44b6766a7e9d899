"""All that a step may see of the baker.

A step ("provisioner") is any object of the shape of `Provisioner`, usually a frozen dataclass. There is no
registry and no base class: the recipe names the step, the plan fingerprints it, the engine calls `apply`.
"""

import base64
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from baker.errors import StepError
from baker.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What a command did. `stdout` and `stderr` are text; bytes that are not UTF-8 are replaced."""

    command: str
    exit_code: int
    stdout: str
    stderr: str
    seconds: float


FetchKind = Literal["url", "conda-channel", "conda-installer", "pip-index", "git", "sftp", "apt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Something that a step fetches: `url` as the recipe says it, before any mirror.

    `side` is who asks for it: the machine being baked, or the baking host. `sha256` is that of the file at
    `url`, where there is one file.
    """

    kind: FetchKind
    url: str
    side: Literal["machine", "host"] = "machine"
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a step needs: disks by their name in the recipe, things to fetch, secrets to resolve."""

    disks: tuple[str, ...] = ()
    fetches: tuple[Fetch, ...] = ()
    secrets: tuple[Secret, ...] = ()


NOTHING_REQUIRED = Requirements()


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpSource:
    """A folder or file on an sftp server, read by the baking host and relayed to the machine.

    `url` is `sftp://host[:port]/path`. `host_key` is the server's public key line (`ssh-ed25519 AAAA...`);
    without it the server must stand in the baking host's `~/.ssh/known_hosts`.
    """

    url: str
    user: str
    password: Secret | None = None
    private_key: Secret | None = None
    host_key: str | None = None


def is_host_key(line: str) -> bool:
    """Whether `line` is a public key as OpenSSH writes it: its kind, and the key in Base64, which repeats it."""
    kind, *rest = line.split()[:2] or [""]
    try:
        blob = base64.b64decode(rest[0], validate=True) if rest else b""
    except ValueError:
        return False
    length = int.from_bytes(blob[:4])
    return bool(kind) and len(blob) > 4 + length and blob[4 : 4 + length] == kind.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferredFile:
    """One file after a transfer: its path relative to the target, its size in bytes, its SHA-256 (hex)."""

    path: str
    size: int
    sha256: str


class CommandFailedError(StepError):
    """A command on the machine exited with a code that the step did not expect.

    `still_running` is what of it could not be ended, and empty as a rule.
    """

    def __init__(self, result: CommandResult, *, still_running: str = "") -> None:
        last = (result.stderr.strip() or result.stdout.strip()).splitlines()[-12:]
        first_line = result.command.strip().splitlines()[0] if result.command.strip() else result.command
        program = first_line.split(maxsplit=1)[0] if first_line else "command"
        super().__init__(
            f"{program} exited with {result.exit_code}",
            details=(
                ("command", result.command),
                ("last lines", "\n".join(last) or "(no output)"),
                *([("still running", still_running)] if still_running else []),
            ),
        )
        self.result = result
        self.still_running = still_running


class Remote(Protocol):
    """The machine, as a step sees it.

    Every method raises `CommandFailedError` when the machine refuses, `CommandTimeoutError` after a time-out
    (the command is then gone, with all its children), and `ConnectionLostError` when the machine is out of reach.
    Paths on the machine are absolute `str`; paths on the baking host are relative to the recipe's folder.
    """

    @property
    def login_user(self) -> str:
        """The account that the bake logs in with. It will not exist in the image: own nothing by it."""
        ...

    @property
    def architecture(self) -> str:
        """As `uname -m` has it: x86_64, aarch64."""
        ...

    def recipe_path(self, path: Path) -> Path:
        """Where a file or folder of the recipe lies on the baking host: `path`, below the recipe's folder."""
        ...

    def run(
        self,
        command: str | Sequence[str],
        *,
        sudo: bool = False,
        env: Mapping[str, str | Secret] | None = None,
        stdin: bytes | str | Secret | None = None,
        timeout: float | None = None,
        check: bool = True,
        exit_codes: Collection[int] = (0,),
        quiet: bool = False,
    ) -> CommandResult:
        """Run a command: a `str` by `/bin/sh`, a sequence as exact arguments.

        `sudo` runs it as root. `timeout` is in seconds. With `check`, an exit code that is none of `exit_codes`
        raises, and what the command left running in the background is ended first; what a command that succeeds
        leaves running goes on. `quiet` keeps the output out of the log (it is still in the result). The mirrors of
        the bake are in its environment.
        """
        ...

    def put(
        self,
        source: Path | bytes,
        target: str,
        *,
        owner: str = "root:root",
        mode: int = 0o644,
    ) -> None:
        """Write one file as root: atomically (a new file beside it, then renamed), its folders made."""
        ...

    def put_tree(self, source: Path, target: str, *, owner: str = "root:root") -> None:
        """Copy a folder's content into `target` as one stream, with modes, links, empty folders and odd names."""
        ...

    def get(self, source: str, target: Path) -> None:
        """Read one file, as root, into `target` on the baking host."""
        ...

    def import_tree(
        self,
        source: SftpSource,
        target: str,
        *,
        owner: str = "root:root",
    ) -> tuple[TransferredFile, ...]:
        """Relay files from an sftp server to `target`; resumes, and verifies size and checksum of each file."""
        ...

    def disk(self, name: str) -> str:
        """The device path of the recipe's disk `name`: stable, never /dev/sdX."""
        ...

    def reboot(self, *, timeout: float = 300) -> None:
        """Restart the machine and connect again; raises when it does not come back within `timeout` seconds."""
        ...

    def mirrored(self, fetch: Fetch) -> Fetch:
        """Where to fetch it from in this bake: the same, or what the mirrors put in its place."""
        ...

    def secret_file(self, secret: Secret) -> AbstractContextManager[str]:
        """The path of a 0600 file in tmpfs that holds the secret while the context is open."""
        ...

    def record(self, name: str, value: str) -> None:
        """Put a fact into the manifest: a commit, a package list."""
        ...

    def say(self, text: str) -> None:
        """A line for the log."""
        ...

    def progress(self, what: str, done: int, total: int | None, unit: str = "bytes") -> None:
        """How far a long transfer is."""
        ...


@runtime_checkable
class Provisioner(Protocol):
    """One step of a recipe. Frozen, so that it can be fingerprinted; side effects only in `apply`.

    It may have a method `check_inputs(folder: Path) -> None`: called by the plan once all of `inputs()` are known to be
    there, below `folder`; raises BakeError for what is wrong in them, and does no more than read them.
    """

    @property
    def name(self) -> str:
        """How the step reads in a log: `conda environment ocean`."""
        ...

    @property
    def revision(self) -> int:
        """Raised by the step's author when the same fields come to mean something else."""
        ...

    def inputs(self) -> tuple[Path, ...]:
        """Files and folders of the recipe that the step reads, relative to the recipe's folder."""
        ...

    def requires(self) -> Requirements:
        """What must be there before anything is created."""
        ...

    def apply(self, remote: Remote) -> None:
        """Do it. Raises BakeError when it cannot be done; anything else is a bug in the step."""
        ...
