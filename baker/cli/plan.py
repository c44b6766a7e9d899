"""`bake plan RECIPE`: what would be made and run, with fingerprints. Starts nothing and asks no network."""

import json
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import click

from baker.cli.mirrors_file import read_mirrors
from baker.cli.options import examples, json_option, mirrors_option, on_option, recipe_argument, set_option
from baker.cli.planning import plan_recipe
from baker.fingerprint import canonical
from baker.mirrors import Mirrors
from baker.plan import Plan
from baker.probes import without_login
from baker.recipe import Check

_SHORT = 12


@click.command(epilog=examples("bake plan recipes/ocean.py", "bake plan recipes/ocean.py --json | jq -r .fingerprint"))
@recipe_argument
@on_option
@set_option
@mirrors_option
@json_option("Write the whole plan as one JSON object.")
def command(recipe: Path, on: str | None, settings: dict[str, str], mirrors: Path | None, as_json: bool) -> None:
    """Show what a bake would make and run, with fingerprints. Starts nothing, fetches nothing.

    The recipe itself is run: it is Python.
    """
    stand_ins = read_mirrors(mirrors)
    planned = plan_recipe(recipe, on=on, settings=settings)
    if as_json:
        click.echo(json.dumps(plan_json(planned, stand_ins), indent=2))
        return
    for line in plan_lines(planned, stand_ins):
        click.echo(line)


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
