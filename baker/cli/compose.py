"""Puts the parts of a bake together: the only place that knows them all. Decides nothing about the bake itself."""

import contextlib
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Any, TextIO

from baker.artifact import Artifact
from baker.catalogue import find_image
from baker.checks import READY_MADE
from baker.checks.runner import run_checks
from baker.cli.failures import report_bug
from baker.cli.mirrors_file import read_mirrors
from baker.cli.options import Duration, OnError
from baker.cli.planning import plan_of_image, plan_recipe
from baker.cli.runs import GRACE_SECONDS, RUNS_FOLDER, new_file, new_run_id, owner, run_folder
from baker.cli.terminal import Keyboard
from baker.clock import SystemClock
from baker.communicators.sftp import open_sftp
from baker.communicators.ssh import SshConnector
from baker.communicators.upload import open_upload
from baker.engine import Parts, bake
from baker.errors import BakeError, Interrupted, UsageError
from baker.events import BakeFinished, Emit, Record
from baker.home import Home
from baker.interrupts import Interrupts
from baker.labels import recorded_checks
from baker.ledger import Ledger
from baker.loader import load_recipe
from baker.pause import Pause
from baker.plan import Plan
from baker.ports import Builder, Clock, Promise, RunInfo
from baker.preflight import check_fetches
from baker.recipe import BuilderSpec
from baker.registry import builder_kinds, find_builder
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
from baker.share import share_image
from baker.sweep import sweep_own_runs
from baker.vault import Vault
from baker.verify import Verification, verify_again


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
    yes_public: bool
    verify: bool
    on_error: OnError
    wait_cleanup: bool
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What `bake verify` was asked for. `recipe` None: what the image's labels hold is all there is."""

    image: str
    recipe: Path | None
    on: str | None
    settings: Mapping[str, str]
    run_dir: Path | None
    timeout: Duration
    wait_cleanup: bool
    as_json: bool


_BOOT_SECONDS = 900.0
"""How long a machine from an image may take until it can be logged in to, when no recipe says it."""


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
    plan, builder = plan_recipe(request.recipe, on=request.on, settings=request.settings, find=_builder_getting_ready)
    _refuse_public_by_accident(plan, request)
    clock, redactor = SystemClock(), Redactor()
    ledger = _ledger(clock)
    redactor.add(mirrors.passwords())
    run = new_run(plan, request, clock, redactor)
    manifest = ManifestFile(run.run_dir / "manifest.json")

    def do(emit: Emit, interrupts: Interrupts) -> Artifact:
        vault = Vault(redactor)
        parts = Parts(
            builder=builder,
            connect=SshConnector(clock=clock),
            transfer=open_sftp,
            run_checks=run_checks,
            seal=seal,
            reach=partial(check_fetches, baking_host=builder.baking_host),
            vault=vault,
            clock=clock,
            interrupts=interrupts,
            ledger=ledger,
            sweep=lambda emit: sweep_own_runs(ledger, builder, emit, clock),
            manifest=manifest.for_image,
            verify=_verification(builder, vault, clock, interrupts) if request.verify else None,
            share=lambda image, share, emit: share_image(builder, image, share, upload=open_upload, emit=emit),
            pause=_pause(request, run, clock),
        )
        return bake(plan, parts, run, mirrors=mirrors, versions=_versions(), emit=emit)

    return _told(run, request.timeout, do, manifest=manifest, redactor=redactor, as_json=request.as_json)


def _builder_getting_ready(spec: BuilderSpec) -> Builder[Any]:
    """The builder, whole. What takes it a while at first happens beside the planning, when it has a `prepare`."""
    builder = find_builder(spec.kind)
    if prepare := getattr(builder, "prepare", None):
        Thread(target=prepare, args=(spec,), name="prepare", daemon=True).start()
    return builder


def _refuse_public_by_accident(plan: Plan, request: BakeRequest) -> None:
    """What a recipe of somebody else's says is not enough for the whole world."""
    if plan.recipe.share.public and not request.yes_public:
        raise UsageError(
            f"{request.recipe}: the recipe makes its image public: the whole world could start machines from it",
            hint="when that is meant, say it once more: --yes-public",
        )


def run_verification(request: VerifyRequest) -> int:
    """Verify an image, and print its id as the last line on standard output; the exit code. Errors as in `run_bake`."""
    recipe = load_recipe(request.recipe, request.settings) if request.recipe else None
    builder, image = find_image(request.image, builder_kinds(), find_builder)
    if recipe is not None:
        promise = _promise(plan_of_image(image, recipe, on=request.on))
    else:
        promise = Promise(
            checks=recorded_checks(image, READY_MADE), folder=Path.cwd(), boot_timeout_seconds=_BOOT_SECONDS
        )
    clock, redactor = SystemClock(), Redactor()
    run_id, started = new_run_id(clock)
    run = RunInfo(
        run_id=run_id,
        recipe=image.recipe or image.name,
        fingerprint=image.fingerprint,
        image_name=image.name,
        owner=owner(),
        started=started,
        expires=started + request.timeout.seconds + GRACE_SECONDS,
        run_dir=run_folder(request.run_dir or RUNS_FOLDER / run_id),
        wait_cleanup=request.wait_cleanup,
        redact=redactor,
    )

    def do(emit: Emit, interrupts: Interrupts) -> Artifact:
        verification = _verification(builder, Vault(redactor), clock, interrupts)
        return verify_again(
            image,
            promise,
            verification,
            run,
            ledger=_ledger(clock),
            label=recipe is not None,
            versions=_versions(),
            emit=emit,
        )

    manifest = ManifestFile(run.run_dir / "manifest.json")
    return _told(run, request.timeout, do, manifest=manifest, redactor=redactor, as_json=request.as_json)


