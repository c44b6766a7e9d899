"""Planning: fingerprints that chain, and steps that are wrong."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from baker.builders.qemu.spec import CloudImage, DebianPackages, Qemu
from baker.errors import RecipeError, SecretError
from baker.plan import Plan, make_plan
from baker.provisioner import Fetch, Remote, Requirements
from baker.recipe import Disk, Recipe
from baker.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that is all data."""

    not_fingerprinted: ClassVar[dict[str, str]] = {"patience": "how long to wait changes nothing in the image"}

    name: str = "a step"
    revision: int = 1
    files: tuple[str, ...] = ()
    requirements: Requirements = field(default_factory=Requirements)
    patience: int = 1
    note: Any = None

    def inputs(self) -> tuple[Path, ...]:
        return tuple(Path(name) for name in self.files)

    def requires(self) -> Requirements:
        if isinstance(self.note, Exception):
            raise self.note
        return self.requirements

    def apply(self, remote: Remote) -> None:
        raise AssertionError("a plan applies nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherStep(Step):
    """The same fields, another meaning."""


DATA = Disk(name="data", size_gib=1)


def _plan(*steps: Any, folder: Path = Path(), spec: Qemu = Qemu(), **fields: Any) -> Plan:  # noqa: B008
    recipe = Recipe(name="x", builders=(spec,), provisioners=steps, folder=folder, **fields)
    return make_plan(recipe, spec)


def test_a_step_stands_on_those_before_it() -> None:
    a, b, c = Step(name="a"), Step(name="b"), Step(name="c")
    one, other = _plan(a, b, c), _plan(a, replace(b, note="x"), c)
    same = [x.fingerprint == y.fingerprint for x, y in zip(one.steps, other.steps, strict=True)]
    assert same == [True, False, False]
    assert one.fingerprint == one.steps[-1].fingerprint
    assert [step.number for step in one.steps] == [1, 2, 3]
    assert _plan(a, b).fingerprint != _plan(b, a).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        Step(revision=2),
        Step(name="b"),
        Step(note=1),
        OtherStep(),
        Step(requirements=Requirements(secrets=(Secret.from_env("A"),))),
    ],
)
def test_what_makes_another_image_counts(other: Step) -> None:
    assert _plan(Step()).fingerprint != _plan(other).fingerprint


def test_what_a_class_leaves_out_with_a_reason_does_not_count() -> None:
    assert _plan(Step()).fingerprint == _plan(Step(patience=99)).fingerprint


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        (Qemu(memory_mib=8192), False),
        (Qemu(cpus=7, name="big"), False),
        (Qemu(source=DebianPackages(suite="trixie")), True),
        (Qemu(source=CloudImage(url="https://x.example/i", sha256="a" * 64)), True),
    ],
)
def test_the_source_counts_and_the_size_of_the_machine_that_bakes_does_not(spec: Qemu, counts: bool) -> None:
    assert (_plan(Step()).fingerprint != _plan(Step(), spec=spec).fingerprint) is counts


def test_disks_count() -> None:
    assert _plan(Step()).fingerprint != _plan(Step(), disks=(DATA,)).fingerprint


def test_the_content_of_inputs_counts(tmp_path: Path) -> None:
    (tmp_path / "env.yml").write_text("a")
    before = _plan(Step(files=("env.yml",)), folder=tmp_path).fingerprint
    (tmp_path / "env.yml").write_text("b")
    assert _plan(Step(files=("env.yml",)), folder=tmp_path).fingerprint != before


def test_fetches_and_secrets_are_listed_once_in_order() -> None:
    first, second = Fetch(kind="git", url="a"), Fetch(kind="git", url="b")
    token = Secret.from_env("T")
    plan = _plan(
        Step(requirements=Requirements(fetches=(second, first), secrets=(token,))),
        Step(requirements=Requirements(fetches=(first,), secrets=(token,))),
    )
    assert plan.fetches == (second, first)
    assert plan.secrets == (token,)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("apt install", "step 1 is a str, which is not a step"),
        (
            Step(requirements=Requirements(disks=("dta",))),
            "step 1 'a step' wants disk 'dta', which the recipe does not",
        ),
        (Step(files=("nowhere.yml",)), "step 1 'a step' refers to a file that cannot be read"),
        (Step(note=ZeroDivisionError("by zero")), "step 1 'a step' cannot be planned: ZeroDivisionError: by zero"),
        (Step(note=SecretError("no such secret")), "step 1 'a step': no such secret"),
        (Step(note=object()), "step 1 'a step' cannot be planned: TypeError"),
    ],
)
def test_a_step_that_is_wrong_is_named(step: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        _plan(step, folder=tmp_path, disks=(DATA,))
    assert caught.value.exit_code == 2


def test_a_slip_in_the_name_of_a_file_is_seen(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "ocean.yml").touch()
    with pytest.raises(RecipeError) as caught:
        _plan(Step(files=("environments/ocaen.yml",)), folder=tmp_path)
    assert caught.value.hint == "did you mean ocean.yml?"


def test_a_disk_hint_says_what_the_recipe_declares() -> None:
    with pytest.raises(RecipeError) as caught:
        _plan(Step(requirements=Requirements(disks=("dta",))), disks=(DATA,))
    assert caught.value.hint is not None
    assert "the recipe declares data" in caught.value.hint
