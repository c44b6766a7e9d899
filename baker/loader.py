"""A recipe file becomes a `Recipe`: the only place that runs a user's code before the bake does.

Whatever is wrong with the file becomes a RecipeError that names the file and, where Python gives one, its line.
What a `Recipe` must look like is in `baker.validation`; this module knows nothing of builders, machines or networks.
"""

import contextlib
import importlib
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

from baker.errors import BakeError, Interrupted, RecipeError, SecretError
from baker.parameters import bind_settings
from baker.recipe import Recipe
from baker.slips import hint_for
from baker.suggestion import did_you_mean
from baker.validation import check_recipe, described

MODULE_NAME = "__recipe__"
"""The name of every recipe's module, so that a step defined in a recipe keeps its fingerprint when the file moves."""

_WHERE_IMPORTED = re.compile(r" \([^()]*\)$")
_LARGEST_BYTES = 4 << 20
_SHOWN_COLUMNS = 100


def load_recipe(path: Path, settings: Mapping[str, str]) -> Recipe:
    """The recipe in the file at `path`, with `settings` (`--set NAME=VALUE`) applied.

    Runs the file with its folder on `sys.path` and its standard output sent to standard error. Raises RecipeError;
    lets KeyboardInterrupt and Interrupted pass.
    """
    code = _compiled(path, _read(path))
    folder = path.absolute().parent
    with _importing_from(folder), contextlib.redirect_stdout(sys.stderr or io.StringIO()):
        module = ModuleType(MODULE_NAME)
        module.__file__ = str(path.absolute())
        sys.modules[MODULE_NAME] = module
        with _blaming(path, vars(module)):
            exec(code, vars(module))  # noqa: S102  (a recipe is Python; this is the one place that runs it)
        recipe, parameters = _made(path, vars(module), settings)
    check_recipe(recipe, origin=str(path), folder=folder)
    return replace(recipe, parameters=parameters, folder=folder)


def _read(path: Path) -> bytes:
    """The file's bytes, when they can be Python source."""
    try:
        if path.is_dir():
            raise RecipeError(f"{path} is a folder, not a recipe", hint=_recipes_in(path))
        if path.exists() and not path.is_file():
            raise RecipeError(f"{path} is not a regular file")
        with path.open("rb") as file:
            source = file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        raise RecipeError(f"no such file: {path}", hint=_nearby(path)) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise RecipeError(f"{path} cannot be read: {reason.lower()}") from error
    if b"\0" in source or len(source) > _LARGEST_BYTES:
        raise RecipeError(f"{path} is not text", hint="a recipe is a Python file")
    return source