def _promise(plan: Plan) -> Promise:
    """What nobody but the recipe's author knows of an image; the rest is in its labels."""
    return Promise(
        checks=plan.recipe.checks,
        folder=plan.recipe.folder,
        boot_timeout_seconds=plan.spec.boot_timeout_seconds,
        spec=plan.spec,
    )


def _verification(builder: Builder[Any], vault: Vault, clock: Clock, interrupts: Interrupts) -> Verification:
    return Verification(
        builder=builder,
        connect=SshConnector(clock=clock),
        transfer=open_sftp,
        resolve=vault.value,
        run_checks=run_checks,
        clock=clock,
        interrupts=interrupts,
    )


def _ledger(clock: Clock) -> Ledger:
    return Ledger(folder=lambda: Home.from_environment().ledger, clock=clock)


def _told(
    run: RunInfo,
    timeout: Duration,
    do: Callable[[Emit, Interrupts], Artifact],
    *,
    manifest: ManifestFile,
    redactor: Redactor,
    as_json: bool,
) -> int:
    """Do something that tells its story as events, in front of all who are told; the exit code."""
    clock, ending = SystemClock(), _Ending()
    own = NamedSink("ending", ending), NamedSink("manifest.json", manifest)
    with _sinks(run, clock, sys.stdout if as_json else None) as sinks:
        stream = EventStream([*sinks, *own], clock=clock, redactor=redactor)
        try:
            with _attended(timeout, stream.emit) as interrupts:
                artifact = do(stream.emit, interrupts)
        except (BakeError, Interrupted) as error:
            if not ending.told:
                raise
            return error.exit_code
        except Exception as error:  # noqa: BLE001  (a bug of ours, kept in the run's folder)
            report_bug(error, folder=run.run_dir, redactor=redactor)
            return 1
    if not as_json and sys.stdout is not None:
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


def _pause(request: BakeRequest, run: RunInfo, clock: Clock) -> Pause | None:
    """Within `--timeout`, which a pause does not extend."""
    if request.on_error == "terminate":
        return None
    limit = run.started + request.timeout.seconds
    return Pause(folder=run.run_dir, limit=limit, clock=clock, keyboard=Keyboard(sys.stdin))


def new_run(plan: Plan, request: BakeRequest, clock: Clock, redactor: Redactor) -> RunInfo:
    """A run that starts now, with its folder made. UsageError when that cannot be."""
    run_id, started = new_run_id(clock)
    time = run_id.partition("-")[0]
    return RunInfo(
        run_id=run_id,
        recipe=plan.recipe.name,
        fingerprint=plan.fingerprint,
        image_name=f"{plan.recipe.name}-{time}-{plan.fingerprint[:8]}",
        owner=owner(),
        started=started,
        expires=started + request.timeout.seconds + GRACE_SECONDS,
        run_dir=run_folder(request.run_dir or RUNS_FOLDER / run_id),
        refresh=request.refresh,
        wait_cleanup=request.wait_cleanup,
        redact=redactor,
    )


@contextlib.contextmanager
def _sinks(run: RunInfo, clock: Clock, json_output: TextIO | None) -> Iterator[tuple[NamedSink, ...]]:
    """All that is told of a bake, and to whom. Closes what it opens."""
    with contextlib.ExitStack() as stack:
        events = stack.enter_context(new_file(run.run_dir / "events.jsonl"))
        text = stack.enter_context(new_file(run.run_dir / "console.log"))
        sinks = [
            NamedSink("events.jsonl", JsonLog(events)),
            NamedSink("console.log", text_log(text, clock, typed_name())),
            NamedSink("checks.xml", JunitFile(run.run_dir / "checks.xml")),
        ]
        if json_output is not None:
            sinks.append(NamedSink("--json", JsonLog(json_output)))
        if sys.stderr is not None:
            console = Console(screen_for(sys.stderr, os.environ), clock, typed_name())
            stack.enter_context(Ticker(console.tick))
            sinks.append(NamedSink("the console", console))
        yield tuple(sinks)


def typed_name() -> str:
    """How to type this program again: `bake` where the shell finds it under that name, else as it was called."""
    called = sys.argv[0]
    found = shutil.which("bake")
    if Path(called).name != "bake" or (found and os.path.realpath(found) == os.path.realpath(called)):
        return "bake"
    return shlex.quote(called)


def _versions() -> dict[str, str]:
    return {"image-baker": version("image-baker"), "python": platform.python_version(), "host": platform.platform()}
