"""Commands over a link: their environment and user, their output as events and as a result, how a failure is told.

Secret values pass through here on their way to the machine; keeping them out of logs is the work of the sinks'
redactor.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from baker.events import Emit, OutputLine
from baker.ports import Clock
from baker.provisioner import CommandFailedError, CommandResult
from baker.remote.command import machine_command, shown
from baker.remote.link import Link
from baker.remote.output import LineSplitter, Tail
from baker.secret import Secret

Resolve = Callable[[Secret], str]
"""Gives a secret's value."""

Stream = Literal["stdout", "stderr"]

_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")

_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")

_ENVIRONMENT: Mapping[str, str | Secret] = {"LC_ALL": "C.UTF-8"}
"""Of every command: what it prints must not depend on who bakes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs commands on the machine at the other end of `link`, with `environment` beside their own.

    `timeout` is for commands that name none: seconds, None for ever.
    """

    link: Link
    clock: Clock
    emit: Emit
    resolve: Resolve
    environment: Mapping[str, str]
    timeout: float | None

    def run(
        self,
        command: str | Sequence[str],
        *,
        sudo: bool,
        env: Mapping[str, str | Secret] | None,
        stdin: bytes | str | Secret | None,
        timeout: float | None,
        check: bool,
        exit_codes: Collection[int],
        quiet: bool,
    ) -> CommandResult:
        """See `baker.provisioner.Remote.run`."""
        splitters = {} if quiet else {stream: LineSplitter(self._line_emitter(stream)) for stream in _STREAMS}
        try:
            return self._execute(
                command,
                sudo=sudo,
                env=env,
                stdin=as_bytes(stdin, self.resolve),
                timeout=timeout,
                kept=_STREAMS,
                watchers={stream: splitter.feed for stream, splitter in splitters.items()},
                exit_codes=exit_codes if check else None,
            )
        finally:
            for splitter in splitters.values():
                splitter.feed(b"", final=True)

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
        return self._execute(
            command,
            sudo=sudo,
            env=None,
            stdin=stdin,
            timeout=timeout,
            kept=("stderr",) if on_stdout else _STREAMS,
            watchers={"stdout": on_stdout} if on_stdout else {},
            exit_codes=(0,),
        )

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
        exit_codes: Collection[int] | None,
    ) -> CommandResult:
        """Run it; with `exit_codes`, any other is a failure, and nothing of the command is left when it is raised."""
        tails = {stream: Tail() for stream in kept}

        def on_output(stream: Stream, chunk: bytes) -> None:
            if stream in tails:
                tails[stream].feed(chunk)
            if stream in watchers:
                watchers[stream](chunk)

        given = {**_ENVIRONMENT, **self.environment, **(env or {})}
        hidden = {name: self._hidden(value) for name, value in given.items()}
        sent = machine_command(
            command,
            sudo=sudo,
            env={name: value for name, value in given.items() if isinstance(value, str) and hidden[name] is None},
            secret_env={name: value for name, value in hidden.items() if value is not None},
        )
        started = self.clock.monotonic()
        exit_code = self.link.run(
            sent,
            what=shown(command),
            stdin=stdin,
            timeout=self.timeout if timeout is None else timeout,
            on_output=on_output,
        )
        result = CommandResult(
            command=shown(command),
            exit_code=exit_code,
            stdout=tails["stdout"].text() if "stdout" in tails else "",
            stderr=tails["stderr"].text() if "stderr" in tails else "",
            seconds=self.clock.monotonic() - started,
        )
        if exit_codes is not None and exit_code not in exit_codes:
            raise CommandFailedError(result, still_running=self.link.end(sent))
        return result

    def _hidden(self, value: str | Secret) -> str | None:
        """A value that no process list may show: a secret, or an address with a password. None for any other."""
        if isinstance(value, Secret):
            return self.resolve(value)
        return value if _PASSWORD_IN_URL.search(value) else None

    def _line_emitter(self, stream: Stream) -> Callable[[str], None]:
        return lambda line: self.emit(OutputLine(stream=stream, text=line))


def as_bytes(stdin: bytes | str | Secret | None, resolve: Resolve) -> tuple[bytes, ...]:
    """What a command gets to read, in one piece or none."""
    match stdin:
        case None:
            return ()
        case Secret():
            return (resolve(stdin).encode("utf-8", "surrogateescape"),)
        case str():
            return (stdin.encode("utf-8", "surrogateescape"),)
    return (stdin,)
