"""A conda environment from a file of the recipe, or from the one that a repository on the machine brings.

Conda is started once. All that it does not have to do itself, finding the file, clearing the package cache,
registering the kernel, listing the packages, is done without it: one start costs seconds on an emulated machine.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from baker.errors import RecipeError, StepError
from baker.fields import require_path, require_types
from baker.provisioner import NOTHING_REQUIRED, CommandResult, Fetch, Remote, Requirements
from provisioners.conda_install import check_conda_prefix
from provisioners.conda_records import RECORDS_PROGRAM
from provisioners.environment_file import PUBLIC_CHANNELS, CondaInput, candidates, conda_platform, read_environment
from provisioners.fields import require_file

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONDA_OWN = ("base", "root")
_FOLDER = "/run/baker/steps/conda"
"""On the machine; tmpfs, so nothing of it reaches the image even when the bake is cut off."""

# Prints the path of the first candidate that exists, and what is in it.
_FIND = r"""
[ -d "$1" ] || exit 40
shift
for file; do
    if [ -f "$file" ]; then printf '%s\n' "$file"; exec cat "$file"; fi
done
exit 41
"""

# Packages are linked out of the package cache, not copied; it goes away with the script, as by `conda clean -afy`.
# HOME is temporary, so that no home in the image gets caches, and no .condarc or pip.conf of an account has a say.
# conda-meta/image-baker says what the environment was made from (no .json, which conda would take for a package).
# Exit codes of its own: 40 no conda, 42 same environment, 43 another.
_CREATE = r"""
set -eu
umask 022
prefix=$1 target=$2 command=$3 file=$4 digest=$5 pip=$6 folder=$7 channels=$8
trap 'rm -rf "$folder"' EXIT
[ -x "$prefix/bin/conda" ] || exit 40
if [ -e "$target" ]; then
    [ "$(cat "$target/conda-meta/image-baker" 2> /dev/null)" = "$digest" ] && exit 42
    exit 43
fi
mkdir -p "$prefix/envs"
work=$(mktemp -d /var/tmp/conda-environment.XXXXXX)
cache=$prefix/pkgs
made=
trap 'rm -rf "$folder" "$work" "$cache" "$file"; [ -n "$made" ] || rm -rf "$target"' EXIT
trap 'exit 143' HUP INT TERM
mkdir -p "$(dirname "$file")"
cat > "$file"
export HOME="$work" TMPDIR="$work"
export CONDA_PKGS_DIRS="$cache" CONDA_ALWAYS_YES=true CONDA_NUMBER_CHANNEL_NOTICES=0 CONDA_REGISTER_ENVS=false
export PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# conda before 25.9 adds Anaconda's channels unless some are configured: where no .condarc does it, this does.
if [ -n "$channels" ]; then export CONDA_CHANNELS="$channels"; fi
case $command in
    environment) "$prefix/bin/conda" env create --quiet --prefix "$target" --file "$file" ;;
    explicit) "$prefix/bin/conda" create --quiet --prefix "$target" --file "$file" ;;
esac
if [ -n "$pip" ]; then
    "$target/bin/python" -m pip install --no-deps --requirement "$pip"
