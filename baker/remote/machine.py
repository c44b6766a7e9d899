"""`MachineRemote`: the machine as a step sees it, and what the engine needs besides.

It owns no machine: whoever launched the machine ends it. Secret values pass through here on their way to the
machine; keeping them out of logs is the work of the sinks' redactor.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal

from baker.errors import BakeError, StepError
from baker.events import Emit, FactRecorded, Notice, OutputLine, Progress
from baker.interrupts import shield
from baker.mirrors import NO_MIRRORS, Mirrors
from baker.ports import Clock, Connector, Machine, Transfer
from baker.provisioner import CommandFailedError, CommandResult, Fetch, SftpSource, TransferredFile
from baker.remote import boot, files, relay, stand_ins
from baker.remote.command import machine_command, shown
from baker.remote.link import Link
from baker.remote.output import LineSplitter, Tail
from baker.secret import Secret

SECRETS_FOLDER = "/run/baker/secrets"
"""On the machine: tmpfs, 0700, of the login user. Beside it stand the mirrors' files, which every user may read."""

_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")

_ENVIRONMENT: dict[str, str | Secret] = {"LC_ALL": "C.UTF-8"}
"""Of every command: what it prints must not depend on who bakes."""

Stream = Literal["stdout", "stderr"]

_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")

_WRITE_PRIVATE_FILE = """
set -eu; umask 077
mkdir -p -- "$3"; chmod 0711 "$(dirname -- "$3")"; chown -- "$2" "$3"
cat >"$1"; chown -- "$2" "$1"
"""


