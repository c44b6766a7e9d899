"""What becomes of a fetched disk image, and which ones are refused."""

import gzip
import hashlib
import subprocess
from pathlib import Path

import pytest

from baker.builders.qemu import qemu_img
from baker.builders.qemu.sources import cloud_image, qcow2
from baker.builders.qemu.spec import CloudImage
from baker.errors import BuilderError


def source_of(file: Path) -> CloudImage:
    return CloudImage(url=file.as_uri(), sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def make(file: Path, tmp_path: Path) -> Path:
    image = tmp_path / "image.qcow2"
    cloud_image.make(source_of(file), image, download=tmp_path / "download", emit=lambda _: None)
    return image


def qemu_img_create(*arguments: str) -> None:
    subprocess.run(("qemu-img", "create", "-q", *arguments), check=True)


def raw_disk(path: Path) -> Path:
    path.write_bytes(bytes(510) + b"\x55\xaa" + b"data" * 1000 + bytes(1 << 20))
    return path


def test_a_qcow2_is_taken_as_it_is(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    qemu_img_create("-f", "qcow2", str(disk), "10M")
    expected = disk.read_bytes()
    assert make(disk, tmp_path).read_bytes() == expected
    assert not (tmp_path / "download").exists()


def test_a_raw_disk_becomes_a_qcow2_of_the_same_content(tmp_path: Path) -> None:
    disk = raw_disk(tmp_path / "disk")
    image = make(disk, tmp_path)
    assert qcow2.read_header(image).size_bytes >= disk.stat().st_size
    subprocess.run(("qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", str(disk), str(image)), check=True)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(b"x" * 1000, mtime=0), "gzip archive"),
        (b"\xfd7zXZ\x00" + bytes(600), "xz archive"),
        (b"<!DOCTYPE html>" + b" " * 600, "web page"),
        (b"hello", "file of an unknown kind"),
        (b"", "file of an unknown kind"),
    ],
)
def test_what_is_no_disk_is_refused_by_its_name(content: bytes, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(content)
    with pytest.raises(BuilderError, match=f"is a {kind}, not a disk image"):
        make(file, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk"]


def test_an_image_that_would_read_a_file_of_this_host_is_refused(tmp_path: Path) -> None:
    secret = raw_disk(tmp_path / "secret")
    disk = tmp_path / "disk"
    qemu_img_create("-f", "qcow2", "-F", "raw", "-b", str(secret), str(disk))
    with pytest.raises(BuilderError, match="stands on another file"):
        make(disk, tmp_path)
    assert not (tmp_path / "image.qcow2").exists()


def test_an_image_with_an_external_data_file_is_refused(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    qemu_img_create("-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", str(disk), "1M")
    with pytest.raises(BuilderError, match="keeps its data elsewhere"):
        make(disk, tmp_path)


def test_an_encrypted_image_is_refused(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    qemu_img_create("-f", "qcow2", str(disk), "1M")
    with disk.open("r+b") as file:
        file.seek(32)  # crypt_method; making a real one measures the CPU for seconds
        file.write((2).to_bytes(4, "big"))
    with pytest.raises(BuilderError, match="encrypted"):
        make(disk, tmp_path)


def test_a_cut_off_header_is_refused(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(qcow2.MAGIC + b"\x00\x00\x00\x03")
    with pytest.raises(BuilderError, match="damaged"):
        make(disk, tmp_path)


@pytest.mark.parametrize("compat", ["0.10", "1.1"])
def test_the_header_says_what_qemu_img_says(compat: str, tmp_path: Path) -> None:
    base, overlay = raw_disk(tmp_path / "base"), tmp_path / "overlay"
    qemu_img_create("-f", "qcow2", "-o", f"compat={compat}", "-F", "raw", "-b", str(base), str(overlay), "20M")
    header = qcow2.read_header(overlay)
    assert header.backing_file == str(base)
    assert header.size_bytes == qemu_img.virtual_size(overlay) == 20 << 20
    assert not header.has_external_data
    assert not header.is_encrypted
