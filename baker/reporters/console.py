"""What a person sees of a bake while it runs, and what it comes to in the end."""

import threading

from baker.events import (
    ArtifactCaptured,
    ArtifactVerified,
    BakeFinished,
    BakeStarted,
    CheckFinished,
    CleanupFailed,
    FactRecorded,
    Notice,
    OutputLine,
    Progress,
    Record,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
    VerificationStarted,
)
from baker.ports import Clock
from baker.reporters.screen import Screen, Style
from baker.reporters.wording import amount, duration, error_lines, printable, size

QUIET_SECONDS = 30.0
"""A plain stream that has been silent for this long gets a line, so that a CI system does not look hung."""

NEXT_COMMAND = "next command"
"""The name of the fact that says what to type after the bake; its value is the command."""

_CHECK_STYLES: dict[str, Style] = {"passed": "good", "failed": "bad", "error": "bad", "skipped": "warning"}


class Console:
    """A sink that writes to `screen`. `tick` is to be called about once a second, from any thread.

    `command` is how to type `bake` here.
    """

    def __init__(self, screen: Screen, clock: Clock, command: str = "bake") -> None:
        self._command = command
        self._screen = screen
        self._clock = clock
        self._lock = threading.RLock()
        self._printed = clock.monotonic()
        self._stage = ""
        self._step = ""
        self._steps = 0
        self._since = clock.monotonic()
        self._progress = ""
        self._times: list[tuple[str, float]] = []
        self._image: ArtifactCaptured | None = None
        self._is_verified = False
        self._next = ""
        self._run_dir = ""

    def __call__(self, record: Record) -> None:
        with self._lock:
            self._show(record)
            self._screen.show_status(self._status())

    def tick(self) -> None:
        """Let the live line's time move on; on a plain stream, say so when nothing has been said for long."""
        with self._lock:
            if self._screen.is_live:
                self._screen.show_status(self._status())
            elif self._stage and self._clock.monotonic() - self._printed >= QUIET_SECONDS:
                self._print(f"  ... {self._status()}", "dim")

    def _show(self, record: Record) -> None:
        match record.event:
            case OutputLine(stream="note", text=text):
                self._print(f"    {printable(text)}")
            case OutputLine(text=text):
                self._print(f"    {printable(text)}".rstrip(), "dim")
            case Progress(what=what, done=done, total=total, unit=unit):
                self._progress = f"{printable(what)} {amount(done, total, unit)}"
            case StepStarted() | StepFinished() | StageStarted() | StageFinished() as event:
                self._move(event)
            case CheckFinished() as check:
                self._check(check)
            case Notice(level="warning", text=text):
                self._print_all(error_lines(text, word="warning"), "warning")
            case Notice(text=text):
                self._print(f"  {printable(text)}")
            case CleanupFailed(what=what, error=error, remove_hint=hint):
                lines = error_lines(f"{what} could not be removed", (("reason", error), ("remove it with", hint)))
                self._print_all(lines, "bad")
            case event:
                self._remember(event)

    def _remember(self, event: object) -> None:
        """Events of the whole bake: its beginning, its end, and what the end has to tell."""
        match event:
            case BakeStarted() as started:
                self._steps = len(started.steps)
                self._run_dir = started.run_dir
                steps = "1 step" if self._steps == 1 else f"{self._steps} steps"
                self._print(f"baking {started.recipe} on {started.builder}: {steps}", "heading")
                self._print(f"  run {started.run_id}, fingerprint {started.fingerprint[:12]}")
                self._print(f"  kept in {started.run_dir}")
            case VerificationStarted() as started:
                self._run_dir = started.run_dir
                self._print(f"verifying {started.image_name} on {started.builder}", "heading")
                self._print(f"  run {started.run_id}, image {started.image}")
                self._print(f"  kept in {started.run_dir}")
            case ArtifactCaptured() as image:
                self._image = image
            case ArtifactVerified():
                self._is_verified = True
                self._print("  the image is verified", "good")
            case FactRecorded(name=name, value=value) if name == NEXT_COMMAND:
                self._next = value
            case BakeFinished() as end:
                self._finish(end)

    def _move(self, event: StepStarted | StepFinished | StageStarted | StageFinished) -> None:
        """The beginning or the end of a stage or a step."""
        self._progress = ""
        match event:
            case StageStarted(stage=stage):
                self._stage, self._step, self._since = stage, "", self._clock.monotonic()
                self._print(f"[{stage}]", "heading")
            case StageFinished(stage=stage, ok=ok, seconds=seconds):
                self._times.append((stage, seconds))
                self._stage = self._step = ""
                self._print(f"[{stage}] {_ended(ok, seconds)}", "good" if ok else "bad")
            case StepStarted(number=number, name=name):
                self._step, self._since = f"{number}/{self._steps} {printable(name)}", self._clock.monotonic()
                self._print(f"  step {number} of {self._steps}: {printable(name)}", "heading")
            case StepFinished(number=number, name=name, ok=ok, seconds=seconds):
                self._step = ""
                text = f"  step {number} of {self._steps}: {printable(name)}: {_ended(ok, seconds)}"
                self._print(text, "good" if ok else "bad")

    def _check(self, check: CheckFinished) -> None:
        self._progress = ""
        text = f"  {check.outcome:<7} {printable(check.name)}, {duration(check.seconds)}"
        self._print(text, _CHECK_STYLES[check.outcome])
        if check.outcome != "passed":
            for line in check.message.splitlines():
                self._print(f"          {printable(line)}".rstrip())

    def _finish(self, end: BakeFinished) -> None:
        self._stage = self._step = ""
        self._print("")
        rows = [*self._times, ("total", end.seconds)]
        for stage, seconds in rows:
            self._print(f"  {stage:<10} {seconds:>8.1f} s")
        if self._image:
            room = f" ({size(self._image.size_bytes)})" if self._image.size_bytes is not None else ""
            state = "" if self._is_verified else ", not verified"
            self._print(f"image {self._image.name}{room}{state}", "heading")
            self._print(f"  {self._image.id}")
        if end.exit_code:
            summary = end.summary or f"the bake ended with exit code {end.exit_code}"
            self._print_all(error_lines(summary, end.details, end.hint), "bad")
            self._print(f"everything of this run is in {self._run_dir}")
        elif self._image:
            self._print(f"next: {self._next or f'{self._command} images'}")

    def _status(self) -> str:
        """What is going on, for how long, and how far it is; empty between stages."""
        if not self._stage:
            return ""
        elapsed = duration(self._clock.monotonic() - self._since)
        return "  ".join(part for part in (self._stage, self._step, self._progress, elapsed) if part)

    def _print_all(self, lines: tuple[str, ...], style: Style) -> None:
        """The first line in `style`, the others as they are."""
        for number, line in enumerate(lines):
            self._print(line, "normal" if number else style)

    def _print(self, text: str, style: Style = "normal") -> None:
        self._screen.print(text, style)
        self._printed = self._clock.monotonic()


def _ended(ok: bool, seconds: float) -> str:
    return f"done in {duration(seconds)}" if ok else f"FAILED after {duration(seconds)}"
