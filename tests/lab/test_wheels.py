"""A wheel becomes a conda package: files in their places, scripts, requirements in conda's words."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from lab.making.conda_package import PLACEHOLDER, SITE_PACKAGES, missing_dependencies
from lab.making.wheels import conda_name, conda_version, describe, is_left_out, read_wheels, unpack


def make_wheel(folder: Path, name: str, version: str, requires: tuple[str, ...] = (), **files: str) -> None:
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\nSummary: A {name}\n"
    metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    stem = f"{name.replace('-', '_')}-{version}"
    content = {f"{stem}.dist-info/METADATA": metadata, **{path.format(stem=stem): text for path, text in files.items()}}
    record = "".join(f"{path},sha256=x,1\n" for path in content) + f"{stem}.dist-info/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for path, text in (content | {f"{stem}.dist-info/RECORD": record}).items():
            archive.writestr(path, text)


SALT = {
    "salt/__init__.py": "def main():\n    print('salt')\n",
    "salt/tests/test_salt.py": "",
    "{stem}.dist-info/entry_points.txt": "[console_scripts]\nSalt = salt:main\n[other]\nx = y\n",
    "{stem}.data/scripts/shake": "#!python\nprint('shake')\n",
    "{stem}.data/data/share/salt/sea.json": "{}",
    "{stem}.data/platlib/salt/native.py": "",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    make_wheel(tmp_path, "salt", "1.0", **SALT)
    (tmp_path / "tree").mkdir()
    unpack(read_wheels(tmp_path)["salt"], tmp_path / "tree")
    return tmp_path / "tree"


def test_files_lie_where_a_prefix_has_them(tree: Path) -> None:
    files = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    info = f"{SITE_PACKAGES}/salt-1.0.dist-info"
    assert files == {
        "bin/Salt",
        "bin/shake",
        "share/salt/sea.json",
        f"{SITE_PACKAGES}/salt/__init__.py",
        f"{SITE_PACKAGES}/salt/native.py",
        *(f"{info}/{name}" for name in ("METADATA", "RECORD", "INSTALLER", "entry_points.txt")),
    }


def test_scripts_name_the_python_of_the_prefix_and_run(tree: Path) -> None:
    for name in ("Salt", "shake"):
        first_line = (tree / "bin" / name).read_text().splitlines()[0]
        assert first_line == f"#!{PLACEHOLDER}/bin/python"
        assert (tree / "bin" / name).stat().st_mode & 0o777 == 0o755
    done = subprocess.run(
        [sys.executable, tree / "bin/Salt"],
        env={"PYTHONPATH": str(tree / SITE_PACKAGES)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"salt\n")


def test_the_record_lists_what_is_there(tree: Path) -> None:
    record = (tree / SITE_PACKAGES / "salt-1.0.dist-info/RECORD").read_text().splitlines()
    listed = {line.split(",")[0] for line in record}
    assert "../../../bin/shake" in listed
    assert "salt/__init__.py" in listed
    assert not [path for path in listed if "tests" in path]
    assert all((tree / SITE_PACKAGES / path).exists() for path in listed)


def test_requirements_become_dependencies(tmp_path: Path) -> None:
    requires = ("Pepper[hot]~=1.2,!=1.2.5", "salt ; sys_platform == 'win32'", "pytest ; extra == 'test'", "tzdata")
    make_wheel(tmp_path, "soup", "2.0", requires)
    make_wheel(tmp_path, "pepper", "1.3", ("chili==4.* ; extra == 'hot'", "salt ; extra == 'mild'"))
    make_wheel(tmp_path, "chili", "4.1")
    make_wheel(tmp_path, "tzdata", "2026.1")
    wheels = read_wheels(tmp_path)
    package = describe(wheels["soup"], wheels)
    assert package.depends == (
        "python >=3.11,<3.12.0a0", "chili 4.*", "pepper !=1.2.5,~=1.2", "python-tzdata",
    )  # fmt: skip
    assert package.build == describe(wheels["soup"], wheels).build
    assert (package.name, package.version, package.license) == ("soup", "2.0", "MIT")


@pytest.mark.parametrize("available", ["", "1.1"])
def test_a_requirement_that_the_channel_lacks_is_named(tmp_path: Path, available: str) -> None:
    make_wheel(tmp_path, "soup", "2.0", ("salt>=1.2",))
    if available:
        make_wheel(tmp_path, "salt", available)
    wheels = read_wheels(tmp_path)
    with pytest.raises(LookupError, match=r"soup needs salt>=1\.2"):
        describe(wheels["soup"], wheels)


@pytest.mark.parametrize(
    ("pypi", "conda"),
    [("==1.2.*", "1.2.*"), ("===1.2", "==1.2"), (">=1,<2", "<2,>=1"), ("!=1.2.*", "!=1.2.*"), ("", "")],
)
def test_versions_in_condas_words(pypi: str, conda: str) -> None:
    assert conda_version(SpecifierSet(pypi)) == conda


@pytest.mark.parametrize(
    ("pypi", "conda"), [("netCDF4", "netcdf4"), ("Jupyter.Client", "jupyter_client"), ("tzdata", "python-tzdata")]
)
def test_names_in_conda_forges_words(pypi: str, conda: str) -> None:
    assert conda_name(pypi) == conda


def test_a_channel_that_lacks_a_dependency_is_told() -> None:
    records = [{"name": "soup", "depends": ["salt >=1", "__glibc >=2.36"]}, {"name": "pan", "depends": []}]
    assert missing_dependencies(records) == ["soup needs salt >=1"]


@pytest.mark.parametrize(
    ("member", "left_out"),
    [
        ("jedi/third_party/typeshed/stubs/docker/docker/api.pyi", True),
        ("jedi/third_party/typeshed/stdlib/builtins.pyi", False),
        ("babel/locale-data/de.dat", False),
        ("babel/locale-data/de_AT.dat", True),
        ("babel/localedata.py", False),
        ("numpy/tests/test_numpy.py", True),
        ("numpy/testing/__init__.py", False),
    ],
)
def test_what_costs_time_and_helps_nobody_stays_out(member: str, left_out: bool) -> None:
    assert is_left_out(member) == left_out
