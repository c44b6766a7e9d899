"""Whether a `Recipe` holds what it must: Python does not check the types of a dataclass, and a person can slip.

Pure but for asking whether files of checks exist. Says what is wrong by number and name, and how to write it.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from baker.errors import RecipeError
from baker.provisioner import Provisioner
from baker.recipe import BuilderSpec, Disk, Recipe, Share

_RECIPE_NAME = re.compile(r"[a-z0-9-]{1,40}")
_DISK_NAME = re.compile(r"[a-z0-9-]{1,20}")


def check_recipe(recipe: Recipe, *, origin: str, folder: Path) -> None:
    """RecipeError for the first thing wrong. `origin` names the file; paths are relative to `folder`."""
    try:
        _check_name(recipe.name)
        _check_builders(recipe.builders)
        _check_disks(recipe.disks)
        _check_steps(recipe.provisioners)
        _check_checks(recipe.checks, folder)
        _check_rest(recipe)
    except RecipeError as error:
        raise RecipeError(f"{origin}: {error.summary}", details=error.details, hint=error.hint) from error


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _RECIPE_NAME.fullmatch(name):
        raise RecipeError(f"name {name!r} is not 1 to 40 of a-z, 0-9 and -", hint=_plain_name(name, 40))


def _check_builders(builders: object) -> None:
    specs = _tuple("builders", builders)
    if not specs:
        raise RecipeError("builders is empty", hint="name at least one place to bake")
    for number, spec in enumerate(specs, start=1):
        _refuse_class(f"builder {number}", spec)
        if not isinstance(spec, BuilderSpec) or not isinstance(spec.kind, str) or not isinstance(spec.name, str):
            raise RecipeError(f"builder {number} is a {type(spec).__name__}, which is not a builder's spec")
    if twice := _repeated(spec.name for spec in specs):
        raise RecipeError(f"two builders have the name {twice!r}", hint='tell them apart with name="..."')


def _check_disks(disks: object) -> None:
    for number, disk in enumerate(_tuple("disks", disks), start=1):
        if not isinstance(disk, Disk):
            raise RecipeError(f"disk {number} is a {type(disk).__name__}, not a Disk")
        if not isinstance(disk.name, str) or not _DISK_NAME.fullmatch(disk.name):
            raise RecipeError(
                f"disk {number}: name {disk.name!r} is not 1 to 20 of a-z, 0-9 and -", hint=_plain_name(disk.name, 20)
            )
        size: object = disk.size_gib
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise RecipeError(f"disk {disk.name!r}: size_gib {size!r} is not a whole number of at least 1")
    if twice := _repeated(disk.name for disk in disks if isinstance(disk, Disk)):  # type: ignore[attr-defined]
        raise RecipeError(f"two disks have the name {twice!r}")


def _check_steps(provisioners: object) -> None:
    for number, step in enumerate(_tuple("provisioners", provisioners), start=1):
        _refuse_class(f"step {number}", step)
        try:
            is_step = isinstance(step, Provisioner) and isinstance(step.name, str)
        except Exception as error:
            raise RecipeError(
                f"step {number} is a {type(step).__name__} whose name cannot be read: {type(error).__name__}: {error}"
            ) from error
        if not is_step:
            raise RecipeError(
                f"step {number} is a {type(step).__name__}, which is not a step",
                hint="a step has name, revision, inputs(), requires() and apply(remote)",
            )


def _check_checks(checks: object, folder: Path) -> None:
    for number, check in enumerate(_tuple("checks", checks), start=1):
        _refuse_class(f"check {number}", check)
        if isinstance(check, str | Path):
            if not (folder / check).is_file():
                raise RecipeError(
                    f"check {number} refers to a file that does not exist: {check}",
                    hint=f"paths are relative to the recipe's folder, {folder}",
                )
            _check_check_file(number, folder / check)
        elif not callable(check):
            raise RecipeError(
                f"check {number} cannot be run: it is of type {type(check).__name__}",
                hint="a check is a function that takes `host`, or the path of a file of check_* functions",
            )


def _check_check_file(number: int, path: Path) -> None:
    """What would fail only when the machine is ready to be checked. Parses the file, and does not run it."""
    where = f"check {number}: {path}"
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise RecipeError(f"{where}, line {error.lineno}: {error.msg}") from error
    except (OSError, ValueError) as error:  # ValueError: null bytes
        raise RecipeError(f"{where} cannot be read as Python: {error}") from error
    names = [getattr(node, "name", "") for node in ast.walk(tree)]
    if not any(name.lower().startswith("check") for name in names if name):
        raise RecipeError(f"{where} defines no check", hint="name its functions check_..., and let them take `host`")


def _check_rest(recipe: Recipe) -> None:
    wanted = (("share", Share), ("keep_mirrors", bool), ("description", str), ("tags", Mapping))
    for name, cls in wanted:
        value: object = getattr(recipe, name)
        if not isinstance(value, cls):
            raise RecipeError(f"{name} is a {type(value).__name__}, not a {cls.__name__}")
    for key, text in recipe.tags.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise RecipeError(f"tag {key!r} = {text!r} is not text", hint="tags are text, name and value")


def _tuple(field: str, value: object) -> tuple[Any, ...]:
    if isinstance(value, tuple):
        return value
    name = type(value).__name__
    inner = "..." if isinstance(value, list | set | dict | str) else f"{name}(...)"
    raise RecipeError(f"{field} is not a tuple but a {name}", hint=f"write {field}=({inner},), with the comma")


def _refuse_class(where: str, value: object) -> None:
    if isinstance(value, type):
        raise RecipeError(f"{where} is the class {value.__name__}", hint=f"write {value.__name__}(...)")


def _repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _plain_name(name: object, longest: int) -> str | None:
    """`name` as it could be written, when that is plain to see."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:longest] if isinstance(name, str) else ""
    return f"{text!r} would do" if text else None
