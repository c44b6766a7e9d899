"""The exception tree and its exit codes."""

import inspect

import pytest

from baker import errors
from baker.errors import BakeError, Interrupted

TOP = [cls for cls in vars(errors).values() if inspect.isclass(cls) and BakeError in getattr(cls, "__bases__", ())]
ALL = [cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, BakeError)]


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    codes = [cls.exit_code for cls in TOP]
    assert sorted(codes) == list(range(2, 12))
    assert BakeError.exit_code == 1


@pytest.mark.parametrize("cls", ALL)
def test_a_finer_error_keeps_the_code_of_its_kind(cls: type[BakeError]) -> None:
    kinds = {base.exit_code for base in cls.__mro__ if base in TOP}
    assert kinds in ({cls.exit_code}, set())


@pytest.mark.parametrize("cls", ALL)
def test_the_tree_in_the_docstring_is_the_tree(cls: type[BakeError]) -> None:
    assert errors.__doc__ is not None
    (line,) = [
        line
        for line in errors.__doc__.splitlines()
        if f"── {cls.__name__}" in line or line.strip().startswith(f"{cls.__name__} ")
    ]
    if cls in TOP:
        assert f" {cls.exit_code} " in f"{line} "


def test_an_error_holds_what_a_person_needs() -> None:
    error = BakeError("it failed", details=[("command", "ls")], hint="try again")
    assert str(error) == "it failed"
    assert error.with_details(("exit code", "2")) is error
    assert error.details == (("command", "ls"), ("exit code", "2"))


@pytest.mark.parametrize(("signum", "code"), [(1, 129), (2, 130), (15, 143)])
def test_a_signal_is_not_an_exception(signum: int, code: int) -> None:
    assert Interrupted(signum).exit_code == code
    assert not issubclass(Interrupted, Exception)
