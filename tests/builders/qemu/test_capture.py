"""Images are written whole or not at all, and can be read back; with real disks, and a disk that is really full."""

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from baker.artifact import Artifact
from baker.builders.qemu import capture, command, qemu_img
from baker.builders.qemu.capture import Describe, Images, NamedDisk
from baker.builders.qemu.image import Image, ImageDisk, find_images, read_image
from baker.clock import SystemClock
from baker.errors import BuilderError, CaptureError, Interrupted
from baker.events import Emit, Event, Progress, ResourceAcquired, ResourceKept, ResourceReleased
from baker.home import Home
from baker.interrupts import Interrupts, raise_deferred

MIB = 1 << 20
RUN_ID = "20260102t030405-abcd"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def written_disks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root disk that is an overlay, and a data disk; each with something written to it."""
    folder = tmp_path_factory.mktemp("disks")
    base, root, data = (folder / name for name in ("base.qcow2", "root-overlay.qcow2", "data-disk.qcow2"))
    qemu_img.create_disk(base, size_bytes=64 * MIB)
    write(base, "write -q -P 0x11 0 1M")
    qemu_img.create_overlay(root, backing=base, size_bytes=128 * MIB)
    write(root, "write -q -P 0x22 100M 1M")
    qemu_img.create_disk(data, size_bytes=64 * MIB)
    write(data, "write -q -P 0x33 1M 1M")
    return folder


@pytest.fixture
def disks(written_disks: Path) -> tuple[NamedDisk, ...]:
    """Not to be changed by a test."""
    return (
        NamedDisk(name="root", path=written_disks / "root-overlay.qcow2"),
        NamedDisk(name="data", path=written_disks / "data-disk.qcow2"),
    )


@pytest.fixture
def describe() -> Describe:
    return described("reef")


def described(name: str, created: str = "2026-01-02T03:04:05+00:00") -> Describe:
    def describe(disks: tuple[ImageDisk, ...]) -> Image:
        return Image(
            name=name,
            created=created,
            fingerprint="f" * 64,
            labels={"recipe": "reef"},
            source_digest="d" * 64,
            architecture="x86_64",
            firmware="uefi",
            memory_mib=512,
            cpus=1,
            disks=disks,
        )

    return describe


def write(disk: Path, what: str) -> None:
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", what, disk], check=True, capture_output=True)


def holds(disk: Path, what: str) -> bool:
    result = subprocess.run(["qemu-io", "-f", "qcow2", "-c", what, disk], check=True, capture_output=True, text=True)
    return "verification failed" not in result.stdout


def quiet(_event: Event) -> None:
    pass


def write_image(images: Path, name: str, disks: tuple[NamedDisk, ...], describe: Describe, emit: Emit) -> Artifact:
    """As a machine of the run RUN_ID does it. `images` is the folder of that name in a home."""
    place = Images(home=Home(images.parent), run_id=RUN_ID, emit=emit, clock=SystemClock())
    return capture.write_image(place, name, disks, describe)


def test_an_image_holds_all_disks(images: Path, disks: tuple[NamedDisk, ...], describe: Describe) -> None:
    artifact = write_image(images, "reef", disks, describe, quiet)
    folder = Path(artifact.id)
    assert holds(folder / "root.qcow2", "read -P 0x11 0 1M")  # from what the overlay stands on
    assert holds(folder / "root.qcow2", "read -P 0x22 100M 1M")
    assert qemu_img.virtual_size(folder / "root.qcow2") == 128 * MIB
    assert holds(folder / "data.qcow2", "read -P 0x33 1M 1M")
    assert sorted(entry.name for entry in folder.iterdir()) == ["data.qcow2", "image.json", "root.qcow2"]


def test_its_disks_are_compressed_and_sound_and_stand_alone(
    images: Path, disks: tuple[NamedDisk, ...], describe: Describe
) -> None:
    folder = Path(write_image(images, "reef", disks, describe, quiet).id)
    for disk in ("root.qcow2", "data.qcow2"):
        assert subprocess.run(command.check_command(folder / disk), check=False).returncode == 0
        info = subprocess.run(command.info_command(folder / disk), check=True, capture_output=True).stdout
        assert json.loads(info)["format-specific"]["data"]["compression-type"] == "zstd"
        assert "backing-filename" not in json.loads(info)
        assert (folder / disk).stat().st_size < MIB


def test_it_says_what_it_is(images: Path, disks: tuple[NamedDisk, ...], describe: Describe) -> None:
    artifact = write_image(images, "reef", disks, describe, quiet)
    folder = images / "reef"
    image = read_image(folder)
    assert [disk.name for disk in image.disks] == ["root", "data"]
    for disk in image.disks:
        assert disk.sha256 == hashlib.sha256((folder / disk.file).read_bytes()).hexdigest()
        assert disk.file_size_bytes == (folder / disk.file).stat().st_size
    assert artifact == Artifact(
        builder="qemu",
        id=str(folder),
        location=str(images),
        name="reef",
        fingerprint="f" * 64,
        created="2026-01-02T03:04:05+00:00",
        size_bytes=sum(disk.file_size_bytes for disk in image.disks),
        labels={"recipe": "reef"},
    )
    assert find_images(images) == (artifact,)


def test_only_its_owner_can_read_it(images: Path, disks: tuple[NamedDisk, ...], describe: Describe) -> None:
    folder = Path(write_image(images, "reef", disks, describe, quiet).id)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_progress_is_told_for_each_disk(images: Path, disks: tuple[NamedDisk, ...], describe: Describe) -> None:
    seen: list[Event] = []
    write_image(images, "reef", disks, describe, seen.append)
    told = [event for event in seen if isinstance(event, Progress)]
    for name in ("disk root", "disk data"):
        assert max(event.done for event in told if event.what == name) == 100


def test_until_it_is_whole_it_is_a_temporary_thing_of_its_run(
    images: Path, disks: tuple[NamedDisk, ...], describe: Describe
) -> None:
    seen: list[Event] = []
    write_image(images, "reef", disks, describe, seen.append)
    acquired, *others, kept = seen
    assert isinstance(acquired, ResourceAcquired)
    assert (acquired.kind, acquired.id, acquired.location) == (
        "partial image", f".{RUN_ID}.reef.partial", str(images.parent)
    )  # fmt: skip
    assert all(isinstance(event, Progress) for event in others)
    assert kept == ResourceKept(kind=acquired.kind, id=acquired.id, location=acquired.location)


def test_a_folder_that_cannot_be_flushed_is_taken_back(
    images: Path, disks: tuple[NamedDisk, ...], describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flush(path: Path) -> None:
        if path == images:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(capture, "flush", flush)
    seen: list[Event] = []
    with pytest.raises(CaptureError, match="writing image reef"):
        write_image(images, "reef", disks, describe, seen.append)
    assert isinstance(seen[-1], ResourceReleased)
    assert list(images.iterdir()) == []


def test_a_signal_when_the_image_is_whole_waits_until_the_caller_has_it(
    images: Path, disks: tuple[NamedDisk, ...], describe: Describe
) -> None:
    def signalled(event: Event) -> None:
        if isinstance(event, ResourceKept):
            signal.raise_signal(signal.SIGTERM)

    with Interrupts(), pytest.raises(Interrupted):
        artifact = write_image(images, "reef", disks, describe, signalled)
        assert Path(artifact.id).is_dir()
        raise_deferred()


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../a", "a b", "a\n", "ü"])
def test_a_name_that_is_no_file_name_is_refused(
    name: str, images: Path, disks: tuple[NamedDisk, ...], describe: Describe
) -> None:
    with pytest.raises(CaptureError, match="cannot be the name of an image"):
        write_image(images, name, disks, describe, quiet)
    assert list(images.iterdir()) == []


def test_an_image_that_exists_is_never_touched(images: Path, disks: tuple[NamedDisk, ...], describe: Describe) -> None:
    write_image(images, "reef", disks, describe, quiet)
    before = (images / "reef" / "image.json").stat()
    with pytest.raises(CaptureError, match="exists already"):
        write_image(images, "reef", disks, describe, quiet)
    assert (images / "reef" / "image.json").stat() == before
    assert [entry.name for entry in images.iterdir()] == ["reef"]


def missing_disk(folder: Path) -> Path:
    return folder / "no-such.qcow2"


def disk_without_its_base(folder: Path) -> Path:
    qemu_img.create_disk(folder / "base.qcow2", size_bytes=MIB)
    qemu_img.create_overlay(folder / "overlay.qcow2", backing=folder / "base.qcow2", size_bytes=MIB)
    (folder / "base.qcow2").unlink()
    return folder / "overlay.qcow2"


def disk_that_is_none(folder: Path) -> Path:
    (folder / "text.qcow2").write_text("no disk at all")
    return folder / "text.qcow2"


@pytest.mark.parametrize("broken", [missing_disk, disk_without_its_base, disk_that_is_none])
def test_a_failure_leaves_nothing(
    broken: Callable[[Path], Path], images: Path, disks: tuple[NamedDisk, ...], describe: Describe, tmp_path: Path
) -> None:
    second = NamedDisk(name="data", path=broken(tmp_path))
    with pytest.raises(CaptureError, match="qemu-img exited with 1") as caught:
        write_image(images, "reef", (disks[0], second), describe, quiet)
    assert dict(caught.value.details)["message"]
    assert list(images.iterdir()) == []


@pytest.mark.parametrize("at", ["disk root", "disk data"])
def test_an_interrupt_leaves_nothing(
    at: str, images: Path, disks: tuple[NamedDisk, ...], describe: Describe, processes_with: Callable[[str], list[int]]
) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.what == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_image(images, "reef", disks, describe, stop)
    assert list(images.iterdir()) == []
    assert processes_with(str(images)) == []


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    """On a tmpfs of 2 MiB in a mount namespace of its own."""
    disk = tmp_path / "noise.qcow2"
    qemu_img.create_disk(disk, size_bytes=16 * MIB)
    noise = tmp_path / "noise"
    noise.write_bytes(os.urandom(8 * MIB))
    write(disk, f"write -q -s {noise} 0 8M")
    program = textwrap.dedent(f"""
        from pathlib import Path
        from baker.builders.qemu.capture import Images, NamedDisk, write_image
        from baker.clock import SystemClock
        from baker.errors import BakeError
        from baker.home import Home
        home = Home(Path({str(tmp_path)!r}) / "small")
        images = Images(home=home, run_id={RUN_ID!r}, emit=lambda event: None, clock=SystemClock())
        disks = (NamedDisk(name="root", path=Path({str(disk)!r})),)
        try:
            write_image(images, "reef", disks, lambda disks: None)
        except BakeError as error:
            print(type(error).__name__, "|", error.summary, "|", list(home.images.iterdir()))
    """)
    (tmp_path / "small").mkdir()
    mount_and_run = f'mount -t tmpfs -o size=2m none "{tmp_path}/small" && exec "$0" -c "$1"'
    result = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount_and_run, sys.executable, program],
        check=True,
        capture_output=True,
        text=True,
    )
    assert result.stdout.strip() == "DiskFullError | no room is left on the baking host's disk | []"


def test_images_are_listed_newest_last(images: Path, disks: tuple[NamedDisk, ...]) -> None:
    for name, created in (("b", "2026-03-01T00:00:00+00:00"), ("c", "2026-01-01T00:00:00+00:00")):
        write_image(images, name, disks[1:], described(name, created), quiet)
    (images / "reef").symlink_to("b")
    (images / ".a.partial").mkdir()
    (images / "notes.txt").write_text("mine")
    assert [artifact.name for artifact in find_images(images)] == ["c", "b"]


def without_a_key(text: str) -> str:
    data = json.loads(text)
    del data["disks"]
    return json.dumps(data)


def with_an_outside_disk(text: str) -> str:
    data = json.loads(text)
    data["disks"][0]["file"] = "../../../etc/passwd"
    return json.dumps(data)


def of_the_future(text: str) -> str:
    return json.dumps(json.loads(text) | {"format": 99})


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda _text: "", "is damaged"),
        (lambda _text: "{", "is damaged"),
        (lambda _text: "[]", "is damaged"),
        (without_a_key, "is damaged: KeyError: 'disks'"),
        (with_an_outside_disk, "is not in the image's folder"),
        (of_the_future, "format 99 is not known"),
    ],
)
def test_a_damaged_image_is_listed_as_a_problem_beside_the_others(
    damage: Callable[[str], str], problem: str, images: Path, disks: tuple[NamedDisk, ...]
) -> None:
    for name in ("good", "bad"):
        write_image(images, name, disks[1:], described(name), quiet)
    file = images / "bad" / "image.json"
    file.write_text(damage(file.read_text()))
    bad, good = find_images(images)
    assert (good.name, dict(good.labels)) == ("good", {"recipe": "reef"})
    assert bad.name == "bad"
    assert problem in bad.labels["problem"]
    with pytest.raises(BuilderError):
        read_image(images / "bad")


def test_an_image_without_one_of_its_disks_is_a_problem(images: Path, disks: tuple[NamedDisk, ...]) -> None:
    write_image(images, "reef", disks, described("reef"), quiet)
    (images / "reef" / "data.qcow2").unlink()
    (artifact,) = find_images(images)
    assert artifact.labels == {"problem": "image reef lacks its disk data.qcow2"}


def test_a_place_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="cannot list the images"):
        find_images(tmp_path / "nowhere")


def test_an_artifact_is_the_same_wherever_it_is_read(images: Path, disks: tuple[NamedDisk, ...]) -> None:
    artifact = write_image(images, "reef", disks, described("reef"), quiet)
    elsewhere = images.parent / "other"
    images.rename(elsewhere)
    (found,) = find_images(elsewhere)
    assert replace(artifact, id=str(elsewhere / "reef"), location=str(elsewhere)) == found
