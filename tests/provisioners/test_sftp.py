"""SftpImport: its rules, and a relay from one real sftp server to a sandbox (the sandbox's sshd serves both)."""

import hashlib
import secrets
from pathlib import Path

import pytest

from baker.errors import BakeError, FetchError, RecipeError, StepError
from baker.events import Event, FactRecorded
from baker.plan import step_fields
from baker.provisioner import Fetch, Provisioner, SftpSource, TransferredFile
from baker.remote import MachineRemote
from baker.secret import Secret
from baker.testing.sandbox import Sandbox
from provisioners import SftpImport
from provisioners.sftp import digest_of_sums

PASSWORD = Secret.from_env("DATA_PASSWORD")
KEY = Secret.from_file("id_ed25519")
OCEAN = SftpSource(url="sftp://data.example.org/ocean", user="reader", password=PASSWORD)


def test_it_is_a_step_all_of_whose_fields_count() -> None:
    step: Provisioner = SftpImport(source=OCEAN, target="/data/ocean")
    assert isinstance(step, Provisioner)
    assert set(step_fields(step)) == {"source", "target", "owner"}
    assert step.name == "sftp import data.example.org:/ocean -> /data/ocean"


def test_it_says_that_the_baking_host_fetches_and_which_secrets_it_takes() -> None:
    source = SftpSource(url="sftp://data.example.org:2222/ocean", user="reader", password=PASSWORD, private_key=KEY)
    required = SftpImport(source=source, target="/data/ocean").requires()
    assert required.fetches == (Fetch(kind="sftp", url="sftp://data.example.org:2222/ocean", side="host"),)
    assert required.secrets == (PASSWORD, KEY)
    assert SftpImport(source=SftpSource(url="sftp://h/p", user="u"), target="/data").requires().secrets == ()


@pytest.mark.parametrize(
    ("url", "fields", "complaint"),
    [
        ("https://data.example.org/ocean", {}, "no folder or file on an sftp server"),
        ("data.example.org:/ocean", {}, "no folder or file on an sftp server"),
        ("sftp:///ocean", {}, "no folder or file on an sftp server"),
        ("sftp://data.example.org", {}, "no folder or file on an sftp server"),
        ("sftp://data.example.org/", {}, "no folder or file on an sftp server"),
        ("sftp://data.example.org:port/ocean", {}, "port of"),
        ("sftp://reader:letmein@data.example.org:port", {}, "holds a user or a password"),
        ("sftp://reader:letmein@data.example.org/ocean", {}, "holds a user or a password"),
        ("sftp://data.example.org/ocean", {"target": "data"}, "is not absolute"),
        ("sftp://data.example.org/ocean", {"owner": "a b"}, "owner 'a b'"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(url: str, fields: dict[str, str], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint) as caught:
        SftpImport(source=SftpSource(url=url, user="reader"), **{"target": "/data", **fields})
    assert "letmein" not in f"{caught.value.summary} {caught.value.details} {caught.value.hint}"


def test_a_source_without_a_user_is_refused() -> None:
    with pytest.raises(RecipeError, match="needs a user"):
        SftpImport(source=SftpSource(url="sftp://data.example.org/ocean", user=""), target="/data")


def test_the_digest_of_the_sums_is_that_of_what_sha256sum_prints_in_order() -> None:
    files = [TransferredFile(path="b", size=1, sha256="22"), TransferredFile(path="a/ü", size=1, sha256="11")]
    assert digest_of_sums(files) == hashlib.sha256("11  a/ü\n22  b\n".encode()).hexdigest()
    assert digest_of_sums(reversed(files)) == digest_of_sums(files)


@pytest.fixture
def folder() -> str:
    """A place of this test's own, on the server and on the machine."""
    return f"/srv/{secrets.token_hex(6)}"


@pytest.fixture
def source(shared_sandbox: Sandbox, folder: str, secret_values: dict[Secret, str]) -> SftpSource:
    """The sandbox's own sshd as the data server, with the key that logs in there."""
    address = shared_sandbox.address
    secret_values[KEY] = address.key.private
    url = f"sftp://{address.host}:{address.port}{folder}/from"
    return SftpSource(url=url, user=address.user, private_key=KEY, host_key=address.host_key)


@pytest.mark.sandbox
def test_a_folder_arrives_whole_owned_and_recorded(
    shared_remote: MachineRemote, source: SftpSource, folder: str, tmp_path: Path, events: list[Event]
) -> None:
    content = {"ssh.nc": b"\x00\xff" * 70_000, "2019/deep/a b\u00fc.csv": b"1,2\n", "empty": b""}
    for name, data in content.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
    shared_remote.put_tree(Path("tree"), f"{folder}/from")
    step = SftpImport(source=source, target=f"{folder}/to", owner="nobody:nogroup")
    step.apply(shared_remote)
    shared_remote.run(f"diff -r {folder}/from {folder}/to", sudo=True)
    owners = shared_remote.run(f"find {folder}/to -type f -printf '%u:%g\\n' | sort -u", sudo=True)
    assert owners.stdout == "nobody:nogroup\n"
    (fact,) = [event for event in events if isinstance(event, FactRecorded)]
    assert fact.name == step.name
    listed = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
    digest = shared_remote.run(f"cd {folder}/to && {listed}", sudo=True).stdout.split()[0]
    assert fact.value == f"3 files, {sum(map(len, content.values()))} bytes, sha256 of the sums {digest}"


@pytest.mark.sandbox
def test_a_server_that_shows_another_host_key_is_refused(
    shared_remote: MachineRemote, source: SftpSource, folder: str
) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHv0kTzfyxnBPC8Vnc0yYRt6EfLmUB+YKKHUiePN4ZCI"
    impostor = SftpSource(url=source.url, user=source.user, private_key=KEY, host_key=other)
    with pytest.raises(FetchError, match="another host key"):
        SftpImport(source=impostor, target=f"{folder}/to").apply(shared_remote)
    assert shared_remote.run(f"test -e {folder}/to", check=False, sudo=True).exit_code == 1


@pytest.mark.sandbox
def test_a_folder_that_the_server_does_not_have_is_an_error_of_ours(
    shared_remote: MachineRemote, source: SftpSource, folder: str
) -> None:
    with pytest.raises(BakeError) as caught:
        SftpImport(source=source, target=f"{folder}/to").apply(shared_remote)
    assert f"{folder}/from" in f"{caught.value.summary} {caught.value.details}"


@pytest.mark.sandbox
def test_a_source_without_a_file_is_refused(shared_remote: MachineRemote, source: SftpSource, folder: str) -> None:
    shared_remote.run(["mkdir", "-p", f"{folder}/from/2024"], sudo=True)
    with pytest.raises(StepError, match=f"{folder}/from holds no file"):
        SftpImport(source=source, target=f"{folder}/to").apply(shared_remote)
