"""Ready-made checks on a real machine with a real Jupyter: that they pass, and what they say when they must not."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from baker.checks import imports, jupyter_runs, kernel_starts, mount_present, notebook_runs
from baker.checks.runner import run_checks
from baker.clock import SystemClock
from baker.communicators.ssh import SshConnector
from baker.events import CheckFinished
from baker.recipe import Check
from baker.remote import MachineRemote
from baker.testing.sandbox import Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.lab, pytest.mark.xdist_group("jupyter")]

PREFIX = "/opt/jupyter"
NOTEBOOKS = "/srv/notebooks"


def notebook(*sources: str, kernel: str = "python3") -> bytes:
    cells: list[dict[str, Any]] = [{"cell_type": "markdown", "metadata": {}, "source": "# A notebook"}]
    cells += [
        {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
        for source in sources
    ]
    metadata = {"kernelspec": {"name": kernel, "display_name": kernel}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}).encode()


def make_environment(folder: Path) -> Path:
    """A venv with JupyterLab for the machine's own Python, made on this host."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    environment = folder / "jupyter"
    subprocess.run([uv, "venv", "--quiet", "--relocatable", "--python", "3.11", environment], check=True)
    packages = ["jupyterlab", "ipykernel"]
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", environment, *packages]
    subprocess.run(install, check=True)
    (environment / "bin" / "python").unlink()
    (environment / "bin" / "python").symlink_to("/usr/bin/python3")
    return environment


@pytest.fixture(scope="module")
def machine(sandbox_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineRemote]:
    """A machine with a Jupyter in /opt/jupyter and notebooks in /srv/notebooks; checks leave it as it was."""
    folder = tmp_path_factory.mktemp("recipe")
    clock = SystemClock()
    with (
        Sandbox.start(sandbox_root) as sandbox,
        MachineRemote(
            machine=sandbox,
            connector=SshConnector(clock=clock),
            transfer=lambda *_, **__: pytest.fail("nothing is imported here"),
            resolve=lambda secret: secret.name,
            folder=folder,
            emit=lambda event: None,
            clock=clock,
        ) as remote,
    ):
        remote.connect(timeout=60)
        remote.put_tree(make_environment(folder), PREFIX)
        remote.put(b"ANSWER = 42\n", f"{NOTEBOOKS}/neighbour.py")
        remote.put(b"kept", "/etc/skel/from-skel")
        yield remote


def check(machine: MachineRemote, wanted: Check) -> CheckFinished:
    (result,) = run_checks((wanted,), machine, folder=Path(__file__).parent, emit=lambda event: None)
    traces = machine.run(
        "grep check- /etc/passwd /etc/group /etc/shadow; ls -d /home/check-* /tmp/* /dev/shm/*; "
        "pgrep --uid 1001; pgrep --list-full --full 'jupyte[r]|ipykerne[l]'",
        sudo=True,
        check=False,
        quiet=True,
    )
    assert traces.stdout == "", "a check leaves nothing, however it ends"
    return result


def test_jupyter_runs(machine: MachineRemote) -> None:
    result = check(machine, jupyter_runs(PREFIX))
    assert (result.name, result.outcome, result.message) == (f"jupyter runs from {PREFIX}", "passed", "")


def test_a_jupyter_that_lets_everybody_in_fails(machine: MachineRemote) -> None:
    configuration = f"{PREFIX}/etc/jupyter/jupyter_server_config.py"
    machine.put(b"c.IdentityProvider.token = ''", configuration)
    try:
        result = check(machine, jupyter_runs(PREFIX))
    finally:
        machine.run(["rm", configuration], sudo=True)
    assert result.outcome == "failed"
    assert "expected 403 for /api/status without the token; saw 200" in result.message


def test_a_jupyter_with_a_baked_token_fails(machine: MachineRemote) -> None:
    configuration = f"{PREFIX}/etc/jupyter/jupyter_server_config.py"
    machine.put(b"c.IdentityProvider.token = 'baked-into-the-image'", configuration)
    try:
        result = check(machine, jupyter_runs(PREFIX))
    finally:
        machine.run(["rm", configuration], sudo=True)
    assert "expected 200 for /api/status with the token; saw 403" in result.message


