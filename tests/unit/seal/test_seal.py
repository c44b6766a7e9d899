"""A machine that was used, sealed, and looked at: nothing of the bake is left, nothing else has gone."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from baker.clock import SystemClock
from baker.communicators.ssh import SshConnector
from baker.errors import ConnectionLostError, SealError
from baker.events import Event, FactRecorded, Notice
from baker.keys import new_key_pair
from baker.mirrors import MACHINE_FOLDER, Mirrors
from baker.ports import RemovedLater
from baker.remote import MachineRemote
from baker.seal import seal
from baker.seal.scrub import SCRUBS, scrub
from baker.testing.sandbox import Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("seal")]

MakeRemote = Callable[..., MachineRemote]

NOTHING_KNOWN: dict[str, Any] = {
    "disks": (), "allow": (), "secrets": {}, "own_keys": {}, "removed_later": RemovedLater(),
}  # fmt: skip

AGENT_S = RemovedLater(account=True, paths=("/var/lib/agent",))
"""What a cloud's agent removes when it is told to, which finds out from its folder what there is to remove."""

OTHERS_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOthersothersothersothersothersothersothersot of somebody else"

LEAVE_TRACES = r"""
set -eu
paths=$1 others_key=$2
useradd --create-home someone
# What every entry of the table names.
while read -r path; do mkdir -p "$(dirname "$path")"; echo trace >"$path"; done <<END
$paths
END
mkdir -p /tmp/.hidden/folder /opt/conda/conda-meta /opt/conda/pkgs/numpy-1.0 /opt/tool/pkgs /srv/notebooks
echo trace >/opt/conda/pkgs/numpy-1.0/file; echo urls >/opt/conda/pkgs/urls.txt; echo kept >/opt/tool/pkgs/file
mkdir -p '/srv/shared tools/mamba/conda-meta' '/srv/shared tools/mamba/pkgs/numpy-1.0'
mkdir -p /root/.agent; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/root/.agent/socket")'
mkdir -p /var/log/service; echo trace >/var/log/service/live.log; chown someone: /var/log/service/live.log
echo trace >/var/log/service/old.log.1
echo kept >/home/someone/file; echo kept >/etc/skel/kept
# How cloud-init lets root in with the bake's key, and keys that are not the bake's.
mkdir -p /root/.ssh /home/someone/.ssh
printf 'command="echo log in as baker" ' >/root/.ssh/authorized_keys
cat /home/baker/.ssh/authorized_keys >>/root/.ssh/authorized_keys
echo "$others_key" >>/root/.ssh/authorized_keys
cp /home/baker/.ssh/authorized_keys /home/someone/.ssh/authorized_keys
ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/ssh_host_ecdsa_key
usermod --append --groups users baker
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
mkdir -p /var/lib/dbus; rm -f /var/lib/dbus/machine-id; cp /etc/machine-id /var/lib/dbus/machine-id
cd /etc/sudoers.d
printf '# Created by cloud-init\n\n# User rules for baker\nbaker ALL=(ALL) NOPASSWD:ALL\n' >90-cloud-init-users
printf 'baker ALL=(ALL) NOPASSWD:ALL\nsomeone ALL=(root) /bin/true\n' >of-a-recipe
chmod 0440 *
mkdir -p /var/spool/cron/crontabs; echo trace >/var/spool/cron/crontabs/baker
echo of-baker >/srv/notebooks/of-baker; chown baker: /srv/notebooks/of-baker
"""

RESTART = r"""
set -eu
# A restart of the machine: the view of the last boot is gone, what is on the disk counts.
umount --lazy /etc/passwd /etc/shadow /etc/sudoers
umount --lazy /run/baker/view
# What the next boot's cloud-init does for sshd.
cat >/etc/ssh/ssh_host_ed25519_key; chmod 0600 /etc/ssh/ssh_host_ed25519_key
"""

LOOK = r"""
import glob, json, os, sys
paths = json.load(sys.stdin)
def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return None
def below(folder):
    return sorted(os.path.join(at, name) for at, folders, files in os.walk(folder) for name in folders + files)
print(json.dumps({
    "left": [path for path in paths["gone"] if os.path.lexists(path)],
    "content": {path: read(path) for path in paths["read"]},
    "below": {folder: below(folder) for folder in paths["below"]},
    "mode": {path: oct(os.stat(path).st_mode & 0o7777) + " " + str(os.stat(path).st_uid) for path in paths["mode"]},
    "naming_baker": sorted(path for path in below("/etc") if os.path.isfile(path) and "baker" in (read(path) or "")),
    "dbus": os.path.realpath("/var/lib/dbus/machine-id"),
}))
"""


