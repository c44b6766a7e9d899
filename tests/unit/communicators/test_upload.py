"""Putting files on a server of the caller's own: OpenSSH's sftp, in the sandbox, reached as `~/.ssh` says."""

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baker.communicators.upload import open_upload
from baker.errors import BakeError, BuilderError, DiskFullError, ReachError
from baker.keys import new_key_pair
from baker.remote import MachineRemote
from baker.testing.proxy import Proxy
from baker.testing.sandbox import Sandbox

pytestmark = pytest.mark.sandbox

FOLDER = "/home/baker/shelf"


@pytest.fixture
def server(sandbox: Sandbox, server_of: Callable[..., str]) -> Callable[..., str]:
    """`server()`: the URL of a folder on a machine of the test's own."""
    return lambda folder=FOLDER, **more: server_of(sandbox, folder, **more)


def test_files_arrive_and_can_be_read_back(server: Callable[..., str], remote: MachineRemote) -> None:
    with open_upload(server()) as drop:
        assert drop.name == "sftp://shelf/home/baker/shelf"
        drop.make_folder("deep/er")
        drop.make_folder("deep/er")
        assert drop.size("deep/er/file") is None
        drop.write("deep/er/file", [b"one ", b"two"])
        assert drop.size("deep/er/file") == 7
        drop.write("deep/er/file", [b" three"], offset=7)
        assert drop.read("deep/er/file") == b"one two three"
        assert drop.sha256("deep/er/file") == hashlib.sha256(b"one two three").hexdigest()
        drop.rename("deep", "there")
        drop.remove("nothing")
    assert remote.run(f"cat {FOLDER}/there/er/file; stat -c %A {FOLDER}/there/er/file").stdout == (
        "one two three-rw-r--r--\n"
    )


def test_modes_do_not_hang_on_the_servers_umask(server: Callable[..., str], remote: MachineRemote) -> None:
    remote.run("sed -i 's/internal-sftp/internal-sftp -u 077/' /etc/ssh/sshd_config", sudo=True)
    with open_upload(server()) as drop:
        drop.make_folder("new")
        drop.write("new/file", [b"x"])
    assert remote.run(f"stat -c %A {FOLDER}/new {FOLDER}/new/file").stdout == "drwxr-xr-x\n-rw-r--r--\n"


def test_a_file_that_is_there_is_not_written_over(server: Callable[..., str]) -> None:
    with open_upload(server()) as drop:
        drop.make_folder("")
        drop.write("file", [b"x"])
        with pytest.raises(BuilderError, match="refuses"):
            drop.write("file", [b"y"])
        assert drop.read("file") == b"x"


COUNTING = "#!/bin/sh\ntouch /tmp/asked\nexec /usr/bin/sha256sum.real\n"


@pytest.mark.parametrize("offers", ["commands", "no sha256sum", "sftp alone"])
def test_a_checksum_is_the_servers_own_or_of_what_is_read_back(
    server: Callable[..., str], remote: MachineRemote, offers: str
) -> None:
    remote.run("mv /usr/bin/sha256sum /usr/bin/sha256sum.real", sudo=True)
    if offers != "no sha256sum":
        remote.put(COUNTING.encode(), "/usr/bin/sha256sum", mode=0o755)
    if offers == "sftp alone":
        remote.run("echo 'ForceCommand internal-sftp' >>/etc/ssh/sshd_config", sudo=True)
    content = b"some content" * 100_000
    with open_upload(server()) as drop:
        drop.make_folder("a b")
        drop.write("a b/c'd", [content])
        for _ in range(2):
            assert drop.sha256("a b/c'd") == hashlib.sha256(content).hexdigest()
    if offers != "sftp alone":
        asked = remote.run("ls /tmp/asked", check=False).exit_code == 0
        assert asked == (offers == "commands")


@pytest.fixture
def full_server(sandbox_root: Path, make_remote, server_of) -> Iterator[str]:
    """A server with a disk of 4 MiB."""
    with Sandbox.start(sandbox_root, may_mount=True) as machine:
        remote = make_remote(machine)
        remote.run(f"mkdir {FOLDER} && mount -t tmpfs -o size=4m,mode=0777 none {FOLDER}", sudo=True)
        yield server_of(machine, FOLDER)


def test_how_much_room_there_is_and_that_there_is_none(full_server: str) -> None:
    with open_upload(full_server) as drop:
        drop.make_folder("")
        assert drop.room() == 4 << 20
        drop.write("small", [bytes(1 << 20)])
        assert drop.room() == 3 << 20
        with pytest.raises(DiskFullError, match=r"has no room left for .*/big"):
            drop.write("big", [bytes(1 << 20)] * 8)