fi
printf '%s\n' "$digest" > "$target/conda-meta/image-baker"
made=yes
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaEnvironment:
    """Makes `<prefix>/envs/<environment>` with the conda in `prefix`.

    From `file`, a file of the recipe: environment.yml, conda-lock.yml, a list with @EXPLICIT, or requirements.txt. Or
    from `repository`, a folder on the machine: its lock file before its environment.yml before its requirements.txt,
    each looked for in binder/, .binder/, environment/ and the folder itself; the log says which it was. Pip
    requirements in environment.yml are installed too; paths in them are relative to the file, so they work with
    `repository` only.

    `environment` is its name: by default what the file says, else the repository's own. With `kernel` it is offered as
    a Jupyter kernel of its name, in the environment and, when Jupyter lives there, in `prefix`; an environment without
    ipykernel has none to offer, which the log says.

    `nodefaults` is left out (new conda takes it for a channel; .condarc does its work), `defaults` gets a warning.
    An environment that was made from the same file is left alone. One that was made from anything else is a StepError:
    `conda env update --prune` would give an environment that depends on what was there before.

    The preflight asks for the channels of `CondaInstall`; those that only the file names are met when conda runs.
    """

    revision: ClassVar[int] = 1

    file: str | None = None
    repository: str | None = None
    environment: str | None = None
    prefix: str = "/opt/conda"
    kernel: bool = True

    def __post_init__(self) -> None:
        require_types(self)
        check_conda_prefix(self.prefix)
        if (self.file is None) == (self.repository is None):
            raise RecipeError(
                "CondaEnvironment needs either a file or a repository",
                hint='file="environments/ocean.yml" of the recipe, or repository="/srv/notebooks/ocean" on the machine',
            )
        if self.repository is not None:
            require_path("CondaEnvironment", "repository", self.repository)
        if self.environment is not None:
            _check_name(self.environment, RecipeError)
        if self.file is not None:
            if not self.file or Path(self.file).is_absolute():
                raise RecipeError(
                    f"CondaEnvironment: file {self.file!r} is not relative to the recipe's folder",
                    hint="for a file that is on the machine, name its folder: repository=...",
                )
            if self.environment is None and Path(self.file).suffix not in (".yml", ".yaml"):
                raise RecipeError(
                    f"CondaEnvironment: {self.file} cannot say how its environment is called",
                    hint='name it: environment="ocean"',
                )

    @property
    def name(self) -> str:
        origin = self.file or self.repository
        return f"conda environment {self.environment}" if self.environment else f"conda environment of {origin}"

    def inputs(self) -> tuple[Path, ...]:
        return () if self.file is None else (Path(self.file),)

    def check_inputs(self, folder: Path) -> None:
        """All that can be known to be wrong with `file` before there is a machine."""
        for path in self.inputs():
            wanted = read_environment(str(path), _read_recipe_file(require_file(folder, path), str(path)), None)
            self._environment_name(str(path), wanted)
            if wanted.pip_paths:
                raise RecipeError(
                    f"{path}: pip's {wanted.pip_paths[0]!r} names a file that will not be on the machine",
                    hint="write its lines here, or install them with PipPackages(requirements=...) after this step",
                )

    def requires(self) -> Requirements:
        return NOTHING_REQUIRED

    def apply(self, remote: Remote) -> None:
        platform = conda_platform(remote.architecture)
        path, text = self._read(remote, platform)
        wanted = read_environment(path, text, platform)
        for warning in wanted.warnings:
            remote.say(f"warning: {warning}")
        name = self._environment_name(path, wanted)
        self._create(remote, name, path, text, wanted)
        self._finish(remote, name)

    def _read(self, remote: Remote, platform: str) -> tuple[str, str]:
        if self.file is not None:
            return self.file, _read_recipe_file(remote.recipe_path(Path(self.file)), self.file)
        assert self.repository is not None  # noqa: S101 - one of the two, by __post_init__
        wanted = candidates(self.repository, platform)
        result = remote.run(
            ("/bin/sh", "-c", _FIND, "find", self.repository, *wanted), sudo=True, check=False, quiet=True
        )
        if result.exit_code == 40:
            raise StepError(
                f"the machine has no folder {self.repository}",
                hint="put the step that brings it, such as GitClone, before this one",
            )
        if result.exit_code != 0:
            names = dict.fromkeys(PurePosixPath(path).name for path in wanted)
            raise StepError(
                f"{self.repository} does not say which packages it needs",
                details=(("looked for", ", ".join(names)), ("in", "binder/, .binder/, environment/, and the folder")),
                hint="give the recipe an environment of its own: CondaEnvironment(file=...)",
            )
        path, _, text = result.stdout.partition("\n")
        remote.say(f"the environment of {self.repository} is described by {path}")
        return path, text

    def _environment_name(self, path: str, wanted: CondaInput) -> str:
        name = self.environment or wanted.name or (PurePosixPath(self.repository).name if self.repository else None)
        if name is None:
            raise StepError(f"{path} does not name its environment", hint='add `name:` to it, or environment="ocean"')
        _check_name(name, StepError)
        return name

    def _create(self, remote: Remote, name: str, path: str, text: str, wanted: CondaInput) -> None:
        folder = str(PurePosixPath(path).parent) if self.repository is not None else _FOLDER
        target = f"{self.prefix}/envs/{name}"
        pip_file = ""
        if self.file is not None and PurePosixPath(path).suffix not in (".yml", ".yaml"):
            remote.put(Path(self.file), f"{folder}/{PurePosixPath(path).name}")
        if wanted.pip_requirements:
            pip_file = f"{_FOLDER}/pip.txt"
            remote.put(wanted.pip_requirements.encode(), pip_file)
        given = wanted.text
        if wanted.kind == "explicit":
            given = given.replace(f"{PUBLIC_CHANNELS}/", f"{_channel_alias(remote)}/")
        written = f"{folder}/.image-baker-environment.{'yml' if wanted.kind == 'environment' else 'txt'}"
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        channels = ",".join(wanted.channels)
        arguments = (self.prefix, target, wanted.kind, written, digest, pip_file, _FOLDER, channels)
        result = remote.run(("/bin/sh", "-c", _CREATE, "create", *arguments), sudo=True, check=False, stdin=given)
        if result.exit_code == 42:
            remote.say(f"{target} was made from the same file: nothing to do")
        elif result.exit_code != 0:
            raise self._failure(result, path, target)

    def _failure(self, result: CommandResult, path: str, target: str) -> StepError:
        if result.exit_code == 40:
            return StepError(
                f"there is no conda in {self.prefix}",
                hint=f'put CondaInstall(prefix="{self.prefix}") before this step',
            )
        if result.exit_code == 43:
            return StepError(
                f"{target} is there already, and was not made from {path} as it is now",
                hint="give this environment another name, or start from a source image without it",
            )
        lines = [line for line in f"{result.stdout}\n{result.stderr}".splitlines() if line.strip()]
        return StepError(
            f"conda could not make {target}: exit code {result.exit_code}",
            details=(("file", path), ("last lines", "\n".join(lines[-15:]) or "(no output)")),
            hint=_hint(result.stdout + result.stderr, path),
        )

    def _finish(self, remote: Remote, name: str) -> None:
        """Put right what conda leaves behind, and record what is in the environment."""
        target = f"{self.prefix}/envs/{name}"
        kernel = name if self.kernel else ""
        program = (f"{self.prefix}/bin/python", "-I", "-c", RECORDS_PROGRAM)
        arguments = (target, f"{_channel_alias(remote)}/", f"{PUBLIC_CHANNELS}/", _FOLDER, kernel, self.prefix)
        found = json.loads(remote.run((*program, *arguments), sudo=True, quiet=True).stdout)
        remote.record(f"conda list --explicit --md5 ({name})", "\n".join(found["explicit"]))
        if found["pip"]:
            remote.record(f"pip freeze ({name})", "\n".join(found["pip"]))
        if found["kernels"]:
            remote.say(f"kernel {name} registered in {', '.join(found['kernels'])}")
        elif self.kernel:
            remote.say(f"no kernel registered: ipykernel is not in {name}")
        remote.say(f"{target}: {len(found['explicit'])} packages of conda, {len(found['pip'])} of pip")


