"""What a conda package is, as far as the lab makes them: its description, and where its files lie.

Standard library alone; written to disk by `lab.making.package_writer`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PLACEHOLDER = "/" + "lab_prefix_placeholder_" * 6
"""Stands in text files for the prefix that a package is installed into; conda replaces it."""

PYTHON = "python3.11"
SITE_PACKAGES = f"lib/{PYTHON}/site-packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaPackage:
    """What a package says about itself. `depends` are conda's match specifications."""

    name: str
    version: str
    build: str
    depends: tuple[str, ...] = ()
    summary: str = ""
    license: str = ""

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}-{self.build}.conda"


def missing_dependencies(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lines such as `jupyterlab needs tornado`, for each dependency by name that no record satisfies."""
    records = list(records)
    names = {record["name"] for record in records}
    return [
        f"{record['name']} needs {depend}"
        for record in records
        for depend in record["depends"]
        if depend.split()[0] not in names and not depend.startswith("__")
    ]
