"""What may have been meant; what people read of it is in cli/golden/bad_recipes.txt."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from baker.slips import hint_for


def _hint(program: str, **names: object) -> str | None:
    with pytest.raises((NameError, AttributeError, ArithmeticError, TypeError, ImportError)) as caught:
        exec(program, names)
    return hint_for(caught.value, names)


def test_what_is_not_like_anything_gets_no_hint() -> None:
    assert _hint("zzzzqqqq") is None
    assert _hint("1 / 0") is None
    assert _hint("len()") is None
    assert _hint("wave.colour", wave=SimpleNamespace(height=1)) is None


def test_an_attribute_is_looked_for_in_its_object() -> None:
    assert _hint("wave.hieght", wave=SimpleNamespace(height=1)) == "did you mean height?"


def test_a_package_that_is_not_there_says_where_it_would_have_to_be() -> None:
    hint = _hint("import oceanography.waves")
    assert hint == f"recipes are run by {sys.executable}: install it there, or put oceanography.py beside the recipe"


@pytest.mark.parametrize("program", ["swell(hieght=2)", "sea.swell(hieght=2)"])
def test_a_field_is_looked_for_in_what_was_called(program: str) -> None:
    def swell(*, height: int, period: int = 9) -> int:
        return height * period

    sea = ModuleType("sea")
    vars(sea)["swell"] = swell
    assert _hint(program, **({"sea": sea} if "." in program else {"swell": swell})) == "did you mean height?"
    program = program.replace("hieght", "colour")
    assert _hint(program, **({"sea": sea} if "." in program else {"swell": swell})) == "it has height, period"


def test_a_call_of_what_does_not_tell_its_fields_gets_no_hint() -> None:
    assert hint_for(TypeError("f() got an unexpected keyword argument 'a'"), {"f": 3}) is None
    assert hint_for(TypeError("f() got an unexpected keyword argument 'a'"), {}) is None
