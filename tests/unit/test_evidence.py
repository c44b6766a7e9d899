"""What a machine answers, and what is made of it; how an image breaks is in tests/faults/test_verify.py."""

from collections.abc import Callable

import pytest

from baker.artifact import Artifact
from baker.errors import StepError
from baker.evidence import Evidence, gather, judge
from baker.keys import fingerprint_of, new_key_pair
from baker.remote import MachineRemote
from baker.testing.sandbox import Sandbox

MakeRemote = Callable[..., MachineRemote]


def image(**labels: str) -> Artifact:
    return Artifact(builder="x", id="/a", location="/", name="a", fingerprint="f", created="", labels=labels)


def problems(evidence: Evidence, artifact: Artifact) -> list[str]:
    return [finding.name for finding in judge(evidence, artifact) if finding.problems]


@pytest.mark.sandbox
def test_a_host_key_without_its_public_half_is_known_all_the_same(sandbox: Sandbox, make_remote: MakeRemote) -> None:
    remote, old = make_remote(sandbox), new_key_pair("old host")
    remote.put(old.private.encode(), "/etc/ssh/ssh_host_old_key", mode=0o600)
    evidence = gather(remote, image(), names=(), since=0)
    assert (fingerprint_of(old.public), "/etc/ssh/ssh_host_old_key") in evidence.keys
    assert (fingerprint_of(sandbox.address.key.public), "/home/baker/.ssh/authorized_keys") in evidence.keys
    labels = {"user-key": "SHA256:x", "host-key": fingerprint_of(old.public), "machine-id": "x"}
    assert problems(evidence, image(**labels)) == ["the host keys are new"]


@pytest.mark.sandbox
@pytest.mark.parametrize("tool", ["find", "xargs", "sha256sum"])
def test_a_machine_that_cannot_be_asked_is_not_taken_for_a_clean_one(
    sandbox: Sandbox, make_remote: MakeRemote, tool: str
) -> None:
    remote = make_remote(sandbox)
    remote.run(f"rm $(readlink -f $(command -v {tool}))", sudo=True)
    with pytest.raises(StepError):
        gather(remote, image(), names=(), since=0)


def test_a_machine_without_an_id_has_no_new_one() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    labels = {"user-key": "SHA256:x", "host-key": "SHA256:y", "machine-id": "z"}
    evidence = Evidence(machine_id=empty, disks={}, keys=(("", "/etc/ssh/moduli"),), named=(), left=())
    assert problems(evidence, image(**labels)) == ["the machine-id is new"]
