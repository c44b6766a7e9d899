"""`bake [run] RECIPE`."""

from pathlib import Path

import click

from baker.cli.options import (
    Duration,
    OnError,
    examples,
    json_option,
    mirrors_option,
    on_error_option,
    on_option,
    recipe_argument,
    run_dir_option,
    set_option,
    timeout_option,
    wait_cleanup_option,
)

EXAMPLES = examples(
    "bake recipes/ocean.py",
    "bake recipes/ocean.py --set data_gib=40 --timeout 90m",
    "bake recipes/ocean.py --mirrors lab.toml",
    "image=$(bake recipes/ocean.py | tail -1)",
)


@click.command(epilog=EXAMPLES)
@recipe_argument
@on_option
@set_option
@mirrors_option
@run_dir_option
@timeout_option
@click.option("--refresh", is_flag=True, help="Make or fetch the source image anew, even when there is a recent one.")
@click.option("--no-verify", is_flag=True, help="Start no machine from the image; it is labelled as not verified.")
@click.option("--yes-public", is_flag=True, help="Let a recipe make its image public, to the whole world.")
@on_error_option
@wait_cleanup_option
@json_option("Write the events to standard output, one JSON object a line.")
def command(
    *,
    recipe: Path,
    on: str | None,
    settings: dict[str, str],
    mirrors: Path | None,
    run_dir: Path | None,
    timeout: Duration,
    refresh: bool,
    no_verify: bool,
    yes_public: bool,
    on_error: OnError,
    wait_cleanup: bool,
    as_json: bool,
) -> int:
    """Bake a recipe: launch a temporary machine, set it up, check it, make it into an image, and verify
    that on a second machine.

    Ends with the image's id as the last line on standard output; progress goes to standard error.
    """
    from baker.cli.compose import BakeRequest, run_bake

    return run_bake(
        BakeRequest(
            recipe=recipe,
            on=on,
            settings=settings,
            mirrors=mirrors,
            run_dir=run_dir,
            timeout=timeout,
            refresh=refresh,
            yes_public=yes_public,
            verify=not no_verify,
            on_error=on_error,
            wait_cleanup=wait_cleanup,
            as_json=as_json,
        )
    )
