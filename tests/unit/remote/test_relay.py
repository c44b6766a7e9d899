"""Imports from an sftp server: a sandbox's own sshd, seen through a proxy that can break."""

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from baker.errors import FetchError, StepError
from baker.events import Progress
from baker.mirrors import Mirrors, SftpMirror
from baker.provisioner import SftpSource
from baker.remote.relay import LARGE_BYTES, batches
from baker.secret import Secret
from baker.testing.proxy import Proxy

NAMES = ["plain", "with space", "new\nline", "ümläut", "-dash", "quo'te\"$HOME", "deep/er/file", "empty"]

KEY = Secret.from_env("SFTP_KEY")


def test_batches_are_bounded_in_number_and_size_and_keep_the_order():
    files = [(f"{number}", 1) for number in range(1001)] + [("big", 60 << 20), ("more", 10 << 20)]
    found = list(batches(files))
    assert [len(batch) for batch in found] == [500, 500, 2, 1]
    assert [entry for batch in found for entry in batch] == files
    assert list(batches([])) == []


@pytest.fixture
def folder(shared_remote):
    path = shared_remote.run("mktemp -d /srv/import.XXXXXXXX", sudo=True, quiet=True).stdout.strip()
    shared_remote.run(["chmod", "755", path], sudo=True, quiet=True)
    yield path
    shared_remote.run(["rm", "-rf", path], sudo=True, quiet=True)


@pytest.fixture
def source(shared_sandbox, secret_values):
    """A source for a path, at a port: by default the sandbox's own."""
    secret_values[KEY] = shared_sandbox.address.key.private

    def make(path, port=shared_sandbox.address.port):
        return SftpSource(
            url=f"sftp://127.0.0.1:{port}{path}",
            user="baker",
            private_key=KEY,
            host_key=shared_sandbox.address.host_key,
        )

    return make


def sums(remote, folder):
    listing = remote.run(f"cd {folder} && find . -type f -print0 | xargs -0 sha256sum -z", sudo=True, quiet=True).stdout
    return {line[68:]: line[:64] for line in listing.split("\0") if line}


@pytest.mark.sandbox
def test_a_folder_is_relayed_with_odd_names_owner_and_checksums(shared_remote, folder, source, tmp_path, events):
    tree = tmp_path / "tree"
    for name in NAMES:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(name.encode() if name != "empty" else b"")
    (tree / "big").write_bytes(os.urandom(LARGE_BYTES + 5))
    (tree / "link").symlink_to("plain")
    (tree / "loop").symlink_to(".")
    shared_remote.put_tree(tree, f"{folder}/from")
    imported = shared_remote.import_tree(source(f"{folder}/from"), f"{folder}/to", owner="baker:baker")
    assert {file.path: file.sha256 for file in imported} == {
        name: hashlib.sha256((tree / name).read_bytes()).hexdigest() for name in [*NAMES, "big", "link"]
    }
    assert sums(shared_remote, f"{folder}/to") == {file.path: file.sha256 for file in imported}
    assert list(imported) == sorted(imported, key=lambda file: file.path)
    owners = shared_remote.run(f"find {folder}/to -printf '%u:%g\\n' | sort -u", sudo=True).stdout
    assert owners == "baker:baker\n"
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert last.done == last.total == sum(file.size for file in imported)


@pytest.mark.sandbox
def test_one_file_arrives_in_the_target_folder(shared_remote, folder, source):
    shared_remote.put(b"data", f"{folder}/from/one.nc")
    (imported,) = shared_remote.import_tree(source(f"{folder}/from/one.nc"), f"{folder}/to")
    assert (imported.path, imported.size) == ("one.nc", 4)
    assert shared_remote.run(["cat", f"{folder}/to/one.nc"]).stdout == "data"


@pytest.mark.sandbox
def test_a_source_whose_connection_drops_is_continued_where_it_stopped(
    shared_remote, shared_sandbox, folder, source, tmp_path
):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(os.urandom(24 << 20))
    for number in range(20):
        (tree / f"small{number}").write_bytes(os.urandom(400_000))
    shared_remote.put_tree(tree, f"{folder}/from")
    cuts = (3_000_000, 6_000_000, 9_000_000)
    with Proxy(shared_sandbox.address.port, cut_after=cuts) as proxy:
        imported = shared_remote.import_tree(source(f"{folder}/from", proxy.port), f"{folder}/to")
    assert proxy.connections == 4
    expected = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tree.iterdir()}
    assert sums(shared_remote, f"{folder}/to") == expected == {file.path: file.sha256 for file in imported}


