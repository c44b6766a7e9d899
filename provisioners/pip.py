"""Python packages from an index, into a virtual environment or a conda environment.

Nothing but the packages stays: caches, a fetched uv and whatever builds leave lie in folders that go away.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from baker.errors import RecipeError, StepError
from baker.fields import require_path, require_types
from baker.provisioner import CommandResult, Fetch, Remote, Requirements
from provisioners.fields import require_file

INDEX = "https://pypi.org/simple"

_ENOUGH_FOR_UV = 5
"""Packages. For fewer pip is as fast as fetching uv: 0.5 s for one small package against 1.6 s for uv (CPU, native)."""

_FOLDER = "/run/baker/steps/pip"
"""On the machine; tmpfs, so nothing of it reaches the image even when the bake is cut off."""

# uv's cache lies in the environment while it works, so that packages are linked and not copied. uv compiles all of
# site-packages or nothing; what is compiled here are the files that it has just put there. A file that does not
# compile (templates, tests in Python 2) is no failure, with pip neither. Exit codes of its own: 41 no interpreter,
# 42 no base interpreter, 43 no venv made, 44 target is something else, 45 not installed, 46 no uv.
_INSTALL = r"""
set -eu
umask 022
kind=$1 target=$2 base=$3 uv_policy=$4 requirements=$5 folder=$6
shift 6
python=$target/bin/python
mkdir -p "$folder"
work=$(mktemp -d /var/tmp/pip-packages.XXXXXX)
cache=$target/.uv-cache
unfinished=
trap 'rm -rf "$work" "$cache"; [ -z "$unfinished" ] || rm -rf "$target"' EXIT
trap 'exit 143' HUP INT TERM
export HOME="$work" TMPDIR="$work" UV_NO_CONFIG=1 UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never UV_CACHE_DIR="$cache"
export PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
export PIP_PROGRESS_BAR=off

uv=
if [ "$uv_policy" != never ]; then
    for candidate in "$target/bin/uv" "$(dirname "$(dirname "$target")")/bin/uv" "$(command -v uv || true)"; do
        if [ -x "$candidate" ]; then uv=$candidate; break; fi
    done
fi

if [ ! -x "$python" ]; then
    [ "$kind" = venv ] || exit 41
    [ -x "$base" ] || exit 42
    if [ -e "$target" ] && [ -n "$(ls -A "$target")" ]; then exit 44; fi
    unfinished=yes
    if [ -n "$uv" ]; then UV_CACHE_DIR="$work/cache" "$uv" venv --quiet --seed --python "$base" "$target" || exit 43
    else "$base" -m venv "$target" || exit 43
    fi
fi

if [ -z "$uv" ] && { [ "$uv_policy" = fetch ] || [ "$uv_policy" = must ]; }; then
    if "$python" -m pip install --quiet --only-binary :all: --no-deps --no-compile --target "$work/uv" uv; then
        uv=$work/uv/bin/uv
    else
        [ "$uv_policy" = fetch ] || exit 46
        echo "uv cannot be had; pip does it"
    fi
fi

if [ -n "$requirements" ]; then set -- "$@" --requirement "$requirements"; fi
if [ -n "$uv" ]; then
    if [ -n "$requirements" ] && grep -q -- '--hash' "$requirements"; then set -- "$@" --require-hashes; fi
    touch "$work/before"
    "$uv" pip install --python "$python" "$@" || exit 45
    find "$target/lib" -name '*.py' -cnewer "$work/before" > "$work/new"
    if [ -s "$work/new" ]; then "$python" -m compileall -qq -j 0 -i "$work/new" > /dev/null || true; fi
    "$uv" pip freeze --python "$python" > "$folder/freeze" 2> /dev/null
else
    "$python" -m pip install --compile "$@" || exit 45
    "$python" -m pip freeze --all > "$folder/freeze"