def _compiled(path: Path, source: bytes) -> CodeType:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        source.decode(encoding)
    except UnicodeDecodeError as error:
        number = source.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            f"{path} line {number}: not {error.encoding} text: byte 0x{source[error.start]:02x}",
            hint="save the file as UTF-8",
        ) from error
    except SyntaxError as error:
        raise RecipeError(f"{path}: {error.msg}", hint="save the file as UTF-8") from error
    try:
        return compile(source, str(path.absolute()), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise _syntax_error(str(path), error) from error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise RecipeError(f"{path} cannot be compiled: {type(error).__name__}: {error}") from error


def _syntax_error(name: str, error: SyntaxError) -> RecipeError:
    where = f"{name} line {error.lineno}" if error.lineno else name
    line = (error.text or "").rstrip()
    indent = len(line) - len(line.lstrip())
    column = max((error.offset or 1) - 1, indent)
    start = max(indent, column - _SHOWN_COLUMNS // 2)
    shown = line[start : start + _SHOWN_COLUMNS].rstrip()
    details = [(f"line {error.lineno}", f"{shown}\n{' ' * (column - start)}^")] if shown else []
    return RecipeError(f"{where}: {type(error).__name__}: {error.msg}", details=details)


def _made(path: Path, names: Mapping[str, Any], settings: Mapping[str, str]) -> tuple[Recipe, dict[str, Any]]:
    """The recipe that the module defines, and the parameters that it was made with."""
    if "recipe" not in names:
        similar = did_you_mean("recipe", [name for name, value in names.items() if isinstance(value, Recipe)])
        is_empty = all(name.startswith("__") for name in names)
        raise RecipeError(
            f"{path} is empty" if is_empty else f"{path} defines no 'recipe'",
            hint=similar or "write `recipe = Recipe(...)`, or a function `recipe` that returns one",
        )
    found = names["recipe"]
    if isinstance(found, Recipe):
        if settings:
            raise RecipeError(
                f"{path}: --set {next(iter(settings))}: this recipe takes no parameters",
                hint="make `recipe` a function whose parameters are what --set can change",
            )
        return found, {}
    if not callable(found) or isinstance(found, type):
        raise RecipeError(
            f"{path}: 'recipe' is {described(found)}, not a Recipe",
            hint="write `recipe = Recipe(...)`, or a function `recipe` that returns one",
        )
    with _blaming(path, names):
        arguments = bind_settings(found, settings, origin=str(path))
        result = found(**arguments)
    if not isinstance(result, Recipe):
        raise RecipeError(
            f"{path}: the function 'recipe' returned {described(result)}, not a Recipe",
            hint="end it with `return Recipe(...)`",
        )
    return result, arguments


@contextlib.contextmanager
def _blaming(path: Path, names: Mapping[str, Any]) -> Iterator[None]:
    """Turn what a recipe's code raises into a RecipeError at the line of the recipe where it happened.

    `names` are those of the recipe's module, where what was meant by an unknown one may be found.
    """
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        raise
    except SyntaxError as error:  # in a module that the recipe imports
        raise _syntax_error(error.filename or str(path), error) from error
    except (Exception, SystemExit) as error:
        where, line = _place(path, error.__traceback__)
        if isinstance(error, SecretError):
            line = None  # it may hold the secret itself
        details = [(f"line {line[0]}", line[1])] if line else []
        if isinstance(error, BakeError):
            summary = error.summary if error.summary.startswith(str(path)) else f"{where}: {error.summary}"
            raise RecipeError(summary, details=(*details, *error.details), hint=error.hint) from error
        said = _WHERE_IMPORTED.sub("", str(error)) if isinstance(error, ImportError) else str(error)
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
        raise RecipeError(f"{where}: {said}", details=details, hint=hint_for(error, names)) from error


def _place(path: Path, trace: TracebackType | None) -> tuple[str, tuple[int, str] | None]:
    """The innermost line inside the recipe file: how to name it, and (number, source)."""
    filename, number = str(path.absolute()), None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            number = trace.tb_lineno
        trace = trace.tb_next
    if number is None:
        return str(path), None
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    source = lines[number - 1].strip() if number <= len(lines) else ""
    return f"{path} line {number}", (number, source) if source else None


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """`folder` first on `sys.path`; afterwards nothing that came from it stays, neither modules nor byte code.

    So a second load sees the files as they are then, and two recipes can each have a neighbour of the same name.
    """
    path, modules, writes_bytecode = list(sys.path), set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # byte code is trusted by whole seconds and size: too coarse for quick edits
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = writes_bytecode
        sys.modules.pop(MODULE_NAME, None)
        for name in set(sys.modules) - modules:
            if _lies_in(sys.modules[name], folder):
                del sys.modules[name]


def _lies_in(module: ModuleType, folder: Path) -> bool:
    origin = getattr(module, "__file__", None)
    places = [origin] if origin else list(getattr(module, "__path__", ()))
    return any(Path(place).is_relative_to(folder) for place in places)


def _nearby(path: Path) -> str:
    """What could have been meant by a path that does not exist."""
    with contextlib.suppress(OSError):
        folders = [path.parent, *([Path("recipes")] if path.parent == Path() else [])]
        names = [str(found) for folder in folders for found in sorted(folder.glob("*.py"))]
        if similar := did_you_mean(str(path), names):
            return similar
    return "give the path of a recipe, a Python file"


def _recipes_in(folder: Path) -> str:
    names = [str(found) for found in sorted(folder.glob("*.py"))][:5]
    return f"recipes there: {', '.join(names)}" if names else "give the path of a recipe, a Python file"
