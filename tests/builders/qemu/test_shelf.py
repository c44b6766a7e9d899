"""Finished images: found by their names, labelled, pointed to, removed; and known when they were changed."""

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from baker.artifact import Artifact
from baker.builders.qemu import shelf
from baker.builders.qemu.builder import QemuBuilder
from baker.builders.qemu.image import CHANGED_LABEL, Image, ImageDisk, artifact_of, sha256_of, write_description
from baker.builders.qemu.spec import Qemu
from baker.errors import BuilderError
from baker.home import Home
from baker.plan import make_plan
from baker.recipe import Recipe

MakeImage = Callable[..., Artifact]


@pytest.fixture
def images(home: Home) -> Path:
    return home.images


@pytest.fixture
def make_image(images: Path) -> MakeImage:
    """`make_image(name, created="2026-01-02", verified=False, folder=...)`: small files in place of disks."""

    def make(name: str, *, created: str = "2026-01-02", verified: bool = False, folder: Path = images) -> Artifact:
        place = folder / name
        place.mkdir()
        disks = []
        for disk in ("root", "data"):
            file = place / f"{disk}.qcow2"
            file.write_bytes(f"{name} {disk}".encode())
            size = file.stat().st_size
            os.utime(file, (1_700_000_000, 1_700_000_000))
            disks.append(
                ImageDisk(
                    name=disk,
                    file=file.name,
                    virtual_size_bytes=1 << 30,
                    file_size_bytes=size,
                    sha256=sha256_of(file),
                )
            )
        image = Image(
            name=name,
            created=created,
            fingerprint="f",
            labels={"recipe": "reef", "run": "20260102t030405-abcd", "verified": "no"},
            source_digest="d",
            architecture="x86_64",
            firmware="uefi",
            memory_mib=256,
            cpus=1,
            disks=tuple(disks),
        )
        write_description(place, image)
        artifact = artifact_of(place, image)
        return verify(artifact) if verified else artifact

    return make


def verify(artifact: Artifact) -> Artifact:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return shelf.set_labels(artifact, {"verified": shelf.digest(artifact), "verified-at": at})


