"""First boots, and restarts."""

import json

import pytest

from baker.errors import ConnectionLostError, LaunchError, MachineDiedError
from baker.events import Notice
from baker.mirrors import Mirrors
from baker.provisioner import Fetch

pytestmark = pytest.mark.sandbox

CLOUD_INIT = "/usr/bin/cloud-init"


def install_cloud_init(remote, exit_code, said):
    remote.put(f"#!/bin/sh\nsleep 0.2; printf '....\\n{said}\\n'; exit {exit_code}\n".encode(), CLOUD_INIT, mode=0o755)


def test_a_restart_is_a_new_boot_on_the_same_disk(remote):
    remote.put(b"kept", "/srv/file")
    before = remote.run("cat /proc/sys/kernel/random/boot_id").stdout
    remote.put(b"x", "/run/mark")
    remote.run("sleep 985 >/dev/null 2>&1 &")
    remote.reboot(timeout=60)
    assert remote.run("cat /proc/sys/kernel/random/boot_id").stdout != before
    assert remote.run("cat /srv/file").stdout == "kept"
    assert remote.run("test -e /run/mark || pgrep -x sleep", check=False).exit_code == 1


def test_mirrors_are_there_again_after_a_restart_and_a_second_one_works(sandbox, make_remote, tmp_path):
    (tmp_path / "ca.pem").write_text("bundle")
    remote = make_remote(sandbox, Mirrors(ca_bundle=str(tmp_path / "ca.pem"), pip_index_url="http://pip/"))
    for _ in range(2):
        remote.reboot(timeout=60)
        assert remote.run('cat "$PIP_CERT"; echo " $PIP_INDEX_URL"').stdout == "bundle http://pip/\n"


def test_a_machine_that_does_not_come_back_is_an_error(remote, sandbox):
    remote.put(b"#!/bin/sh\nexec kill -s USR2 1\n", "/usr/local/bin/systemctl", mode=0o755)
    with pytest.raises(MachineDiedError):
        remote.reboot(timeout=30)


def test_a_machine_that_does_not_go_down_is_an_error(remote):
    remote.put(b"#!/bin/sh\nexit 0\n", "/usr/local/bin/systemctl", mode=0o755)
    with pytest.raises(ConnectionLostError, match="did not come back within 2 s"):
        remote.reboot(timeout=2)
    assert remote.run("echo still here").stdout == "still here\n"


def test_cloud_init_is_awaited(sandbox, make_remote, events):
    remote = make_remote(sandbox)
    install_cloud_init(remote, 0, "status: done")
    remote.connect(timeout=30)
    assert not [event for event in events if isinstance(event, Notice)]


def cloud_init_is_done(remote, after, **result):
    """Enabled by its generator, and its result comes `after` seconds from now, in the form that it has."""
    said = json.dumps({"v1": {"datasource": "DataSourceNoCloud", "errors": [], **result}}, indent=1)
    remote.run("mkdir -p /run/cloud-init && touch /run/cloud-init/enabled", sudo=True)
    script = f"sleep {after}; cat >/run/cloud-init/result.json"
    remote.run(["sh", "-c", f"({script}) <<'END' >/dev/null 2>&1 &\n{said}\nEND"], sudo=True)


def test_a_result_that_says_that_all_is_well_is_enough(sandbox, make_remote, events):
    remote = make_remote(sandbox)
    install_cloud_init(remote, 1, "I was asked")
    cloud_init_is_done(remote, 1.0, recoverable_errors={})
    remote.connect(timeout=30)
    assert remote.run("test -e /run/cloud-init/result.json", check=False).exit_code == 0, "it was not waited for"


@pytest.mark.parametrize("result", [{"errors": ["no"]}, {"recoverable_errors": {"WARNING": ["no"]}}])
def test_a_result_that_says_anything_else_is_asked_for(sandbox, make_remote, result):
    remote = make_remote(sandbox)
    install_cloud_init(remote, 1, "I was asked")
    cloud_init_is_done(remote, 0.1, **result)
    with pytest.raises(LaunchError) as caught:
        remote.connect(timeout=30)
    assert dict(caught.value.details)["cloud-init"] == "I was asked"


def test_cloud_init_with_complaints_is_a_warning(sandbox, make_remote, events):
    remote = make_remote(sandbox)
    install_cloud_init(remote, 2, "status: done\\nextended: degraded")
    remote.connect(timeout=30)
    assert "degraded" in next(event for event in events if isinstance(event, Notice)).text


def test_a_failed_cloud_init_is_a_machine_that_did_not_come_up(sandbox, make_remote):
    remote = make_remote(sandbox)
    install_cloud_init(remote, 1, "status: error\\ndetail: no space")
    with pytest.raises(LaunchError) as caught:
        remote.connect(timeout=30)
    assert dict(caught.value.details)["cloud-init"] == "status: error\ndetail: no space"


def test_a_cloud_init_that_never_ends_is_a_machine_that_did_not_come_up(sandbox, make_remote):
    remote = make_remote(sandbox)
    remote.put(b"#!/bin/sh\nexec sleep 984\n", CLOUD_INIT, mode=0o755)
    with pytest.raises(LaunchError, match="not finished"):
        remote.connect(timeout=2)
    assert remote.run("pgrep -f 'sleep 98[4]'", check=False).exit_code == 1


def test_mirrors_are_for_mirrored_views_only_and_removed_for_good(sandbox, make_remote, tmp_path):
    (tmp_path / "ca.pem").write_text("bundle")
    remote = make_remote(
        sandbox, Mirrors(ca_bundle=str(tmp_path / "ca.pem"), apt_mirror="http://m/debian", pip_index_url="http://pip/")
    )
    pip = Fetch(kind="pip-index", url="https://pypi.org/simple")
    assert remote.for_step("x").mirrored(pip).url == "http://pip/"
    assert remote.run("apt-config dump", quiet=True).stdout.count('"/run/baker/mirrors/sources.list"') == 1
    asked = remote.run("apt-get update --print-uris", sudo=True, quiet=True).stdout
    assert [line.split("'")[1] for line in asked.splitlines() if "/InRelease'" in line] == [
        "http://m/debian/dists/bookworm/InRelease",
        "http://m/debian/dists/bookworm-updates/InRelease",
    ]
    for reader in ("nobody", "_apt"):  # apt's methods run as a user of their own
        assert remote.run(["sudo", "-u", reader, "cat", "/run/baker/mirrors/ca.pem"]).stdout == "bundle"
    plain = remote.without_mirrors()
    assert plain.mirrored(pip) == pip
    assert plain.run("env | grep -ci -e pip -e ssl -e apt; true").stdout == "0\n"
    remote.remove_mirrors()
    assert remote.for_step("y").mirrored(pip) == pip
    assert remote.run("env | grep -ci -e pip -e ssl; ls /run/baker; true").stdout == "0\n"
    remote.reboot(timeout=60)
    assert remote.run("ls /run/baker", check=False).exit_code == 2


def test_a_dead_machine_is_not_waited_for(remote, sandbox):
    sandbox.kill()
    with pytest.raises(MachineDiedError):
        remote.connect(timeout=600)
