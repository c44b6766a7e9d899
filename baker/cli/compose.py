"""Puts the parts of a bake together: the only place that knows them all. Decides nothing about the bake itself."""

import contextlib
import getpass
import os
import platform
import secrets
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from baker.checks.runner import run_checks
from baker.cli.failures import report_bug
from baker.cli.mirrors_file import read_mirrors
from baker.cli.options import Duration
from baker.cli.planning import plan_recipe
from baker.clock import SystemClock
from baker.communicators.sftp import open_sftp
from baker.communicators.ssh import SshConnector
from baker.engine import Parts, bake
from baker.errors import BakeError, Interrupted, UsageError
from baker.events import BakeFinished, Emit, Record
from baker.interrupts import Interrupts
from baker.plan import Plan
from baker.ports import Clock, RunInfo
from baker.preflight import check_fetches
from baker.registry import find_builder
from baker.reporters.console import Console
from baker.reporters.jsonlog import JsonLog
from baker.reporters.junit import JunitFile
from baker.reporters.manifest_file import ManifestFile
from baker.reporters.printed import PrintedLines
from baker.reporters.screen import screen_for
from baker.reporters.stream import EventStream, NamedSink
from baker.reporters.textlog import text_log
from baker.reporters.ticker import Ticker
from baker.seal.sealer import seal
from baker.secret import Redactor
from baker.vault import Vault

RUNS_FOLDER = Path(".bake") / "runs"

GRACE_SECONDS = 30 * 60
"""How long after `--timeout` what a dead bake left may still stand, until a machine ends itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeRequest:
    """What was asked for on the command line."""

    recipe: Path
    on: str | None
    settings: Mapping[str, str]
    mirrors: Path | None
    run_dir: Path | None
    timeout: Duration
    refresh: bool
    as_json: bool


class _Ending:
    """A sink that knows whether the end has been told: the console shows the error then, and nobody else must."""

    told = False

    def __call__(self, record: Record) -> None:
        self.told = self.told or isinstance(record.event, BakeFinished)


def run_bake(request: BakeRequest) -> int:
    """Bake, and print the image's id as the last line on standard output; the exit code.

    Errors before the first event are raised; later ones have been shown when this returns.
    """
    mirrors = read_mirrors(request.mirrors)
    plan = plan_recipe(request.recipe, on=request.on, settings=request.settings)
    builder = find_builder(plan.spec.kind)
    clock, redactor, ending = SystemClock(), Redactor(), _Ending()
    redactor.add(mirrors.passwords())
    run = new_run(plan, request, clock)
    with _sinks(run, clock, sys.stdout if request.as_json else None) as sinks:
        stream = EventStream([*sinks, NamedSink("ending", ending)], clock=clock, redactor=redactor)
        try:
            with _attended(request.timeout, stream.emit) as interrupts:
                parts = Parts(
                    builder=builder,
                    connect=SshConnector(clock=clock),
                    transfer=open_sftp,
                    run_checks=run_checks,
                    seal=seal,
                    reach=partial(check_fetches, baking_host=builder.baking_host),
                    vault=Vault(redactor),
                    clock=clock,
                    interrupts=interrupts,
                )
                artifact = bake(plan, parts, run, mirrors=mirrors, versions=_versions(), emit=stream.emit)
        except (BakeError, Interrupted) as error:
            if not ending.told:
                raise
            return error.exit_code
        except Exception as error:  # noqa: BLE001  (a bug of ours, kept in the run's folder)
            report_bug(error, folder=run.run_dir, redactor=redactor)
            return 1
    if not request.as_json and sys.stdout is not None:
        sys.stdout.write(f"{redactor(artifact.id)}\n")
    return 0


@contextlib.contextmanager
def _attended(timeout: Duration, emit: Emit) -> Iterator[Interrupts]:
    """While a bake runs: signals and the time limit end it, and what anybody prints is told as an event."""
    with (
        Interrupts(timeout=timeout.seconds, limit_text=timeout.text) as interrupts,
        PrintedLines(emit) as printed,
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        yield interrupts


def new_run(plan: Plan, request: BakeRequest, clock: Clock) -> RunInfo:
    """A run that starts now, with its folder made. UsageError when that cannot be."""
    started = clock.now()
    time = datetime.fromtimestamp(started, UTC).strftime("%Y%m%dt%H%M%S")
    run_id = f"{time}-{secrets.token_hex(2)}"
    return RunInfo(
        run_id=run_id,
        recipe=plan.recipe.name,
        fingerprint=plan.fingerprint,
        image_name=f"{plan.recipe.name}-{time}-{plan.fingerprint[:8]}",
        owner=_owner(),
        started=started,
        expires=started + request.timeout.seconds + GRACE_SECONDS,
        run_dir=_run_folder(request.run_dir or RUNS_FOLDER / run_id),
        refresh=request.refresh,
    )


def _run_folder(folder: Path) -> Path:
    """`folder`, made for its owner alone when it is new. One that holds another run's log is refused."""
    hint = "name another one with --run-dir"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / "events.jsonl").exists():
            raise UsageError(f"{folder} holds the log of another run", hint=hint)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the run's folder {folder} cannot be made: {reason}", hint=hint) from error
    return folder.absolute()


@contextlib.contextmanager
def _sinks(run: RunInfo, clock: Clock, json_output: TextIO | None) -> Iterator[tuple[NamedSink, ...]]:
    """All that is told of a bake, and to whom. Closes what it opens."""
    with contextlib.ExitStack() as stack:
        events = stack.enter_context(_new_file(run.run_dir / "events.jsonl"))
        text = stack.enter_context(_new_file(run.run_dir / "console.log"))
        sinks = [
            NamedSink("events.jsonl", JsonLog(events)),
            NamedSink("console.log", text_log(text, clock)),
            NamedSink("manifest.json", ManifestFile(run.run_dir / "manifest.json")),
            NamedSink("checks.xml", JunitFile(run.run_dir / "checks.xml")),
        ]
        if json_output is not None:
            sinks.append(NamedSink("--json", JsonLog(json_output)))
        if sys.stderr is not None:
            console = Console(screen_for(sys.stderr, os.environ), clock)
            stack.enter_context(Ticker(console.tick))
            sinks.append(NamedSink("the console", console))
        yield tuple(sinks)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """A text file that does not exist yet. What is still in its buffer when the disk is full is lost, without a word:
    the stream has told already that the log ended."""
    try:
        file = path.open("x", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="name another --run-dir") from error
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


def _owner() -> str:
    """Who bakes; a number where the account has no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _versions() -> dict[str, str]:
    return {"image-baker": version("image-baker"), "python": platform.python_version(), "host": platform.platform()}
