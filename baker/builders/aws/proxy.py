"""The program that leads to a machine without a public address: what a user writes, and what is started.

No shell reads it: it is words, into which the machine's facts are put one by one.
"""

import re
import shlex
import shutil
from collections.abc import Iterator, Mapping

from baker.ports import Problem

PLACEHOLDERS = ("host", "port", "instance", "region")

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def proxy_words(command: str | tuple[str, ...]) -> tuple[str, ...]:
    """Its words, as a shell would take them apart. ValueError for quotes that do not close."""
    return tuple(shlex.split(command)) if isinstance(command, str) else command


def proxy_problem(command: object) -> str | None:
    """What is wrong with how it is written; None when nothing is."""
    match command:
        case str() | tuple() if all(isinstance(word, str) for word in command):
            pass
        case _:
            return 'must be a command such as "ssh -W {host}:{port} bastion", or a tuple of its words'
    try:
        words = proxy_words(command)
    except ValueError as error:
        return f"cannot be taken apart into words: {error}"
    if command and not words:
        return "has no words"
    unknown = sorted({name for word in words for name in _PLACEHOLDER.findall(word)} - set(PLACEHOLDERS))
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        return f"has a placeholder {{{unknown[0]}}}; there are {known}"
    return None


def program_problems(command: str | tuple[str, ...]) -> Iterator[Problem]:
    """Whether the program is here; asked before anything is made."""
    for program in proxy_words(command)[:1]:
        if shutil.which(program) is None:
            yield Problem(
                summary=f"the proxy command cannot be started: there is no program {program}",
                hint="install it, or change proxy_command in the Aws(...) of the recipe",
            )


def proxy_command(command: str | tuple[str, ...], facts: Mapping[str, str]) -> tuple[str, ...]:
    """The words with `facts` (one for each placeholder) in their places; each stays one word."""
    return tuple(_PLACEHOLDER.sub(lambda found: facts[found[1]], word) for word in proxy_words(command))
