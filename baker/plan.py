"""What a bake would do, before it does anything: steps with chained fingerprints.

Pure: reads the recipe's own files and nothing else; no SDK, no network, no clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from baker.errors import BakeError, RecipeError
from baker.fingerprint import canonical, chain, digest, digest_file
from baker.provisioner import Fetch, Provisioner, Requirements
from baker.recipe import BuilderSpec, Disk, Recipe
from baker.secret import Secret
from baker.suggestion import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step in its place. `number` counts from 1; `fingerprint` holds all steps before it too."""

    number: int
    name: str
    kind: str
    fingerprint: str
    requirements: Requirements
    provisioner: Provisioner


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A recipe on one builder, ready to be run or printed."""

    recipe: Recipe
    spec: BuilderSpec
    steps: tuple[PlannedStep, ...]
    fingerprint: str

    @property
    def disks(self) -> tuple[Disk, ...]:
        return self.recipe.disks

    @property
    def fetches(self) -> tuple[Fetch, ...]:
        """All that the steps fetch, once each, in order."""
        return tuple(dict.fromkeys(fetch for step in self.steps for fetch in step.requirements.fetches))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All that the steps need, once each, in order."""
        return tuple(dict.fromkeys(secret for step in self.steps for secret in step.requirements.secrets))


def make_plan(recipe: Recipe, spec: BuilderSpec) -> Plan:
    """Plan `recipe` on `spec`. RecipeError names the step that is wrong, by number and name."""
    fingerprint = base_fingerprint(recipe, spec)
    steps: list[PlannedStep] = []
    for number, provisioner in enumerate(recipe.provisioners, start=1):
        step = _plan_step(number, provisioner, recipe, fingerprint)
        fingerprint = step.fingerprint
        steps.append(step)
    return Plan(recipe=recipe, spec=spec, steps=tuple(steps), fingerprint=fingerprint)


def base_fingerprint(recipe: Recipe, spec: BuilderSpec) -> str:
    """What all steps stand on: the source image and the disks. Sizes of the machine that bakes do not count."""
    source = getattr(spec, "source", None)
    return digest({"builder": spec.kind, "source": source, "disks": recipe.disks})


def step_fingerprint(previous: str, provisioner: Provisioner, folder: Path) -> str:
    """Previous fingerprint + class + revision + fields + digests of the input files. OSError for a missing file."""
    cls = type(provisioner)
    value = {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "revision": provisioner.revision,
        "fields": step_fields(provisioner),
        "inputs": [digest_file(folder / path) for path in provisioner.inputs()],
    }
    return chain(previous, value)


def step_fields(provisioner: Provisioner) -> dict[str, Any]:
    """The hashed fields of a step: all but those that its class names, with a reason, in `not_fingerprinted`."""
    if not is_dataclass(provisioner):
        return dict(vars(provisioner))
    excluded: Mapping[str, str] = getattr(type(provisioner), "not_fingerprinted", {})
    return {
        field.name: canonical(getattr(provisioner, field.name))
        for field in fields(provisioner)
        if field.name not in excluded
    }


def _plan_step(number: int, provisioner: Provisioner, recipe: Recipe, previous: str) -> PlannedStep:
    if not isinstance(provisioner, Provisioner):
        raise RecipeError(
            f"step {number} is a {type(provisioner).__name__}, which is not a step",
            hint="a step has name, revision, inputs(), requires() and apply(remote)",
        )
    where = f"step {number}"
    try:
        where = f"step {number} {provisioner.name!r}"
        requirements = provisioner.requires()
        _check_disks(where, requirements.disks, recipe.disks)
        _check_secrets(where, requirements.secrets)
        fingerprint = step_fingerprint(previous, provisioner, recipe.folder)
        if check_inputs := getattr(provisioner, "check_inputs", None):
            check_inputs(recipe.folder)
    except OSError as error:
        raise RecipeError(
            f"{where} refers to a file that cannot be read: {error.filename}",
            details=(("reason", (error.strerror or str(error)).lower()),),
            hint=_where_to_look(error, recipe.folder),
        ) from error
    except BakeError as error:
        raise RecipeError(
            error.summary if error.summary.startswith("step ") else f"{where}: {error.summary}",
            details=error.details,
            hint=error.hint,
        ) from error
    except Exception as error:
        raise RecipeError(f"{where} cannot be planned: {type(error).__name__}: {error}") from error
    return PlannedStep(
        number=number,
        name=provisioner.name,
        kind=type(provisioner).__name__,
        fingerprint=fingerprint,
        requirements=requirements,
        provisioner=provisioner,
    )


def _where_to_look(error: OSError, folder: Path) -> str | None:
    """What may have been meant by the name of a file that is not there."""
    if not isinstance(error, FileNotFoundError):
        return None
    path = Path(error.filename)
    meant = did_you_mean(path.name, [found.name for found in path.parent.glob("*")])
    return meant or f"paths are relative to the recipe's folder, {folder}"


def _check_secrets(where: str, secrets: Iterable[object]) -> None:
    """A recipe is not type-checked, and a secret written as text is the commonest slip. Its value is not shown."""
    if not all(isinstance(secret, Secret) for secret in secrets):
        raise RecipeError(
            f"{where} has a secret that is written as text",
            hint='take it out of the recipe, and write Secret.from_env("NAME") in its place',
        )


def _check_disks(where: str, wanted: Iterable[str], declared: tuple[Disk, ...]) -> None:
    names = [disk.name for disk in declared]
    for name in wanted:
        if name not in names:
            known = f"the recipe declares {', '.join(names)}" if names else "the recipe declares no disk"
            raise RecipeError(
                f"{where} wants disk {name!r}, which the recipe does not declare",
                hint=f'{known}; add Disk(name="{name}", size_gib=...) to disks',
            )
