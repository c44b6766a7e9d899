"""cloud-init's part, as far as the baker's user data goes: from an instance's user data to what its machine is told.

A key that is not in the tables is refused, at launch: nobody shall believe that it was honoured.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

import yaml

from baker.ports import KeyPair
from baker.testing.sandbox import Account, File, Seed

_HONOURED = {
    "hostname", "fqdn", "preserve_hostname", "users", "ssh_authorized_keys", "ssh_keys", "ssh_deletekeys",
    "write_files", "bootcmd", "runcmd", "mounts",
}  # fmt: skip

_WITHOUT_MEANING_HERE = {
    "manage_etc_hosts", "disable_root", "ssh_pwauth", "ssh", "growpart", "resize_rootfs", "package_update",
    "package_upgrade", "no_ssh_fingerprints", "ssh_publish_hostkeys", "ssh_genkeytypes", "final_message", "timezone",
    "locale", "output", "mount_default_fields",
}  # fmt: skip
"""A private root has neither a password nor a partition, nor a console that keys could be written to."""


class UserDataError(ValueError):
    """It cannot be read, or asks for what is not done here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an instance can ask its metadata service: its user data as they came, and who it is."""

    user_data: bytes
    instance_id: str
    host_name: str
    default_user: str
    public_keys: tuple[str, ...]

    def as_seed(self) -> Seed:
        """For a private root. UserDataError."""
        return seed(
            self.user_data,
            instance_id=self.instance_id,
            host_name=self.host_name,
            default_user=self.default_user,
            public_keys=self.public_keys,
        )

    def as_no_cloud(self, first: tuple[str, ...]) -> dict[str, str]:
        """For a real machine's cloud-init, whose first boot command at each boot is `first`."""
        asked = _cloud_config(self.user_data)
        asked["bootcmd"] = [list(first), *asked.get("bootcmd", ())]
        said = {"instance-id": self.instance_id, "local-hostname": self.host_name, "public-keys": self.public_keys}
        return {"user-data": f"#cloud-config\n{json.dumps(asked)}\n", "meta-data": json.dumps(said)}


def seed(
    user_data: bytes, *, instance_id: str, host_name: str, default_user: str, public_keys: tuple[str, ...]
) -> Seed:
    """What the machine is told. UserDataError."""
    asked = _cloud_config(user_data)
    unknown = set(asked) - _HONOURED - _WITHOUT_MEANING_HERE
    if unknown:
        raise UserDataError(f"the fake's cloud-init does not know {', '.join(sorted(unknown))}")
    if asked.get("mounts"):
        raise UserDataError("the fake's cloud-init mounts nothing")
    keys = (*public_keys, *asked.get("ssh_authorized_keys", ()))
    return Seed(
        instance_id=instance_id,
        host_name=asked.get("hostname", host_name),
        accounts=tuple(_accounts(asked.get("users", ["default"]), default_user, keys)),
        host_key=_host_key(asked.get("ssh_keys", {})),
        files=tuple(_file(it) for it in asked.get("write_files", ())),
        boot_commands=tuple(_command(it) for it in asked.get("bootcmd", ())),
        run_commands=tuple(_command(it) for it in asked.get("runcmd", ())),
    )


def _cloud_config(user_data: bytes) -> dict[str, Any]:
    if not user_data:
        return {}
    text = user_data.decode()
    if text.startswith("#!"):
        return {"runcmd": [text]}
    if not text.startswith("#cloud-config"):
        raise UserDataError("the fake's cloud-init reads #cloud-config and #! scripts alone")
    asked = yaml.safe_load(text) or {}
    if not isinstance(asked, dict):
        raise UserDataError("the cloud-config is not a mapping")
    return asked


def _accounts(users: list[Any], default_user: str, keys: tuple[str, ...]) -> list[Account]:
    made = []
    for user in users:
        if user == "default":
            made.append(Account(name=default_user, keys=keys))
        else:
            made.append(
                Account(name=user["name"], keys=tuple(user.get("ssh_authorized_keys", ())), sudo=bool(user.get("sudo")))
            )
    return made


def _host_key(keys: dict[str, str]) -> KeyPair | None:
    if not keys:
        return None
    others = set(keys) - {"ed25519_private", "ed25519_public"}
    if others:
        raise UserDataError(f"the fake's machines have ed25519 host keys alone, not {', '.join(sorted(others))}")
    return KeyPair(private=keys["ed25519_private"], public=keys["ed25519_public"].strip())


def _file(asked: dict[str, Any]) -> File:
    content = asked.get("content", "")
    if asked.get("encoding", "text/plain") in ("b64", "base64"):
        content = base64.b64decode(content).decode()
    elif asked.get("encoding", "text/plain") != "text/plain":
        raise UserDataError(f"the fake's cloud-init does not know the encoding {asked['encoding']}")
    mode = asked.get("permissions", "0644")
    return File(path=asked["path"], content=content, mode=mode if isinstance(mode, int) else int(mode, 8))


def _command(asked: str | list[str]) -> str:
    if isinstance(asked, str):
        return asked
    return " ".join("'" + str(word).replace("'", "'\\''") + "'" for word in asked)


def as_text(user_data: bytes) -> str:
    """For a journal."""
    return user_data.decode("utf-8", "replace") if user_data else json.dumps(None)