def test_room_is_asked_for_where_nothing_is_yet(server: Callable[..., str]) -> None:
    with open_upload(server("/home/baker/not/there/yet")) as drop:
        assert (drop.room() or 0) > 0


def test_room_is_not_known_where_the_server_has_no_word_for_it(server: Callable[..., str], remote) -> None:
    remote.run("sed -i 's/internal-sftp/internal-sftp -p lstat,stat,open,write,close/' /etc/ssh/sshd_config", sudo=True)
    with open_upload(server("/home/baker")) as drop:
        assert drop.room() is None


def test_what_is_there_is_not_replaced(server: Callable[..., str], remote: MachineRemote) -> None:
    remote.run(f"mkdir -p {FOLDER}/old {FOLDER}/new && touch {FOLDER}/new/precious")
    with open_upload(server()) as drop, pytest.raises(BuilderError, match=r"refuses .*/new"):
        drop.rename("old", "new")
    assert remote.run(f"ls {FOLDER}/new").stdout == "precious\n"


def test_many_requests_are_in_flight(server: Callable[..., str], sandbox: Sandbox) -> None:
    """8 MiB over a way of 0.2 s: one request after the other would take 50 s and more."""
    import time

    with Proxy(sandbox.address.port, delay_seconds=0.1) as proxy, open_upload(server(port=proxy.port)) as drop:
        drop.make_folder("")
        started = time.monotonic()
        drop.write("big", [bytes(1 << 20)] * 8)
        assert drop.size("big") == 8 << 20
        assert (time.monotonic() - started) / 0.2 < 60


def test_a_connection_that_breaks_leaves_what_had_arrived(server: Callable[..., str], sandbox: Sandbox, remote) -> None:
    with Proxy(sandbox.address.port) as proxy:

        def chunks() -> Iterator[bytes]:
            for number in range(64):
                if number == 32:
                    proxy.drop()
                yield bytes(1 << 18)

        with pytest.raises(BakeError, match="connection"), open_upload(server(port=proxy.port)) as drop:
            drop.make_folder("")
            drop.write("big", chunks())
    assert int(remote.run(f"stat -c %s {FOLDER}/big").stdout) < 64 << 18


@pytest.mark.parametrize("folder", ["/etc/shelf", "/root/shelf"])
def test_what_may_not_be_written_is_said(server: Callable[..., str], folder: str) -> None:
    with open_upload(server(folder)) as drop, pytest.raises(BuilderError, match=f"refuses {folder}") as caught:
        drop.make_folder("")
    assert "denied" in dict(caught.value.details)["reason"]


def test_a_server_that_is_not_known_is_refused(server: Callable[..., str]) -> None:
    with pytest.raises(ReachError, match=r"the host key of .* is not known") as caught:
        open_upload(server(knows="")).__enter__()
    assert "ssh shelf" in str(caught.value.hint)


def test_a_server_that_shows_another_key_is_refused(server: Callable[..., str]) -> None:
    with pytest.raises(ReachError, match="another host key"):
        open_upload(server(knows=new_key_pair("other").public)).__enter__()


def test_a_server_that_is_not_there(server: Callable[..., str]) -> None:
    with pytest.raises(ReachError, match="connection to shelf:1 failed") as caught:
        open_upload(server(port=1)).__enter__()
    assert "refused" in dict(caught.value.details)["reason"]


@pytest.mark.parametrize("config", ['Host "shelf\n', "Host shelf\nPort many\n", "?\n"])
def test_a_configuration_that_cannot_be_read_is_an_error_of_ours(
    server: Callable[..., str], ssh_folder: Path, config: str
) -> None:
    url = server()
    (ssh_folder / "config").write_text(config)
    with pytest.raises(ReachError, match="the SSH configuration for shelf cannot be read"):
        open_upload(url).__enter__()


def test_a_key_that_is_locked_is_said_to_be(server: Callable[..., str], ssh_folder: Path) -> None:
    url = server()
    change = ["ssh-keygen", "-q", "-p", "-N", "a passphrase", "-f", str(ssh_folder / "id_shelf")]
    subprocess.run(change, check=True, stdout=subprocess.DEVNULL)
    with pytest.raises(ReachError, match="locked by a passphrase") as caught:
        open_upload(url).__enter__()
    assert "ssh-add" in str(caught.value.hint)


def test_a_server_that_refuses_the_key(server: Callable[..., str], ssh_folder: Path) -> None:
    url = server()
    (ssh_folder / "id_shelf").write_text(new_key_pair("stranger").private)
    with pytest.raises(ReachError, match="refuses the login"):
        open_upload(url).__enter__()
