"""The rules of the house that no import linter can see."""

import ast
import importlib
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import baker
import provisioners
from baker.ports import Builder

ROOT = Path(__file__).parents[2]
PACKAGES = ("baker", "provisioners", "lab")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
CORE_OF_THE_STORY = (
    "engine.py",
    "lifetime.py",
    "narrator.py",
    "plan.py",
    "manifest.py",
    "loader.py",
    "catalogue.py",
    "cleanup.py",
)
FORBIDDEN_NAMES = ("utils", "helpers", "common", "base", "manager", "template", "provider", "task")
IMPORTED_BY_A_RECIPE_ONLY_WHEN_NEEDED = ("paramiko", "pytest", "testinfra", "click", "pycdlib", "qemu", "cryptography")


@pytest.mark.parametrize("package", [baker, provisioners], ids=lambda package: package.__name__)
def test_the_public_names_are_complete_sorted_and_documented(package: object) -> None:
    names: list[str] = package.__all__  # type: ignore[attr-defined]
    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    for name in names:
        value = getattr(package, name)
        if isinstance(value, type):
            assert value.__doc__, f"{name} has no docstring"
            assert not value.__doc__.startswith(f"{name}("), f"{name} has only the docstring that dataclass made"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_named_for_a_concept(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES


@pytest.mark.parametrize("name", CORE_OF_THE_STORY)
def test_the_engine_names_no_builder(name: str) -> None:
    kinds = "|".join(entry.name for entry in entry_points(group="baker.builders"))
    assert kinds
    assert not re.search(rf"\b({kinds}|aws|azure)\b", (ROOT / "baker" / name).read_text(), re.IGNORECASE)


def test_importing_the_public_api_loads_nothing_heavy() -> None:
    program = "import sys, baker, provisioners, baker.checks, baker.builders.qemu.spec; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not set(IMPORTED_BY_A_RECIPE_ONLY_WHEN_NEEDED) & set(loaded)


@pytest.mark.parametrize("entry", entry_points(group="baker.builders"), ids=lambda entry: entry.name)
def test_each_builder_has_the_shape_of_one(entry: object) -> None:
    cls = entry.load()  # type: ignore[attr-defined]
    for name in (name for name in vars(Builder) if not name.startswith("_")):
        assert hasattr(cls, name), f"{cls.__name__} has no {name}"


def test_every_word_of_the_public_api_imports() -> None:
    for path in MODULES:
        if {"probes", "making"} & set(path.parts) or path.name == "__main__.py":
            continue  # programs that run elsewhere
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        importlib.import_module(name)
