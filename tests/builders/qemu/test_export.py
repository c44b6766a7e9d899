"""Sharing an image of this host: whole and verifiable, or not there; a copy that broke goes on."""

import hashlib
import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from baker.artifact import Artifact
from baker.builders.qemu.export import export, look_at, share_problems
from baker.builders.qemu.folder import Folder
from baker.builders.qemu.image import Image, ImageDisk, artifact_of, encode
from baker.errors import BuilderError, ReachError
from baker.events import Event, Progress
from baker.ports import Drop
from baker.recipe import Share

CONTENT = {"root.qcow2": b"root" * 1_000_000, "data.qcow2": b"data" * 10}


@pytest.fixture
def image(tmp_path: Path) -> Artifact:
    folder = tmp_path / "images" / "reef-1"
    folder.mkdir(parents=True, mode=0o700)
    disks = []
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
        disks.append(
            ImageDisk(
                name=name.partition(".")[0], file=name, virtual_size_bytes=1 << 30, file_size_bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            )
        )  # fmt: skip
    described = Image(
        name="reef-1", created="2026-01-02T03:04:05+00:00", fingerprint="f", labels={"recipe": "reef"},
        source_digest="s",
        architecture="x86_64", firmware="uefi", memory_mib=1024, cpus=1, disks=tuple(disks),
    )  # fmt: skip
    (folder / "image.json").write_text(encode(described))
    (folder / "manifest.json").write_text("{}\n")
    (folder / ".lock").touch()
    return artifact_of(folder, described)


@contextmanager
def no_server(url: str) -> Iterator[Drop]:
    raise ReachError(f"{url} cannot be reached")
    yield


def shared(image: Artifact, *targets: Path | str) -> list[tuple[bool, str]]:
    results = export(image, Share(targets=tuple(map(str, targets))), upload=no_server, emit=lambda _: None)
    return [(result.ok, result.message) for result in results]


def test_a_receiver_can_check_what_arrived(image: Artifact, tmp_path: Path) -> None:
    target = tmp_path / "shared" / "deep"
    assert shared(image, target) == [(True, f"{target}/reef-1")]
    assert sorted(path.name for path in (target / "reef-1").iterdir()) == [
        "SHA256SUMS", "data.qcow2", "image.json", "manifest.json", "root.qcow2",
    ]  # fmt: skip
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=target / "reef-1", check=True)
    for name, content in CONTENT.items():
        assert (target / "reef-1" / name).read_bytes() == content
    assert [path.name for path in target.iterdir()] == ["reef-1"], "nothing hidden stays"


def test_what_is_shared_can_be_read_by_whoever_reads_the_folder(image: Artifact, tmp_path: Path) -> None:
    shared(image, f"file://{tmp_path}/out%20there")
    folder = tmp_path / "out there" / "reef-1"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}


def test_sharing_again_is_no_work_and_no_error(image: Artifact, tmp_path: Path) -> None:
    shared(image, tmp_path / "out")
    before = (tmp_path / "out/reef-1/root.qcow2").stat()
    assert shared(image, tmp_path / "out") == [(True, f"{tmp_path}/out/reef-1 (was there already)")]
    assert (tmp_path / "out/reef-1/root.qcow2").stat() == before


def test_another_image_of_the_name_is_not_replaced(image: Artifact, tmp_path: Path) -> None:
    shared(image, tmp_path / "out")
    (Path(image.id) / "data.qcow2").write_bytes(b"other")
    ((ok, message),) = shared(image, tmp_path / "out")
    assert not ok
    assert "something else called reef-1 is there already" in message
    assert (tmp_path / "out/reef-1/data.qcow2").read_bytes() == CONTENT["data.qcow2"]


def test_an_image_is_what_is_on_its_disks(image: Artifact, tmp_path: Path) -> None:
    shared(image, tmp_path / "out")
    description = Path(image.id) / "image.json"
    description.write_text(description.read_text().replace('"reef"', '"reef", "verified-at": "later"'))
    assert shared(image, tmp_path / "out") == [(True, f"{tmp_path}/out/reef-1 (was there already)")]


