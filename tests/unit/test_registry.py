"""Finding builders and specs."""

import sys
from pathlib import Path

import pytest

from baker.builders.qemu.spec import Qemu
from baker.errors import BuilderUnavailableError
from baker.recipe import Recipe
from baker.registry import builder_kinds, find_builder, find_spec, load_builder

RECIPE = Recipe(name="x", builders=(Qemu(name="small"), Qemu(name="big")))


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch, *, module: str, extras: str = "") -> None:
    """A distribution that provides builder `cloud-nine`, as pip would have put it there."""
    info = folder / "cloud_nine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: cloud-nine\nVersion: 1.0\n{extras}")
    (info / "entry_points.txt").write_text("[baker.builders]\ncloud-nine = cloud_nine:Builder\n")
    (folder / "cloud_nine.py").write_text(module)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "cloud_nine", raising=False)


def test_a_builder_of_others_is_found_like_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, monkeypatch, module="class Builder:\n    kind = 'cloud-nine'\n")
    assert {"cloud-nine", "qemu"} <= set(builder_kinds())
    assert "cloud_nine" not in sys.modules
    assert find_builder("cloud-nine").kind == "cloud-nine"


@pytest.mark.parametrize(
    ("extras", "command"),
    [
        ("", "pip install 'cloud-nine'"),
        ("Provides-Extra: other\n", "pip install 'cloud-nine'"),
        ("Provides-Extra: cloud-nine\n", "pip install 'cloud-nine[cloud-nine]'"),
    ],
)
def test_a_missing_part_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extras: str, command: str
) -> None:
    _install(tmp_path, monkeypatch, module="import nimbus.cloud\n", extras=extras)
    with pytest.raises(BuilderUnavailableError, match="needs Python module 'nimbus'") as caught:
        find_builder("cloud-nine")
    assert caught.value.hint == command


@pytest.mark.parametrize("module", ["nimbus", "nimbus.cloud", "email.nimbus", "wsgiref.simple_server.nimbus"])
def test_a_module_that_is_wanted_later_is_missed_once_the_builder_is_to_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    _install(
        tmp_path, monkeypatch, module=f"class Builder:\n    kind = 'cloud-nine'\n    modules = ('json', {module!r})\n"
    )
    assert load_builder("cloud-nine").kind == "cloud-nine"
    with pytest.raises(BuilderUnavailableError, match=f"needs Python module '{module}'") as caught:
        find_builder("cloud-nine")
    assert caught.value.hint == "pip install 'cloud-nine'"


def test_a_builder_that_breaks_while_loading_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, monkeypatch, module="raise RuntimeError('out of order')\n")
    with pytest.raises(BuilderUnavailableError, match="cannot be loaded: RuntimeError: out of order"):
        find_builder("cloud-nine")


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(BuilderUnavailableError, match="no builder 'qmeu' is installed") as caught:
        find_builder("qmeu")
    assert caught.value.exit_code == 3
    assert "qemu" in dict(caught.value.details)["installed"]
    assert caught.value.hint == "did you mean qemu?"


@pytest.mark.parametrize(("on", "name"), [(None, "small"), ("small", "small"), ("big", "big"), ("qemu", "small")])
def test_a_spec_is_found_by_name_then_by_kind(on: str | None, name: str) -> None:
    assert find_spec(RECIPE, on).name == name


def test_a_name_goes_before_a_kind() -> None:
    recipe = Recipe(name="x", builders=(Qemu(name="first"), Qemu(name="qemu")))
    assert find_spec(recipe, "qemu").name == "qemu"


def test_an_unknown_spec_names_those_of_the_recipe() -> None:
    with pytest.raises(BuilderUnavailableError, match="recipe 'x' has no builder 'bigg'") as caught:
        find_spec(RECIPE, "bigg")
    assert caught.value.details == (("it has", "small, big"),)
    assert caught.value.hint == "did you mean big?"
