"""Problems that were found before anything was created, as the errors that a user reads."""

from collections.abc import Iterable, Mapping

from baker.errors import BakeError, BuilderError, BuilderUnavailableError, ReachError, RecipeError
from baker.ports import Problem

_ERRORS: Mapping[int, type[BakeError]] = {
    error.exit_code: error for error in (RecipeError, BuilderUnavailableError, BuilderError, ReachError)
}


def error_of(problem: Problem, *others: Problem) -> BakeError:
    """One error for all; the first one decides which."""
    details = [("also", it.summary) for it in others]
    return _ERRORS.get(problem.exit_code, BuilderError)(problem.summary, details=details, hint=problem.hint)


def refuse(problems: Iterable[Problem]) -> None:
    """Raise for problems, all of them in one error."""
    if found := tuple(problems):
        raise error_of(*found)
