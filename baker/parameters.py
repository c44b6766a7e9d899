"""`--set NAME=VALUE`: text becomes arguments of a recipe function, by the annotations of its parameters."""

import inspect
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from baker.errors import RecipeError
from baker.suggestion import did_you_mean

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def bind_settings(function: Callable[..., Any], settings: Mapping[str, str], *, origin: str) -> dict[str, Any]:
    """All arguments of `function` by name: those set, converted, and the defaults of the others.

    RecipeError for a name that the function does not have, a value that does not convert, a parameter that is
    neither set nor has a default. `origin` names the file in errors.
    """
    parameters = _parameters(function, origin)
    for name in settings:
        if name not in parameters:
            known = f"the recipe's parameters are {', '.join(parameters)}" if parameters else "it takes none"
            raise RecipeError(
                f"{origin}: --set {name}: the recipe has no parameter of this name",
                hint=did_you_mean(name, parameters) or known,
            )
    missing = [name for name, it in parameters.items() if name not in settings and it.default is it.empty]
    if missing:
        raise RecipeError(f"{origin}: the recipe needs {missing[0]!r}", hint=f"give it with --set {missing[0]}=VALUE")
    return {
        name: _converted(name, settings[name], parameter, origin) if name in settings else parameter.default
        for name, parameter in parameters.items()
    }


def _parameters(function: Callable[..., Any], origin: str) -> Mapping[str, inspect.Parameter]:
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    except NameError as error:
        raise RecipeError(f"{origin}: an annotation of 'recipe' cannot be resolved: {error}") from error
    for name, parameter in parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise RecipeError(
                f"{origin}: 'recipe' takes {str(parameter).split(':', maxsplit=1)[0]}, which --set cannot reach",
                hint=f"write {name} as an ordinary parameter with a default",
            )
    return parameters


def _converted(name: str, text: str, parameter: inspect.Parameter, origin: str) -> Any:
    wanted = _wanted_type(parameter)
    try:
        return _convert(text, wanted)
    except ValueError as error:
        raise RecipeError(
            f"{origin}: --set {name}={text}: not {_named(wanted)}",
            hint=_choices(text, wanted),
        ) from error
    except TypeError as error:
        raise RecipeError(
            f"{origin}: --set cannot give {name!r} a value of type {_named(wanted)}",
            hint="parameters can be str, int, float, bool, Path or Literal[...]",
        ) from error


def _wanted_type(parameter: inspect.Parameter) -> Any:
    """The annotation; without one, the default's type. `X | None` counts as X: None cannot be typed."""
    wanted = parameter.annotation
    if wanted is parameter.empty:
        default = parameter.default
        return str if default is parameter.empty or default is None else type(default)
    if get_origin(wanted) in (Union, types.UnionType):
        others = [part for part in get_args(wanted) if part is not type(None)]
        return others[0] if len(others) == 1 else wanted
    return wanted


def _convert(text: str, wanted: Any) -> Any:
    """ValueError when `text` is no `wanted`, TypeError when that type cannot be given as text."""
    if get_origin(wanted) is Literal:
        for choice in get_args(wanted):
            if str(choice) == text:
                return choice
        raise ValueError(text)
    if wanted is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError(text)
        return _BOOLEANS[text.lower()]
    if wanted in (str, int, float):
        return wanted(text)
    if isinstance(wanted, type) and issubclass(wanted, Path):
        return Path(text)
    raise TypeError(wanted)


def _named(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(wanted))
    words = {int: "a whole number", float: "a number", bool: "yes or no"}
    return words[wanted] if wanted in words else str(getattr(wanted, "__name__", wanted))


def _choices(text: str, wanted: Any) -> str | None:
    return did_you_mean(text, [str(choice) for choice in get_args(wanted)]) if get_origin(wanted) is Literal else None
