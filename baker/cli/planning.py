"""From a recipe file to a plan: what `run` and `plan` have in common."""

import contextlib
import io
import sys
from collections.abc import Mapping
from pathlib import Path

from baker.errors import BakeError
from baker.loader import load_recipe
from baker.plan import Plan, make_plan
from baker.registry import builder_kinds, find_spec, unknown_builder


def plan_recipe(path: Path, *, on: str | None, settings: Mapping[str, str]) -> Plan:
    """The plan of the recipe in the file at `path`; loads no builder. Every error names the file.

    What the recipe or its steps print goes to standard error: standard output is for results.
    """
    recipe = load_recipe(path, settings)
    try:
        spec = find_spec(recipe, on)
        if spec.kind not in builder_kinds():
            raise unknown_builder(spec.kind)
        with contextlib.redirect_stdout(sys.stderr or io.StringIO()):
            return make_plan(recipe, spec)
    except BakeError as error:
        error.summary = f"{path}: {error.summary}"
        raise
