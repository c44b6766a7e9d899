"""Turns the checks of a recipe into pytest items, one each, or says what is wrong with them.

A file is collected by pytest itself, so that fixtures, parametrize and marks work in it. A callable becomes a
`CallableCheck`. Nothing of a check is run here, but a file is imported.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baker.checks.explaining import with_explained_asserts
from baker.checks.judging import ends_the_bake
from baker.errors import ChecksFailedError
from baker.recipe import Check
from baker.validation import problem_of_check


class CallableCheck(pytest.Item):
    """A callable that takes `host`. Returning False is as good as a failed assert."""

    def __init__(self, *, check: Callable[..., object], host: object, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._check = check
        self._host = host

    def runtest(self) -> None:
        result = self._check(self._host)
        if result is False:
            pytest.fail("the check returned False")
        if callable(result):
            pytest.fail("the check checked nothing: it returned another one, which the recipe should name")

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


class Collector:
    """Makes the items of one session. `folder` is the recipe's; paths of check files are relative to it."""

    def __init__(self, session: pytest.Session, *, host: object, folder: Path) -> None:
        self._session = session
        self._host = host
        self._folder = folder

    def items_of(self, check: Check) -> list[pytest.Item]:
        """ChecksFailedError for what is not a check, with file and line where Python gives one."""
        if isinstance(check, str | Path):
            return self._items_of_file(self._folder / check)
        if not callable(check):
            raise ChecksFailedError(
                f"{check!r} is not a check",
                hint="a check is a function that takes `host`, or the path of a file of check_* functions",
            )
        name = name_of(check, self._folder)
        if problem := problem_of_check(check):
            what, hint = problem
            raise ChecksFailedError(f"check {name} {what}", hint=hint)
        item = CallableCheck.from_parent(self._session, name=name, check=with_explained_asserts(check), host=self._host)
        return [item]

    def _items_of_file(self, path: Path) -> list[pytest.Item]:
        _refuse_unreadable(path)
        module = pytest.Module.from_parent(self._session, path=path)
        try:
            items = [item for node in module.collect() for item in self._session.genitems(node)]
        except (Exception, pytest.skip.Exception) as error:  # a skip of the whole file is no Exception
            if ends_the_bake(error):
                raise
            raise _import_failed(path, error) from error
        if not items:
            raise ChecksFailedError(
                f"check file {path} defines no check", hint="name its functions check_..., and let them take `host`"
            )
        for item in items:
            function = getattr(item, "function", None)
            if function is not None:
                _refuse_asynchronous(function, f"{path}: {item.name}")
        return items


def name_of(check: Callable[..., object], folder: Path) -> str:
    """How a check reads in a log: its `name`, its function's name, or the place where the lambda stands."""
    if isinstance(given := getattr(check, "name", None), str):
        return given
    function = inspect.unwrap(getattr(check, "func", check))  # `func`: functools.partial
    name = str(getattr(function, "__name__", type(check).__name__))
    if name != "<lambda>":
        return name
    code = function.__code__
    path = Path(code.co_filename)
    return f"lambda at {path.relative_to(folder) if path.is_relative_to(folder) else path}:{code.co_firstlineno}"


def _refuse_asynchronous(check: Callable[..., object], name: str) -> None:
    """Calling one would make a coroutine or a generator, run nothing of it, and pass."""
    if inspect.iscoroutinefunction(check) or inspect.isgeneratorfunction(check) or inspect.isasyncgenfunction(check):
        raise ChecksFailedError(f"check {name} is asynchronous or a generator", hint="make it a plain function")


def _refuse_unreadable(path: Path) -> None:
    try:
        compile(path.read_bytes(), path, "exec", dont_inherit=True)
    except OSError as error:
        raise ChecksFailedError(
            f"check file {path} cannot be read: {error.strerror or error}",
            hint="paths of check files are relative to the recipe's folder",
        ) from error
    except SyntaxError as error:
        raise ChecksFailedError(
            f"{path}, line {error.lineno or 1}: {error.msg}", details=(("line", (error.text or "").strip()),)
        ) from error
    except ValueError as error:  # a null byte
        raise ChecksFailedError(f"check file {path} is not Python: {error}") from error


def _import_failed(path: Path, error: BaseException) -> ChecksFailedError:
    cause = error.__cause__ or error
    line = None
    traceback = cause.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    where = f"{path}, line {line}" if line else f"check file {path}"
    return ChecksFailedError(f"{where}: {type(cause).__name__}: {cause}")
