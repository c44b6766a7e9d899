"""What the machine says about itself, read."""

import json
from collections.abc import Callable

import pytest

from baker.errors import SealError
from baker.events import Event, FactRecorded
from baker.mirrors import Mirrors
from baker.remote import MachineRemote
from baker.seal.inventory import parse_inventory, take_inventory
from baker.testing.sandbox import Sandbox

CONDA = "conda list --explicit --md5 (/opt/reef)"
RECORD = {"name": "coral", "url": "http://127.0.0.1:8640/conda/conda-forge/noarch/coral-1-0.conda", "md5": "0a"}


def test_an_answer_becomes_facts() -> None:
    answer = "os=Debian GNU/Linux 12 (bookworm)\nkernel=6.1.0\npackages=\nbash 5.2=1\nzlib 1.3\ninstalled=\n"
    assert parse_inventory(answer + json.dumps({"pip freeze (/opt/venv)": "utm==0.7"})) == {
        "os": "Debian GNU/Linux 12 (bookworm)",
        "kernel": "6.1.0",
        "packages": "bash 5.2=1\nzlib 1.3",
        "pip freeze (/opt/venv)": "utm==0.7",
    }


def test_a_machine_without_packages_and_python_has_an_empty_list() -> None:
    assert parse_inventory("os=Alpine\npackages=\ninstalled=\n(no Python)\n") == {"os": "Alpine", "packages": ""}


@pytest.mark.sandbox
def test_a_machine_is_asked_once_as_root_and_its_removed_packages_are_not_listed(
    sandbox: Sandbox, make_remote: Callable[..., MachineRemote], events: list[Event]
) -> None:
    remote = make_remote(sandbox, Mirrors(conda_channel_alias="http://127.0.0.1:8640/conda"))
    remote.run(
        f"""
        python3 -m venv --without-pip /root/venv
        mkdir -p /root/venv/lib/python3.11/site-packages/utm-0.7.dist-info /opt/reef/conda-meta
        printf 'Name: utm\nVersion: 0.7\n' >/root/venv/lib/python3.11/site-packages/utm-0.7.dist-info/METADATA
        echo '{json.dumps(RECORD)}' >/opt/reef/conda-meta/coral-1-0.json; touch /opt/reef/conda-meta/history
        sed -i '/^Package: xfsprogs$/,/^$/s/^Status: .*/Status: deinstall ok config-files/' /var/lib/dpkg/status
        """,
        sudo=True,
    )
    events.clear()
    take_inventory(remote, (), events.append)
    facts = {event.name: event.value for event in events if isinstance(event, FactRecorded)}
    assert list(facts) == ["machine-id", "os", "architecture", "kernel", "packages", CONDA, "pip freeze (/root/venv)"]
    assert facts["pip freeze (/root/venv)"] == "utm==0.7"
    assert facts[CONDA] == "https://conda.anaconda.org/conda-forge/noarch/coral-1-0.conda#0a"
    assert "127.0.0.1" not in remote.run("cat /opt/reef/conda-meta/coral-1-0.json", quiet=True).stdout
    listed = facts["packages"].splitlines()
    assert listed == sorted(listed)
    assert any(line.startswith("openssh-server ") and line.endswith((" amd64", " arm64")) for line in listed)
    assert not any(line.startswith("xfsprogs ") for line in listed)
    assert [event for event in events if not isinstance(event, FactRecorded)] == []  # nothing for the log


@pytest.mark.sandbox
def test_a_damaged_record_keeps_the_machine_from_becoming_an_image(
    sandbox: Sandbox, make_remote: Callable[..., MachineRemote], events: list[Event]
) -> None:
    remote = make_remote(sandbox)
    remote.run("mkdir -p /opt/reef/conda-meta; cd /opt/reef/conda-meta; touch history coral-1-0.json", sudo=True)
    with pytest.raises(SealError) as caught:
        take_inventory(remote, (), events.append)
    assert (
        "conda's record /opt/reef/conda-meta/coral-1-0.json cannot be read" in dict(caught.value.details)["last lines"]
    )
