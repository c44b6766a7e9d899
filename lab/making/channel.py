"""Makes the conda channel: PyPI's wheels, Debian's python, conda itself, ffmpeg.

Runs in the lab's own virtual environment (`python -m lab.making channel FOLDER`), on Debian's own Python 3.11:
pip chooses wheels for the interpreter that runs it, and it is Debian's that will run them.
"""

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from lab.making import debian_python, genuine_conda, wheels
from lab.making.conda_package import SITE_PACKAGES, CondaPackage, missing_dependencies
from lab.making.package_writer import write_index, write_package
from lab.names import CHANNEL

SUBDIR = "linux-64"

_DEFINITION = Path(__file__).parent

Record = dict[str, Any]


def make_channel(folder: Path) -> None:
    """Make `folder`/conda-forge with its index. LookupError when lab/making/channel.txt does not hold together."""
    packages = folder / CHANNEL / SUBDIR
    packages.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="lab-channel-") as name:
        work = Path(name)
        print("channel: wheels from PyPI (lab/making/channel.txt)", flush=True)
        found = wheels.read_wheels(_download_wheels(work / "wheels"))
        print("channel: python from Debian", flush=True)
        records = [_pack_python(work, packages), _pack_conda(work, packages)]
        print(f"channel: packing {len(found)} wheels", flush=True)
        descriptions = {key: wheels.describe(wheel, found) for key, wheel in found.items()}
        with ProcessPoolExecutor() as pool:
            jobs = [pool.submit(_pack_wheel, found[key], descriptions[key], packages) for key in descriptions]
            records += [job.result() for job in jobs]
    if missing := missing_dependencies(records):
        raise LookupError(f"lab/making/channel.txt is not complete: {'; '.join(missing)}")
    write_index(packages, {_file_name(record): record for record in records})
    (folder / CHANNEL / "noarch").mkdir()
    write_index(folder / CHANNEL / "noarch", {})
    print(f"channel: {len(records)} packages", flush=True)


def _download_wheels(folder: Path) -> Path:
    arguments = ["--quiet", "--no-deps", "--prefer-binary", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *arguments, "-r", _DEFINITION / "channel.txt"], check=True)
    return folder


def _pack_wheel(wheel: wheels.Wheel, package: CondaPackage, folder: Path) -> Record:
    with tempfile.TemporaryDirectory(prefix="lab-wheel-") as name:
        tree = Path(name)
        wheels.unpack(wheel, tree)
        if wheel.key == "imageio-ffmpeg":
            package = _keep_ffmpeg_alone(tree, package)
        return write_package(package, tree, folder)


def _keep_ffmpeg_alone(tree: Path, package: CondaPackage) -> CondaPackage:
    """The static binary that imageio-ffmpeg carries, as conda-forge's package `ffmpeg`: a program, no Python."""
    binary = next((tree / SITE_PACKAGES / "imageio_ffmpeg/binaries").glob("ffmpeg-linux-x86_64-v*"))
    (tree / "bin").mkdir()
    binary.rename(tree / "bin/ffmpeg").chmod(0o755)
    shutil.rmtree(tree / "lib")
    return CondaPackage(
        name="ffmpeg",
        version=binary.name.rpartition("-v")[2],
        build=package.build.replace("py311", "static"),
        summary="ffmpeg, as imageio-ffmpeg carries it",
        license="GPL-3.0-or-later",
    )


def _pack_python(work: Path, folder: Path) -> Record:
    debs = debian_python.download(work / "debs")
    tree = work / "python"
    tree.mkdir()
    debian_python.unpack(debs, tree, work / "debian")
    return write_package(debian_python.describe(debs), tree, folder)


def _pack_conda(work: Path, folder: Path) -> Record:
    arguments = ["--quiet", "--no-deps", "--dest", str(work), genuine_conda.CARRIER]
    subprocess.run([sys.executable, "-m", "pip", "download", *arguments], check=True)
    tree = work / "conda"
    tree.mkdir()
    genuine_conda.unpack(next(work.glob("conda_lock-*.whl")), tree)
    return write_package(genuine_conda.describe(), tree, folder)


def _file_name(record: Record) -> str:
    return f"{record['name']}-{record['version']}-{record['build']}.conda"
