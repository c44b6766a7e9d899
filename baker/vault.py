"""Secret values: resolved once, before anything is created, and known to the redactor before anybody else.

Values live in this object only, never on a disk, in an event or in an error.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from baker.errors import SecretError
from baker.secret import SHORTEST_SECRET, Redactor, Secret

COMMAND_TIMEOUT_SECONDS = 60.0
"""How long a secret's command may take; long enough for a person to unlock a password store."""


class Vault:
    """The values of a bake's secrets. One for each bake; `redactor` is told each value."""

    def __init__(self, redactor: Redactor, *, command_timeout_seconds: float = COMMAND_TIMEOUT_SECONDS) -> None:
        self._redactor = redactor
        self._command_timeout = command_timeout_seconds
        self._values: dict[Secret, str] = {}

    def resolve(self, secrets: Iterable[Secret]) -> None:
        """Find the values of all `secrets`. SecretError for the first that has none or one that is unfit."""
        for secret in secrets:
            if secret not in self._values:
                value = self._found(secret)
                self._redactor.add([value])
                self._values[secret] = value

    def value(self, secret: Secret) -> str:
        """The value of a secret that was resolved. SecretError for any other: a step must declare its secrets."""
        try:
            return self._values[secret]
        except KeyError:
            raise SecretError(
                f"secret {secret} was not declared",
                hint="a step names all its secrets in requires(), so that they are resolved before the bake starts",
            ) from None

    def _found(self, secret: Secret) -> str:
        sources: dict[str, Callable[[Secret], str]] = {
            "env": _from_env,
            "file": _from_file,
            "command": self._from_command,
        }
        value = sources[secret.origin](secret)
        if len(value.strip()) < SHORTEST_SECRET:
            raise SecretError(
                f"secret {secret} is {'empty' if not value.strip() else 'too short'}",
                hint=f"a secret has at least {SHORTEST_SECRET} characters; a shorter one cannot be kept out of a log",
            )
        return value

    def _from_command(self, secret: Secret) -> str:
        try:
            # No timeout= with captured pipes: a grandchild that keeps them open would outlive it; a group can be ended.
            process = subprocess.Popen(
                secret.reference, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise SecretError(f"secret {secret}: the command cannot be started: {_reason(error)}") from error
        with process:
            try:
                output, _ = process.communicate(timeout=self._command_timeout)
            except BaseException as error:
                _end_group(process)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise SecretError(
                    f"secret {secret}: the command did not end within {self._command_timeout:g} s",
                    hint="run it by hand; it must not ask questions",
                ) from None
        if process.returncode:
            raise SecretError(
                f"secret {secret}: the command exited with {process.returncode}",
                hint="run it by hand; what it prints on standard error is above",
            )
        return _text(secret, output)


def _from_env(secret: Secret) -> str:
    (name,) = secret.reference
    value = os.environ.get(name)
    if value is None:
        raise SecretError(
            f"secret {secret}: the environment variable {name} is not set", hint=f"export {name}=... before `bake`"
        )
    return value


def _from_file(secret: Secret) -> str:
    path = Path(secret.reference[0]).expanduser()
    try:
        return _text(secret, path.read_bytes())
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder for ~
        raise SecretError(f"secret {secret}: the file cannot be read: {_reason(error)}") from error


def _text(secret: Secret, content: bytes) -> str:
    """As text, without the last line break."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SecretError(f"secret {secret} is not UTF-8 text") from None  # the error itself holds the bytes
    return text.removesuffix("\n").removesuffix("\r")


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """End the command and what it started; it never became anything that could need a gentle end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout:
        process.stdout.close()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
