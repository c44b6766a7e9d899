"""Loading recipes. What each bad one says is in cli/golden/bad_recipes.txt; here is what loading does besides."""

import sys
from pathlib import Path
from typing import Any

import pytest

from baker.errors import Interrupted, RecipeError
from baker.loader import load_recipe

HEAD = "from baker import Disk, Recipe\nfrom baker.builders.qemu.spec import Qemu\n"
ONE = f"{HEAD}recipe = Recipe(name='x', builders=(Qemu(),))\n"


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_recipe_knows_its_folder_and_its_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "x.py", ONE)
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(Path("x.py"), {})
    assert (recipe.name, recipe.folder, recipe.parameters) == ("x", tmp_path, {})


def test_settings_become_arguments(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "x.py",
        "from __future__ import annotations\n"
        "from pathlib import Path\nfrom typing import Literal, Optional\n" + HEAD + "def recipe(\n"
        "    text: str = '', whole: int = 1, real: float = 1.0, flag: bool = False, path: Path = Path(),\n"
        "    mode: Literal['fast', 'slow', 3] = 'fast', maybe: int | None = None, other: Optional[str] = None,\n"
        "    bare=5, *, kept: int = 6,\n"
        "):\n    return Recipe(name='x', builders=(Qemu(),), tags={'all': repr((text, whole, mode))})\n",
    )
    given = {"text": "a=b", "whole": "-7", "real": "1e3", "flag": "Yes", "path": "d/e", "mode": "3"}
    recipe = load_recipe(path, {**given, "maybe": "4", "other": "o", "bare": "9"})
    assert recipe.parameters == {
        "text": "a=b", "whole": -7, "real": 1000.0, "flag": True, "path": Path("d/e"), "mode": 3,
        "maybe": 4, "other": "o", "bare": 9, "kept": 6,
    }  # fmt: skip
    assert recipe.tags["all"] == "('a=b', -7, 3)"


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        ("int", "1.5", "not a whole number"),
        ("float", "x", "not a number"),
        ("bool", "maybe", "not yes or no"),
        ("Literal['fast', 'slow']", "fats", "not one of fast, slow"),
        ("list", "1", "cannot give 'value' a value of type list"),
        ("int | str", "1", "cannot give 'value'"),
        ("Nowhere", "1", "name 'Nowhere' is not defined"),
    ],
)
def test_a_value_that_does_not_convert_is_refused(tmp_path: Path, annotation: str, value: str, said: str) -> None:
    path = _write(
        tmp_path / "x.py",
        f"from typing import Literal\n{HEAD}def recipe(value: '{annotation.replace(chr(39), chr(34))}'):\n    pass\n",
    )
    with pytest.raises(RecipeError, match=r"x\.py") as caught:
        load_recipe(path, {"value": value})
    assert said in caught.value.summary


def test_settings_for_a_recipe_without_parameters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--set size: this recipe takes no parameters"):
        load_recipe(_write(tmp_path / "x.py", ONE), {"size": "3"})


def _neighbour(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    _write(folder / "shared_names.py", f"NAME = '{name}'\n")
    package = folder / "parts"
    package.mkdir(exist_ok=True)
    _write(package / "more.py", f"TAG = '{name}'\n")
    text = f"{HEAD}from parts.more import TAG\nfrom shared_names import NAME\n"
    return _write(folder / "x.py", f"{text}recipe = Recipe(name=NAME, builders=(Qemu(),), tags={{'t': TAG}})\n")


def test_neighbours_are_importable_and_forgotten(tmp_path: Path) -> None:
    before: tuple[Any, ...] = (list(sys.path), set(sys.modules), sys.dont_write_bytecode)
    first, second = _neighbour(tmp_path / "a", "first"), _neighbour(tmp_path / "b", "second")
    assert [load_recipe(path, {}).name for path in (first, second)] == ["first", "second"]
    # Same size, same second: only reading the file again can tell.
    _neighbour(tmp_path / "a", "third")
    again = load_recipe(first, {})
    assert (again.name, again.tags) == ("third", {"t": "third"})
    assert not list(tmp_path.rglob("__pycache__"))
    assert (list(sys.path), set(sys.modules), sys.dont_write_bytecode) == before


def test_what_was_imported_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _neighbour(tmp_path, "mine")
    monkeypatch.syspath_prepend(str(tmp_path))
    import shared_names  # type: ignore[import-not-found]

    load_recipe(tmp_path / "x.py", {})
    assert sys.modules["shared_names"] is shared_names
    monkeypatch.delitem(sys.modules, "shared_names")


def test_nothing_stays_of_a_recipe_that_fails(tmp_path: Path) -> None:
    _neighbour(tmp_path, "mine")
    path = _write(tmp_path / "bad.py", "import shared_names\n1 / 0\n")
    before = (list(sys.path), set(sys.modules))
    with pytest.raises(RecipeError):
        load_recipe(path, {})
    assert (list(sys.path), set(sys.modules)) == before


def test_a_step_of_the_recipe_keeps_its_fingerprint_when_the_file_moves(tmp_path: Path) -> None:
    from baker.plan import make_plan

    text = (
        HEAD + "from dataclasses import dataclass\n"
        "from baker import NOTHING_REQUIRED\n"
        "@dataclass(frozen=True, slots=True, kw_only=True)\n"
        "class Step:\n    name = 's'\n    revision = 1\n    size: 'int' = 1\n"
        "    def inputs(self): return ()\n    def requires(self): return NOTHING_REQUIRED\n"
        "    def apply(self, remote): pass\n"
        "recipe = Recipe(name='x', builders=(Qemu(),), provisioners=(Step(),))\n"
    )
    (tmp_path / "deep").mkdir()
    paths = (_write(tmp_path / "one.py", text), _write(tmp_path / "deep" / "two.py", text))
    recipes = [load_recipe(path, {}) for path in paths]
    first, second = (make_plan(recipe, recipe.builders[0]).fingerprint for recipe in recipes)
    assert first == second


def test_what_a_recipe_prints_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_recipe(_write(tmp_path / "x.py", f"print('loud')\n{ONE}"), {})
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "loud\n")


@pytest.mark.parametrize("stop", ["KeyboardInterrupt()", "Interrupted(15)"])
def test_being_told_to_stop_is_no_fault_of_the_recipe(tmp_path: Path, stop: str) -> None:
    path = _write(tmp_path / "x.py", f"from baker.errors import Interrupted\nraise {stop}\n")
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        load_recipe(path, {})


def test_the_line_is_the_recipes_own_even_when_a_library_raises(tmp_path: Path) -> None:
    _write(tmp_path / "waves.py", "def crash():\n    raise LookupError('no waves')\n")
    path = _write(tmp_path / "x.py", "import waves\n\n\nwaves.crash()\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, {})
    assert caught.value.summary == f"{path} line 4: LookupError: no waves"
    assert caught.value.details == (("line 4", "waves.crash()"),)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, ""])
def test_impossible_paths_are_errors_of_ours(name: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe(Path(name), {})


def test_a_disk_image_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: takes no room, and would never be read in a second
    with pytest.raises(RecipeError, match="is not text"):
        load_recipe(path, {})


def test_a_file_with_a_declared_encoding_is_read_by_it(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_bytes(
        b"# -*- coding: latin-1 -*-\n" + ONE.replace("name='x'", "name='x', description='gr\xfc\xdf'").encode("latin-1")
    )
    assert load_recipe(path, {}).description == "grüß"