fi
unfinished=
"""

# What pip and uv say about the one package that is at fault.
_CULPRITS = (
    re.compile(r"No matching distribution found for (\S+)"),
    re.compile(r"Because (\S+) was not found in the package registry"),
    re.compile(r"there (?:is|are) no versions? of (\S+)"),
    re.compile(r"Hash mismatch for `([^`]+)`"),
    re.compile(r"MATCH THE HASHES.*\n\s+(\S+) from "),
    re.compile(r"none were provided for: (\S+)"),
    re.compile(r"missing from some requirements.*\n\s+(\S+) --hash"),
    re.compile(r"Failed to (?:fetch|download|build|download and build):? `([^`]+)`"),
    re.compile(r"Invalid requirement: '([^']+)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipPackages:
    """Installs `packages`, and what `requirements` lists, into exactly one of `venv` and `conda_environment`.

    `requirements` is a file of the recipe; an absolute path is one on the machine. Sums in it (`--hash`) are demanded
    of every package. `venv` is made when it is missing, with the interpreter `python`; `conda_environment` is the
    path of an environment that an earlier step has made, such as /opt/conda/envs/ocean.

    `installer` "auto" takes uv when the machine has it, fetches it for the time of the step when there is much to
    install, and takes pip otherwise; uv is 5 times faster than pip, which counts where a machine is emulated. "uv" is
    a StepError when uv cannot be had. Either way modules are compiled to bytecode, or the first import on a machine
    made from the image would be slow.

    What is installed already, in a version that fits, is left alone.
    """

    revision: ClassVar[int] = 1

    packages: tuple[str, ...] = ()
    requirements: str | None = None
    conda_environment: str | None = None
    venv: str | None = None
    python: str = "/usr/bin/python3"
    installer: Literal["auto", "uv", "pip"] = "auto"

    def __post_init__(self) -> None:
        require_types(self)
        if not self.packages and not self.requirements:
            raise RecipeError("PipPackages: nothing to install", hint='packages=("utm",) or requirements="FILE"')
        for package in self.packages:
            if not package.strip() or package.startswith("-") or "\n" in package:
                raise RecipeError(
                    f"PipPackages: {package!r} is no package", hint="options of pip belong into a requirements file"
                )
        if (self.conda_environment is None) == (self.venv is None):
            raise RecipeError(
                "PipPackages needs either a venv or a conda_environment",
                hint='venv="/opt/tools" or conda_environment="/opt/conda/envs/ocean"',
            )
        require_path("PipPackages", "conda_environment" if self.venv is None else "venv", self._target)
        require_path("PipPackages", "python", self.python)

    @property
    def name(self) -> str:
        what = [*self.packages[:3], *(["..."] if len(self.packages) > 3 else [])]
        what += [self.requirements] if self.requirements else []
        return f"pip packages {' '.join(what)} in {self._target}"

    def inputs(self) -> tuple[Path, ...]:
        if self.requirements is None or self.requirements.startswith("/"):
            return ()
        return (Path(self.requirements),)

    def check_inputs(self, folder: Path) -> None:
        for path in self.inputs():
            require_file(folder, path)

    def requires(self) -> Requirements:
        return Requirements(fetches=(Fetch(kind="pip-index", url=INDEX),))

    def apply(self, remote: Remote) -> None:
        requirements = self.requirements or ""
        if self.inputs():
            requirements = f"{_FOLDER}/{Path(requirements).name}"
            remote.put(self.inputs()[0], requirements)
        kind = "conda" if self.venv is None else "venv"
        arguments = (kind, self._target, self.python, self._uv_policy(), requirements, _FOLDER, *self.packages)
        result = remote.run(("/bin/sh", "-c", _INSTALL, "pip-packages", *arguments), sudo=True, check=False)
        if result.exit_code != 0:
            remote.run(("rm", "-rf", _FOLDER), sudo=True, check=False, quiet=True)
            raise self._failure(result)
        freeze = remote.run(f"cat {_FOLDER}/freeze && rm -rf {_FOLDER}", sudo=True, quiet=True)
        remote.record(f"pip freeze ({self._target})", freeze.stdout.strip())

    @property
    def _target(self) -> str:
        return self.venv or self.conda_environment or ""

    def _uv_policy(self) -> str:
        """`never`; `present`: when it is there; `fetch`: get it if possible; `must`: get it or fail."""
        if self.installer == "auto":
            much = self.requirements is not None or len(self.packages) >= _ENOUGH_FOR_UV
            return "fetch" if much else "present"
        return "must" if self.installer == "uv" else "never"

    def _failure(self, result: CommandResult) -> StepError:
        output = f"{result.stdout}\n{result.stderr}"
        last_lines = ("last lines", "\n".join([line for line in output.splitlines() if line.strip()][-12:]))
        match result.exit_code:
            case 41:
                return StepError(
                    f"there is no Python in {self._target}",
                    hint="put the CondaEnvironment that makes it before this step, with python in its file",
                )
            case 42:
                return StepError(
                    f"the machine has no {self.python} to make {self._target} with",
                    hint='put SystemPackages(packages=("python3-venv",)) before this step, or name another python',
                )
            case 43:
                return StepError(
                    f"{self._target} could not be made a virtual environment",
                    details=(last_lines,),
                    hint='on Debian and Ubuntu it takes SystemPackages(packages=("python3-venv",)) before this step',
                )
            case 44:
                return StepError(f"{self._target} holds something, and not a virtual environment", hint="name another")
            case 46:
                return StepError("uv cannot be had", details=(last_lines,), hint='installer="auto" falls back to pip')
        if "No module named pip" in output:
            return StepError(f"there is no pip in {self._target}", hint="add pip, or uv, to the environment's file")
        culprit = culprit_of(output)
        what = f"{culprit} could not be installed" if culprit else "the packages could not be installed"
        return StepError(
            f"{what} into {self._target}",
            details=(last_lines,),
            hint=f"correct {self.requirements or 'packages'}" if culprit else None,
        )


def culprit_of(output: str) -> str | None:
    """The package that pip or uv names as the one that cannot be had, from what they printed."""
    found = (pattern.search(output) for pattern in _CULPRITS)
    return next((match[1].rstrip(",.") for match in found if match), None)
