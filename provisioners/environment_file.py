"""What the files that describe a Python environment mean to conda: lock file, explicit list, environment.yml.

Pure: text in, text out. Which file a repository means is decided here; reading and installing is done elsewhere.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath
from typing import Any, Literal

import yaml

from baker.errors import StepError

PUBLIC_CHANNELS = "https://conda.anaconda.org"
"""Where conda looks for a channel that is given by name alone."""

_PLATFORMS = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le", "s390x": "linux-s390x"}

# A folder made for it says more than the root of a repository; a lock says more than a wish, wherever it lies.
_FOLDERS = ("binder", ".binder", "environment", "")
_NAMES = (
    "conda-lock.yml",
    "conda-{platform}.lock",
    "explicit-{platform}.txt",
    "explicit.txt",
    "environment.yml",
    "environment.yaml",
    "requirements.txt",
)

_ANACONDA = re.compile(r"defaults$|(?:https?://)?repo\.anaconda\.com/|pkgs/")
_OTHER_FILE = re.compile(r"(?:-[rce]|--(?:requirement|constraint|editable))[ =]*+(?!\w+(?:\+\w+)?://)|\.{0,2}/")
_PYPI_FILES = "https://files.pythonhosted.org/"


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaInput:
    """What conda gets. `kind` says by which command; `text` is the file for it.

    `name` is the environment's own, when the file says one; so are `channels`. `pip_requirements` are what pip
    installs afterwards, each complete with its sum, no dependencies resolved. `pip_paths` are requirements in `text`
    that name other files, relative to this one. `warnings` are for the log.
    """

    kind: Literal["environment", "explicit"]
    text: str
    name: str | None = None
    channels: tuple[str, ...] = ()
    pip_requirements: str = ""
    pip_paths: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def conda_platform(architecture: str) -> str:
    """Conda's name for a Linux machine of this `uname -m`. StepError for one that conda does not know."""
    if architecture not in _PLATFORMS:
        raise StepError(f"conda has no packages for {architecture} machines", hint=f"it knows {', '.join(_PLATFORMS)}")
    return _PLATFORMS[architecture]


def candidates(repository: str, platform: str) -> tuple[str, ...]:
    """Paths below `repository` that may describe its environment, the one to prefer first."""
    root = PurePosixPath(repository)
    return tuple(str(root / folder / name.format(platform=platform)) for name in _NAMES for folder in _FOLDERS)


def read_environment(path: str, text: str, platform: str | None) -> CondaInput:
    """What the file at `path`, which holds `text`, means to conda on `platform`; None: on any that the file is for.

    StepError names the file and what is wrong, with the line where YAML gives one.
    """
    if any(line.strip() == "@EXPLICIT" for line in text.splitlines()):
        return CondaInput(kind="explicit", text=text if text.endswith("\n") else f"{text}\n")
    if PurePosixPath(path).suffix not in (".yml", ".yaml"):
        return _from_requirements(path)
    document = _parse(path, text)
    if "package" in document and "metadata" in document:
        try:
            return _from_lock(path, document, platform)
        except (KeyError, TypeError, AttributeError) as error:
            raise StepError(f"{path} is not what conda-lock writes", details=(("reason", repr(error)),)) from error
    return _from_environment(path, document)


def _parse(path: str, text: str) -> Mapping[str, Any]:
    # The C parser reads a lock file of 20,000 lines in a second; the Python one takes ten.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as error:
        raise _not_yaml(path, text, error) from error
    if not isinstance(document, Mapping):
        raise StepError(f"{path} does not describe an environment", hint="it should have `dependencies:`")
    return document


def _not_yaml(path: str, text: str, error: yaml.YAMLError) -> StepError:
    mark: yaml.Mark | None = getattr(error, "problem_mark", None)
    if mark is None:
        return StepError(f"{path} is not YAML: {' '.join(str(error).split())}")
    number = min(mark.line + 1, max(len(text.splitlines()), 1))  # an end that comes too early is behind the last line
    lines = [
        f"{line:>4}  {source}" for line, source in enumerate(text.splitlines(), start=1) if line in (number - 1, number)
    ]
    return StepError(
        f"{path} line {number} is not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}",
        details=(("it says", "\n".join(lines)),),
        hint="YAML is indented with blanks, never with tabs" if "\t" in text.splitlines()[number - 1] else None,
    )


