"""Ready-made checks. Importing them imports neither pytest nor testinfra.

Each is frozen data: a name, and the arguments that it was made with, so that it can be made again from a manifest.
Called with `host` it returns, or raises AssertionError that says what was expected and what was seen.

    jupyter_runs(prefix)                  what a user of the machine will do: JupyterLab, its token, a kernel
    kernel_starts(name, prefix=...)       a kernel by its name
    notebook_runs(path, prefix=...)       a notebook from end to end
    imports(*modules, prefix=...)         Python modules
    mount_present(path)                   a data disk, now and after each boot

All but the last run as a user that is made for the check alone: one that has never seen the bake.
"""

from baker.checks.imports import Imports, imports
from baker.checks.jupyter import JupyterRuns, jupyter_runs
from baker.checks.kernel import KernelStarts, kernel_starts
from baker.checks.mount import MountPresent, mount_present
from baker.checks.notebook import NotebookRuns, notebook_runs

READY_MADE = (Imports, JupyterRuns, KernelStarts, MountPresent, NotebookRuns)
"""All of them: an image's labels hold these checks, by the names of their classes."""

__all__ = [
    "READY_MADE",
    "Imports",
    "JupyterRuns",
    "KernelStarts",
    "MountPresent",
    "NotebookRuns",
    "imports",
    "jupyter_runs",
    "kernel_starts",
    "mount_present",
    "notebook_runs",
]
