"""Whether a `Recipe` holds what it must: Python does not check the types of a dataclass, and a person can slip.

Pure but for asking whether files of checks exist. Says what is wrong by number and name, and how to write it.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from baker.errors import RecipeError
from baker.provisioner import Provisioner
from baker.recipe import SECRET_KINDS, AllowedSecret, BuilderSpec, Disk, Recipe, Share
from baker.suggestion import did_you_mean

_RECIPE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_DISK_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")
_ROOT_DISK = "root"
"""The name of the disk that every machine has anyway."""

_LARGEST_DISK_GIB = 1 << 16
"""64 TiB: no cloud has a larger one. Builders that have less say so themselves."""


def check_recipe(recipe: Recipe, *, origin: str, folder: Path) -> None:
    """RecipeError for the first thing wrong. `origin` names the file; paths are relative to `folder`."""
    try:
        _check_name(recipe.name)
        _check_builders(recipe.builders)
        _check_disks(recipe.disks)
        _check_steps(recipe.provisioners)
        _check_checks(recipe.checks, folder)
        _check_allowed(recipe.allow_secrets)
        _check_rest(recipe)
    except RecipeError as error:
        raise RecipeError(f"{origin}: {error.summary}", details=error.details, hint=error.hint) from error


def described(value: object) -> str:
    """What a value is, in a sentence: `None`, `the class Qemu`, `an int`."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _RECIPE_NAME.fullmatch(name):
        raise RecipeError(f"name {name!r} is not 1 to 40 of a-z, 0-9 and - (not first)", hint=_plain_name(name, 40))


def _check_builders(builders: object) -> None:
    specs = _tuple("builders", builders)
    if not specs:
        raise RecipeError("builders is empty", hint="name at least one place to bake")
    for number, spec in enumerate(specs, start=1):
        _refuse_class(f"builder {number}", spec)
        if not isinstance(spec, BuilderSpec) or not isinstance(spec.kind, str) or not isinstance(spec.name, str):
            raise RecipeError(f"builder {number} is {described(spec)}, which is not a builder's spec")
    if twice := _repeated(spec.name for spec in specs):
        raise RecipeError(f"two builders have the name {twice!r}", hint='tell them apart with name="..."')


def _check_disks(disks: object) -> None:
    for number, disk in enumerate(_tuple("disks", disks), start=1):
        if not isinstance(disk, Disk):
            raise RecipeError(f"disk {number} is {described(disk)}, not a Disk")
        if not isinstance(disk.name, str) or not _DISK_NAME.fullmatch(disk.name):
            raise RecipeError(
                f"disk {number}: name {disk.name!r} is not 1 to 20 of a-z, 0-9 and - (not first)",
                hint=_plain_name(disk.name, 20),
            )
        if disk.name == _ROOT_DISK:
            raise RecipeError(f"disk {number}: every machine has a disk {disk.name!r} anyway", hint="take another name")
        size: object = disk.size_gib
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _LARGEST_DISK_GIB:
            raise RecipeError(
                f"disk {disk.name!r}: size_gib {size!r} is not a whole number from 1 to {_LARGEST_DISK_GIB}"
            )
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
                f"step {number} is {described(step)}, which is not a step",
                hint="a step has name, revision, inputs(), requires() and apply(remote)",
            )


def _check_checks(checks: object, folder: Path) -> None:
    for number, check in enumerate(_tuple("checks", checks), start=1):
        _refuse_class(f"check {number}", check)
        if isinstance(check, str | Path):
            _check_check_file(number, check, folder)
        elif not callable(check):
            raise RecipeError(
                f"check {number} cannot be run: it is {described(check)}",
                hint="a check is a function that takes `host`, or the path of a file of check_* functions",
            )
        elif problem := problem_of_check(check):
            what, hint = problem
            raise RecipeError(f"check {number} {getattr(check, '__name__', type(check).__name__)} {what}", hint=hint)