def test_an_image_that_lost_some_of_a_disk_is_not_taken_for_itself(image: Artifact, tmp_path: Path) -> None:
    shared(image, tmp_path / "out")
    with (tmp_path / "out/reef-1/root.qcow2").open("r+b") as disk:
        disk.truncate(100)
    ((ok, _),) = shared(image, tmp_path / "out")
    assert not ok


def test_a_folder_of_the_name_that_is_no_image_is_not_replaced(image: Artifact, tmp_path: Path) -> None:
    (tmp_path / "out" / "reef-1").mkdir(parents=True)
    ((ok, message),) = shared(image, tmp_path / "out")
    assert not ok
    assert "is there already" in message
    assert list((tmp_path / "out" / "reef-1").iterdir()) == []


@dataclass(kw_only=True)
class BreakingFolder:
    """A folder whose disk is gone after so many bytes; counts what was written, and may damage it."""

    folder: Folder
    allowed: int
    damages: bool = False
    written: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.folder, name)

    def write(self, path: str, chunks: Iterable[bytes], *, offset: int = 0) -> None:
        self.folder.write(path, self._counted(chunks), offset=offset)
        if self.damages:
            (self.folder.path / path).write_bytes(b"-" * (self.folder.size(path) or 0))

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self.written >= self.allowed:
                raise BuilderError("the cable was pulled")
            self.written += len(chunk)
            yield chunk


@pytest.fixture
def into(tmp_path: Path) -> Callable[[Artifact, int], tuple[bool, str, int]]:
    def copy(image: Artifact, allowed: int, *, damages: bool = False) -> tuple[bool, str, int]:
        drop = BreakingFolder(folder=Folder(tmp_path / "out"), allowed=allowed, damages=damages)

        @contextmanager
        def upload(url: str) -> Iterator[Drop]:
            yield drop

        (result,) = export(image, Share(targets=("sftp://h/x",)), upload=upload, emit=lambda _: None)
        return result.ok, result.message, drop.written

    return copy


def test_a_copy_that_broke_goes_on_where_it_was(image: Artifact, tmp_path: Path, into: Callable) -> None:
    ok, message, written = into(image, 2 << 20)
    assert (ok, message) == (False, "the cable was pulled")
    (partial,) = (tmp_path / "out").iterdir()
    assert partial.name.startswith(".reef-1."), "nobody takes it for an image"
    ok, _, written_then = into(image, 1 << 30)
    assert ok
    total = sum(file.size for file in look_at(Path(image.id)).files)
    assert written + written_then < total + 2000  # and the list of sums
    assert (tmp_path / "out/reef-1/root.qcow2").read_bytes() == CONTENT["root.qcow2"]


@pytest.mark.parametrize("damage", [b"", b"x" * 5, b"x" * 4_000_000, b"x" * 5_000_000])
def test_what_an_earlier_try_left_is_not_trusted(
    image: Artifact, tmp_path: Path, into: Callable, damage: bytes
) -> None:
    into(image, 2 << 20)
    (partial,) = (tmp_path / "out").iterdir()
    (partial / "root.qcow2").write_bytes(damage)
    ok, _, _ = into(image, 1 << 30)
    assert ok
    assert (tmp_path / "out/reef-1/root.qcow2").read_bytes() == CONTENT["root.qcow2"]