class MachineRemote:
    """One machine, logged in. Closed at first; `connect` opens it, leaving the context closes it.

    `mirrors` are those of the bake, as the machine must say them (`Mirrors.seen_from`). `folder` is the recipe's.
    `resolve` gives a secret's value. `command_timeout` is for commands that name none: seconds, None for ever.
    """

    def __init__(
        self,
        *,
        machine: Machine,
        connector: Connector,
        transfer: Transfer,
        resolve: Callable[[Secret], str],
        folder: Path,
        emit: Emit,
        clock: Clock,
        mirrors: Mirrors = NO_MIRRORS,
        command_timeout: float | None = None,
    ) -> None:
        self._machine = machine
        self._transfer = transfer
        self._resolve = resolve
        self._folder = folder
        self._emit = emit
        self._clock = clock
        self._mirrors = mirrors
        self._command_timeout = command_timeout
        self._source = "connect"
        self._link = Link(machine, connector, clock)
        self._architecture: list[str] = []  # known once asked; shared by all views
        self._relayed = relay.Relayed()

    # --- for the engine

    def connect(self, *, timeout: float) -> None:
        """Log in, wait until the machine's first boot is finished, put the mirrors' files there: in `timeout` seconds.

        ConnectionLostError when it does not answer, LaunchError when its first boot failed.
        """
        deadline = self._clock.monotonic() + timeout
        self._link.open(timeout)
        boot.wait_for_cloud_init(self, timeout=max(1.0, deadline - self._clock.monotonic()), emit=self._emit)
        self.apply_mirrors()

    def __enter__(self) -> "MachineRemote":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection. Idempotent."""
        self._link.close()

    def for_step(self, name: str) -> "MachineRemote":
        """The same machine over the same connection; facts are recorded as found by `name`."""
        view = self._view()
        view._source = name
        return view

    def without_mirrors(self) -> "MachineRemote":
        """The same machine over the same connection, where nothing stands in for anything: for checks."""
        view = self._view()
        view._mirrors = NO_MIRRORS
        return view

    def apply_mirrors(self) -> None:
        """Put the files there that the environment of mirrored commands points to. They are gone after a reboot."""
        stand_ins.apply(self, self._mirrors)
        self._link.mirrors_applied = True

    def remove_mirrors(self) -> None:
        """Remove what `apply_mirrors` put there; from now on no command is mirrored, in no view."""
        self._link.mirrors_applied = False
        stand_ins.remove(self)

    # --- baker.provisioner.Remote

    @property
    def login_user(self) -> str:
        return self._machine.address.user

    @property
    def architecture(self) -> str:
        if not self._architecture:
            self._architecture.append(self.run("uname -m", quiet=True).stdout.strip())
        return self._architecture[0]

    def recipe_path(self, path: Path) -> Path:
        return self._folder / path  # an absolute path stays what it is

    def run(
        self,
        command: str | Sequence[str],
        *,
        sudo: bool = False,
        env: Mapping[str, str | Secret] | None = None,
        stdin: bytes | str | Secret | None = None,
        timeout: float | None = None,
        check: bool = True,
        quiet: bool = False,
    ) -> CommandResult:
        splitters = {} if quiet else {stream: LineSplitter(self._line_emitter(stream)) for stream in _STREAMS}
        try:
            result = self._execute(
                command,
                sudo=sudo,
                env=env,
                stdin=self._bytes(stdin),
                timeout=timeout,
                kept=_STREAMS,
                watchers={stream: splitter.feed for stream, splitter in splitters.items()},
            )
        finally:
            for splitter in splitters.values():
                splitter.feed(b"", final=True)
        if check and result.exit_code != 0:
            raise CommandFailedError(result)
        return result

    def stream(
        self,
        command: str | Sequence[str],
        *,
        stdin: Iterable[bytes] = (),
        on_stdout: Callable[[bytes], object] | None = None,
        sudo: bool = True,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command that takes or gives more than fits in memory. CommandFailedError unless it exits with 0.

        With `on_stdout` the result's own `stdout` is empty. Nothing is logged.
        """
        result = self._execute(
            command,
            sudo=sudo,
            env=None,
            stdin=stdin,
            timeout=timeout,
            kept=("stderr",) if on_stdout else _STREAMS,
            watchers={"stdout": on_stdout} if on_stdout else {},
        )
        if result.exit_code != 0:
            raise CommandFailedError(result)
        return result

    def put(
        self,
        source: Path | bytes,
        target: str,
        *,
        owner: str = "root:root",
        mode: int = 0o644,
    ) -> None:
        files.put(
            self, self.recipe_path(source) if isinstance(source, Path) else source, target, owner=owner, mode=mode
        )

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
            relay.mirrored_source(source, self._active_mirrors()),
            transfer=self._transfer,
            password=self._resolve(source.password) if source.password else None,
            private_key=self._resolve(source.private_key) if source.private_key else None,
            clock=self._clock,
        )
        return relay.import_tree(self, opened, target, owner=owner, relayed=self._relayed)

    def disk(self, name: str) -> str:
        try:
            return self._machine.disks[name]
        except KeyError:
            known = ", ".join(self._machine.disks) or "none"
            raise StepError(
                f"the machine has no disk {name!r}", details=(("its disks", known),), hint="declare it in the recipe"
            ) from None

    def reboot(self, *, timeout: float = 300) -> None:
        boot.reboot(self, self._link, timeout=timeout)
        if self._link.mirrors_applied:
            self.apply_mirrors()

    def mirrored(self, fetch: Fetch) -> Fetch:
        return self._active_mirrors().mirrored(fetch)

    @contextmanager
    def secret_file(self, secret: Secret) -> Iterator[str]:
        path = f"{SECRETS_FOLDER}/{secrets.token_hex(8)}"
        words = ["/bin/sh", "-c", _WRITE_PRIVATE_FILE, "write", path, self.login_user, SECRETS_FOLDER]
        try:
            self.stream(words, stdin=self._bytes(secret))
            yield path
        except BaseException:
            with shield(), suppress(BakeError):  # the first error is the one to tell
                self.stream(["rm", "-f", "--", path])
            raise
        self.stream(["rm", "-f", "--", path])

    def record(self, name: str, value: str) -> None:
        self._emit(FactRecorded(source=self._source, name=name, value=value))

    def say(self, text: str) -> None:
        self._emit(OutputLine(stream="note", text=text))

    def warn(self, text: str) -> None:
        """Something a person should know, that stops nothing."""
        self._emit(Notice(level="warning", text=text))

    def progress(self, what: str, done: int, total: int | None, unit: str = "bytes") -> None:
        self._emit(Progress(what=what, done=done, total=total, unit=unit))

    # --- inside

    def _execute(
        self,
        command: str | Sequence[str],
        *,
        sudo: bool,
        env: Mapping[str, str | Secret] | None,
        stdin: Iterable[bytes],
        timeout: float | None,
        kept: tuple[Stream, ...],
        watchers: Mapping[Stream, Callable[[bytes], object]],
    ) -> CommandResult:
        tails = {stream: Tail() for stream in kept}

        def on_output(stream: Stream, chunk: bytes) -> None:
            if stream in tails:
                tails[stream].feed(chunk)
            if stream in watchers:
                watchers[stream](chunk)

        given = _ENVIRONMENT | self._active_mirrors().environment() | dict(env or {})
        hidden = {name: self._hidden(value) for name, value in given.items()}
        started = self._clock.monotonic()
        exit_code = self._link.run(
            machine_command(
                command,
                sudo=sudo,
                env={name: value for name, value in given.items() if isinstance(value, str) and hidden[name] is None},
                secret_env={name: value for name, value in hidden.items() if value is not None},
            ),
            what=shown(command),
            stdin=stdin,
            timeout=self._command_timeout if timeout is None else timeout,
            on_output=on_output,
        )
        return CommandResult(
            command=shown(command),
            exit_code=exit_code,
            stdout=tails["stdout"].text() if "stdout" in tails else "",
            stderr=tails["stderr"].text() if "stderr" in tails else "",
            seconds=self._clock.monotonic() - started,
        )

    def _hidden(self, value: str | Secret) -> str | None:
        """A value that no process list may show: a secret, or an address with a password. None for any other."""
        if isinstance(value, Secret):
            return self._resolve(value)
        return value if _PASSWORD_IN_URL.search(value) else None

    def _line_emitter(self, stream: Stream) -> Callable[[str], None]:
        return lambda line: self._emit(OutputLine(stream=stream, text=line))

    def _bytes(self, stdin: bytes | str | Secret | None) -> Iterable[bytes]:
        match stdin:
            case None:
                return ()
            case Secret():
                return (self._resolve(stdin).encode("utf-8", "surrogateescape"),)
            case str():
                return (stdin.encode("utf-8", "surrogateescape"),)
        return (stdin,)

    def _view(self) -> "MachineRemote":
        view = object.__new__(MachineRemote)
        view.__dict__.update(self.__dict__)
        return view

    def _active_mirrors(self) -> Mirrors:
        return self._mirrors if self._link.mirrors_applied else NO_MIRRORS
