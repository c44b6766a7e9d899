"""Turns wheels into conda packages: files to their place in a prefix, entry points to scripts, requirements to
match specifications.

Wheel format: PEP 427; entry points and markers as PyPA specifies them.
"""

import configparser
import csv
import hashlib
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lab.making.conda_package import PLACEHOLDER, SITE_PACKAGES, CondaPackage

_CONDA_NAMES = {
    "ipython-pygments-lexers": "ipython_pygments_lexers",
    "jupyter-client": "jupyter_client",
    "jupyter-core": "jupyter_core",
    "jupyter-events": "jupyter_events",
    "jupyter-server": "jupyter_server",
    "jupyter-server-terminals": "jupyter_server_terminals",
    "jupyterlab-pygments": "jupyterlab_pygments",
    "jupyterlab-server": "jupyterlab_server",
    "prometheus-client": "prometheus_client",
    "pure-eval": "pure_eval",
    "stack-data": "stack_data",
    "typing-extensions": "typing_extensions",
    "tzdata": "python-tzdata",  # conda-forge's `tzdata` is the operating system's time zone data base
    "backports-zstd": "backports.zstd",
    "ruamel-yaml": "ruamel.yaml",
    "ruamel-yaml-clib": "ruamel.yaml.clib",
}
"""conda-forge's names where they are not PyPI's normalized ones."""

_DATA_FOLDERS = {
    "purelib": SITE_PACKAGES,
    "platlib": SITE_PACKAGES,
    "scripts": "bin",
    "data": ".",
    "headers": "include/python3.11",
}
"""Where the parts of a wheel's `.data` folder go."""

_LEFT_OUT = (
    "jedi/third_party/typeshed/stubs/",  # 4,000 files about other people's libraries, for completion in an editor
    "jedi/third_party/django-stubs/",
    "jupyterlab/galata/",  # JupyterLab's own tests
)
"""Beginnings of paths in wheels."""

_LOCALES = "babel/locale-data/"
_KEPT_LOCALES = r"(root|en|en_US|de|fr|es)\.dat"
"""Of a thousand."""

_SCRIPT = """\
#!{prefix}/bin/python
import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({attribute}())
"""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel file and its METADATA."""

    path: Path
    metadata: Message

    @property
    def key(self) -> str:
        """PyPI's normalized name."""
        return canonicalize_name(self.metadata["Name"])

    @property
    def version(self) -> str:
        return str(self.metadata["Version"])

    def requirements(self, extras: frozenset[str] = frozenset()) -> Iterator[Requirement]:
        """What the wheel requires on this Python and system, with what `extras` add."""
        environment = {key: str(value) for key, value in default_environment().items()}
        for line in self.metadata.get_all("Requires-Dist") or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate(environment | {"extra": extra}) for extra in ("", *extras)):
                yield requirement


def read_wheels(folder: Path) -> dict[str, Wheel]:
    """The wheels in a folder, by normalized name."""
    wheels = [_read_wheel(path) for path in sorted(folder.glob("*.whl"))]
    return {wheel.key: wheel for wheel in wheels}


def conda_name(name: str) -> str:
    """What conda-forge calls a project of PyPI."""
    key = canonicalize_name(name)
    return _CONDA_NAMES.get(key, key)


def describe(wheel: Wheel, wheels: Mapping[str, Wheel]) -> CondaPackage:
    """The conda package for a wheel. LookupError names a requirement that `wheels` does not satisfy."""
    depends = {
        f"{conda_name(requirement.name)} {conda_version(requirement.specifier)}".strip()
        for requirement in _with_extras(wheel, frozenset(), wheels)
    }
    digest = hashlib.sha256(wheel.path.read_bytes()).hexdigest()
    return CondaPackage(
        name=conda_name(wheel.key),
        version=wheel.version,
        build=f"py311_{digest[:8]}_0",
        depends=("python >=3.11,<3.12.0a0", *sorted(depends)),
        summary=str(wheel.metadata.get("Summary", "")),
        license=str(wheel.metadata.get("License-Expression") or wheel.metadata.get("License", "")).split("\n")[0],
    )


