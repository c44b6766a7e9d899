"""Options that several commands share, and how their values are read."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import click

F = TypeVar("F", bound=Callable[..., Any])

OnError = Literal["terminate", "pause"]

_PARTS = re.compile(r"(\d+)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Duration:
    """A time, and how a person wrote it."""

    seconds: int
    text: str


def parse_duration(text: str) -> Duration:
    """`90s`, `30m`, `4h`, `1h30m`. ValueError, with what is wrong, for anything else."""
    if not re.fullmatch(f"(?:{_PARTS.pattern})+", text.strip()):
        raise ValueError(f"{text!r} is not a duration such as 90s, 30m or 4h")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _PARTS.findall(text))
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise ValueError(f"{text!r} is not between one second and seven days")
    return Duration(seconds, text.strip())


def _read_duration(_context: click.Context, _option: click.Parameter, value: str) -> Duration:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.UsageError(f"--timeout: {error}") from error


def _read_settings(_context: click.Context, _option: click.Parameter, values: Iterable[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.isidentifier():
            raise click.UsageError(f"--set {value}: write --set NAME=VALUE")
        settings[name] = text
    return settings


class _File(click.Path):
    """The path of a file or folder. Not an empty one: `--run-dir "$UNSET"` does not mean the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


A_FILE = _File(path_type=Path, readable=False)  # whoever reads it says more of why not

recipe_argument = click.argument("recipe", type=A_FILE)

on_option = click.option("--on", metavar="BUILDER", help="The recipe's builder to use, by name; its first one without.")

set_option = click.option(
    "settings",
    "--set",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_read_settings,
    help="Set a parameter of the recipe; may be given several times.",
)

mirrors_option = click.option(
    "--mirrors",
    metavar="FILE",
    envvar="BAKER_MIRRORS",
    type=A_FILE,
    help="Where to fetch things from instead, a TOML file; $BAKER_MIRRORS without.",
)

run_dir_option = click.option(
    "--run-dir",
    metavar="DIR",
    type=A_FILE,
    help="Where the run's log, manifest and check results go; a new folder in .bake/runs without.",
)

timeout_option = click.option(
    "--timeout",
    metavar="DURATION",
    default="4h",
    show_default=True,
    callback=_read_duration,
    help="Give up after this long: 90s, 30m, 4h, 1h30m.",
)

on_error_option = click.option(
    "--on-error",
    metavar="terminate|pause",
    type=click.Choice(get_args(OnError)),
    default="terminate",
    show_default=True,
    help="What becomes of a machine on which a step, a check or the seal fails: pause holds it for you to log in.",
)


wait_cleanup_option = click.option(
    "--wait-cleanup",
    is_flag=True,
    help="Wait until a cloud has removed what it removes by itself once it has accepted to; others always do.",
)


def json_option(help_text: str) -> Callable[[F], F]:
    """`--json`, which means something else for each command."""
    return click.option("as_json", "--json", is_flag=True, help=help_text)


def examples(*lines: str) -> str:
    """An epilog that keeps its lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
