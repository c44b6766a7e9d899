"""`bake share` as a user runs it."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from baker.builders.qemu.image import Image, ImageDisk, digest_of, encode, read_image, write_description
from baker.home import Home
from baker.remote import MachineRemote
from baker.testing.proxy import Proxy
from baker.testing.sandbox import Sandbox

BAKE = Path(sys.executable).with_name("bake")

Share = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def image(home: Home) -> Path:
    """The folder of an image that is verified."""
    folder = home.images / "reef-1"
    folder.mkdir()
    (folder / "root.qcow2").write_bytes(b"root")
    disk = ImageDisk(
        name="root",
        file="root.qcow2",
        virtual_size_bytes=4,
        file_size_bytes=4,
        sha256=hashlib.sha256(b"root").hexdigest(),
    )
    image = Image(
        name="reef-1", created="2026-01-02T03:04:05+00:00", fingerprint="f", labels={"recipe": "reef"},
        source_digest="s", architecture="x86_64", firmware="uefi", memory_mib=1024, cpus=1, disks=(disk,),
    )  # fmt: skip
    labels = {"recipe": "reef", "verified": digest_of(folder, image)}
    (folder / "image.json").write_text(encode(replace(image, labels=labels)))
    return folder


@pytest.fixture
def share(home: Home) -> Share:
    def share(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [BAKE, "share", *arguments],
            capture_output=True, text=True, check=False, env=os.environ | {"BAKER_HOME": str(home.path)},
        )  # fmt: skip

    return share


def test_a_verified_image_is_shared_and_it_is_said_where(share: Share, image: Path, tmp_path: Path) -> None:
    shared = share("reef-1", "--with", tmp_path / "out")
    assert shared.returncode == 0
    assert shared.stdout == f"shared with {tmp_path}/out: {tmp_path}/out/reef-1\n"
    assert (tmp_path / "out/reef-1/root.qcow2").read_bytes() == b"root"


def test_each_target_has_its_result(share: Share, image: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shared = share("qemu:reef-1", "--with", tmp_path / "file", "--with", tmp_path / "out", "--json")
    assert shared.returncode == 4
    results = [json.loads(line) for line in shared.stdout.splitlines()]
    assert [(result["target"], result["ok"]) for result in results] == [
        (f"{tmp_path}/file", False), (f"{tmp_path}/out", True),
    ]  # fmt: skip
    assert "could not be shared with 1 of 2 targets" in shared.stderr
    assert f"bake share reef-1 --with {tmp_path}/file" in shared.stderr


def test_what_is_not_verified_is_not_shared(share: Share, image: Path, tmp_path: Path) -> None:
    description = json.loads((image / "image.json").read_text())
    description["labels"]["verified"] = "no"
    (image / "image.json").write_text(json.dumps(description))
    shared = share("reef-1", "--with", tmp_path / "out")
    assert shared.returncode == 4
    assert "error: image reef-1 is not verified, and so not shared\n" in shared.stderr
    assert "`bake verify reef-1 --recipe RECIPE`" in shared.stderr
    assert not (tmp_path / "out").exists()


def test_what_was_changed_since_is_not_shared(share: Share, image: Path, tmp_path: Path) -> None:
    (image / "root.qcow2").write_bytes(b"toor")
    shared = share("reef-1", "--with", tmp_path / "out")
    assert shared.returncode == 4
    assert "has been changed since it was verified" in shared.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["reef-1"], 2, "nobody is named to share with"),
        (["reef-1", "--with", "out"], 2, "whole path"),
        (["reef-1", "--with", "sftp://ada:secret-word@host/x"], 2, "password"),
        (["reef-1", "--region", "eu-north-1"], 2, "clouds can"),
        (["reef-1", "--yes-public"], 2, "clouds can"),
        (["reef-2", "--with", "/out"], 4, "no image 'reef-2'"),
        ([], 2, "no image given"),
    ],
)
def test_what_cannot_be_shared(share: Share, image: Path, arguments: list[str], exit_code: int, says: str) -> None:
    shared = share(*arguments)
    assert shared.returncode == exit_code
    assert says in shared.stderr
    assert "Traceback" not in shared.stderr
    assert "secret-word" not in shared.stderr


@pytest.mark.sandbox
def test_a_copy_to_a_server_that_broke_goes_on(
    home: Home, image: Path, sandbox: Sandbox, remote: MachineRemote, server_of: Callable[..., str]
) -> None:
    """40 MB over OpenSSH's sftp, by `bake share`; the connection is cut in the middle of it."""
    content = os.urandom(40_000_000)
    (image / "root.qcow2").write_bytes(content)
    described = read_image(image)
    labels = {**described.labels, "verified": digest_of(image, described)}
    write_description(image, replace(described, labels=labels))

    def share(url: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [BAKE, "share", "reef-1", "--with", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"BAKER_HOME": str(home.path)},
        )  # fmt: skip

    partial = "/home/baker/shelf/.reef-1.*.partial"
    with Proxy(sandbox.address.port, delay_seconds=0.1) as proxy:
        broken = share(server_of(sandbox, "/home/baker/shelf", port=proxy.port))
        wait = f"until [ $(cat {partial}/root.qcow2 2>/dev/null | wc -c) -gt 4000000 ]; do sleep 0.02; done"
        remote.run(wait, timeout=60)
        proxy.drop()
        _, said = broken.communicate(timeout=60)
    assert broken.returncode == 4
    assert "connection" in said
    assert "Traceback" not in said
    assert remote.run("ls /home/baker/shelf").stdout == ""
    left = remote.run(f"stat -c '%i %s' {partial}/root.qcow2").stdout.split()
    assert 4_000_000 < int(left[1]) < 40_000_000
    whole = share(server_of(sandbox, "/home/baker/shelf"))
    said, _ = whole.communicate(timeout=60)
    assert (whole.returncode, said) == (
        0, "shared with sftp://shelf/home/baker/shelf: sftp://shelf/home/baker/shelf/reef-1\n"
    )  # fmt: skip
    checked = remote.run(
        "cd /home/baker/shelf/reef-1 && sha256sum --check --strict SHA256SUMS && stat -c %i root.qcow2"
    )
    assert checked.stdout.splitlines() == ["image.json: OK", "root.qcow2: OK", left[0]], "it did not go on"
    again = share(server_of(sandbox, "/home/baker/shelf"))
    assert "(was there already)" in again.communicate(timeout=60)[0]
    assert again.returncode == 0
