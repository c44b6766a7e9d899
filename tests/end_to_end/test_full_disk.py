"""The disk of the baking host is full: exit code 4, one message, and nothing left of the bake.

BAKER_HOME is a small file system in memory, in a mount namespace of the bake's own, so nothing of this host is filled.
"""

import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from baker.errors import DiskFullError
from baker.home import Home
from tests.end_to_end.conftest import BAKE

pytestmark = pytest.mark.sandbox  # root, for mounting

BLANK = """
from baker import Recipe
from baker.builders.qemu.spec import CloudImage, Qemu

recipe = Recipe(
    name="blank",
    builders=(
        Qemu(
            source=CloudImage(url="file://{image}", sha256="{sum}"),
            memory_mib=256, accelerator="tcg", boot_timeout_seconds=1,
        ),
    ),
)
"""

FILLS = """
from baker import Recipe
from baker.builders.qemu.spec import Qemu
from provisioners import Shell

recipe = Recipe(
    name="fills",
    builders=(Qemu(memory_mib=1024, cpus=1, disk_gib=4),),
    provisioners=(Shell(command="echo begun; sleep 5; dd if=/dev/urandom of=/var/tmp/x bs=1M count=600 conv=fsync"),),
)
"""

MOUNT = """
mount -t tmpfs -o "$1" full "$BAKER_HOME"
if [ -n "$2" ]; then ln -s "$2" "$BAKER_HOME/sources"; fi
shift 2
code=0; "$@" || code=$?
cd "$BAKER_HOME"; find . -mindepth 1 >"$LEFT"
exit $code
"""
"""Everything below the home is listed once the bake has ended: the file system goes with the last process in it."""


class FullDisk:
    """Starts bakes in `folder` whose home is a file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.run_dir = folder, folder / "home", folder / "run"
        self.home.mkdir()

    def start(
        self, recipe: Path, options: str, *, sources: str = "", run_dir: Path | None = None
    ) -> "subprocess.Popen[str]":
        """`options` are those of tmpfs; `sources` is a folder that stands in for its own."""
        command = [str(BAKE), str(recipe), "--run-dir", str(run_dir or self.run_dir)]
        return subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-euc", MOUNT, "sh", options, sources, *command],
            env=os.environ | {"BAKER_HOME": str(self.home), "LEFT": str(self.folder / "left")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def left(self) -> list[str]:
        """What is left below the home, but for what is kept for the next bake."""
        lines = (self.folder / "left").read_text().splitlines()
        kept = {"./sources", "./images", "./work", "./ledger", "./accelerator.json"}
        return [line for line in lines if line not in kept and not line.startswith("./sources/")]


@pytest.fixture
def disk(tmp_path: Path) -> FullDisk:
    return FullDisk(tmp_path)


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    """A recipe whose machine starts and never answers: nothing is on its disk."""
    image = tmp_path / "blank.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "64M"], check=True)
    recipe = tmp_path / "blank.py"
    recipe.write_text(BLANK.format(image=image, sum=sha256(image.read_bytes()).hexdigest()))
    return recipe


def _says_that_the_disk_is_full(stderr: str) -> None:
    (error,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert "no room is left on the" in error
    assert "hint: free some space, or " in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("files", [1, 2, 3, 5, 8, 9, 10, 11, 12, 14])
def test_no_room_for_another_file_at_whatever_file_it_comes(disk: FullDisk, blank: Path, files: int) -> None:
    bake = disk.start(blank, f"size=8G,nr_inodes={files}")
    _, stderr = bake.communicate(timeout=120)
    assert bake.returncode == DiskFullError.exit_code, stderr
    _says_that_the_disk_is_full(stderr)
    assert disk.left() == []


@pytest.mark.parametrize("files", [1, 2, 3])
def test_no_room_for_the_log_of_the_run(disk: FullDisk, blank: Path, files: int) -> None:
    bake = disk.start(blank, f"size=8G,nr_inodes={files}", run_dir=disk.home / "run")
    _, stderr = bake.communicate(timeout=120)
    assert bake.returncode == DiskFullError.exit_code, stderr
    _says_that_the_disk_is_full(stderr)
    assert "--run-dir" in stderr


@pytest.mark.qemu
def test_a_disk_that_fills_up_while_the_machine_writes(disk: FullDisk, tmp_path: Path) -> None:
    recipe = tmp_path / "fills.py"
    recipe.write_text(FILLS)
    bake = disk.start(recipe, "size=8G", sources=str(Home.from_environment().sources))
    try:
        _wait_for_line(bake, disk.run_dir / "events.jsonl", "begun")
        namespace = ["nsenter", f"--mount=/proc/{bake.pid}/ns/mnt"]
        free = "import os, sys; room = os.statvfs(sys.argv[1]); print((room.f_blocks - room.f_bfree) * room.f_frsize)"
        used = subprocess.run(
            [*namespace, sys.executable, "-c", free, disk.home], capture_output=True, text=True, check=True
        ).stdout
        size = int(used) + (64 << 20)
        subprocess.run([*namespace, "mount", "-o", f"remount,size={size}", disk.home], check=True)
        _, stderr = bake.communicate(timeout=300)
    finally:
        if bake.poll() is None:
            os.killpg(bake.pid, signal.SIGKILL)
            bake.communicate()
    assert bake.returncode == DiskFullError.exit_code, stderr
    _says_that_the_disk_is_full(stderr)
    assert disk.left() == []


def _wait_for_line(bake: "subprocess.Popen[str]", log: Path, text: str) -> None:
    """Until the machine has said `text`."""
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        if bake.poll() is not None:
            pytest.fail(f"the bake ended too early: {bake.communicate()[1][-3000:]}")
        if log.exists() and f'"text": "{text}"' in log.read_text():
            return
        time.sleep(0.2)
    pytest.fail("the bake never came so far")
