"""`bake verify IMAGE`: a machine is started from an image, and looked at."""

from pathlib import Path

import click

from baker.cli.options import (
    A_FILE,
    Duration,
    examples,
    json_option,
    run_dir_option,
    set_option,
    timeout_option,
    wait_cleanup_option,
)

EXAMPLES = examples(
    "bake verify ocean --recipe recipes/ocean.py",
    "bake verify ocean-20260102t030405-1a2b3c4d",
    "bake verify /srv/images/ocean-20260102t030405-1a2b3c4d",
)


@click.command(epilog=EXAMPLES)
@click.argument("image")
@click.option(
    "--recipe",
    metavar="RECIPE",
    type=A_FILE,
    help="The recipe that the image was baked from: with it, an image that passes is labelled as verified.",
)
@click.option("--on", metavar="BUILDER", help="The recipe's builder that made the image, by name.")
@set_option
@run_dir_option
@timeout_option
@wait_cleanup_option
@json_option("Write the events to standard output, one JSON object a line.")
def command(
    *,
    image: str,
    recipe: Path | None,
    on: str | None,
    settings: dict[str, str],
    run_dir: Path | None,
    timeout: Duration,
    wait_cleanup: bool,
    as_json: bool,
) -> int:
    """Start a machine from an image, see whether it is what it should be, and end it.

    IMAGE is [builder:]name, id, or path. With its recipe all checks are run, and an image that passes is verified from
    then on. Without it only those ready-made checks are run that the image itself names, and nothing makes it verified.
    An image that fails is labelled as not verified, whatever it was before.
    """
    if recipe is None and (settings or on):
        raise click.UsageError("--set and --on belong to a recipe: name it with --recipe")
    from baker.cli.compose import VerifyRequest, run_verification

    return run_verification(
        VerifyRequest(
            image=image,
            recipe=recipe,
            on=on,
            settings=settings,
            run_dir=run_dir,
            timeout=timeout,
            wait_cleanup=wait_cleanup,
            as_json=as_json,
        )
    )
