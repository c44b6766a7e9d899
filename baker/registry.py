"""Builders, found by the entry point group `baker.builders` (kind = class) and loaded only when asked.

Ours are found the way a third party's are; nothing here or above names one. Loading a builder loads no SDK, so that
any recipe can be planned anywhere; a builder may say in `modules` which Python modules it imports once it works.
"""

import importlib.util
import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from baker.errors import BakeError, BuilderUnavailableError
from baker.ports import Builder
from baker.recipe import BuilderSpec, Recipe
from baker.suggestion import did_you_mean

GROUP = "baker.builders"


def builder_kinds() -> tuple[str, ...]:
    """The kinds of builder that are installed; loads none of them."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def load_builder(kind: str) -> Builder[Any]:
    """The builder of this kind, which may lack what it needs to work: to `check` a spec takes nothing.

    BuilderUnavailableError when it is unknown or cannot be loaded.
    """
    return _loaded(_entry(kind))


def find_builder(kind: str) -> Builder[Any]:
    """The builder of this kind, whole. BuilderUnavailableError when it is unknown or a part of it is not installed."""
    entry = _entry(kind)
    builder = _loaded(entry)
    for module in getattr(builder, "modules", ()):
        if not _is_installed(module):
            raise _lacks(entry, module)
    return builder


def _entry(kind: str) -> EntryPoint:
    for entry in entry_points(group=GROUP):
        if entry.name == kind:
            return entry
    known = builder_kinds()
    raise BuilderUnavailableError(
        f"no builder {kind!r} is installed",
        details=(("installed", ", ".join(known) or "none"),),
        hint=did_you_mean(kind, known) or "see `bake doctor`",
    )


def find_spec(recipe: Recipe, on: str | None) -> BuilderSpec:
    """The builder spec that `--on` means, by its name, else its kind; without `--on` the recipe's first one."""
    if on is None:
        return recipe.builders[0]
    for spec in (*(spec for spec in recipe.builders if spec.name == on), *recipe.builders):
        if on in (spec.name, spec.kind):
            return spec
    names = [spec.name for spec in recipe.builders]
    raise BuilderUnavailableError(
        f"recipe {recipe.name!r} has no builder {on!r}",
        details=(("it has", ", ".join(names)),),
        hint=did_you_mean(on, names) or f"bake with --on {names[0]}, or add a spec to the recipe's builders",
    )


def _loaded(entry: EntryPoint) -> Builder[Any]:
    try:
        builder: Builder[Any] = entry.load()()
    except ModuleNotFoundError as error:
        raise _lacks(entry, str(error.name)) from error
    except BakeError:
        raise
    except Exception as error:
        raise BuilderUnavailableError(
            f"builder {entry.name!r} cannot be loaded: {type(error).__name__}: {error}",
            details=(("entry point", entry.value),),
        ) from error
    return builder


def _is_installed(module: str) -> bool:
    """Whether it could be imported; of all its parents the packages are, which is what finding a module takes."""
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of a parent
        return False


def _lacks(entry: EntryPoint, module: str) -> BuilderUnavailableError:
    return BuilderUnavailableError(
        f"builder {entry.name!r} needs Python module {module!r}, which is not installed", hint=_how_to_install(entry)
    )


def _how_to_install(entry: EntryPoint) -> str:
    """Install the distribution again, with the extra that has the builder's name where there is one."""
    if entry.dist is None:
        return f"install what {entry.value} needs"
    extras = entry.dist.metadata.get_all("Provides-Extra") or []
    wanted = re.sub(r"[-_.]+", "-", entry.name).lower()
    name = f"{entry.dist.name}[{wanted}]" if wanted in extras else entry.dist.name
    return f"pip install '{name}'"
