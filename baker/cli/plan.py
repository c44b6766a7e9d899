"""`bake plan RECIPE`: what would be made and run, with fingerprints. Starts nothing; asks nobody without `--live`."""

import json
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import click

from baker.cli.failures import report
from baker.cli.mirrors_file import read_mirrors
from baker.cli.options import (
    Duration,
    examples,
    json_option,
    mirrors_option,
    on_option,
    recipe_argument,
    set_option,
    timeout_option,
)
from baker.cli.planning import plan_recipe
from baker.cli.runs import GRACE_SECONDS
from baker.clock import SystemClock
from baker.errors import BakeError
from baker.fingerprint import canonical
from baker.mirrors import Mirrors
from baker.plan import Plan
from baker.preflight import check_fetches
from baker.probes import without_login
from baker.recipe import Check, Share
from baker.registry import find_builder
from baker.rehearsal import rehearse
from baker.secret import Redactor
from baker.vault import Vault

_SHORT = 12


@click.command(
    epilog=examples(
        "bake plan recipes/ocean.py",
        "bake plan recipes/ocean.py --on aws --live",
        "bake plan recipes/ocean.py --json | jq -r .fingerprint",
    )
)
@recipe_argument
@on_option
@set_option
@mirrors_option
@click.option("--live", is_flag=True, help="Also ask for all that could stop a bake now: accounts, servers, secrets.")
@timeout_option
@json_option("Write the whole plan as one JSON object.")
def command(  # noqa: PLR0917  (click hands over one argument for each option)
    recipe: Path,
    on: str | None,
    settings: dict[str, str],
    mirrors: Path | None,
    live: bool,
    timeout: Duration,
    as_json: bool,
) -> int:
    """Show what a bake would make and run, with fingerprints. Starts nothing, fetches nothing.

    With --live it asks what a bake would ask first (it still makes nothing), tells all that is in the way, and ends
    with the exit code of the first. The recipe itself is run: it is Python.
    """
    stand_ins = read_mirrors(mirrors)
    planned, _ = plan_recipe(recipe, on=on, settings=settings)
    redactor = Redactor()
    problems = _problems(planned, stand_ins, timeout, redactor) if live else []
    if as_json:
        told = {"problems": [problem_json(problem, redactor) for problem in problems]} if live else {}
        click.echo(json.dumps({**plan_json(planned, stand_ins), **told}, indent=2))
    else:
        for line in plan_lines(planned, stand_ins):
            click.echo(line)
        if live and not problems:
            click.echo("nothing is in the way of a bake now")
    for problem in problems:
        report(problem, redactor)
    return problems[0].exit_code if problems else 0


def _problems(plan: Plan, mirrors: Mirrors, timeout: Duration, redactor: Redactor) -> list[BakeError]:
    """All that a bake would be refused for now, in order. Creates nothing."""
    builder = find_builder(plan.spec.kind)
    redactor.add(mirrors.passwords())
    found = rehearse(
        plan,
        builder,
        vault=Vault(redactor),
        reach=lambda plan: check_fetches(plan, mirrors, baking_host=builder.baking_host),
        until=SystemClock().now() + timeout.seconds + GRACE_SECONDS,
    )
    return list(found)


def problem_json(problem: BakeError, redactor: Redactor) -> dict[str, Any]:
    """An error as plain data, free of secrets."""
    return {
        "summary": redactor(problem.summary),
        "details": [[redactor(text) for text in detail] for detail in problem.details],
        "hint": redactor(problem.hint) if problem.hint else None,
        "exit_code": problem.exit_code,
    }


def plan_lines(plan: Plan, mirrors: Mirrors) -> Iterator[str]:
    """The plan as a person reads it."""
    recipe = plan.recipe
    yield f"recipe       {recipe.name}" + (f" - {recipe.description}" if recipe.description else "")
    yield f"builder      {plan.spec.name}" + (f" ({plan.spec.kind})" if plan.spec.name != plan.spec.kind else "")
    if (source := getattr(plan.spec, "source", None)) is not None:
        yield f"source       {_written(source)}"
    yield f"fingerprint  {plan.fingerprint[:_SHORT]}"
    yield from _section("parameters", (f"{name:<20} {value}" for name, value in recipe.parameters.items()))
    yield from _section("disks", (f"{disk.name:<20} {disk.size_gib} GiB" for disk in plan.disks))
    yield from _section("steps", (f"{step.number:>3}  {step.fingerprint[:_SHORT]}  {step.name}" for step in plan.steps))
    yield from _section("fetches", _fetch_lines(plan, mirrors))
    yield from _section("secrets", (secret.name for secret in plan.secrets))
    yield from _section("checks", (check_name(check) for check in recipe.checks))
    yield from _section("share", _share_lines(recipe.share))


def plan_json(plan: Plan, mirrors: Mirrors) -> dict[str, Any]:
    """The whole plan as plain data. Secrets are in it by name."""
    recipe = plan.recipe
    return {
        "recipe": recipe.name,
        "description": recipe.description,
        "parameters": {name: str(value) for name, value in recipe.parameters.items()},
        "builder": {"name": plan.spec.name, "kind": plan.spec.kind, "spec": canonical(plan.spec)},
        "fingerprint": plan.fingerprint,
        "disks": [asdict(disk) for disk in plan.disks],
        "steps": [
            {
                "number": step.number,
                "name": step.name,
                "kind": step.kind,
                "fingerprint": step.fingerprint,
                "inputs": [str(path) for path in step.provisioner.inputs()],
                "disks": list(step.requirements.disks),
                "fetches": [asdict(fetch) for fetch in step.requirements.fetches],
                "secrets": [secret.name for secret in step.requirements.secrets],
            }
            for step in plan.steps
        ],
        "fetches": [
            {**asdict(fetch), "mirrored_url": without_login(mirrors.mirrored(fetch).url)} for fetch in plan.fetches
        ],
        "checks": [check_name(check) for check in recipe.checks],
        "share": asdict(recipe.share),
        "tags": dict(recipe.tags),
    }


def check_name(check: Check) -> str:
    """How a check is called: its own name, that of its function, or its file."""
    if isinstance(check, str | Path):
        return str(check)
    return str(getattr(check, "name", None) or getattr(check, "__name__", None) or type(check).__name__)


def _fetch_lines(plan: Plan, mirrors: Mirrors) -> Iterator[str]:
    for fetch in plan.fetches:
        mirrored = mirrors.mirrored(fetch).url
        by = f"  -> {without_login(mirrored)}" if mirrored != fetch.url else ""
        yield f"{fetch.kind:<16} {without_login(fetch.url)}{by}"


def _share_lines(share: Share) -> Iterator[str]:
    yield from share.targets
    yield from (f"a copy in {region}" for region in share.regions)
    if share.public:
        yield "the whole world (with --yes-public)"


def _written(value: object) -> str:
    """A part of a spec as it would be written: without what is empty."""
    if not is_dataclass(value) or isinstance(value, type):
        return str(value)
    given = ((field.name, getattr(value, field.name)) for field in fields(value))
    written = ", ".join(f"{name}={it!r}" for name, it in given if it not in ((), "", None))
    return f"{type(value).__name__}({written})"


def _section(title: str, rows: Iterator[str]) -> Iterator[str]:
    """Rows under a title; nothing when there are none."""
    for number, row in enumerate(rows):
        if not number:
            yield title
        yield f"  {row}"
