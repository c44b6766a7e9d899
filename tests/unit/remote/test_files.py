"""Files to and from a machine."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from baker.clock import SystemClock
from baker.errors import ConnectionLostError, RecipeError
from baker.provisioner import CommandFailedError
from baker.remote import files
from baker.wait import wait_until

pytestmark = pytest.mark.sandbox

NAMES = ["plain", "with space", "new\nline", "ümläut", "-dash", "quo'te\"$HOME`id`", "x" * 250, "*?[a]", "back\\slash"]


@pytest.fixture
def folder(shared_remote):
    """A folder of the test's own on the machine, of root."""
    path = shared_remote.run("mktemp -d /srv/test.XXXXXXXX", sudo=True, quiet=True).stdout.strip()
    yield path
    shared_remote.run(["rm", "-rf", path], sudo=True, quiet=True)


def described(remote, path):
    return remote.run(["stat", "-c", "%F %a %U:%G", path], sudo=True, quiet=True).stdout.strip()


def listing(remote, folder):
    return remote.run(["ls", "-A", folder], sudo=True, quiet=True).stdout.split()


def test_put_writes_as_root_with_owner_mode_and_folders(shared_remote, folder):
    shared_remote.put(b"#!/bin/sh\n", f"{folder}/a/b/run", owner="baker:baker", mode=0o750)
    assert described(shared_remote, f"{folder}/a/b/run") == "regular file 750 baker:baker"
    assert described(shared_remote, f"{folder}/a") == "directory 755 root:root"
    assert shared_remote.run(["cat", f"{folder}/a/b/run"], sudo=True).stdout == "#!/bin/sh\n"