def _from_environment(path: str, document: Mapping[str, Any]) -> CondaInput:
    channels = _list(path, document, "channels")
    dependencies = _list(path, document, "dependencies")
    if not dependencies:
        slip = get_close_matches("dependencies", map(str, document), n=1)
        hint = f"did you mean `dependencies` by `{slip[0]}`?" if slip else "it should have `dependencies:`"
        raise StepError(f"{path} names no packages", hint=hint)
    pip = [requirement for entry in dependencies for requirement in _pip_requirements(path, entry)]
    kept = [_channel_name(str(channel)) for channel in channels if channel != "nodefaults"]
    rendered: dict[str, Any] = {key: value for key, value in document.items() if key not in ("name", "prefix")}
    rendered["channels"] = kept
    rendered["dependencies"] = dependencies
    if not kept:
        del rendered["channels"]  # conda then takes those of its .condarc
    warnings = tuple(
        f"{path} uses channel {channel}: Anaconda's terms make it paid for larger organisations; conda-forge is free"
        for channel in kept
        if _ANACONDA.match(channel)
    )
    name = document.get("name")
    return CondaInput(
        kind="environment",
        text=yaml.safe_dump(rendered, sort_keys=False, allow_unicode=True),
        name=str(name) if name is not None else None,
        channels=tuple(kept),
        pip_paths=tuple(requirement for requirement in pip if _OTHER_FILE.match(requirement)),
        warnings=warnings,
    )


def _pip_requirements(path: str, entry: object) -> list[str]:
    """What one entry of `dependencies` asks of pip. StepError for one that conda could make nothing of."""
    match entry:
        case str():
            return []
        case {"pip": list() as requirements, **others} if not others and all(
            isinstance(it, str) for it in requirements
        ):
            return list(requirements)
        case {"pip": _}:
            raise StepError(f"{path}: below `pip:` there must be a list of requirements and nothing else")
        case dict() if len(entry) == 1:
            ((name, version),) = entry.items()
            raise StepError(f"{path}: {name}: {version} is no package", hint=f"write - {name}={version}")
    raise StepError(f"{path}: {entry!r} is no package", hint="each line is `- name` or `- name=version`")


def _list(path: str, document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key) or []
    if not isinstance(value, list):
        raise StepError(f"{path}: `{key}` must be a list, not {value!r}")
    return value


def _channel_name(channel: str) -> str:
    """A public channel by its name, so that a mirror of the bake can stand in for it."""
    return channel.removeprefix(f"{PUBLIC_CHANNELS}/").rstrip("/")


def _from_requirements(path: str) -> CondaInput:
    """A Python of its own, and pip for the rest; paths in the file stay relative to it."""
    dependencies = ["python", "pip", {"pip": [f"-r {PurePosixPath(path).name}"]}]
    return CondaInput(kind="environment", text=yaml.safe_dump({"dependencies": dependencies}, sort_keys=False))


def _from_lock(path: str, document: Mapping[str, Any], platform: str | None) -> CondaInput:
    packages = _list(path, document, "package")
    known = sorted({package["platform"] for package in packages})
    platform = platform or next((one for one in _PLATFORMS.values() if one in known), _PLATFORMS["x86_64"])
    here = [package for package in packages if package["platform"] == platform and _is_main(package)]
    if not here:
        raise StepError(
            f"{path} locks nothing for {platform}",
            details=(("platforms in it", ", ".join(known) or "none"),),
            hint=f"conda-lock lock --platform {platform}",
        )
    conda = _in_order([package for package in here if package["manager"] == "conda"])
    pip = [package for package in here if package["manager"] == "pip"]
    lines = [f"# {PurePosixPath(path).name} for {platform}", "@EXPLICIT", *map(_explicit_line, conda)]
    return CondaInput(
        kind="explicit",
        text="\n".join(lines) + "\n",
        pip_requirements="".join(f"{_pip_line(package)}\n" for package in pip),
    )


def _is_main(package: Mapping[str, Any]) -> bool:
    return not package.get("optional") and package.get("category", "main") == "main"


def _in_order(packages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Dependencies first: from an explicit list conda links packages in the order of the list."""
    by_name = {package["name"]: package for package in packages}
    graph = {name: [d for d in package.get("dependencies") or () if d in by_name] for name, package in by_name.items()}
    if "python" in graph:  # conda lets python need pip, which needs python
        graph["python"] = [name for name in graph["python"] if name != "pip"]
    while True:
        try:
            return [by_name[name] for name in TopologicalSorter(graph).static_order()]
        except CycleError as circle:  # some packages of old need each other
            needed, needing = circle.args[1][:2]
            graph[needing].remove(needed)


def _explicit_line(package: Mapping[str, Any]) -> str:
    """The URL with its md5, which is all that conda older than 24.9 reads; its sha256 only where there is no md5."""
    sums = package.get("hash") or {}
    return f"{package['url']}#{sums.get('md5') or sums.get('sha256', '')}".rstrip("#")


def _pip_line(package: Mapping[str, Any]) -> str:
    """By name and version where the file is on PyPI, so that a mirror can stand in for it; by URL otherwise."""
    sha256 = (package.get("hash") or {}).get("sha256")
    if package["url"].startswith(_PYPI_FILES) and sha256:
        return f"{package['name']}=={package['version']} --hash=sha256:{sha256}"
    return f"{package['name']} @ {package['url']}" + (f"#sha256={sha256}" if sha256 else "")
