"""Debian's Python 3.11 as a conda package: the interpreter, its standard library, and the libraries they link to.

Neither PyPI nor Debian has a Python made for a conda prefix. Debian's becomes one with two changes, both to its
notion of where third-party packages lie: `site` looks for `dist-packages`, and `sysconfig` installs to
`local/lib`.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from lab.making.conda_package import PYTHON, SITE_PACKAGES, CondaPackage

DEBIAN_PACKAGES = (
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libbz2-1.0",
    "libcrypt1",
    "libexpat1",
    "libffi8",
    "liblzma5",
    "libncursesw6",
    "libreadline8",
    "libsqlite3-0",
    "libssl3",
    "libtinfo6",
    "libuuid1",
    "zlib1g",
)

_GLIBC = ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2")
"""Libraries that the machine always has."""

_SITE_PACKAGES_PTH = f'import site, sys; site.addsitedir(sys.prefix + "/{SITE_PACKAGES}")\n'
"""Debian's `site` is frozen into the interpreter and cannot be changed; a .pth file in a folder that it reads can."""


def download(folder: Path) -> list[Path]:
    """Fetch the .deb files through apt, as the host is set up. CalledProcessError when apt cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    # apt warns that its unprivileged user cannot write here; it then fetches as the caller.
    options = ("-q", "-o", "APT::Sandbox::User=root")
    subprocess.run(["apt-get", *options, "download", *DEBIAN_PACKAGES], cwd=folder, check=True, capture_output=True)
    return sorted(folder.glob("*.deb"))


def describe(debs: list[Path]) -> CondaPackage:
    """The package's name, version and needs; its build names Debian's revision."""
    interpreter = next(deb for deb in debs if deb.name.startswith("python3.11-minimal_"))
    debian_version = interpreter.name.split("_")[1].replace("%3a", "")
    version, _, revision = debian_version.partition("-")
    return CondaPackage(
        name="python",
        version=version,
        build=f"debian_{re.sub(r'[^0-9a-z]+', '_', revision)}_1",
        depends=("__glibc >=2.36",),
        summary="Debian's Python, repacked by the lab",
        license="PSF-2.0",
    )


def unpack(debs: list[Path], tree: Path, work: Path) -> None:
    """Lay the interpreter, its library and what both link to out in `tree`, as in a prefix. `work` is scratch."""
    for deb in debs:
        subprocess.run(["dpkg-deb", "--extract", deb, work], check=True)
    library = tree / "lib" / PYTHON
    shutil.copytree(work / "usr/lib" / PYTHON, library, symlinks=False, ignore=shutil.ignore_patterns(
        "__pycache__", "EXTERNALLY-MANAGED", "sitecustomize.py", "test"
    ))  # fmt: skip
    (tree / "bin").mkdir()
    shutil.copy(work / "usr/bin" / PYTHON, tree / "bin" / PYTHON)
    for name in ("python", "python3"):
        (tree / "bin" / name).symlink_to(PYTHON)
    _look_for_site_packages(tree)
    _carry_libraries(tree, work)
    _relocate(tree)


def _look_for_site_packages(tree: Path) -> None:
    for folder in (tree / SITE_PACKAGES, tree / "lib" / PYTHON / "dist-packages"):
        folder.mkdir(exist_ok=True)
    (tree / SITE_PACKAGES / "README.txt").write_text("conda and pip install Python packages into this folder.\n")
    (tree / "lib" / PYTHON / "dist-packages" / "site-packages.pth").write_text(_SITE_PACKAGES_PTH)
    sysconfig = tree / "lib" / PYTHON / "sysconfig.py"
    text = sysconfig.read_text()
    changed = text.replace("prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'")
    if changed == text:
        raise LookupError(
            "Debian's sysconfig.py no longer chooses 'posix_local': lab/making/debian_python.py must follow"
        )
    sysconfig.write_text(changed)


def _carry_libraries(tree: Path, work: Path) -> None:
    """Copy the libraries that the interpreter and its modules link to, under the names the loader asks for.

    Extension modules whose libraries the package does not carry go: NIS and two data base formats.
    """
    folders = (work / "usr/lib/x86_64-linux-gnu", work / "lib/x86_64-linux-gnu")
    carried = {path.name: path for folder in folders for path in folder.glob("*.so.*")}
    for module in (tree / "lib" / PYTHON / "lib-dynload").glob("*.so"):
        if _needed(module) - carried.keys():
            module.unlink()
    wanted = set[str]().union(*(_needed(path) for path in _linked(tree)))
    while wanted:
        name = wanted.pop()
        if not (target := tree / "lib" / name).exists():
            shutil.copy(carried[name], target)
            wanted |= _needed(target)


def _relocate(tree: Path) -> None:
    """Make every program and library look for its libraries in the prefix that it lies in."""
    for path in (*_linked(tree), *(tree / "lib").glob("*.so.*")):
        libraries = os.path.relpath(tree / "lib", path.parent)
        _patchelf("--set-rpath", f"$ORIGIN/{libraries}", path)


def _linked(tree: Path) -> list[Path]:
    return [tree / "bin" / PYTHON, *(tree / "lib" / PYTHON / "lib-dynload").glob("*.so")]


def _needed(path: Path) -> set[str]:
    return set(_patchelf("--print-needed", path).split()).difference(_GLIBC)


def _patchelf(*arguments: str | Path) -> str:
    return subprocess.run(["patchelf", *arguments], check=True, capture_output=True, text=True).stdout
