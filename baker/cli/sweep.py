"""`bake sweep`: what dead runs left, listed and removed."""

import json
from dataclasses import asdict, dataclass

import click

from baker.artifact import Leftover
from baker.cli.failures import report
from baker.cli.options import examples, json_option
from baker.clock import SystemClock
from baker.errors import NOT_USED_HERE, BakeError, LeftoverError
from baker.home import Home
from baker.ledger import Ledger
from baker.registry import builder_kinds, find_builder
from baker.reporters.wording import duration
from baker.sweep import Findings, look, remove


@click.command(epilog=examples("bake sweep", "bake sweep --yes", "bake sweep --on qemu --json"))
@click.option("--on", metavar="BUILDER", help="Ask this builder alone, by its kind.")
@click.option(
    "--location",
    metavar="X",
    help='Look there alone, or in "all" places; without, where the builder looks by default and where runs have been.',
)
@click.option("--yes", is_flag=True, help="Remove what is found.")
@json_option("Write one JSON object a line for each thing.")
def command(on: str | None, location: str | None, yes: bool, as_json: bool) -> int:
    """List what dead runs left, and with --yes remove it. What belongs to a run that is alive is never touched.

    Ends with 0 when nothing is left, with 8 when something is.
    """
    clock = SystemClock()
    ledger = Ledger(folder=lambda: Home.from_environment().ledger, clock=clock)
    found = look(ledger, _kinds(ledger, on), find_builder, location=location, clock=clock)
    unasked = _unasked(found, on)
    for error in unasked:
        report(error)
    for spared in found.spared:
        click.echo(f"left alone: {_named(spared.leftover)}: {spared.why}", err=True)
    tell = _Telling(now=clock.now(), as_json=as_json)
    remaining = _sweep(found, ledger, tell, yes)
    for item in found.unconfirmed:
        tell("unknown", item.leftover, item.reason)
        report(_by_hand(f"{_named(item.leftover)} may be left", item.leftover, item.reason))
    remaining += len(found.unconfirmed)
    if not remaining and not found.dead and not unasked and not as_json:
        click.echo("nothing is left of dead runs")
    return unasked[0].exit_code if unasked else LeftoverError.exit_code if remaining else 0


def _sweep(found: Findings, ledger: Ledger, tell: "_Telling", yes: bool) -> int:
    """List, or remove; how many things remain."""
    if not yes:
        for leftover in found.dead:
            tell("left", leftover)
        if found.dead:
            click.echo("`bake sweep --yes` removes what is left", err=True)
        return len(found.dead)
    failed = 0
    for removal in remove(found, ledger, find_builder):
        if removal.error is None:
            tell("removed", removal.leftover)
        else:
            failed += 1
            tell("failed", removal.leftover, removal.error)
            report(_by_hand(f"{_named(removal.leftover)} cannot be removed", removal.leftover, removal.error))
    return failed


def _kinds(ledger: Ledger, on: str | None) -> tuple[str, ...]:
    """The builders to ask: those that are installed, and those that runs in the ledger used."""
    known = {*builder_kinds(), *(record.builder for record in ledger.runs())}
    if on is None:
        return tuple(sorted(known))
    if on not in known:
        find_builder(on)  # an unknown one is an error of its own, and not an empty list
    return (on,)


def _unasked(found: Findings, on: str | None) -> list[BakeError]:
    """Why the builder that was meant did not answer, or not for all places. Of others it is said, if they are used."""
    if on is not None:
        return [error for _, error in found.unasked]
    for kind, error in found.unasked:
        if not isinstance(error, NOT_USED_HERE):
            click.echo(f"{kind} was not asked: {error.summary}", err=True)
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Telling:
    """Writes one line for each thing."""

    now: float
    as_json: bool

    def __call__(self, state: str, leftover: Leftover, error: BakeError | None = None) -> None:
        age = None if leftover.created is None else max(0.0, self.now - leftover.created)
        if self.as_json:
            reason = error.summary if error else ""
            click.echo(json.dumps({"state": state, **asdict(leftover), "age_seconds": age, "reason": reason}))
            return
        words = (
            _named(leftover),
            f"in {leftover.location}",
            "" if age is None else f"{duration(age)} old",
            leftover.cost,
        )
        click.echo(f"{state:<8} {', '.join(word for word in words if word)}")


def _named(leftover: Leftover) -> str:
    return f"{leftover.builder} {leftover.kind} {leftover.id}".lstrip()


def _by_hand(summary: str, leftover: Leftover, error: BakeError) -> BakeError:
    """The error as a person needs it: what it is about, why, and how to do it by hand."""
    details = (("reason", error.summary), *error.details)
    by_hand = f"remove it with: {leftover.remove_hint}" if leftover.remove_hint else None
    return BakeError(summary, details=details, hint="\n".join(filter(None, (error.hint, by_hand))) or None)
