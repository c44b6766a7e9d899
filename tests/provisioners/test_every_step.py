"""What holds for all steps alike: shape, fingerprint, names. A new step in `__all__` is tested without being named."""

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import provisioners
from baker.fingerprint import digest
from baker.plan import step_fields
from baker.provisioner import Provisioner, Requirements

EXPORTED = [getattr(provisioners, name) for name in provisioners.__all__]
STEPS = [cls for cls in EXPORTED if hasattr(cls, "apply")]
PARTS = [cls for cls in EXPORTED if not hasattr(cls, "apply")]


def excluded(cls: type[Any]) -> Mapping[str, str]:
    """As the plan reads it."""
    reasons: Mapping[str, str] = getattr(cls, "not_fingerprinted", {})
    return reasons


def unmade(cls: type[Any]) -> Any:
    """An instance with a text in each field, made past the constructor, which has its own opinion of values."""
    instance = object.__new__(cls)
    for field in dataclasses.fields(cls):
        object.__setattr__(instance, field.name, "before")
    return instance


def with_field(instance: Any, name: str) -> Any:
    changed = copy.copy(instance)
    object.__setattr__(changed, name, "after")
    return changed


FIELDS = [
    pytest.param(cls, field.name, id=f"{cls.__name__}.{field.name}")
    for cls in STEPS
    for field in dataclasses.fields(cls)
]


def test_all_is_sorted_and_complete() -> None:
    defined = {
        name
        for name, value in vars(provisioners).items()
        if isinstance(value, type) and value.__module__.startswith("provisioners.")
    }
    assert provisioners.__all__ == sorted(provisioners.__all__)
    assert defined == set(provisioners.__all__)


@pytest.mark.parametrize("cls", EXPORTED)
def test_is_frozen_has_slots_and_takes_keywords_alone(cls: type[Any]) -> None:
    options = cls.__dataclass_params__
    assert options.frozen
    assert "__slots__" in vars(cls)
    assert all(field.kw_only for field in dataclasses.fields(cls))
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{cls.__name__}("), "the docstring is the one that dataclass makes up"


@pytest.mark.parametrize("cls", STEPS)
def test_a_revision_is_a_number_of_the_class(cls: type[Any]) -> None:
    assert isinstance(cls.revision, int)
    assert cls.revision >= 1


@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_each_field_changes_the_fingerprint_or_is_excluded_with_a_reason(cls: type[Any], name: str) -> None:
    before = unmade(cls)
    same = digest(step_fields(before)) == digest(step_fields(with_field(before, name)))
    assert same == (name in excluded(cls))


@pytest.mark.parametrize("cls", STEPS)
def test_exclusions_name_fields_and_give_reasons(cls: type[Any]) -> None:
    names = {field.name for field in dataclasses.fields(cls)}
    for name, reason in excluded(cls).items():
        assert name in names
        assert len(reason.split()) > 3, f"{cls.__name__}.{name}: {reason!r} is no reason"


@pytest.mark.parametrize("cls", PARTS)
def test_parts_of_a_step_are_hashed_whole(cls: type[Any]) -> None:
    before = unmade(cls)
    for field in dataclasses.fields(cls):
        assert digest(before) != digest(with_field(before, field.name))


SAMPLES: tuple[tuple[Any, str], ...] = (
    (provisioners.SystemPackages(packages=("git",)), "system packages git"),
    (provisioners.SystemPackages(packages=tuple("abcdef")), "system packages a, b, c, d and 2 more"),
    (provisioners.SystemUpdate(), "system update"),
    (provisioners.DiskMount(disk="data", path="/data"), "mount disk data on /data"),
    (
        provisioners.DiskMount(
            disk="data",
            partitions=(provisioners.Partition(path="/a", size_gib=1), provisioners.Partition(path="/b")),
        ),
        "mount disk data on /a, /b",
    ),
    (provisioners.Files(target="/srv/x", source="notebooks"), "copy notebooks to /srv/x"),
    (provisioners.Files(target="/etc/motd", content="hello"), "file /etc/motd"),
    (provisioners.Shell(command="\n  useradd ada\nid ada"), "shell: useradd ada"),
    (provisioners.Shell(command="x" * 90), "shell: " + "x" * 59 + "…"),
    (provisioners.Shell(command="true", title="nothing"), "nothing"),
    (provisioners.Shell(script="setup.sh"), "script setup.sh"),
    (
        provisioners.GitClone(url="https://example.org/a/notebooks.git", target="/srv/n", ref="v1"),
        "git clone notebooks at v1",
    ),
    (
        provisioners.GitClone(url="https://example.org/a/notebooks", target="/srv/n", ref="0123456789" * 4),
        "git clone notebooks at 012345678901",
    ),
    (provisioners.Reboot(), "reboot"),
)


@pytest.mark.parametrize(("step", "name"), SAMPLES, ids=[name for _, name in SAMPLES])
def test_a_step_has_the_shape_and_a_name_that_reads_well(step: Any, name: str) -> None:
    assert isinstance(step, Provisioner)
    assert step.name == name
    assert isinstance(step.requires(), Requirements)
    assert all(isinstance(path, Path) and not path.is_absolute() for path in step.inputs())