def planted_paths() -> list[str]:
    """One file for every pattern of the table: in every folder to empty, in every kind of home."""
    paths = [f"{folder}/trace" for entry in SCRUBS for folder in entry.empty]
    paths += [pattern for entry in SCRUBS for pattern in entry.remove]
    homes = ("/root", "/home/baker", "/home/someone")
    paths += [f"{home}/{pattern}" for entry in SCRUBS for pattern in entry.in_homes for home in homes]
    concrete = [path.replace("[0-9]*", "1").replace("*", "of-the-bake") for path in paths]
    return [path for path in concrete if not any(other.startswith(f"{path}/") for other in concrete)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A sealed machine with its view ended, as after a restart: what is on its disk, and what the seal said."""

    machine: Sandbox
    left: list[str]
    content: dict[str, str | None]
    below: dict[str, list[str]]
    mode: dict[str, str]
    naming_baker: list[str]
    dbus: str
    events: list[Event]
    as_root_after_seal: str


@pytest.fixture(scope="module")
def sealed(sandbox_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    """One machine for all that is looked at, as nothing of it is changed any more."""
    with Sandbox.start(sandbox_root, may_mount=True) as machine:
        yield used_and_sealed(machine, tmp_path_factory.mktemp("recipe"))


def used_and_sealed(machine: Sandbox, folder: Path) -> Sealed:
    events: list[Event] = []
    clock = SystemClock()
    ca_bundle = folder / "ca.pem"
    ca_bundle.write_text("of the bake")
    with MachineRemote(
        machine=machine,
        connector=SshConnector(clock=clock),
        transfer=lambda *_, **__: pytest.fail("nothing is imported here"),
        resolve=lambda secret: secret.name,
        folder=folder,
        emit=events.append,
        clock=clock,
        mirrors=Mirrors(ca_bundle=str(ca_bundle)),
    ) as remote:
        remote.connect(timeout=60)
        words = ["/bin/sh", "-c", LEAVE_TRACES, "traces", "\n".join(planted_paths()), OTHERS_KEY]
        remote.run(words, sudo=True)
        host_key = remote.run("cat /etc/ssh/ssh_host_ed25519_key", sudo=True, quiet=True).stdout
        events.clear()
        seal(remote, **NOTHING_KNOWN, emit=events.append)
        as_root = remote.run("id -u; test -e /run/baker/mirrors && echo mirrors", sudo=True, check=False).stdout
        question = {
            "gone": [*planted_paths(), "/opt/conda/pkgs/numpy-1.0", "/root/.agent/socket",
                     "/srv/shared tools/mamba/pkgs/numpy-1.0", "/home/baker", "/home/someone/.ssh/authorized_keys",
                     "/var/log/service/old.log.1", "/var/spool/cron/crontabs/baker", "/etc/passwd-", "/etc/shadow-",
                     "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ecdsa_key.pub",
                     "/etc/ssh/ssh_host_ed25519_key.pub"],
            "read": ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers.d/of-a-recipe", "/etc/machine-id",
                     "/root/.ssh/authorized_keys", "/etc/skel/kept", "/home/someone/file", "/opt/conda/pkgs/urls.txt",
                     "/opt/tool/pkgs/file", "/var/log/service/live.log"],
            "below": ["/tmp", "/var/tmp", "/var/lib/cloud", "/var/lib/apt/lists", "/etc/sudoers.d"],
            "mode": ["/tmp", "/var/tmp", "/var/log/service/live.log", "/etc/machine-id", "/root/.ssh/authorized_keys"],
        }  # fmt: skip
        look = f"{RESTART}\nPYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 -c '{LOOK}' <&3"
        script = f"exec 3<<'END'\n{json.dumps(question)}\nEND\n{look}"
        answer = remote.run(script, sudo=True, stdin=host_key, quiet=True)
    return Sealed(machine=machine, events=events, as_root_after_seal=as_root, **json.loads(answer.stdout))


def test_nothing_that_the_table_names_is_left(sealed: Sealed) -> None:
    assert sealed.left == []


def test_folders_stay_empty_with_their_modes(sealed: Sealed) -> None:
    for folder in ("/tmp", "/var/tmp", "/var/lib/cloud", "/var/lib/apt/lists"):
        assert sealed.below[folder] == [], folder
    assert sealed.mode["/tmp"] == sealed.mode["/var/tmp"] == "0o1777 0"


def test_what_was_not_of_the_bake_is_untouched(sealed: Sealed) -> None:
    assert sealed.content["/etc/skel/kept"] == "kept\n"
    assert sealed.content["/home/someone/file"] == "kept\n"
    assert sealed.content["/opt/tool/pkgs/file"] == "kept\n"
    assert sealed.content["/opt/conda/pkgs/urls.txt"] == "", "conda knows its cache by the file; URLs can hold tokens"
    assert "someone:" in (sealed.content["/etc/passwd"] or "")


def test_logs_stay_empty_with_their_owners(sealed: Sealed) -> None:
    assert sealed.content["/var/log/service/live.log"] == ""
    assert not sealed.mode["/var/log/service/live.log"].endswith(" 0")


def test_only_the_keys_of_the_bake_are_gone(sealed: Sealed) -> None:
    assert sealed.content["/root/.ssh/authorized_keys"] == OTHERS_KEY + "\n"


def test_the_login_user_is_gone_from_every_file_of_settings(sealed: Sealed) -> None:
    assert sealed.naming_baker == []
    assert sealed.content["/etc/sudoers.d/of-a-recipe"] == "someone ALL=(root) /bin/true\n"
    assert sealed.below["/etc/sudoers.d"] == ["/etc/sudoers.d/README", "/etc/sudoers.d/of-a-recipe"]


def test_the_machine_has_no_identity(sealed: Sealed) -> None:
    assert sealed.content["/etc/machine-id"] == ""
    assert sealed.mode["/etc/machine-id"] == "0o444 0"
    assert sealed.dbus == "/etc/machine-id"


def test_the_open_connection_is_still_root_for_finalize_without_mirrors(sealed: Sealed) -> None:
    assert sealed.as_root_after_seal == "0\n"
    assert MACHINE_FOLDER == "/run/baker/mirrors"


def test_after_a_restart_nobody_gets_in_with_the_bake_s_key(sealed: Sealed) -> None:
    connect = SshConnector(clock=SystemClock())
    with pytest.raises(ConnectionLostError, match=r"refused|authenticat|log ?in"):
        connect(sealed.machine.address, timeout=10, check_alive=sealed.machine.check_alive)


def test_the_inventory_is_in_the_events(sealed: Sealed) -> None:
    facts = {event.name: event.value for event in sealed.events if isinstance(event, FactRecorded)}
    assert facts["os"].startswith("Debian GNU/Linux")
    assert [line for line in facts["packages"].splitlines() if line.startswith("openssh-server ")]
    assert {"kernel", "architecture"} < set(facts)
    assert {event.source for event in sealed.events if isinstance(event, FactRecorded)} == {"seal"}


def test_files_that_nobody_will_own_are_told(sealed: Sealed) -> None:
    (notice,) = [event for event in sealed.events if isinstance(event, Notice)]
    assert notice.level == "warning"
    assert notice.text.endswith(": /srv/notebooks/of-baker")


HOSTS = "127.0.0.1 localhost\n127.0.1.1 {name}.example.org {name}\n127.0.1.1 other-{name}\n10.0.0.5 {name}\n"


def with_names(remote: MachineRemote, *, own: str, given: str) -> tuple[str, str]:
    """/etc/hostname and /etc/hosts after a scrub of a machine that cloud-init was given the name `given` for."""
    data = {"ds": {"meta_data": {"local-hostname": given}}, "v1": {"local_hostname": given.partition(".")[0]}}
    remote.put(json.dumps(data, indent=1).encode(), "/run/cloud-init/instance-data.json")
    remote.put(f"{own}\n".encode(), "/etc/hostname")
    remote.put(HOSTS.format(name=own).encode(), "/etc/hosts")
    scrub(remote)
    name, _, hosts = remote.run("cat /etc/hostname /etc/hosts", quiet=True).stdout.partition("\n")
    return name, hosts


@pytest.mark.parametrize("given", ["bake-0a1b2c3d", "ip-10-0-0-5.ec2.internal"])
def test_the_name_that_the_builder_gave_the_machine_goes(remote: MachineRemote, given: str) -> None:
    own = given.partition(".")[0]
    name, hosts = with_names(remote, own=own, given=given)
    assert name == "localhost"
    assert hosts == f"127.0.0.1 localhost\n127.0.1.1 other-{own}\n10.0.0.5 {own}\n"


def test_a_name_that_the_recipe_chose_stays(remote: MachineRemote) -> None:
    assert with_names(remote, own="bake-shop", given="bake-0a1b2c3d") == ("bake-shop", HOSTS.format(name="bake-shop"))


def test_a_scrub_that_fails_stops_the_seal(sandbox: Sandbox, make_remote: MakeRemote) -> None:
    remote = make_remote(sandbox)
    remote.put(b"#!/bin/sh\necho no space left >&2; exit 3\n", "/usr/local/bin/cloud-init", mode=0o755)
    with pytest.raises(SealError) as caught:
        seal(remote, **NOTHING_KNOWN, emit=lambda event: None)
    assert caught.value.details == (("failed", "cloud-init's state: /usr/local/bin/cloud-init\nno space left"),)
    assert remote.run("test -e ~/.ssh/authorized_keys").exit_code == 0


def test_a_secret_stops_the_seal_before_access_is_dropped(sandbox_root: Path, make_remote: MakeRemote) -> None:
    with Sandbox.start(sandbox_root, may_mount=True) as machine:
        remote = make_remote(machine)
        remote.put(b"https://ada:h7Gk2pQz@github.com/x/y.git\n", "/srv/url")
        remote.put(b"https://ada:h7Gk2pQz@github.com/x/y.git\n", "/tmp/url")
        with pytest.raises(SealError) as caught:
            seal(remote, **NOTHING_KNOWN, emit=lambda event: None)
        assert caught.value.details == (("/srv/url:1", "password in a URL"),), "and what is scrubbed is not found"
        assert remote.run("test -e ~/.ssh/authorized_keys").exit_code == 0


def test_access_that_cannot_be_dropped_stops_the_seal(sandbox_root: Path, make_remote: MakeRemote) -> None:
    with Sandbox.start(sandbox_root, may_mount=True) as machine:
        remote = make_remote(machine)
        remote.put(b"#!/bin/sh\necho is in use >&2; exit 8\n", "/usr/local/sbin/userdel", mode=0o755)
        with pytest.raises(SealError, match="could not be dropped") as caught:
            seal(remote, **NOTHING_KNOWN, emit=lambda event: None)
    assert "is in use" in caught.value.details[0][1]


def test_what_finalize_removes_is_left_for_it_and_nothing_else_is(sandbox_root: Path, make_remote: MakeRemote) -> None:
    with Sandbox.start(sandbox_root, may_mount=True) as machine:
        remote = make_remote(machine)
        key = new_key_pair("an agent's").private.encode()
        remote.put(key, "/var/lib/agent/transport.pem", mode=0o600)
        remote.put(b"baker ALL=(ALL) NOPASSWD:ALL\n", "/etc/sudoers.d/90-cloud-init-users", mode=0o440)
        remote.put(key, "/home/baker/of-the-account")
        remote.put(b"", "/var/spool/cron/crontabs/baker")
        seal(remote, **{**NOTHING_KNOWN, "removed_later": AGENT_S}, emit=lambda event: None)

        assert remote.run("cat /var/lib/agent/transport.pem", sudo=True).stdout.encode() == key
        assert remote.run("ls ~/of-the-account && getent passwd baker", check=False).exit_code == 0
        for path in ("/home/baker/.ssh/authorized_keys", "/var/spool/cron/crontabs/baker"):
            assert remote.run(["test", "-e", path], sudo=True, check=False).exit_code == 1, path
        assert remote.run("cat /etc/sudoers.d/90-cloud-init-users", sudo=True, check=False).exit_code != 0

        # What the agent does, which replaces the files of accounts; then what is left without the view.
        agent = "userdel -f -r baker && rm -r /var/lib/agent && umount --lazy /etc/sudoers && grep -rl baker /etc"
        left = remote.run(["/bin/sh", "-c", agent], sudo=True, check=False, quiet=True).stdout.split()
        assert left == [path for path in left if path.endswith("-")], "and the copies of before go with the account"
        assert remote.run("ls -d /home/baker /var/lib/agent", check=False).stdout == ""


def test_a_secret_beside_what_finalize_removes_stops_the_seal(sandbox_root: Path, make_remote: MakeRemote) -> None:
    with Sandbox.start(sandbox_root, may_mount=True) as machine:
        remote = make_remote(machine)
        key = new_key_pair("somebody's").private.encode()
        for path in ("/var/lib/agent/key", "/var/lib/agent-of-another/key"):
            remote.put(key, path)
        with pytest.raises(SealError) as caught:
            seal(remote, **{**NOTHING_KNOWN, "removed_later": AGENT_S}, emit=lambda event: None)
        assert caught.value.details == (("/var/lib/agent-of-another/key:1", "private key"),)