def _check_name(name: str, error: type[RecipeError] | type[StepError]) -> None:
    if not _NAME.fullmatch(name) or name in _CONDA_OWN:
        raise error(
            f"{name!r} is no name for a conda environment",
            hint='letters, digits, ".", "_" and "-", and neither base nor root: CondaEnvironment(environment="ocean")',
        )


def _read_recipe_file(path: Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StepError(f"{shown} is not UTF-8 text", hint="save the file as UTF-8") from error
    except OSError as error:
        raise StepError(f"{shown} cannot be read", details=(("reason", str(error)),)) from error


def _channel_alias(remote: Remote) -> str:
    """Where channels given by name are in this bake: the public address, or what stands in for it."""
    return remote.mirrored(Fetch(kind="conda-channel", url="conda-forge")).url.removesuffix("/conda-forge")


def _hint(output: str, path: str) -> str:
    """What to do about it, by what conda and pip are known to print."""
    if re.search(r"HTTP (?:000|40[134]|5\d\d)|CondaHTTPError|ConnectionError|CondaSSLError", output):
        return "a channel cannot be reached from the machine; behind a proxy, name a stand-in: --mirrors FILE"
    if re.search(r"Could not open requirements file|neither 'setup.py' nor 'pyproject.toml'", output):
        return f"paths in {path} are relative to it; only with repository=... are the other files on the machine too"
    return f"correct {path}"
