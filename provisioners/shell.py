"""Commands of the user's own, for what no other step does."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from baker.errors import BakeError, CommandTimeoutError, ConnectionLostError, RecipeError
from baker.fields import require_path, require_types
from baker.provisioner import CommandFailedError, CommandResult, Remote, Requirements
from baker.secret import Secret
from provisioners.fields import require_at_least, require_file

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCRIPT_ON_MACHINE = "/dev/shm/baker/script"  # noqa: S108  (root's own folder, and on the machine)
"""tmpfs, and executable: Debian's initramfs mounts /run with noexec."""
_NAME_CHARACTERS = 60
_LONGEST_FIRST_LINE = 256
"""Bytes that the kernel reads of a script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Run a command or a script on the machine.

    Exactly one of the two is given:
    `command` is text, of one or more lines, for `/bin/sh -e`: the first line that fails ends it.
    `script` is a file of the recipe, relative to its folder, which is run with the interpreter of its own first line
    (`#!/bin/bash`) and with `arguments`; it is on the machine only while it runs, in tmpfs.

    It runs as the login user, as root with `sudo`, in `working_directory` (by default the user's home). `env` values
    may be secrets; they are in the environment of this command alone, and what it prints of them is masked.
    The step succeeds when the command ends with one of `exit_codes`; otherwise, and after `timeout_seconds`, it is run
    again up to `retries` times, `pause_seconds` apart. Nothing of the former attempt still runs then: what it left in
    the background is ended first, and when that cannot be done there is no further attempt.
    """

    command: str | None = None
    script: str | None = None
    arguments: tuple[str, ...] = ()
    title: str = ""
    sudo: bool = False
    env: Mapping[str, str | Secret] = field(default_factory=dict)
    working_directory: str | None = None
    exit_codes: tuple[int, ...] = (0,)
    timeout_seconds: float | None = None
    retries: int = 0
    pause_seconds: float = 5

    revision: ClassVar[int] = 1
    not_fingerprinted: ClassVar[Mapping[str, str]] = {
        "title": "what the log calls the step",
        "timeout_seconds": "how long to wait does not change what the command makes",
        "retries": "how often to try does not change what the command makes",
        "pause_seconds": "how long to wait does not change what the command makes",
    }

    def __post_init__(self) -> None:
        require_types(self)
        self._check_what_runs()
        if self.working_directory is not None:
            require_path("Shell", "working_directory", self.working_directory)
        for variable in self.env:
            if not _VARIABLE.fullmatch(variable):
                raise RecipeError(f"Shell: {variable!r} is no name of an environment variable")
        if not self.exit_codes or any(not 0 <= code <= 255 for code in self.exit_codes):
            raise RecipeError(f"Shell: exit_codes {self.exit_codes} are not numbers from 0 to 255")
        require_at_least("Shell", "retries", self.retries, 0)
        require_at_least("Shell", "timeout_seconds", self.timeout_seconds, 0.001)
        require_at_least("Shell", "pause_seconds", self.pause_seconds, 0)

    @property
    def name(self) -> str:
        if self.title:
            return self.title
        if self.script is not None:
            return f"script {self.script}"
        first = next(line.strip() for line in (self.command or "").splitlines() if line.strip())
        return "shell: " + (first if len(first) <= _NAME_CHARACTERS else f"{first[: _NAME_CHARACTERS - 1]}…")

    def inputs(self) -> tuple[Path, ...]:
        return () if self.script is None else (Path(self.script),)

    def check_inputs(self, folder: Path) -> None:
        """What the kernel would refuse of a script, in words that nobody connects with it."""
        for path in self.inputs():
            with require_file(folder, path).open("rb") as script:
                first = script.readline(_LONGEST_FIRST_LINE)
            if first.startswith(b"#!") and first.endswith(b"\r\n"):
                raise RecipeError(f"{path} has the line ends of Windows", hint="save it with Unix line ends (LF)")

    def requires(self) -> Requirements:
        secrets = dict.fromkeys(value for value in self.env.values() if isinstance(value, Secret))
        return Requirements(secrets=tuple(secrets))

    def apply(self, remote: Remote) -> None:
        if self.script is None:
            self._run_with_retries(remote, self.command or "")
            return
        try:
            remote.put(Path(self.script), _SCRIPT_ON_MACHINE, mode=0o755)
            self._run_with_retries(remote, shlex.join(["exec", _SCRIPT_ON_MACHINE, *self.arguments]))
        finally:
            _remove_script(remote)

    def _check_what_runs(self) -> None:
        if (self.command is None) == (self.script is None):
            raise RecipeError(
                "Shell: either a command or a script is needed",
                hint='write command="..." (text for /bin/sh) or script="setup.sh" (a file of the recipe)',
            )
        if self.command is not None and not self.command.strip():
            raise RecipeError("Shell: the command is empty")
        if self.command is not None and self.arguments:
            raise RecipeError("Shell: arguments go to a script, not to a command", hint="write them in the command")
        if self.script is not None and (not self.script or Path(self.script).is_absolute()):
            raise RecipeError(f"Shell: script {self.script!r} is not relative to the recipe's folder")

    def _run_with_retries(self, remote: Remote, text: str) -> None:
        for attempt in range(self.retries + 1):
            try:
                self._run_once(remote, text)
            except ConnectionLostError:
                raise
            except (CommandFailedError, CommandTimeoutError) as error:
                if attempt == self.retries or "still running" in dict(error.details):
                    raise self._last_error(error, attempt + 1) from error
                tries = f"attempt {attempt + 1} of {self.retries + 1}"
                remote.say(f"{tries} failed ({error.summary}); the next one follows in {self.pause_seconds:g} s")
                remote.run(["sleep", f"{self.pause_seconds:g}"], quiet=True)
            else:
                return

    def _run_once(self, remote: Remote, text: str) -> None:
        if self.working_directory is not None:
            text = f"cd -- {shlex.quote(self.working_directory)}\n{text}"
        words = ["/bin/sh", "-e", "-c", text]
        try:
            remote.run(words, sudo=self.sudo, env=self.env, timeout=self.timeout_seconds, exit_codes=self.exit_codes)
        except CommandFailedError as error:
            raise CommandFailedError(self._as_written(error.result), still_running=error.still_running) from error

    def _as_written(self, result: CommandResult) -> CommandResult:
        """With the command as the recipe has it, which is what a person looks for."""
        return replace(result, command=self.command or shlex.join([self.script or "", *self.arguments]))

    def _last_error(self, error: BakeError, attempts: int) -> BakeError:
        if self.retries:
            error.with_details(("attempts", str(attempts)))
        return error


def _remove_script(remote: Remote) -> None:
    try:
        remote.run(["rm", "-f", _SCRIPT_ON_MACHINE], sudo=True, quiet=True)
    except BakeError as error:  # tmpfs is emptied by the next start anyway; the first failure is what matters
        remote.say(f"{_SCRIPT_ON_MACHINE} could not be removed: {error.summary}")
