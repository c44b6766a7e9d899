"""`MachineRemote`: the machine as a step sees it, and what the engine needs besides.

It owns no machine: whoever launched the machine ends it. Each method is one line that says who does it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from baker.errors import StepError
from baker.events import Emit, FactRecorded, OutputLine, Progress
from baker.mirrors import NO_MIRRORS, Mirrors
from baker.ports import Clock, Connector, Machine, Transfer
from baker.provisioner import CommandResult, Fetch, SftpSource, TransferredFile
from baker.remote import boot, files, relay, stand_ins
from baker.remote.link import Link
from baker.remote.running import Resolve, Runner, as_bytes
from baker.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MachineRemote:
    """One machine, logged in. Closed at first; `connect` opens it, leaving the context closes it.

    `mirrors` are those of the bake, as the machine must say them (`Mirrors.seen_from`). `folder` is the recipe's.
    `resolve` gives a secret's value. `command_timeout` is for commands that name none: seconds, None for ever.

    The object itself is a view and never changes; another view of the same machine (`for_step`, `without_mirrors`)
    is a copy with the same `link` and `relayed`, in which is all that does change.
    """

    machine: Machine
    connector: Connector
    transfer: Transfer
    resolve: Resolve
    folder: Path
    emit: Emit
    clock: Clock
    mirrors: Mirrors = NO_MIRRORS
    command_timeout: float | None = None
    source: str = "connect"
    link: Link = field(default_factory=Link)
    relayed: relay.Relayed = field(default_factory=relay.Relayed)

    # --- for the engine

    def connect(self, *, timeout: float) -> None:
        """Log in, wait until the machine's first boot is finished, put the mirrors' files there: in `timeout` seconds.

        ConnectionLostError when it does not answer, LaunchError when its first boot failed.
        """
        deadline = self.clock.monotonic() + timeout
        self.link.open(self.machine, self.connector, timeout=timeout)
        boot.wait_for_cloud_init(self, timeout=max(1.0, deadline - self.clock.monotonic()), emit=self.emit)
        self.apply_mirrors()

    def __enter__(self) -> "MachineRemote":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection. Idempotent."""
        self.link.close()

    def for_step(self, name: str) -> "MachineRemote":
        """The same machine over the same connection; facts are recorded as found by `name`."""
        return replace(self, source=name)

    def without_mirrors(self) -> "MachineRemote":
        """The same machine over the same connection, where nothing stands in for anything: for checks."""
        return replace(self, mirrors=NO_MIRRORS)

    def apply_mirrors(self) -> None:
        """Put the files there that the environment of mirrored commands points to. They are gone after a reboot."""
        stand_ins.apply(self, self.mirrors, emit=self.emit)
        self.link.mirrors_applied = True

    def remove_mirrors(self) -> None:
        """Remove what `apply_mirrors` put there; from now on no command is mirrored, in no view."""
        self.link.mirrors_applied = False
        stand_ins.remove(self)

    # --- baker.provisioner.Remote

    @property
    def login_user(self) -> str:
        return self.machine.address.user

    @property
    def architecture(self) -> str:
        return self.run("uname -m", quiet=True).stdout.strip()

    def recipe_path(self, path: Path) -> Path:
        return self.folder / path  # an absolute path stays what it is

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
        return self._runner.run(
            command,
            sudo=sudo,
            env=env,
            stdin=stdin,
            timeout=timeout,
            check=check,
            exit_codes=exit_codes,
            quiet=quiet,
        )

    def stream(
        self,
        command: str | Sequence[str],
        *,
        stdin: Iterable[bytes] = (),
        on_stdout: Callable[[bytes], object] | None = None,
        sudo: bool = True,
        timeout: float | None = None,
    ) -> CommandResult:
        """See `Runner.stream`."""
        return self._runner.stream(command, stdin=stdin, on_stdout=on_stdout, sudo=sudo, timeout=timeout)

    def put(
        self,
        source: Path | bytes,
        target: str,
        *,
        owner: str = "root:root",
        mode: int = 0o644,
    ) -> None:
        content = source if isinstance(source, bytes) else self.recipe_path(source)
        files.put(self, content, target, owner=owner, mode=mode)

    def put_tree(self, source: Path, target: str, *, owner: str = "root:root") -> None:
        files.put_tree(self, self.recipe_path(source), target, owner=owner)

    def get(self, source: str, target: Path) -> None:
        files.get(self, source, self.recipe_path(target))

    def import_tree(
        self,
        source: SftpSource,
        target: str,
        *,
        owner: str = "root:root",
    ) -> tuple[TransferredFile, ...]:
        opened = relay.Source(
            relay.mirrored_source(source, self._active_mirrors),
            transfer=self.transfer,
            password=self.resolve(source.password) if source.password else None,
            private_key=self.resolve(source.private_key) if source.private_key else None,
            clock=self.clock,
        )
        return relay.import_tree(self, opened, target, owner=owner, relayed=self.relayed)

    def disk(self, name: str) -> str:
        try:
            return self.machine.disks[name]
        except KeyError:
            known = ", ".join(self.machine.disks) or "none"
            raise StepError(
                f"the machine has no disk {name!r}", details=(("its disks", known),), hint="declare it in the recipe"
            ) from None

    def reboot(self, *, timeout: float = 300) -> None:
        boot.reboot(self, self.link, timeout=timeout, clock=self.clock)
        if self.link.mirrors_applied:
            self.apply_mirrors()

    def mirrored(self, fetch: Fetch) -> Fetch:
        return self._active_mirrors.mirrored(fetch)

    def secret_file(self, secret: Secret) -> AbstractContextManager[str]:
        return files.private_file(self, as_bytes(secret, self.resolve), owner=self.login_user)

    def record(self, name: str, value: str) -> None:
        self.emit(FactRecorded(source=self.source, name=name, value=value))

    def say(self, text: str) -> None:
        self.emit(OutputLine(stream="note", text=text))

    def progress(self, what: str, done: int, total: int | None, unit: str = "bytes") -> None:
        self.emit(Progress(what=what, done=done, total=total, unit=unit))

    # --- inside

    @property
    def _runner(self) -> Runner:
        """As things stand now: with the mirrors' environment while they are on the machine."""
        return Runner(
            link=self.link,
            clock=self.clock,
            emit=self.emit,
            resolve=self.resolve,
            environment=self._active_mirrors.environment(),
            timeout=self.command_timeout,
        )

    @property
    def _active_mirrors(self) -> Mirrors:
        return self.mirrors if self.link.mirrors_applied else NO_MIRRORS
