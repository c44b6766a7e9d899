"""The cloud-init seed: a small ISO image that tells a machine, on its first boot, who may log in and who it is.

cloud-init's NoCloud source finds it by its volume label. The machine gets its host key from us, so that SSH is pinned
from the first packet; nobody can be asked to trust a key on first use. The private half passes through the machine's
/var/lib/cloud and /etc/ssh, both of which the seal removes.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baker import deadman
from baker.ports import KeyPair

VOLUME_LABEL = "CIDATA"
"""As cloud-init demands it (in either case)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What a machine is told. `instance_id` is new for each machine: cloud-init acts once for each.

    `expires` is when it ends itself at the latest, in seconds since the epoch.
    """

    instance_id: str
    host_name: str
    login_user: str
    user_key: str
    host_key: KeyPair
    expires: float


def user_data(seed: Seed) -> str:
    """cloud-init's configuration. JSON, which is YAML as well, so that nothing needs to be quoted by hand."""
    configuration: dict[str, Any] = {
        "hostname": seed.host_name,
        "manage_etc_hosts": "localhost",  # else each sudo warns that it cannot resolve the host's name
        "users": [
            {
                "name": seed.login_user,
                "shell": "/bin/bash",
                "lock_passwd": True,
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "ssh_authorized_keys": [seed.user_key],
            }
        ],
        "disable_root": True,
        "ssh_pwauth": False,
        "ssh_deletekeys": True,  # ours is the only key left, so it is the only one that sshd can offer
        "ssh_keys": {"ed25519_private": seed.host_key.private, "ed25519_public": seed.host_key.public},
        "ssh": {"emit_keys_to_console": False},
        "growpart": {"mode": "auto", "devices": ["/"]},
        "resize_rootfs": True,
        "package_update": False,  # what is installed is the recipe's business
        "package_upgrade": False,
        **deadman.cloud_config(seed.expires),
    }
    return "#cloud-config\n" + json.dumps(configuration, indent=2) + "\n"


def meta_data(seed: Seed) -> str:
    """The machine's identity, also as JSON."""
    return json.dumps({"instance-id": seed.instance_id, "local-hostname": seed.host_name}, indent=2) + "\n"


def write_seed(seed: Seed, path: Path) -> None:
    """Write the ISO image, readable for its owner only: it holds a private key. OSError."""
    write_files({"user-data": user_data(seed), "meta-data": meta_data(seed)}, path)


def write_files(files: Mapping[str, str], path: Path) -> None:
    """Write what cloud-init's NoCloud source reads, by the names that it wants. OSError."""
    import pycdlib  # noqa: PLC0415  (60 ms that `bake plan` need not pay)

    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=VOLUME_LABEL)
    try:
        for name, text in files.items():
            content = text.encode()
            short_name = "/" + name.replace("-", "").upper()[:8] + ".;1"  # what ISO 9660 itself allows
            iso.add_fp(io.BytesIO(content), len(content), short_name, rr_name=name, joliet_path=f"/{name}")
        path.touch(mode=0o600)
        with path.open("wb") as file:
            iso.write_fp(file)
    finally:
        iso.close()
