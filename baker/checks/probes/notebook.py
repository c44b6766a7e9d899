"""notebook.py PATH: run every cell of a notebook, in a copy of its folder. Needs nbclient, as `jupyter execute` does.

The folder is copied, without .git, because a notebook reads what lies beside it and may write there.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import nbformat  # type: ignore[import-not-found,unused-ignore]
from jupyter_client.kernelspec import NoSuchKernel  # type: ignore[import-not-found,unused-ignore]
from nbclient import NotebookClient  # type: ignore[import-not-found,unused-ignore]
from nbclient.exceptions import CellExecutionError, DeadKernelError  # type: ignore[import-not-found,unused-ignore]

START_SECONDS = 300
LAST_SOURCE_LINES = 5


def main(path: Path) -> None:
    if not path.is_file():
        sys.exit(f"expected a notebook at {path}; there is none")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / path.parent.name
        shutil.copytree(path.parent, folder, symlinks=True, ignore=shutil.ignore_patterns(".git", ".ipynb_checkpoints"))
        execute(path, folder)


def execute(path: Path, folder: Path) -> None:
    notebook = nbformat.read(folder / path.name, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    if not cells:
        sys.exit(f"expected cells to run in {path}; it has none")
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=None, startup_timeout=START_SECONDS, resources=resources)
    try:
        client.execute()
    except CellExecutionError as error:
        number = next((at for at, cell in enumerate(cells, start=1) if failed(cell)), 0)
        source = cells[number - 1].source.rstrip().splitlines()[-LAST_SOURCE_LINES:] if number else []
        lines = "\n".join(f"    {line}" for line in source)
        sys.exit(f"code cell {number} of {len(cells)} of {path} failed:\n{lines}\n{error.ename}: {error.evalue}")
    except DeadKernelError:
        sys.exit(f"the kernel died while it ran {path} (out of memory?)")
    except NoSuchKernel as error:
        sys.exit(f"{path} asks for the kernel {error.name!r}, which is not here")


def failed(cell: nbformat.NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", ()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