def test_a_target_that_fails_does_not_lose_the_others(image: Artifact, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    results = shared(image, tmp_path / "file", "sftp://nowhere.invalid/x", tmp_path / "out")
    assert [ok for ok, _ in results] == [False, False, True]
    assert "nowhere.invalid" in results[1][1]


def share_mounted(image: Artifact, target: Path, options: str) -> str:
    """What is printed when the image is shared with a tmpfs that is mounted with these options."""
    program = """
import sys
from pathlib import Path
from baker.builders.qemu.builder import QemuBuilder
from baker.builders.qemu.image import artifact_of, read_image
from baker.recipe import Share
folder = Path(sys.argv[1])
artifact, share = artifact_of(folder, read_image(folder)), Share(targets=(sys.argv[2],))
(result,) = QemuBuilder().share(artifact, share, upload=None, emit=lambda event: None)
print(result.ok, result.message)
"""
    target.mkdir()
    command = f'mount -t tmpfs -o {options} none "{target}" && exec "{sys.executable}" -c "$0" "$@"'
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", command, program, image.id, str(target)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_a_full_disk_of_the_target_is_said(image: Artifact, tmp_path: Path) -> None:
    said = share_mounted(image, tmp_path / "out", "size=1m")
    assert said == f"False {tmp_path}/out has room for 1 MiB, and 4 MiB are to go there\n"


def test_what_arrives_damaged_is_never_seen(image: Artifact, tmp_path: Path, into: Callable) -> None:
    ok, message, _ = into(image, 1 << 30, damages=True)
    assert not ok
    assert "did not arrive" in message
    assert [path.name[0] for path in (tmp_path / "out").iterdir()] == ["."]
    ok, _, _ = into(image, 1 << 30)
    assert ok
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["reef-1"]


def test_what_was_begun_goes_on_when_the_image_has_other_labels(
    image: Artifact, tmp_path: Path, into: Callable
) -> None:
    into(image, 2 << 20)
    description = Path(image.id) / "image.json"
    description.write_text(description.read_text().replace('"reef"', '"reef", "verified-at": "later"'))
    ok, _, written = into(image, 1 << 30)
    assert ok
    assert written < 3 << 20
    assert (tmp_path / "out/reef-1/image.json").read_text() == description.read_text()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["reef-1"]


def test_a_link_that_somebody_laid_is_not_followed(image: Artifact, tmp_path: Path, into: Callable) -> None:
    into(image, 2 << 20)
    (partial,) = (tmp_path / "out").iterdir()
    (tmp_path / "precious").write_bytes(b"p" * 10)
    (partial / "root.qcow2").unlink()
    (partial / "root.qcow2").symlink_to(tmp_path / "precious")
    into(image, 1 << 30)
    assert (tmp_path / "precious").read_bytes() == b"p" * 10


def test_a_folder_that_somebody_else_laid_is_not_written_to(image: Artifact, tmp_path: Path, into: Callable) -> None:
    into(image, 2 << 20)
    (partial,) = (tmp_path / "out").iterdir()
    partial.rename(tmp_path / "elsewhere")
    partial.symlink_to(tmp_path / "elsewhere")
    ok, message, _ = into(image, 1 << 30)
    assert (ok, message) == (False, f"{partial} is not yours (remove it, or have it removed)")


def test_a_folder_that_cannot_be_written_to_is_said(image: Artifact, tmp_path: Path) -> None:
    said = share_mounted(image, tmp_path / "out", "ro")
    assert said == f"False {tmp_path}/out/{look_at(Path(image.id)).partial}: read-only file system\n"


def test_progress_counts_all_bytes(image: Artifact, tmp_path: Path) -> None:
    told: list[Event] = []
    export(image, Share(targets=(str(tmp_path / "out"),)), upload=no_server, emit=told.append)
    last = [event for event in told if isinstance(event, Progress)][-1]
    assert last.done == last.total == sum(file.size for file in look_at(Path(image.id)).files)
    assert len(told) <= 101, "the log of a bake is not for each piece of a disk"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("images", "whole path"),
        ("", "whole path"),
        ("file://host/x", "write file:///folder"),
        ("sftp:///x", "write sftp://"),
        ("sftp://host", "write sftp://"),
        ("sftp://ada:secret-word@host/x", "password"),
        ("s3://bucket/x", "s3:// is not known"),
        ("123456789012", "whole path"),
    ],
)
def test_a_target_that_cannot_be_meant(target: str, reason: str) -> None:
    (problem,) = share_problems(Share(targets=(target,)))
    assert reason in problem.summary
    assert "secret-word" not in problem.summary
    assert problem.exit_code == 2


@pytest.mark.parametrize("share", [Share(regions=("eu-central-1",)), Share(public=True), Share(copyable=True)])
def test_what_only_clouds_can_do(share: Share) -> None:
    assert len(list(share_problems(share))) == 1


def test_the_image_itself_must_be_one(image: Artifact, tmp_path: Path) -> None:
    (Path(image.id) / "data.qcow2").unlink()
    with pytest.raises(BuilderError, match=r"lacks its disk data.qcow2"):
        shared(replace(image), tmp_path / "out")
    assert json.loads((Path(image.id) / "image.json").read_text())["name"] == "reef-1"
