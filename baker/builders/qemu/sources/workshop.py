"""Runs the tools that make a source image, as root of a namespace of their own.

For root that is a mount and process namespace: what a killed tool leaves mounted or running goes with it. For any
other user it is a user namespace besides, in which the user is root and files may belong to the system's accounts;
the refused alternatives are sudo, which asks for more than is needed, and fakeroot, which cannot run a Debian system.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from baker.builders.qemu.errors import explain, explaining, not_installed, tail
from baker.builders.qemu.process import ChildProcess
from baker.builders.qemu.sources.tools import search_path
from baker.errors import BuilderError

OnLine = Callable[[str], None]

_KEPT_LINES = 40
"""Of a tool's output, for the error when it fails."""

_AS_ROOT = ("--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts")
_AS_USER = ("--user", "--map-root-user", "--map-auto", *_AS_ROOT)


def run_as_root(argv: Sequence[str], what: str, *, on_line: OnLine | None = None) -> None:
    """Run a tool as root of a namespace; `what` says in an error what was being done. See `run`."""
    # The namespace's own /proc, as tools that look at processes must not see the host's.
    script = 'mount -t proc proc /proc && exec "$0" "$@"'
    run(("unshare", *_namespaces(), "--", "/bin/sh", "-c", script, *argv), what, on_line=on_line)


def run(argv: Sequence[str], what: str, *, on_line: OnLine | None = None) -> None:
    """Run a tool to its end, giving each line that it prints to `on_line`; it is ended when anything is raised.

    DiskFullError or BuilderError, with the tool's last lines, when it fails. BuilderUnavailableError when it is not
    installed.
    """
    if shutil.which(argv[0], path=search_path()) is None:
        raise not_installed(argv[0])
    joined = ("/bin/sh", "-c", 'PATH="$0" && export PATH && exec "$@" 2>&1', search_path(), *argv)
    with explaining(what):
        child = ChildProcess(joined, piped=True)
        last: list[str] = []
        try:
            child.start()
            for raw in child.stdout:
                line = raw.decode(errors="replace").rstrip()
                last = [*last[1 - _KEPT_LINES :], line]
                if on_line and line:
                    on_line(line)
            exit_code = child.wait()
        finally:
            child.end()
    if exit_code:
        summary = f"{what} failed: {Path(argv[0]).name} exited with {exit_code}"
        raise explain("\n".join(last), otherwise=BuilderError, summary=summary)


def require_namespaces() -> None:
    """BuilderError when this user may not make the namespaces that the tools run in."""
    tried = subprocess.run(
        ("unshare", *_namespaces(), "--", "mount", "-t", "proc", "proc", "/proc"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tried.returncode == 0:
        return
    if os.geteuid() == 0:
        hint = "this root may not make mount namespaces: start the container with CAP_SYS_ADMIN, or use a CloudImage"
    else:
        hint = (
            "run the bake as root once (the source image is kept), or allow it: apt-get install uidmap, a line for you"
            " in /etc/subuid and /etc/subgid, and sysctl kernel.apparmor_restrict_unprivileged_userns=0 where that is"
            " set; or use a CloudImage"
        )
    raise BuilderError(
        "a source image cannot be made from Debian packages by this user on this host",
        details=(("message", tail(tried.stderr) or "(nothing)"),),
        hint=hint,
    )


def remove_tree(folder: Path) -> None:
    """Remove a folder and all below it, also what belongs to accounts of a user namespace. OSError when it stays."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists() and os.geteuid() != 0:
        argv = ("unshare", "--user", "--map-root-user", "--map-auto", "--", "rm", "-rf", "--", str(folder))
        subprocess.run(argv, capture_output=True, check=False)
    if folder.exists():
        shutil.rmtree(folder)


def _namespaces() -> tuple[str, ...]:
    return _AS_ROOT if os.geteuid() == 0 else _AS_USER
