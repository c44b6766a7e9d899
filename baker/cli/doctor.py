"""`bake doctor`: what this machine can do, and what to install."""

import json
import os
import platform
import shutil
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

_LEAST_FREE_BYTES = 10 << 30
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
    able = [kind for kind in builder_kinds() if all(finding.ok for finding in found[kind])]
    if not as_json:
        click.echo(f"can bake on: {', '.join(able) or 'nothing yet'}")
    return 0 if able else BuilderUnavailableError.exit_code


def host_findings() -> Iterator[Finding]:
    """What does not depend on a builder."""
    python = f"Python {platform.python_version()} at {sys.executable}"
    yield Finding(name="version", ok=True, text=f"image-baker {version('image-baker')}, {python}")
    yield _home_finding(Home.from_environment().path)
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


def _home_finding(home: Path) -> Finding:
    """Where sources and images go: writable, and with room. Looks at the nearest folder that exists."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    text = f"{home}, {size(free)} free"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(name="home", ok=False, text=f"{text}, not writable", hint="export BAKER_HOME=/a/folder/of/yours")
    if free < _LEAST_FREE_BYTES:
        hint = f"make room, or export BAKER_HOME=/a/folder/with/{size(_LEAST_FREE_BYTES).replace(' ', '')}"
        return Finding(name="home", ok=False, text=text, hint=hint)
    return Finding(name="home", ok=True, text=text)


def _text(finding: Finding) -> str:
    line = f"  {'ok' if finding.ok else 'MISSING':<8} {finding.name}: {finding.text}"
    return f"{line}\n           hint: {finding.hint}" if finding.hint and not finding.ok else line