def test_a_port_in_use_is_named(machine: MachineRemote) -> None:
    """The machine has the host's network."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = check(machine, jupyter_runs(PREFIX, port=port))
    assert result.outcome == "failed"
    assert f"expected jupyter lab to run on port {port}; it ended with 1" in result.message
    assert "already in use" in result.message


def test_a_missing_environment_is_named(machine: MachineRemote) -> None:
    result = check(machine, jupyter_runs("/opt/missing"))
    assert result.outcome == "failed"
    assert "/opt/missing/bin/python" in result.message


def test_a_kernel_starts(machine: MachineRemote) -> None:
    assert check(machine, kernel_starts("python3", prefix=PREFIX)).outcome == "passed"


def test_a_missing_kernel_is_told_with_those_that_are_there(machine: MachineRemote) -> None:
    result = check(machine, kernel_starts("ocean", prefix=PREFIX))
    assert result.outcome == "failed"
    assert "expected a kernel named 'ocean'; the kernels here are: python3" in result.message


def test_a_kernel_that_computes_wrongly_fails(machine: MachineRemote) -> None:
    kernel = f"{PREFIX}/share/jupyter/kernels/wrong"
    program = (
        "import builtins, sys; from ipykernel.kernelapp import launch_new_instance as go; from ipykernel.ipkernel "
    )
    program += "import IPythonKernel as K; r = K.do_execute\n"
    program += "async def f(self, code, *a, **k): return await r(self, code.replace('1+1', '1+2'), *a, **k)\n"
    program += "K.do_execute = f; go()"
    spec = {"argv": ["python", "-c", program, "-f", "{connection_file}"], "display_name": "wrong", "language": "python"}
    machine.put(json.dumps(spec).encode(), f"{kernel}/kernel.json")
    try:
        result = check(machine, kernel_starts("wrong", prefix=PREFIX))
    finally:
        machine.run(["rm", "-r", kernel], sudo=True)
    assert "expected kernel 'wrong' to compute 1+1 = 2; saw status 'ok', results ['3']" in result.message


def test_a_notebook_runs_as_a_new_user_in_a_copy_of_its_folder(machine: MachineRemote) -> None:
    machine.put(
        notebook(
            "import getpass, os; from pathlib import Path; from neighbour import ANSWER",
            "assert getpass.getuser().startswith('check-')",
            "assert Path.home().joinpath('from-skel').read_text() == 'kept'",
            "assert not os.access('/srv/notebooks', os.W_OK)",
            "Path('written').write_text(str(ANSWER))",
        ),
        f"{NOTEBOOKS}/good.ipynb",
    )
    result = check(machine, notebook_runs(f"{NOTEBOOKS}/good.ipynb", prefix=PREFIX))
    assert (result.outcome, result.message) == ("passed", "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (notebook("x = 1", "y = 2\nassert x == y, 'x is not y'"), "code cell 2 of 2 of {path} failed:"),
        (notebook("x = 1", "y = 2\nassert x == y, 'x is not y'"), "AssertionError: x is not y"),
        (notebook("1+1", kernel="ocean"), "{path} asks for the kernel 'ocean', which is not here"),
        (notebook("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), "the kernel died while it ran {path}"),
        (notebook(), "expected cells to run in {path}; it has none"),
        (b"not json", "NotJSONError"),
    ],
)
def test_a_notebook_that_does_not_run_says_why(machine: MachineRemote, content: bytes, expected: str) -> None:
    path = f"{NOTEBOOKS}/bad.ipynb"
    machine.put(content, path)
    result = check(machine, notebook_runs(path, prefix=PREFIX))
    assert result.outcome == "failed"
    assert expected.format(path=path) in result.message


def test_a_notebook_that_only_the_bake_can_read_fails(machine: MachineRemote) -> None:
    machine.put(notebook("1+1"), f"{NOTEBOOKS}/private.ipynb", mode=0o600)
    try:
        result = check(machine, notebook_runs(f"{NOTEBOOKS}/private.ipynb", prefix=PREFIX))
    finally:
        machine.run(["rm", f"{NOTEBOOKS}/private.ipynb"], sudo=True)
    assert result.outcome == "failed"
    assert "Permission denied" in result.message


def test_a_notebook_that_takes_too_long_is_ended_with_all_it_started(machine: MachineRemote) -> None:
    machine.put(notebook("import time; time.sleep(600)"), f"{NOTEBOOKS}/slow.ipynb")
    result = check(machine, notebook_runs(f"{NOTEBOOKS}/slow.ipynb", prefix=PREFIX, timeout_seconds=5))
    assert result.outcome == "failed"
    assert result.message == "expected it to end within 5 s; it was still running, and was ended"


def test_imports_names_each_module_that_fails(machine: MachineRemote) -> None:
    assert check(machine, imports("json", "jupyterlab.labapp", prefix=PREFIX)).outcome == "passed"
    result = check(machine, imports("json", "no_such", "os.nor_this", prefix=PREFIX))
    assert "cannot import no_such: ModuleNotFoundError: No module named 'no_such'" in result.message
    assert "cannot import os.nor_this" in result.message
    assert "cannot import json" not in result.message


def test_a_folder_on_the_root_disk_is_no_mount(machine: MachineRemote) -> None:
    result = check(machine, mount_present("/srv"))
    assert (result.name, result.outcome) == ("/srv is mounted", "failed")
    assert result.message == "expected /srv to be a mount point; it is not"


def test_a_mount_that_is_no_disk_fails(machine: MachineRemote) -> None:
    result = check(machine, mount_present("/dev/shm"))
    assert result.outcome == "failed"
    assert "expected /dev/shm to lie on a disk; saw shm (tmpfs, rw,nosuid,nodev" in result.message
    assert "expected a line for /dev/shm in /etc/fstab" in result.message
