"""One pytest session in this process, for the checks of one machine.

pytest is used for what it does best: collecting files, explaining a failing assert, running each check apart from
the others. It reads no configuration, no conftest.py, no plugin and no variable of the caller's, prints nothing and
writes nothing; `CheckPlugin` is its only extension. The refused alternative, a child process, would need a second
connection to the machine.
"""

import glob
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from testinfra.host import Host  # type: ignore[import-untyped]

from baker.checks.backend import RemoteBackend
from baker.checks.plugin import CheckPlugin, Outcome
from baker.errors import ChecksFailedError
from baker.events import Emit
from baker.provisioner import Remote
from baker.recipe import Check

_BLOCKED_PLUGINS = (
    "cacheprovider",  # would write .pytest_cache
    "terminal",  # the reporters of the bake tell what happened
    "junitxml",
    "doctest",
    "debugging",
    "faulthandler",  # these four hook into the whole process
    "logging",
    "threadexception",
    "unraisableexception",
    "warnings",
)


def run_session(checks: tuple[Check, ...], remote: Remote, *, folder: Path, emit: Emit) -> tuple[Outcome, ...]:
    """Run every check once. Raises what ended the session early; ChecksFailedError when it could not begin."""
    backend = RemoteBackend(remote)
    host = Host(backend)
    backend.set_host(host)
    plugin = CheckPlugin(checks, host=host, folder=folder, emit=emit, count_commands=lambda: backend.commands)
    with _own_modules(folder), _own_environment():
        exit_code = pytest.main(_arguments(checks, folder), plugins=[plugin])
    if plugin.ended_by is not None:
        raise plugin.ended_by
    if exit_code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise ChecksFailedError(f"pytest could not run the checks (it ended with {exit_code!r})")
    return tuple(plugin.outcomes)


def _arguments(checks: tuple[Check, ...], folder: Path) -> list[str]:
    files = (folder / check for check in checks if isinstance(check, str | Path))
    patterns = " ".join(shlex.quote(glob.escape(str(file))) for file in files)
    options = {
        "python_functions": "check_",
        "python_classes": "",
        "python_files": patterns,  # the files whose asserts are explained
    }
    arguments = ["-c", os.devnull, f"--rootdir={folder}", "--noconftest", "--import-mode=importlib", "--capture=no"]
    for name in _BLOCKED_PLUGINS:
        arguments += ["-p", f"no:{name}"]
    for name, value in options.items():
        arguments += ["-o", f"{name}={value}"]
    return arguments


@contextmanager
def _own_environment() -> Iterator[None]:
    """Without the caller's pytest variables, and without plugins that happen to be installed.

    testinfra's own plugin is one of them: its `host` would be the local machine.
    """
    theirs = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_CURRENT_TEST")
    with _changed_environment({**dict.fromkeys(theirs), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}):
        yield


@contextmanager
def _changed_environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    _set_environment(changes)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _own_modules(folder: Path) -> Iterator[None]:
    """Lets check files import their neighbours, leaves no bytecode beside them, and forgets them afterwards.

    A module that stayed in `sys.modules` would be run again, as it was, by the next session of this process.
    """
    before, path, dont_write_bytecode = set(sys.modules), list(sys.path), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = dont_write_bytecode
        _forget(set(sys.modules) - before, folder)


def _forget(names: set[str], folder: Path) -> None:
    """Take out of `sys.modules` what lies in the recipe's folder, and the empty parents that pytest made for it."""
    found = {name for name in names if _lies_below(sys.modules[name], folder)}
    parents = {name.rpartition(".")[0] for name in found} & names
    for name in found | parents:
        del sys.modules[name]


def _lies_below(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder) and "site-packages" not in Path(file).parts