def conda_version(specifier: SpecifierSet) -> str:
    """A version range in conda's words: `==1.2.*` is `1.2.*`, the rest reads alike."""
    parts = (re.sub(r"^===?(.*\.\*)$", r"\1", str(part).replace("===", "==")) for part in specifier)
    return ",".join(sorted(parts))


def unpack(wheel: Wheel, tree: Path) -> None:
    """Lay a wheel's files out in `tree` as they shall lie in a prefix, and write its console scripts.

    What `is_left_out` names stays out: half of the files, and each costs time on a machine that is emulated.
    """
    with zipfile.ZipFile(wheel.path) as archive:
        for item in archive.infolist():
            if item.is_dir() or is_left_out(item.filename):
                continue
            target = _target(item.filename)
            path = tree / target
            path.parent.mkdir(parents=True, exist_ok=True)
            content = archive.read(item)
            if target.startswith("bin/"):
                content = re.sub(rb"^#!python\w*", f"#!{PLACEHOLDER}/bin/python".encode(), content)
            path.write_bytes(content)
            executable = target.startswith("bin/") or (item.external_attr >> 16) & 0o100
            path.chmod(0o755 if executable else 0o644)
    for dist_info in (tree / SITE_PACKAGES).glob("*.dist-info"):
        _rewrite_record(dist_info / "RECORD", tree)
        (dist_info / "INSTALLER").write_text("conda\n")
        if (entry_points := dist_info / "entry_points.txt").exists():
            write_scripts(entry_points.read_text(), tree / "bin")


def is_left_out(member: str) -> bool:
    """Whether nothing that a lab is for needs this file of a wheel: tests, and what the tables below name."""
    if "tests" in Path(member).parts[:-1]:
        return True
    if member.startswith(_LOCALES):
        return not re.fullmatch(_KEPT_LOCALES, member.removeprefix(_LOCALES))
    return member.startswith(_LEFT_OUT)


def write_scripts(entry_points: str, folder: Path) -> None:
    """Write a script into `folder` for each console script of an `entry_points.txt`."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names of scripts are case-sensitive
    parser.read_string(entry_points)
    for section in ("console_scripts", "gui_scripts"):
        for name, reference in parser.items(section) if parser.has_section(section) else ():
            module, _, attribute = reference.split("[")[0].strip().partition(":")
            folder.mkdir(exist_ok=True)
            script = folder / name
            script.write_text(
                _SCRIPT.format(
                    prefix=PLACEHOLDER, module=module, attribute=attribute, first=attribute.partition(".")[0]
                )
            )
            script.chmod(0o755)


def _read_wheel(path: Path) -> Wheel:
    with zipfile.ZipFile(path) as archive:
        member = next(
            member for member in archive.namelist() if member.count("/") == 1 and member.endswith(".dist-info/METADATA")
        )
        metadata = HeaderParser().parsestr(archive.read(member).decode("utf-8"))
    return Wheel(path, metadata)


def _with_extras(wheel: Wheel, extras: frozenset[str], wheels: Mapping[str, Wheel]) -> Iterator[Requirement]:
    """The requirements, and in the place of extras, which conda does not know, what these require."""
    for requirement in wheel.requirements(extras):
        key = canonicalize_name(requirement.name)
        found = wheels.get(key)
        if found is None or not requirement.specifier.contains(found.version, prereleases=True):
            has = f"has {found.version}" if found else "has none"
            raise LookupError(f"{wheel.key} needs {requirement}, and lab/making/channel.txt {has}")
        yield requirement
        if requirement.extras:
            yield from _with_extras(found, frozenset(requirement.extras), wheels)


def _target(member: str) -> str:
    """A wheel member's path in a prefix."""
    top, _, rest = member.partition("/")
    if top.endswith(".data"):
        part, _, inner = rest.partition("/")
        return str(Path(_DATA_FOLDERS[part]) / inner)
    return f"{SITE_PACKAGES}/{member}"


def _rewrite_record(record: Path, tree: Path) -> None:
    """List in a RECORD what is there, where it is, so that pip's own view of the package is right."""
    with record.open(newline="") as lines:
        rows = [(tree / _target(member), rest) for member, *rest in csv.reader(lines)]
    with record.open("w", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows(
            (os.path.relpath(path, tree / SITE_PACKAGES), *rest) for path, rest in rows if path.exists()
        )