def problem_of_check(check: Callable[..., object]) -> tuple[str, str] | None:
    """Why a callable can check nothing, and what to do; None when it may. It is not called."""
    if inspect.iscoroutinefunction(check) or inspect.isgeneratorfunction(check) or inspect.isasyncgenfunction(check):
        return "is asynchronous or a generator", "make it a plain function"  # calling one runs nothing of it
    try:
        signature = inspect.signature(check)
    except ValueError:  # a builtin that does not tell its signature
        return None
    makes = signature.return_annotation
    if isinstance(makes, type) and any("__call__" in vars(base) for base in makes.__mro__):
        return "makes a check, and is none", f"write {getattr(check, '__name__', 'it')}(...)"
    try:
        signature.bind("host")
    except TypeError as error:
        return f"cannot be called with `host` alone: {error}", "a check takes one argument, `host`"
    return None


def _check_check_file(number: int, check: str | Path, folder: Path) -> None:
    """What would fail only when the machine is ready to be checked. Parses the file, and does not run it."""
    path = folder / check
    where = f"check {number}: {path}"
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise RecipeError(f"{where}, line {error.lineno}: {error.msg}") from error
    except FileNotFoundError as error:
        raise RecipeError(
            f"check {number} refers to a file that does not exist: {check}",
            hint=f"paths are relative to the recipe's folder, {folder}",
        ) from error
    except OSError as error:
        raise RecipeError(f"{where} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # null bytes
        raise RecipeError(f"{where} is not Python: {error}") from error
    names = [getattr(node, "name", "") for node in ast.walk(tree)]
    if not any(name.lower().startswith("check") for name in names if name):
        raise RecipeError(f"{where} defines no check", hint="name its functions check_..., and let them take `host`")


def _check_allowed(allow_secrets: object) -> None:
    for number, entry in enumerate(_tuple("allow_secrets", allow_secrets), start=1):
        where = f"allowed secret {number}"
        if not isinstance(entry, AllowedSecret):
            raise RecipeError(f"{where} is a {type(entry).__name__}, not an AllowedSecret")
        if not isinstance(entry.path, str) or not entry.path.startswith(("/", "*")):
            raise RecipeError(
                f"{where}: path {entry.path!r} is no absolute path", hint="a shell pattern: /srv/*/key.pem"
            )
        if entry.kind not in SECRET_KINDS:
            known = did_you_mean(str(entry.kind), SECRET_KINDS) or f"one of: {', '.join(SECRET_KINDS)}"
            raise RecipeError(f"{where}: kind {entry.kind!r} is not known", hint=known)
        if not isinstance(entry.reason, str) or not entry.reason.strip():
            raise RecipeError(f"{where}: {entry.path} has no reason", hint="say why it may be in the image")


def _check_share(share: Share) -> None:
    for name in ("targets", "regions"):
        for number, value in enumerate(_tuple(name, getattr(share, name)), start=1):
            if not isinstance(value, str):
                raise RecipeError(f"share: {name[:-1]} {number} is a {type(value).__name__}, not text")


def _check_rest(recipe: Recipe) -> None:
    wanted = (("share", Share), ("keep_mirrors", bool), ("description", str), ("tags", Mapping))
    for name, cls in wanted:
        value: object = getattr(recipe, name)
        if not isinstance(value, cls):
            raise RecipeError(f"{name} is {described(value)}, not a {cls.__name__}")
    keep: object = recipe.keep
    if keep is not None and (not isinstance(keep, int) or isinstance(keep, bool) or keep < 1):
        raise RecipeError(f"keep is {keep!r}, not a whole number of 1 or more", hint="leave it out to keep all images")
    _check_share(recipe.share)
    for key, text in recipe.tags.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise RecipeError(f"tag {key!r} = {text!r} is not text", hint="tags are text, name and value")


def _tuple(field: str, value: object) -> tuple[Any, ...]:
    if isinstance(value, tuple):
        return value
    if value is None:
        raise RecipeError(f"{field} is None", hint=f"leave {field} out, or write {field}=()")
    name = type(value).__name__
    inner = "..." if isinstance(value, list | set | dict | str) else f"{name}(...)"
    raise RecipeError(
        f"{field} is not a tuple but {described(value)}", hint=f"write {field}=({inner},), with the comma"
    )


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
