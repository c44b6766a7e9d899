"""A bench for checks: a recipe's folder, and a shell of this machine in the place of a machine."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any, cast

import pytest

from baker.checks.runner import run_checks
from baker.events import CheckFinished, Event
from baker.provisioner import CommandResult, Remote
from baker.recipe import Check


class LocalRemote:
    """The part of `Remote` that checks use, over this machine's own shell: what they run here is harmless."""

    """Only `run`; remembers each command."""

    login_user = "baker"
    architecture = "x86_64"

    def __init__(self) -> None:
        self.commands: list[str] = []

    def run(
        self,
        command: str | Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
        quiet: bool = False,
        **_other: Any,
    ) -> CommandResult:
        assert isinstance(command, str)
        assert quiet, "what a check prints on the machine does not belong into the log"
        assert not check, "testinfra judges exit codes itself"
        self.commands.append(command)
        started = time.monotonic()
        done = subprocess.run(
            ["/bin/sh", "-c", command], input=stdin, capture_output=True, timeout=timeout, check=False
        )
        return CommandResult(
            command=command,
            exit_code=done.returncode,
            stdout=done.stdout.decode(errors="replace"),
            stderr=done.stderr.decode(errors="replace"),
            seconds=time.monotonic() - started,
        )


class Bench:
    """A recipe folder, and what a run of checks in it did."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = LocalRemote()
        self.events: list[Event] = []

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return name

    def run(self, *checks: Check) -> tuple[CheckFinished, ...]:
        self.events.clear()
        return run_checks(checks, cast(Remote, self.remote), folder=self.folder, emit=self.events.append)

    def run_one(self, check: Check) -> CheckFinished:
        (result,) = self.run(check)
        return result


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