def flip_a_byte(file: Path) -> None:
    """As a disk that rots would: size and time stay as they were."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


# --- digest


@pytest.mark.parametrize("disk", ["root", "data"])
def test_one_byte_of_any_disk_changes_the_digest(make_image: MakeImage, qemu: QemuBuilder, disk: str) -> None:
    artifact = make_image("reef-1", verified=True)
    assert artifact.verified == qemu.digest(artifact)
    flip_a_byte(Path(artifact.id) / f"{disk}.qcow2")
    assert qemu.digest(artifact) != artifact.verified


def test_the_digest_is_that_of_the_files_and_not_of_what_is_written_about_them(make_image: MakeImage) -> None:
    artifact = make_image("reef-1")
    (Path(artifact.id) / "root.qcow2").rename(Path(artifact.id) / "other")
    (Path(artifact.id) / "data.qcow2").rename(Path(artifact.id) / "root.qcow2")
    (Path(artifact.id) / "other").rename(Path(artifact.id) / "data.qcow2")
    assert shelf.digest(artifact) != shelf.digest(make_image("reef-2"))


def test_a_missing_disk_has_no_digest(make_image: MakeImage, qemu: QemuBuilder) -> None:
    artifact = make_image("reef-1")
    (Path(artifact.id) / "data.qcow2").unlink()
    with pytest.raises(BuilderError, match=r"lacks its disk data\.qcow2"):
        qemu.digest(artifact)


def test_a_copy_elsewhere_has_the_same_digest(make_image: MakeImage, qemu: QemuBuilder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert qemu.digest(make_image("reef-1")) == qemu.digest(make_image("reef-1", folder=tmp_path / "elsewhere"))


# --- labels


def test_labels_are_added_and_replaced_and_stay(make_image: MakeImage, qemu: QemuBuilder, images: Path) -> None:
    artifact = make_image("reef-1")
    labelled = qemu.set_labels(artifact, {"verified": "abc", "verified-at": "now"})
    assert labelled.labels == {**artifact.labels, "verified": "abc", "verified-at": "now"}
    assert qemu.resolve("reef-1") == labelled
    file = images / "reef-1" / "image.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in file.parent.iterdir()) == ["data.qcow2", "image.json", "root.qcow2"]


def test_labels_that_cannot_be_written_leave_the_old_ones(
    make_image: MakeImage, qemu: QemuBuilder, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = make_image("reef-1")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("baker.builders.qemu.image.os.fsync", full)
    with pytest.raises(BuilderError, match="no room is left"):
        qemu.set_labels(artifact, {"verified": "abc"})
    monkeypatch.undo()
    assert qemu.resolve("reef-1") == artifact
    assert len(list((images / "reef-1").iterdir())) == 3


def test_labels_set_at_the_same_time_are_all_there(make_image: MakeImage, qemu: QemuBuilder) -> None:
    artifact = make_image("reef-1")
    threads = [
        threading.Thread(target=qemu.set_labels, args=(artifact, {f"label-{number}": "x"})) for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {f"label-{number}" for number in range(20)} <= set(qemu.resolve("reef-1").labels)


# --- names


def test_an_image_is_found_by_its_name_its_folder_and_its_recipe(
    make_image: MakeImage, qemu: QemuBuilder, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = make_image("reef-1", verified=True)
    qemu.mark_newest(artifact)
    monkeypatch.chdir(images)
    for reference in ("reef-1", "reef", str(images / "reef-1"), str(images / "reef"), "./reef-1", artifact.id + "/"):
        assert qemu.resolve(reference) == artifact


def test_an_image_in_another_folder_is_found_by_its_path(
    make_image: MakeImage, qemu: QemuBuilder, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    artifact = make_image("reef-1", folder=tmp_path / "elsewhere")
    assert qemu.resolve(str(tmp_path / "elsewhere" / "reef-1")) == artifact
    with pytest.raises(BuilderError, match="no image 'reef-1' in "):
        qemu.resolve("reef-1")


def test_a_slip_in_a_name_is_answered_with_what_was_meant(make_image: MakeImage, qemu: QemuBuilder) -> None:
    make_image("reef-20260102")
    with pytest.raises(BuilderError, match="no image 'reef-20260103'") as caught:
        qemu.resolve("reef-20260103")
    assert caught.value.hint == "did you mean reef-20260102?"


@pytest.mark.parametrize("reference", ["reef", "./nowhere/", "/nowhere/reef", "..", ""])
def test_what_is_no_image_is_refused_with_words(qemu: QemuBuilder, images: Path, reference: str) -> None:
    with pytest.raises(BuilderError, match="no image"):
        qemu.resolve(reference)


def test_a_link_that_leads_nowhere_says_so(make_image: MakeImage, qemu: QemuBuilder, images: Path) -> None:
    (images / "reef").symlink_to("reef-1")
    with pytest.raises(BuilderError, match="reef leads to reef-1, which is gone"):
        qemu.resolve("reef")


# --- the link


def test_the_link_moves_to_the_newest_verified_image(make_image: MakeImage, qemu: QemuBuilder, images: Path) -> None:
    for name, created in (("reef-1", "2026-01-01"), ("reef-2", "2026-01-02")):
        qemu.mark_newest(make_image(name, created=created, verified=True))
        assert (images / "reef").readlink() == Path(name)
    assert [image.name for image in qemu.images(None)] == ["reef-1", "reef-2"], "the link is listed as an image"


def test_a_link_that_a_killed_bake_did_not_move_goes(make_image: MakeImage, qemu: QemuBuilder, images: Path) -> None:
    (images / ".reef.0123abcd.link").symlink_to("reef-0")
    (images / ".other.0123abcd.link").symlink_to("other-0")  # its own recipe's next bake removes it
    qemu.mark_newest(make_image("reef-1", verified=True))
    assert {entry.name for entry in images.iterdir()} >= {"reef", "reef-1", ".other.0123abcd.link"}
    assert not (images / ".reef.0123abcd.link").is_symlink()


def test_the_link_never_moves_back(make_image: MakeImage, qemu: QemuBuilder, images: Path) -> None:
    old = make_image("reef-1", created="2026-01-01", verified=True)
    qemu.mark_newest(make_image("reef-2", created="2026-01-02", verified=True))
    qemu.mark_newest(old)
    assert (images / "reef").readlink() == Path("reef-2")


@pytest.mark.parametrize("state", ["gone", "not verified"])
def test_a_link_to_what_is_no_verified_image_is_moved(
    make_image: MakeImage, qemu: QemuBuilder, images: Path, state: str
) -> None:
    if state == "not verified":
        make_image("reef-2", created="2026-01-02")
    (images / "reef").symlink_to("reef-2")
    qemu.mark_newest(make_image("reef-1", created="2026-01-01", verified=True))
    assert (images / "reef").readlink() == Path("reef-1")


def test_many_that_finish_at_once_leave_the_newest(make_image: MakeImage, qemu: QemuBuilder, images: Path) -> None:
    made = [make_image(f"reef-{day:02}", created=f"2026-01-{day:02}", verified=True) for day in range(1, 21)]
    threads = [threading.Thread(target=qemu.mark_newest, args=(artifact,)) for artifact in made[::-1]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (images / "reef").readlink() == Path("reef-20")
    assert [entry.name for entry in images.iterdir() if entry.name.startswith(".")] == []


def test_an_image_elsewhere_gets_no_link(
    make_image: MakeImage, qemu: QemuBuilder, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    qemu.mark_newest(make_image("reef-1", verified=True, folder=tmp_path / "elsewhere"))
    assert list(images.iterdir()) == []


def test_a_folder_in_the_link_s_place_is_refused_before_the_bake_and_after(
    make_image: MakeImage, qemu: QemuBuilder, images: Path
) -> None:
    (images / "reef").mkdir()
    plan = make_plan(Recipe(name="reef", builders=(Qemu(),)), Qemu(memory_mib=256))
    assert [problem.summary for problem in qemu.preflight(plan) if "in the way" in problem.summary]
    with pytest.raises(BuilderError, match="is in the way"):
        qemu.mark_newest(make_image("reef-1", verified=True))
    assert (images / "reef").is_dir()


# --- what is kept with it


def test_a_manifest_lies_beside_the_disks_and_a_newer_one_replaces_it(make_image: MakeImage, qemu: QemuBuilder) -> None:
    image = make_image("reef-1", verified=True)
    digest = qemu.digest(image)
    for text in ('{"first": "\udcff"}\n', "{}\n"):
        qemu.keep_manifest(image, text)
    file = Path(image.id) / "manifest.json"
    assert file.read_text() == "{}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert qemu.digest(image) == digest, "the manifest is no part of what was verified"
    assert [entry.name for entry in file.parent.iterdir() if entry.name[0] == "."] == []


def test_a_manifest_that_cannot_be_kept_is_an_error_of_ours(make_image: MakeImage, qemu: QemuBuilder) -> None:
    image = make_image("reef-1")
    with pytest.raises(BuilderError, match="writing to"):
        qemu.keep_manifest(replace(image, id=f"{image.id}/gone"), "{}")


# --- removal


def test_a_deleted_image_is_gone_and_deleting_is_idempotent(
    make_image: MakeImage, qemu: QemuBuilder, images: Path
) -> None:
    artifact = make_image("reef-1")
    qemu.delete(artifact)
    qemu.delete(artifact)
    assert list(images.iterdir()) == []


def test_the_image_that_a_link_leads_to_is_not_deleted(make_image: MakeImage, qemu: QemuBuilder) -> None:
    artifact = make_image("reef-1", verified=True)
    qemu.mark_newest(artifact)
    with pytest.raises(BuilderError, match="what the link reef leads to"):
        qemu.delete(artifact)
    assert qemu.resolve("reef") == artifact


def test_nothing_elsewhere_is_deleted(make_image: MakeImage, qemu: QemuBuilder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    artifact = make_image("reef-1", folder=tmp_path / "elsewhere")
    with pytest.raises(BuilderError, match="is no image in"):
        qemu.delete(artifact)
    assert Path(artifact.id).is_dir()


def test_what_a_crash_leaves_of_a_deleted_image_is_a_leftover(
    make_image: MakeImage, qemu: QemuBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_path: Path) -> None:
        raise KeyboardInterrupt

    artifact = make_image("reef-1")
    monkeypatch.setattr("baker.builders.qemu.shelf.shutil.rmtree", crash)
    with pytest.raises(KeyboardInterrupt):
        qemu.delete(artifact)
    monkeypatch.undo()
    assert qemu.images(None) == ()
    (leftover,) = qemu.leftovers(None)
    assert leftover.run_id == "20260102t030405-abcd"
    qemu.destroy(leftover)
    assert list(qemu.leftovers(None)) == []


# --- the list


def test_the_list_tells_a_changed_image_from_a_verified_one(
    make_image: MakeImage, qemu: QemuBuilder, images: Path
) -> None:
    make_image("reef-1", created="2026-01-01", verified=True)
    make_image("reef-2", created="2026-01-02", verified=True)
    make_image("reef-3", created="2026-01-03")
    disk = images / "reef-2" / "data.qcow2"
    disk.write_bytes(disk.read_bytes()[::-1])
    one, two, three = qemu.images(None)
    assert CHANGED_LABEL not in one.labels
    assert CHANGED_LABEL in two.labels
    assert CHANGED_LABEL not in three.labels


def test_a_disk_that_was_written_anew_with_the_same_content_is_not_changed(
    make_image: MakeImage, qemu: QemuBuilder, images: Path
) -> None:
    make_image("reef-1", verified=True)
    (images / "reef-1" / "data.qcow2").touch()
    (image,) = qemu.images(None)
    assert CHANGED_LABEL not in image.labels


def test_the_list_does_not_read_disks_that_nobody_touched(
    make_image: MakeImage, qemu: QemuBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image("reef-1", verified=True)

    def slow(_file: Path) -> str:
        raise AssertionError("a whole disk was read for a list")

    monkeypatch.setattr("baker.builders.qemu.image.sha256_of", slow)
    (image,) = qemu.images(None)
    assert image.verified
