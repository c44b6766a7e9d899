"""conda itself as a conda package, out of the wheel of `conda-lock`, which carries all of conda's code.

conda is not on PyPI. conda-lock's authors vendor it with its imports renamed; here they get their names back.
Shell files are not part of that copy, so the few that people use are written here, ours. Nothing of conda is
committed to this project: conda is BSD-3-Clause, and its LICENSE goes into the package.
"""

import zipfile
from pathlib import Path

from lab.making.conda_package import PLACEHOLDER, SITE_PACKAGES, CondaPackage
from lab.making.wheels import write_scripts

CARRIER = "conda-lock==4.0.3"
VERSION = "24.7.1"

_VENDORED = "conda_lock/_vendor/conda/"
_RENAMED = ("conda_lock._vendor.conda", "conda_lock.vendor.conda")

_DEPENDS = (
    "archspec >=0.2.3",
    "boltons >=23.0.0",
    "conda-package-handling >=2.2.0",
    "distro >=1.5.0",
    "frozendict >=2.4.2",
    "jsonpatch >=1.32",
    "packaging >=23.0",
    "platformdirs >=3.10.0",
    "pluggy >=1.0.0",
    "pycosat >=0.6.3",
    "python >=3.11,<3.12.0a0",
    "requests >=2.28.0,<3",
    "ruamel.yaml >=0.11.14,<0.19",
    "setuptools >=60.0.0",
    "tqdm >=4",
    "truststore >=0.8.0",
    "zstandard >=0.19.0",
)
"""As in pyproject.toml of conda 24.7, without menuinst, which Windows needs."""

_METADATA = f"Metadata-Version: 2.1\nName: conda\nVersion: {VERSION}\nLicense: BSD-3-Clause\n"

_CONDA_SH = f"""\
# Makes `conda activate` work in this shell: it changes the shell's own environment, which no program can do.
export CONDA_EXE='{PLACEHOLDER}/bin/conda'
export CONDA_PYTHON_EXE='{PLACEHOLDER}/bin/python'

conda() {{
    case "${{1-}}" in
        activate | deactivate | reactivate) eval "$("$CONDA_EXE" shell.posix "$@")" ;;
        *) "$CONDA_EXE" "$@" ;;
    esac
}}

if [ -z "${{CONDA_SHLVL+x}}" ]; then
    export CONDA_SHLVL=0
    PATH="{PLACEHOLDER}/condabin:$PATH"
    export PATH
fi
"""

_ACTIVATE = f"""\
# To be sourced: `. bin/activate [ENVIRONMENT]`
. '{PLACEHOLDER}/etc/profile.d/conda.sh'
conda activate "$@"
"""

_CONDARC = """\
# conda 24.7 prefers libmamba, which is not on PyPI; its own solver needs nothing else.
solver: classic
# As Miniforge has it. conda's own default are channels that most institutes may not use freely.
channels: [conda-forge]
"""


def describe() -> CondaPackage:
    return CondaPackage(
        name="conda",
        version=VERSION,
        build="py311_lab_0",
        depends=_DEPENDS,
        summary="OS-agnostic, system-level binary package manager",
        license="BSD-3-Clause",
    )


def unpack(carrier: Path, tree: Path) -> None:
    """Lay conda out in `tree`, as in a prefix. LookupError when the wheel carries another version."""
    site_packages = tree / SITE_PACKAGES
    with zipfile.ZipFile(carrier) as archive:
        for name in archive.namelist():
            if name.startswith(_VENDORED):
                target = site_packages / "conda" / name.removeprefix(_VENDORED)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(_with_own_names(archive.read(name)) if name.endswith(".py") else archive.read(name))
    if f"'{VERSION}'" not in (site_packages / "conda/_version.py").read_text():
        raise LookupError(f"{carrier.name} does not carry conda {VERSION}: {__name__} must follow")
    dist_info = site_packages / f"conda-{VERSION}.dist-info"
    dist_info.mkdir()
    (dist_info / "METADATA").write_text(_METADATA)
    (dist_info / "INSTALLER").write_text("conda\n")
    write_scripts("[console_scripts]\nconda = conda.cli:main\n", tree / "bin")
    _write_shell_files(tree)


def _with_own_names(code: bytes) -> bytes:
    for renamed in _RENAMED:
        code = code.replace(renamed.encode(), b"conda")
    return code


def _write_shell_files(tree: Path) -> None:
    files = {
        "etc/profile.d/conda.sh": _CONDA_SH,
        f"{SITE_PACKAGES}/conda/shell/etc/profile.d/conda.sh": _CONDA_SH,  # `conda shell.posix hook` and `conda run`
        "bin/activate": _ACTIVATE,
        "condarc.d/lab.yml": _CONDARC,
    }
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "condabin").mkdir()
    (tree / "condabin/conda").symlink_to("../bin/conda")
