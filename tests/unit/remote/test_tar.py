"""A folder as one stream; the standard library reads it back."""

import io
import os
import socket
import tarfile

import pytest

from baker.remote.tar import content, tar_folder

NAMES = ["plain", "with space", "new\nline", "ümläut", "-dash", "quo'te\"", "x" * 200, "*?[", "trailing "]


def read_back(root):
    return tarfile.open(fileobj=io.BytesIO(b"".join(tar_folder(root, uid=7, gid=8))), mode="r|")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_arrives(tmp_path, name):
    (tmp_path / name).write_bytes(name.encode())
    with read_back(tmp_path) as archive:
        entry = archive.next()
        assert entry.name == name
        assert archive.extractfile(entry).read() == name.encode()
        assert (entry.uid, entry.gid) == (7, 8)


def test_names_that_are_not_utf8_arrive(tmp_path):
    (tmp_path / os.fsdecode(b"\xff")).touch()
    assert b"\xff\0" in b"".join(tar_folder(tmp_path, uid=0, gid=0))


def test_modes_links_and_empty_folders_arrive_folders_first(tmp_path):
    (tmp_path / "b").mkdir(mode=0o750)
    (tmp_path / "b" / "file").write_bytes(b"x")
    (tmp_path / "b" / "file").chmod(0o4711)
    (tmp_path / "a").symlink_to("b/file")
    (tmp_path / "loop").symlink_to(".")
    with read_back(tmp_path) as archive:
        seen = [(entry.name, entry.type, entry.mode & 0o7777, entry.linkname) for entry in archive]
    assert seen == [
        ("a", tarfile.SYMTYPE, 0o777, "b/file"),
        ("b", tarfile.DIRTYPE, 0o750, ""),
        ("b/file", tarfile.REGTYPE, 0o4711, ""),
        ("loop", tarfile.SYMTYPE, 0o777, "."),
    ]


def test_what_is_no_file_is_refused_by_name(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        with pytest.raises(OSError, match="neither a file") as caught:
            list(tar_folder(tmp_path, uid=0, gid=0))
    assert caught.value.filename.endswith("sock")


@pytest.mark.parametrize("chunks", [(b"ab",), (b"abc", b"d"), ()])
def test_a_file_that_changes_while_it_is_read_is_an_error(chunks):
    with pytest.raises(OSError, match="changed while it was read"):
        list(content(chunks, 3))
