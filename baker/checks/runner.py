"""Runs the checks of a recipe: the `CheckRunner` of `baker.ports`.

Imports neither pytest nor testinfra until there is something to run. Decides what the outcome of the whole is worth;
how pytest runs the single check is in `session`.
"""

from pathlib import Path

from baker.errors import ChecksFailedError
from baker.events import CheckFinished, Emit, Notice
from baker.provisioner import Remote
from baker.recipe import Check


def run_checks(checks: tuple[Check, ...], remote: Remote, *, folder: Path, emit: Emit) -> tuple[CheckFinished, ...]:
    """Run all checks, even when one fails, and emit each result. `folder` is the recipe's.

    ChecksFailedError when they could not be run: a file is missing or cannot be imported, a check takes the wrong
    arguments, or all passed although not one command reached the machine (testinfra checks the local machine
    silently when it is not told otherwise). What ends a bake (an interrupt, the time limit, a lost connection)
    passes through.
    """
    if not checks:
        return ()
    from baker.checks.session import run_session  # noqa: PLC0415  (pytest costs 200 ms; `bake plan` needs none of it)

    outcomes = run_session(checks, remote, folder=folder.absolute(), emit=emit)
    results = tuple(outcome.result for outcome in outcomes)
    idle = [outcome.result.name for outcome in outcomes if outcome.result.outcome == "passed" and not outcome.commands]
    if idle and not any(outcome.commands for outcome in outcomes) and _all_fine(results):
        raise ChecksFailedError(
            f"{len(results)} checks ended well, but none of them ran a command on the machine",
            details=(("checks", "\n".join(result.name for result in results)),),
            hint="a check must use the `host` that it is given; testinfra.get_host() looks at another machine",
        )
    for name in idle:
        emit(Notice(level="warning", text=f"check '{name}' passed without running a command on the machine"))
    return results


def _all_fine(results: tuple[CheckFinished, ...]) -> bool:
    return all(result.outcome in ("passed", "skipped") for result in results)