@pytest.mark.sandbox
def test_a_second_attempt_brings_only_what_is_missing(shared_remote, shared_sandbox, folder, source, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(os.urandom(40 << 20))
    (tree / "small").write_bytes(b"small")
    shared_remote.put_tree(tree, f"{folder}/from")
    with Proxy(shared_sandbox.address.port, cut_after=(22 << 20, 1, 1, 1, 1)) as proxy:
        asked = source(f"{folder}/from", proxy.port)
        with pytest.raises(FetchError, match="5 times in a row"):
            shared_remote.import_tree(asked, f"{folder}/to")
        part = int(shared_remote.run(["stat", "-c", "%s", f"{folder}/to/large.baker-part"]).stdout)
        assert 16 << 20 <= part < 40 << 20
        shared_remote.run(f"touch -d @1 {folder}/to/small", sudo=True)
        shared_remote.import_tree(asked, f"{folder}/to")
    assert proxy.connections == 6
    assert shared_remote.run(f"stat -c %Y {folder}/to/small; ls {folder}/to").stdout == "1\nlarge\nsmall\n"
    assert sums(shared_remote, f"{folder}/to")["large"] == hashlib.sha256((tree / "large").read_bytes()).hexdigest()


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "spoil", ["rm -f {part}", "truncate -s 9000000 {part}", "printf x | dd of={part} conv=notrunc"]
)
def test_a_part_that_is_not_as_it_came_is_brought_anew(shared_remote, shared_sandbox, folder, source, tmp_path, spoil):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large").write_bytes(os.urandom(40 << 20))
    shared_remote.put_tree(Path("tree"), f"{folder}/from")
    with Proxy(shared_sandbox.address.port, cut_after=(22 << 20, 1, 1, 1, 1)) as proxy:
        asked = source(f"{folder}/from", proxy.port)
        with pytest.raises(FetchError, match="5 times in a row"):
            shared_remote.import_tree(asked, f"{folder}/to")
        shared_remote.run(spoil.format(part=f"{folder}/to/large.baker-part"), sudo=True, quiet=True)
        shared_remote.import_tree(asked, f"{folder}/to")
    expected = hashlib.sha256((tmp_path / "tree" / "large").read_bytes()).hexdigest()
    assert sums(shared_remote, f"{folder}/to") == {"large": expected}


@pytest.mark.sandbox
def test_what_was_changed_on_the_machine_is_brought_again(shared_remote, folder, source):
    shared_remote.put(b"right", f"{folder}/from/file")
    for content in (b"wrong", b"longer than it was"):
        shared_remote.import_tree(source(f"{folder}/from"), f"{folder}/to")
        shared_remote.put(content, f"{folder}/to/file")
    shared_remote.import_tree(source(f"{folder}/from"), f"{folder}/to")
    assert shared_remote.run(["cat", f"{folder}/to/file"]).stdout == "right"


@pytest.mark.sandbox
def test_a_machine_that_damages_a_file_is_found_out(remote, source, shared_remote, folder):
    shared_remote.put(b"right", f"{folder}/from/file")
    remote.put(b'#!/bin/sh\n/bin/tar "$@"; echo wrong >/data/file\n', "/usr/local/bin/tar", mode=0o755)
    with pytest.raises(StepError, match="file arrived damaged"):
        remote.import_tree(source(f"{folder}/from"), "/data")


@pytest.mark.sandbox
def test_the_credential_never_reaches_the_machine(remote, source, shared_remote, folder, secret_values):
    shared_remote.put(b"data", f"{folder}/from/file")
    remote.import_tree(source(f"{folder}/from"), "/data")
    needle = secret_values[KEY].splitlines()[2][:40]
    found = remote.run(["grep", "-rlF", needle, "/data", "/etc", "/home", "/tmp", "/run"], sudo=True, check=False)
    assert found.stdout == ""


@pytest.mark.sandbox
def test_a_server_that_is_not_known_is_refused(shared_remote, folder, source, sandbox):
    stranger = SftpSource(
        url=f"sftp://127.0.0.1:{sandbox.address.port}/etc", user="baker", private_key=KEY,
        host_key=source("/").host_key,
    )  # fmt: skip
    with pytest.raises(FetchError, match="another host key"):
        shared_remote.import_tree(stranger, f"{folder}/to")


@pytest.mark.sandbox
def test_a_mirror_stands_in_for_a_data_host(shared_sandbox, make_remote, folder, shared_remote, source):
    shared_remote.put(b"data", f"{folder}/from/file")
    mirror = SftpMirror(address=f"127.0.0.1:{shared_sandbox.address.port}", host_key=shared_sandbox.address.host_key)
    remote = make_remote(shared_sandbox, Mirrors(sftp={"data.example.org:22": mirror}))
    asked = SftpSource(
        url=f"sftp://data.example.org{urlsplit(source(f'{folder}/from').url).path}", user="baker", private_key=KEY
    )
    (imported,) = remote.import_tree(asked, f"{folder}/to")
    assert imported.path == "file"
