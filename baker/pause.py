"""`--on-error pause`: a machine on which something failed waits for a person, who logs in and looks.

It waits for an hour at most, and never longer than `--timeout` allows. Whatever ends the wait (Enter, a signal, the
time, the machine itself), the bake then ends as it would have: with the failure that it stopped for.

The way in is two files in a folder of the run's own, the login key and the machine's host key. They are there for as
long as the wait lasts, and the key is never written anywhere else.
"""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from baker.errors import BakeError, Interrupted, TimeLimitReached
from baker.events import CleanupFailed, Emit, Notice, Progress
from baker.interrupts import shield
from baker.ports import Address, Clock, Machine
from baker.wait import wait_until

LONGEST_SECONDS = 3600.0

_TIME_IS_UP = "the time is up"

_SSH_PORT = 22
"""known_hosts names a server without its port when it is this one."""


class Keyboard(Protocol):
    """Where somebody may sit."""

    @property
    def is_there(self) -> bool: ...

    def forget(self) -> None:
        """Forget what was typed so far."""
        ...

    def enter_was_pressed(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """`folder` is the run's; `limit` is when the bake's own time is over, in seconds since the epoch."""

    folder: Path
    limit: float
    clock: Clock
    keyboard: Keyboard

    def __call__(self, machine: Machine, error: Exception, emit: Emit) -> None:
        """Hold `machine`, on which `error` happened, and return when the wait is over. Raises nothing."""
        try:
            machine.check_alive()
            with _login_files(machine.address, self.folder, emit) as command:
                ended = self._wait(machine, error, command, emit)
        except Interrupted as stop:
            ended = _TIME_IS_UP if isinstance(stop, TimeLimitReached) else str(stop)
        except Exception as problem:  # noqa: BLE001  (whatever it is: the failure that is told is the one before)
            ended = _in_words(problem)
        emit(Notice(level="info", text=f"the pause is over: {ended}"))

    def _wait(self, machine: Machine, error: Exception, command: str, emit: Emit) -> str:
        """Tell how to log in, and wait; what ended it."""
        seconds = max(0.0, min(LONGEST_SECONDS, self.limit - self.clock.now()))
        self.keyboard.forget()  # what was typed during the bake is no answer
        until = datetime.fromtimestamp(self.clock.now() + seconds, UTC)
        how = "press Enter or Ctrl-C" if self.keyboard.is_there else f"kill {os.getpid()}"
        lines = (
            f"the machine waits for you until {until:%H:%M:%S} UTC, and is removed then with all that is on it",
            *_reason(error),
            f"log in: {command}",
            f"end it: {how}",
        )
        emit(Notice(level="warning", text="\n".join(lines)))
        tell = _minutes(seconds, self.clock, emit)

        def ended() -> str | None:
            machine.check_alive()
            tell()
            return "Enter was pressed" if self.keyboard.enter_was_pressed() else None

        return wait_until(ended, timeout=seconds, clock=self.clock) or _TIME_IS_UP


def ssh_command(address: Address, *, key: Path, known_hosts: Path) -> str:
    """What a person types to log in with these two files, whatever their own configuration and agent say."""
    options = [
        f"IdentityFile={_in_configuration(key)}",  # not -i, which does not know %%
        "IdentitiesOnly=yes",
        f"UserKnownHostsFile={_in_configuration(known_hosts)}",
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
    ]
    if address.proxy_command:  # a line of shell, in which ssh takes %h and the like for its own
        options.append("ProxyCommand=" + shlex.join(address.proxy_command).replace("%", "%%"))
    words = ["ssh", "-F", "none"]
    for option in options:
        words += ["-o", option]
    return shlex.join([*words, "-p", str(address.port), f"{address.user}@{address.host}"])


def known_hosts_line(address: Address) -> str:
    """How ssh writes down whose key it is."""
    server = address.host if address.port == _SSH_PORT else f"[{address.host}]:{address.port}"
    return f"{server} {address.host_key}\n"


@contextmanager
def _login_files(address: Address, folder: Path, emit: Emit) -> Iterator[str]:
    """The way in, for as long as this is open: the command that takes it. OSError when it cannot be written."""
    login = folder / "login"
    login.mkdir(mode=0o700)
    key, known_hosts = login / "key", login / "known_hosts"
    try:
        _write(key, address.key.private)
        _write(known_hosts, known_hosts_line(address))
        yield ssh_command(address, key=key, known_hosts=known_hosts)
    finally:
        with shield():
            _remove(login, emit)


def _write(path: Path, text: str) -> None:
    """A new file, for its owner alone from the first byte."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _remove(login: Path, emit: Emit) -> None:
    try:
        shutil.rmtree(login)
    except OSError as error:
        hint = f"rm -rf {shlex.quote(str(login))}"
        emit(CleanupFailed(what=f"the login key in {login}", error=_in_words(error), remove_hint=hint))


def _minutes(seconds: float, clock: Clock, emit: Emit) -> Callable[[], None]:
    """Tells, when it is called, how many minutes have passed of so many seconds; once for each."""
    started, told = clock.monotonic(), -1

    def tell() -> None:
        nonlocal told
        minute = int((clock.monotonic() - started) // 60)
        if minute != told:
            told = minute
            emit(Progress(what="waited", done=minute, total=max(1, round(seconds / 60)), unit="minutes"))

    return tell


def _reason(error: Exception) -> tuple[str, ...]:
    """Why, line by line; the end of the bake says it again, an hour later."""
    details = error.details if isinstance(error, BakeError) else ()
    lines = [f"it failed: {_in_words(error)}"]
    for label, text in details:
        lines += [f"  {label}:", *(f"    {line}" for line in text.splitlines())]
    return tuple(lines)


def _in_words(error: Exception) -> str:
    return error.summary if isinstance(error, BakeError) else f"{type(error).__name__}: {error}"


def _in_configuration(path: Path) -> str:
    """A path as ssh's configuration wants it: %d is a home folder there, and a blank ends a word."""
    text = str(path).replace("%", "%%")
    if shlex.quote(text) == text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
