"""From a recipe file to a plan: what `run` and `plan` have in common, and all that is wrong with the recipe itself."""

import contextlib
import io
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from baker.artifact import Artifact
from baker.errors import BakeError, RecipeError
from baker.loader import load_recipe
from baker.plan import Plan, make_plan
from baker.ports import Builder, Problem
from baker.recipe import BuilderSpec, Recipe
from baker.registry import find_spec, load_builder


def _load(spec: BuilderSpec) -> Builder[Any]:
    return load_builder(spec.kind)


def plan_recipe(
    path: Path,
    *,
    on: str | None,
    settings: Mapping[str, str],
    find: Callable[[BuilderSpec], Builder[Any]] = _load,
) -> tuple[Plan, Builder[Any]]:
    """The plan of the recipe in the file at `path`, and its builder.

    The builder has had a look at its spec, and at whom to share with. Every error names the file.
    What the recipe or its steps print goes to standard error: standard output is for results.
    """
    recipe = load_recipe(path, settings)
    try:
        spec = find_spec(recipe, on)
        builder = find(spec)
        _refuse(builder.check(spec))
        if recipe.share:
            _refuse(builder.check_share(recipe.share))
        with contextlib.redirect_stdout(sys.stderr or io.StringIO()):
            return make_plan(recipe, spec), builder
    except BakeError as error:
        error.summary = f"{path}: {error.summary}"
        raise


def _refuse(problems: Iterable[Problem]) -> None:
    """All that is wrong with what a builder was shown, in one error. It is the recipe's, whoever says so."""
    found = tuple(problems)
    if found:
        first, *others = found
        raise RecipeError(first.summary, details=[("also", it.summary) for it in others], hint=first.hint)


def plan_of_image(image: Artifact, recipe: Recipe, *, on: str | None) -> Plan:
    """The plan that an image was baked from: `recipe` on the builder that has the image.

    RecipeError unless the recipe has the image's name and, with all its steps and their files, its fingerprint. Checks
    are no part of that: they may have become better since.
    """
    if image.recipe != recipe.name:
        raise RecipeError(f"image {image.name} was baked from recipe {image.recipe!r}, and this one is {recipe.name!r}")
    specs = [spec for spec in recipe.builders if spec.kind == image.builder and on in (None, spec.name, spec.kind)]
    if not specs:
        raise RecipeError(f"recipe {recipe.name!r} says nothing of {on or image.builder}, where the image is")
    with contextlib.redirect_stdout(sys.stderr or io.StringIO()):
        plans = [make_plan(recipe, spec) for spec in specs]
    for plan in plans:
        if plan.fingerprint == image.fingerprint:
            return plan
    raise RecipeError(
        f"the recipe is not what image {image.name} was baked from: a step, a file or the source image differs",
        details=(("the image's fingerprint", image.fingerprint), ("the recipe's", plans[0].fingerprint)),
        hint="give the same --set as for the bake; when the recipe has changed since, the image has to be baked anew",
    )