@pytest.mark.parametrize("name", NAMES)
def test_any_name_and_content_comes_back_as_it_went(shared_remote, folder, tmp_path, name):
    content = b"\0\xff\r\n" + name.encode()
    shared_remote.put(content, f"{folder}/{name}")
    shared_remote.get(f"{folder}/{name}", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_a_big_file_of_the_recipe_is_streamed(shared_remote, folder, tmp_path):
    content = os.urandom(1 << 20) * 64
    (tmp_path / "big").write_bytes(content)
    shared_remote.put(Path("big"), f"{folder}/big")  # relative to the recipe's folder
    shared_remote.get(f"{folder}/big", tmp_path / "deep" / "back")
    assert hashlib.sha256((tmp_path / "deep" / "back").read_bytes()).digest() == hashlib.sha256(content).digest()


def test_put_replaces_a_link_and_not_what_it_points_to(shared_remote, folder):
    shared_remote.run(f"echo old >{folder}/real; ln -s real {folder}/link", sudo=True)
    shared_remote.put(b"new", f"{folder}/link")
    assert shared_remote.run(f"cat {folder}/real; cat {folder}/link", sudo=True).stdout == "old\nnew"


@pytest.mark.parametrize("arguments", [{"owner": "nobody-here"}, {"target": "/srv"}])
def test_a_put_that_fails_leaves_nothing(shared_remote, folder, arguments):
    with pytest.raises(CommandFailedError):
        shared_remote.put(b"x", **{"target": f"{folder}/file", **arguments})
    assert listing(shared_remote, folder) == []
    assert not [name for name in listing(shared_remote, "/srv") if name.startswith(".baker")]


def test_a_put_that_is_cut_off_leaves_the_old_file(remote, sandbox, make_remote):
    remote.put(b"old", "/srv/file")

    def endless():
        yield b"x"
        remote.close()
        yield b"x"

    with pytest.raises(ConnectionLostError):
        remote.stream(["/bin/sh", "-c", files._PUT, "put", "/srv/file", "root", "0644", "1000"], stdin=endless())
    again = make_remote(sandbox)
    assert wait_until(lambda: listing(again, "/srv") == ["file"] or None, timeout=30, clock=SystemClock())
    assert again.run(["cat", "/srv/file"]).stdout == "old"


def test_missing_files_of_the_recipe_are_the_recipes_fault(shared_remote, folder, tmp_path):
    with pytest.raises(RecipeError, match="missing"):
        shared_remote.put(Path("missing"), f"{folder}/x")
    with pytest.raises(RecipeError, match="missing"):
        shared_remote.put_tree(Path("missing"), f"{folder}/x")


def test_get_of_a_missing_file_leaves_nothing_here(shared_remote, tmp_path):
    with pytest.raises(CommandFailedError, match="dd exited with 1"):
        shared_remote.get("/not there", tmp_path / "out" / "file")
    assert list((tmp_path / "out").iterdir()) == []


def test_get_of_what_has_no_size_of_its_own(shared_remote, tmp_path):
    shared_remote.get("/proc/1/comm", tmp_path / "comm")
    assert (tmp_path / "comm").read_text().strip()


def test_get_of_a_file_that_does_not_arrive_whole_leaves_nothing_here(shared_remote, folder, tmp_path):
    """The last bytes are lost on the way, and neither ssh nor dd says so."""

    class Lossy:
        def stream(self, command, *, on_stdout, **more):
            return shared_remote.stream(command, on_stdout=lambda chunk: on_stdout(chunk[:-1]), **more)

    shared_remote.put(b"0123456789", f"{folder}/file")
    with pytest.raises(ConnectionLostError, match="did not arrive whole") as caught:
        files.get(Lossy(), f"{folder}/file", tmp_path / "file")
    assert dict(caught.value.details) == {"bytes received": "9", "bytes sent": "10"}
    assert list(tmp_path.iterdir()) == []


def test_a_tree_arrives_with_modes_links_empty_folders_and_odd_names(shared_remote, folder, tmp_path):
    tree = tmp_path / "tree"
    (tree / "empty").mkdir(parents=True)
    (tree / "empty").chmod(0o2750)
    for name in NAMES:
        (tree / name).write_bytes(name.encode())
    (tree / "plain").chmod(0o755)
    (tree / "link").symlink_to("plain")
    (tree / "dangling").symlink_to("/nowhere")
    shared_remote.put_tree(tree, f"{folder}/new", owner="baker:baker")
    assert described(shared_remote, f"{folder}/new") == "directory 755 baker:baker"
    assert described(shared_remote, f"{folder}/new/empty") == "directory 2750 baker:baker"
    assert described(shared_remote, f"{folder}/new/plain") == "regular file 755 baker:baker"
    assert described(shared_remote, f"{folder}/new/link") == "symbolic link 777 baker:baker"
    for name in NAMES:
        assert shared_remote.run(["cat", f"{folder}/new/{name}"], sudo=True).stdout == name


def test_a_tree_is_laid_over_what_is_there(shared_remote, folder, tmp_path):
    tree = tmp_path / "tree"
    (tree / "conf" / "new").mkdir(parents=True, mode=0o755)
    tree.joinpath("conf").chmod(0o700)
    (tree / "conf" / "file").write_text("new")
    (tree / "lib").mkdir()
    (tree / "lib" / "x").write_text("x")
    shared_remote.run(
        f"cd {folder}; mkdir -m 755 conf usr; echo old >conf/file; echo kept >conf/other; ln -s usr lib", sudo=True
    )
    shared_remote.put_tree(tree, folder)
    assert described(shared_remote, f"{folder}/conf") == "directory 755 root:root"  # not closed to everybody
    assert described(shared_remote, f"{folder}/lib") == "symbolic link 777 root:root"
    assert shared_remote.run(f"cd {folder}; cat conf/file conf/other usr/x", sudo=True).stdout == "newkept\nx"


def test_many_small_files_are_one_stream(shared_remote, folder, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / f"{number}").write_text(f"{number}")
        (tree / f"empty{number}").touch()
    before = channels(shared_remote)
    shared_remote.put_tree(tree, f"{folder}/t")
    assert channels(shared_remote) - before == 1
    assert shared_remote.run(f"cat {folder}/t/* | wc -c", sudo=True).stdout.strip() == str(
        sum(len(str(number)) for number in range(300))
    )


def channels(remote):
    """How many channels the connection has opened so far."""
    return remote.link._communicator._transport._channel_counter


def test_two_threads_may_use_one_connection(shared_remote, folder):
    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(shared_remote.run(f"sleep 0.1; echo {n}").stdout))
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [f"{n}\n" for n in range(5)]
