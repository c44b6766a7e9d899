"""`bake`: decides which command is meant, runs it, and turns whatever happens into an exit code.

Imports no click and no command before one is called: `bake --help` is a page of text.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from baker.cli.failures import report, report_bug, say_stopped
from baker.errors import BakeError, DiskFullError, Interrupted, RecipeError, UsageError, is_disk_full
from baker.suggestion import did_you_mean

COMMANDS = {
    "run": "bake a recipe: the image, or nothing",
    "plan": "show what a bake would make and run; touches nothing",
    "verify": "start a machine from an image, see if it is what it should be",
    "images": "list the images that were made",
    "share": "let others have an image that is verified",
    "sweep": "list what dead bakes left; remove it with --yes",
    "doctor": "say what this machine can do, and what to install",
}
"""Each command with what it does; its module in this package has the same name, and holds a click command `command`."""

OPTIONS_WITH_VALUE = (
    "--on",
    "--set",
    "--mirrors",
    "--run-dir",
    "--timeout",
    "--on-error",
    "--location",
    "--with",
    "--region",
    "--recipe",
)
"""What follows one of these is its value, and neither a command nor a recipe."""

_WORDS_OF_OTHERS = {"build": "run", "validate": "plan", "check": "plan", "list": "images", "version": "--version"}
"""What other programs of this kind call it."""

HELP = """\
usage: bake [run] RECIPE [options]
       bake COMMAND [options]

Bakes machine images for research computing: launches a temporary machine, sets
it up as the recipe says, checks it, makes it into an image, always cleans up.

commands:
{commands}

options:
  --version    show the version
  -h, --help   show this text; `bake run --help` shows the options of a bake,
               `bake COMMAND --help` those of another command

examples:
  bake recipes/ocean.py                      bake on the recipe's first builder
  bake recipes/ocean.py --on qemu            bake on this one
  bake plan recipes/ocean.py                 look before you bake
  image=$(bake recipes/ocean.py | tail -1)   use the image in a script

exit codes:
  0 ok                        6 a step failed
  1 a bug of the baker        7 checks failed
  2 recipe or usage           8 something could not be removed
  3 builder not installed     9 the seal refused the machine
  4 builder failed           10 verification failed
  5 out of reach             11 --timeout
                             129, 130, 143 stopped by a signal
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code, as in `baker.errors`. Never raises and never shows a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None when closed; not ours when replaced
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _dispatch(given)
        _say("")
    except BakeError as error:
        report(error)
        code = error.exit_code
    except BrokenPipeError:  # `bake plan ... | head`: whoever reads has seen enough
        code = 0
    except (KeyboardInterrupt, Interrupted) as stop:
        code = stop.exit_code if isinstance(stop, Interrupted) else 130
        say_stopped()
    except Exception as error:  # noqa: BLE001  (shown as what it is, whatever it is)
        code = _unforeseen(error)
    _let_go_of_streams()
    if arguments is None:  # the process ends now, and one more Ctrl-C would only take its exit code
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _unforeseen(error: Exception) -> int:
    """A full disk wherever it was met, such as under standard output; else a bug of ours, kept for who mends it."""
    if isinstance(error, OSError) and is_disk_full(error):
        report(DiskFullError("no room left on the disk" + (f": {error.filename}" if error.filename else "")))
        return DiskFullError.exit_code
    report_bug(error)
    return 1


def _dispatch(given: list[str]) -> int:
    name, rest = choose_command(given)
    if name is None:
        if (code := _without_command(rest)) is not None:
            return code
        name = "run"  # which says what of the options is wrong, or that there is no recipe
    from baker.cli.commands import run_command

    return run_command(name, rest)


def choose_command(given: list[str]) -> tuple[str | None, list[str]]:
    """The command that is meant, and its arguments. The first word that is no option decides.

    A command's name selects it, anything else is a recipe to run; None when there is no such word. `help COMMAND` is
    `COMMAND --help`. UsageError when the word is no file and looks like a slip in a command's name.
    """
    is_value = False
    for index, word in enumerate(given):
        if is_value:
            is_value = False
        elif word == "--":
            return "run", given
        elif word.startswith("-") and word != "-":
            is_value = word in OPTIONS_WITH_VALUE
        elif word in COMMANDS:
            return word, given[:index] + given[index + 1 :]
        elif word == "help" and not os.path.lexists(word):
            name, _ = choose_command(given[index + 1 :])
            return name, ["--help"]
        else:
            _refuse_slip(word)
            return "run", given
    return None, given


def _refuse_slip(word: str) -> None:
    if "/" in word or "." in word or os.path.lexists(word):
        return
    recipe = next((path for path in (f"{word}.py", f"recipes/{word}.py") if Path(path).is_file()), None)
    if recipe and word:
        hint = f"did you mean `bake {recipe}`?"
    elif word in _WORDS_OF_OTHERS:
        hint = f"did you mean `bake {_WORDS_OF_OTHERS[word]}`?"
    elif meant := did_you_mean(word, COMMANDS):
        hint = meant.replace("mean ", "mean `bake ").replace("?", "`?")
    else:
        hint = "`bake --help` lists the commands"
    raise RecipeError(f"no such file: {word}" if word else "the recipe's name is empty", hint=hint)


def _without_command(given: list[str]) -> int | None:
    """What stands alone on a command line: nothing, --version, --help. None when there are other options."""
    if "--version" in given:
        from importlib.metadata import version

        _say(f"image-baker {version('image-baker')}\n")
        return 0
    if "--help" in given or "-h" in given:
        _say(HELP.format(commands="\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())))
        return 0
    if given:
        return None
    raise UsageError("no recipe given", hint="bake recipes/ocean.py, or `bake --help`")


def _say(text: str) -> None:
    """To standard output, now, if there is one."""
    if sys.stdout is not None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _let_go_of_streams() -> None:
    """Flush now, and keep the interpreter from complaining at its exit about a pipe that nobody reads."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None or stream.closed:
            continue
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
