"""Runs one command of the command line, with click; a command's module is imported when it is called."""

import re
from importlib import import_module

import click

from baker.cli.main import COMMANDS
from baker.errors import UsageError
from baker.suggestion import did_you_mean

_EXTRA = re.compile(r"extra argument \((.*)\)")


def run_command(name: str, arguments: list[str]) -> int:
    """The exit code of command `name`. Raises what it raises; what click refuses becomes a UsageError."""
    command: click.Command = import_module(f"baker.cli.{name}").command
    try:
        with command.make_context(f"bake {name}", list(arguments), help_option_names=["-h", "--help"]) as context:
            return int(command.invoke(context) or 0)
    except click.exceptions.Exit as end:  # --help has been shown
        return end.exit_code
    except click.UsageError as error:
        raise _in_our_words(name, error) from error


def _in_our_words(name: str, error: click.UsageError) -> UsageError:
    help_hint = f"`bake {name} --help` shows how"
    match error:
        case click.NoSuchOption(option_name=option):
            known = [text for it in error.ctx.command.get_params(error.ctx) for text in it.opts] if error.ctx else []
            called = "bake" if name == "run" else f"bake {name}"
            return UsageError(f"{called} has no option {option}", hint=did_you_mean(option, known) or help_hint)
        case click.MissingParameter(param=click.Argument() as argument):
            return UsageError(f"no {str(argument.human_readable_name).lower()} given", hint=help_hint)
        case click.BadParameter(param=click.Option(opts=[option, *_])):
            return UsageError(f"{option}: {error.message}", hint=help_hint)
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    if (extra := _EXTRA.search(message)) and extra[1] in COMMANDS:
        return UsageError(message, hint=f"a command comes first: `bake {extra[1]} RECIPE`")
    return UsageError(message, hint=help_hint)
