"""What cloud-init does on a machine in a cloud before anybody can log in: the host key, and the dead-man switch.

The host key is ours, so that SSH is pinned from the first packet. It can be read on the machine itself through the
metadata service; the machine is temporary, and so is the key.
"""

import json
from typing import Any

from baker import deadman
from baker.ports import KeyPair


def user_data(host_key: KeyPair, host_name: str, expires: float) -> str:
    """cloud-init's configuration, as JSON, which is YAML as well. `expires` is when the machine
    ends itself at the latest, in seconds since the epoch."""
    configuration: dict[str, Any] = {
        "hostname": host_name,
        "manage_etc_hosts": "localhost",  # else each sudo warns that it cannot resolve the host's name
        "ssh_pwauth": False,
        "ssh_deletekeys": True,  # ours is the only key left, so it is the only one that sshd can offer
        "ssh_keys": {"ed25519_private": host_key.private, "ed25519_public": host_key.public},
        "ssh": {"emit_keys_to_console": False},
        "package_update": False,  # what is installed is the recipe's business
        "package_upgrade": False,
        **deadman.cloud_config(expires),
    }
    return "#cloud-config\n" + json.dumps(configuration, indent=2) + "\n"
