"""`notebook_runs`: a notebook from its first cell to its last."""

import math
from dataclasses import dataclass

from baker.checks.account import Host, run_probe
from baker.errors import RecipeError
from baker.fields import require_path, require_types


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookRuns:
    """Every cell of the notebook `path` runs, within `timeout_seconds` for all of them."""

    path: str
    prefix: str
    timeout_seconds: float = 1800

    def __post_init__(self) -> None:
        require_types(self, called="notebook_runs")
        require_path("notebook_runs", "path", self.path)
        require_path("notebook_runs", "prefix", self.prefix)
        if not 0 < self.timeout_seconds < math.inf:
            raise RecipeError(f"notebook_runs: timeout_seconds is {self.timeout_seconds}")

    @property
    def name(self) -> str:
        return f"notebook {self.path} runs"

    def __call__(self, host: Host) -> None:
        run_probe(host, "notebook", self.path, prefix=self.prefix, timeout=self.timeout_seconds)


def notebook_runs(path: str, *, prefix: str, timeout_seconds: float = 1800) -> NotebookRuns:
    """A new user can execute the notebook at `path`, in a copy of its folder, with the Jupyter of `prefix`."""
    return NotebookRuns(path=path, prefix=prefix, timeout_seconds=timeout_seconds)
