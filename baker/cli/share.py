"""`bake share IMAGE --with TARGET...`: lets others have an image that is verified."""

import json
import sys
from dataclasses import asdict

import click

from baker.catalogue import find_image
from baker.cli.options import examples, json_option
from baker.clock import SystemClock
from baker.communicators.upload import open_upload
from baker.events import ArtifactShared, Event, Progress
from baker.recipe import Share
from baker.registry import builder_kinds, find_builder
from baker.reporters.wording import size
from baker.share import share_image

_SAY_EVERY_SECONDS = 10.0


@click.command(
    epilog=examples(
        "bake share ocean --with /srv/images",
        "bake share ocean --with sftp://ada@data.example.org/srv/images",
        "bake share aws:ocean --with 123456789012 --region eu-north-1",
    )
)
@click.argument("image")
@click.option("--with", "targets", metavar="TARGET", multiple=True, help="Whom to share with; may be given many times.")
@click.option("--region", "regions", metavar="REGION", multiple=True, help="Copy it there, and share it there too.")
@click.option("--copyable", is_flag=True, help="Let those whom it is shared with copy it.")
@click.option("--yes-public", is_flag=True, help="Let the whole world have it.")
@json_option("Write one JSON object a line for each target.")
def command(  # noqa: PLR0917  (click hands over one argument for each option)
    image: str, targets: tuple[str, ...], regions: tuple[str, ...], copyable: bool, yes_public: bool, as_json: bool
) -> None:
    """Share an image that is verified, and only that: IMAGE is [builder:]name, id, or path.

    A TARGET is what the image's builder takes: a folder, file:// or sftp:// for one of this host; an account, an
    organisation or a unit in a cloud. Each target has its own result; the command fails when one of them failed.
    """
    share = Share(targets=targets, regions=regions, public=yes_public, copyable=copyable)
    if not share:
        raise click.UsageError("nobody is named to share with: --with TARGET")
    builder, artifact = find_image(image, builder_kinds(), find_builder)
    share_image(builder, artifact, share, upload=open_upload, emit=_Telling(as_json))


class _Telling:
    """Says how far the copies are, now and then, and what became of each target."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._clock = SystemClock()
        self._said = self._clock.monotonic()

    def __call__(self, event: Event) -> None:
        match event:
            case ArtifactShared(target=target, ok=ok, message=message):
                if self._as_json:
                    click.echo(json.dumps(asdict(event)))
                elif ok:
                    click.echo(f"shared with {target}: {message}")
            case Progress(what=what, done=done, total=int(total)):
                now = self._clock.monotonic()
                if now - self._said >= _SAY_EVERY_SECONDS:
                    self._said = now
                    print(f"{what}: {size(done)} of {size(total)}", file=sys.stderr, flush=True)  # noqa: T201
