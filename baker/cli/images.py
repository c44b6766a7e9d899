"""`bake images`: the images that were made, how large they are, and where."""

import json
from dataclasses import asdict

import click

from baker.artifact import Artifact
from baker.catalogue import Catalogue, read_catalogue, verified_state
from baker.cli.failures import report
from baker.cli.options import examples, json_option
from baker.errors import NOT_USED_HERE
from baker.registry import builder_kinds, find_builder
from baker.reporters.wording import size
from baker.sweep import ALL


@click.command(
    epilog=examples("bake images", "bake images --on qemu --json | jq -r .id", "bake images --on aws --location all")
)
@click.option("--on", metavar="BUILDER", help="Ask this builder alone, by its kind.")
@click.option("--location", metavar="X", help='Look there (a region of --on\'s builder), or in "all" places.')
@json_option("Write one JSON object a line for each image.")
def command(on: str | None, location: str | None, as_json: bool) -> int:
    """List the images that were made, the newest last."""
    if location not in (None, ALL) and on is None:
        raise click.UsageError(f"--location {location} needs --on BUILDER: each builder has places of its own")
    if on is not None:
        find_builder(on)  # an unknown one is an error of its own, and not an empty list
    catalogue = read_catalogue((on,) if on else builder_kinds(), find_builder, location)
    failed = [error for _, error in catalogue.unreadable if on or not isinstance(error, NOT_USED_HERE)]
    if as_json:
        for image in catalogue.images:
            state = {"state": verified_state(image), "newest": catalogue.is_newest(image)}
            click.echo(json.dumps({**asdict(image), **state}))
    elif catalogue.images:
        for line in _table(catalogue):
            click.echo(line)
    elif not failed:
        click.echo("no images yet; `bake RECIPE` makes one", err=True)
    for error in failed:
        report(error)
    return failed[0].exit_code if failed else 0


def _table(catalogue: Catalogue) -> list[str]:
    rows = [("name", "builder", "where", "created", "size", "verified", "id")]
    rows += [
        (
            image.name,
            image.builder,
            "" if image.id.startswith(image.location) else image.location,  # a path says where it is
            image.created,
            size(image.size_bytes) if image.size_bytes is not None else "",
            _verified(image, catalogue),
            image.id,
        )
        for image in catalogue.images
    ]
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(len(cell) for cell in column) for column in columns]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]


def _verified(image: Artifact, catalogue: Catalogue) -> str:
    """`yes`, `no`, or `changed` since; and which one the name of its recipe means."""
    if "problem" in image.labels:
        return f"unreadable: {image.labels['problem']}"
    state = verified_state(image)
    return f"{state}, newest {image.recipe}" if catalogue.is_newest(image) else state
