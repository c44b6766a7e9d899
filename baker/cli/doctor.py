"""`bake doctor`: what this machine can do, and what to install."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import click

from baker.cli.mirrors_file import read_mirrors
from baker.cli.options import examples, json_option
from baker.errors import BakeError, BuilderUnavailableError
from baker.home import Home
from baker.ports import Finding
from baker.registry import builder_kinds, find_builder
from baker.reporters.wording import size

_ENOUGH_BYTES = 10 << 30
"""Source image, overlay, and two images of the size of a conda environment."""


@click.command(epilog=examples("bake doctor", "bake doctor --json"))
@json_option("Write one JSON object a line for each finding.")
def command(as_json: bool) -> int:
    """Say what this machine can do, and what to install for the rest.

    The exit code is 0 when at least one builder can bake here, else 3.
    """
    found = {"baker": tuple(host_findings()), **{kind: tuple(builder_findings(kind)) for kind in builder_kinds()}}
    for subject, findings in found.items():
        if not as_json:
            click.echo(subject)
        for finding in findings:
            click.echo(json.dumps({"subject": subject, **asdict(finding)}) if as_json else _text(finding))
    able = [kind for kind in builder_kinds() if all(finding.ok for finding in (*found["baker"], *found[kind]))]
    if not as_json:
        click.echo(f"can bake on: {', '.join(able) or 'nothing yet'}")
    return 0 if able else BuilderUnavailableError.exit_code


def host_findings() -> Iterator[Finding]:
    """What does not depend on a builder."""
    python = f"Python {platform.python_version()} at {sys.executable}"
    yield Finding(name="version", ok=True, text=f"image-baker {version('image-baker')}, {python}")
    yield _home_finding()
    if named := os.environ.get("BAKER_MIRRORS"):
        try:
            read_mirrors(Path(named))
        except BakeError as error:
            yield Finding(name="mirrors", ok=False, text=error.summary, hint=error.hint)
        else:
            yield Finding(name="mirrors", ok=True, text=f"{named}, named by $BAKER_MIRRORS")


def builder_findings(kind: str) -> Iterator[Finding]:
    """Whether a builder is complete, and what it says itself, where it has something to say."""
    try:
        builder = find_builder(kind)
    except BakeError as error:
        yield Finding(name="parts", ok=False, text=error.summary, hint=error.hint)
        return
    yield Finding(name="parts", ok=True, text="all Python modules are installed")
    if diagnose := getattr(builder, "diagnose_host", None):
        yield from diagnose()


def _home_finding() -> Finding:
    """Where sources and images go: writable, and with room. Little room is said and no obstacle: builders know more."""
    try:
        home = Home.from_environment()
    except BakeError as error:
        return Finding(name="home", ok=False, text=error.summary, hint=error.hint)
    if reason := home.problem():
        return Finding(name="home", ok=False, text=reason, hint="export BAKER_HOME=/a/folder/of/yours")
    free = home.free_bytes()
    little = f"; a recipe with conda wants {size(_ENOUGH_BYTES)}" if free < _ENOUGH_BYTES else ""
    new = "" if home.is_there else ", which the first bake makes"
    return Finding(name="home", ok=True, text=f"{home.path}{new}: {size(free)} free{little}")


def _text(finding: Finding) -> str:
    line = f"  {'ok' if finding.ok else 'NOT OK':<7} {finding.name}: {finding.text}"
    return f"{line}\n          hint: {finding.hint}" if finding.hint and not finding.ok else line
