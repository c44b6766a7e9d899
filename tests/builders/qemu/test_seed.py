"""The seed, read back from the ISO image as cloud-init would."""

import io
import json
import stat
from pathlib import Path
from typing import Any

import pycdlib
import pytest

from baker.builders.qemu.seed import Seed, write_seed
from baker.keys import new_key_pair


@pytest.fixture
def seed() -> Seed:
    return Seed(
        instance_id="20260102-030405-abcd-bake",
        host_name="bake-1a2b3c4d",
        login_user="baker",
        user_key=new_key_pair("login").public,
        host_key=new_key_pair("host"),
        expires=1_790_000_000,
    )


@pytest.fixture
def image(seed: Seed, tmp_path: Path) -> Path:
    path = tmp_path / "seed.iso"
    write_seed(seed, path)
    return path


def read(image: Path, name: str, *, by: str) -> str:
    iso = pycdlib.PyCdlib()
    iso.open(str(image))
    buffer = io.BytesIO()
    iso.get_file_from_iso_fp(buffer, **{by: f"/{name}"})
    iso.close()
    return buffer.getvalue().decode()


def user_data(image: Path) -> dict[str, Any]:
    text = read(image, "user-data", by="joliet_path")
    assert text.startswith("#cloud-config\n")
    return json.loads(text.removeprefix("#cloud-config\n"))  # type: ignore[no-any-return]


def test_the_volume_has_the_label_that_cloud_init_looks_for(image: Path) -> None:
    assert image.read_bytes()[32768 + 40 :].startswith(b"CIDATA ")


@pytest.mark.parametrize("by", ["rr_path", "joliet_path"])
def test_both_files_have_their_full_names(image: Path, by: str) -> None:
    assert read(image, "user-data", by=by)
    assert read(image, "meta-data", by=by)


def test_the_machine_is_told_who_it_is(image: Path, seed: Seed) -> None:
    identity = json.loads(read(image, "meta-data", by="rr_path"))
    assert identity == {"instance-id": seed.instance_id, "local-hostname": seed.host_name}
    assert user_data(image)["hostname"] == seed.host_name


def test_one_user_may_log_in_by_key_alone(image: Path, seed: Seed) -> None:
    data = user_data(image)
    (user,) = data["users"]
    assert user["name"] == "baker"
    assert user["ssh_authorized_keys"] == [seed.user_key]
    assert user["lock_passwd"] is True
    assert user["sudo"] == "ALL=(ALL) NOPASSWD:ALL"
    assert data["ssh_pwauth"] is False
    assert data["disable_root"] is True


def test_the_host_key_is_ours_and_the_only_one(image: Path, seed: Seed) -> None:
    data = user_data(image)
    assert data["ssh_deletekeys"] is True
    assert data["ssh_keys"] == {"ed25519_private": seed.host_key.private, "ed25519_public": seed.host_key.public}


def test_nothing_is_installed_behind_the_recipe_s_back(image: Path) -> None:
    data = user_data(image)
    assert data["package_update"] is False
    assert data["package_upgrade"] is False
    assert not {"runcmd", "packages", "write_files"} & set(data)


def test_the_root_file_system_grows(image: Path) -> None:
    data = user_data(image)
    assert data["growpart"] == {"mode": "auto", "devices": ["/"]}
    assert data["resize_rootfs"] is True


def test_only_its_owner_can_read_the_key_in_it(image: Path) -> None:
    assert stat.S_IMODE(image.stat().st_mode) == 0o600


def test_the_machine_ends_itself_when_it_is_forgotten(image: Path) -> None:
    assert "2026-09-21 14:13:20 UTC" in str(user_data(image)["bootcmd"])
