"""The conda steps with a real conda, from the lab's installer and channel, on a sandbox."""

import json
import secrets
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from baker.cli.mirrors_file import parse_mirrors
from baker.errors import StepError
from baker.events import Event, FactRecorded, OutputLine
from baker.mirrors import Mirrors
from baker.remote import MachineRemote
from baker.testing.sandbox import Sandbox
from provisioners import CondaEnvironment, CondaInstall, PipPackages
from provisioners.environment_file import PUBLIC_CHANNELS

pytestmark = [pytest.mark.sandbox, pytest.mark.lab]

PROJECT = Path(__file__).parent.parent.parent
LAB_SECONDS = 900  # making the lab's channel takes a minute or two, the first time

TINY = """
name: tiny
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.11
  - ipykernel
  - networkx
  - pip
  - pip: [utm==0.8.1]
"""


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirrors]:
    """The lab, serving, as a machine that shares the host's loopback sees it."""
    folder = tmp_path_factory.mktemp("lab")
    file = folder / "mirrors.toml"
    with (folder / "log").open("w") as log:
        command = (sys.executable, "-m", "lab", "serve", "--mirrors", str(file))
        serving = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + LAB_SECONDS
            while not file.exists():
                assert serving.poll() is None, (folder / "log").read_text()[-2000:]
                assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
                time.sleep(0.1)
            yield parse_mirrors(tomllib.loads(file.read_text()), str(file)).seen_from("127.0.0.1")
        finally:
            serving.terminate()
            serving.wait()


@pytest.fixture
def remote(shared_sandbox: Sandbox, make_remote: object, mirrors: Mirrors) -> MachineRemote:
    """The session's machine, with conda in /opt/conda."""
    remote: MachineRemote = make_remote(shared_sandbox, mirrors)  # type: ignore[operator]
    CondaInstall().apply(remote)
    return remote


@pytest.fixture
def environment() -> str:
    """A name of this test's own."""
    return f"e{secrets.token_hex(4)}"


def facts(events: list[Event]) -> dict[str, str]:
    return {event.name: event.value for event in events if isinstance(event, FactRecorded)}


def traces_of_the_lab(remote: MachineRemote, mirrors: Mirrors, folder: str) -> str:
    address = (mirrors.conda_channel_alias or "").removesuffix("/conda")
    assert address.startswith("http")
    return remote.run(("grep", "-rIl", address, folder), sudo=True, check=False).stdout


def test_conda_knows_no_channel_but_those_of_the_recipe(
    remote: MachineRemote, mirrors: Mirrors, events: list[Event]
) -> None:
    info = json.loads(remote.run("env -u CONDA_CHANNEL_ALIAS /opt/conda/bin/conda info --json", quiet=True).stdout)
    assert {url.rsplit("/", 1)[0] for url in info["channels"]} == {f"{PUBLIC_CHANNELS}/conda-forge"}
    assert info["root_prefix"] == "/opt/conda"
    assert facts(events)["conda"].startswith(f"conda-{info['conda_version']}-")
    shown = remote.run("/opt/conda/bin/conda config --show channel_priority", quiet=True).stdout
    assert shown == "channel_priority: strict\n"
    assert traces_of_the_lab(remote, mirrors, "/opt/conda/.condarc") == ""
    assert remote.run("bash -lc 'conda activate base && conda --version'").stdout == f"conda {info['conda_version']}\n"


def test_an_environment_file_with_pip_packages_and_a_kernel(
    remote: MachineRemote, mirrors: Mirrors, environment: str, tmp_path: Path, events: list[Event]
) -> None:
    (tmp_path / "tiny.yml").write_text(TINY)
    step = CondaEnvironment(file="tiny.yml", environment=environment)
    step.apply(remote)
    target = f"/opt/conda/envs/{environment}"
    assert remote.run((f"{target}/bin/python", "-c", "import networkx, utm, ipykernel")).exit_code == 0
    listed = remote.run(f"/opt/conda/bin/conda list --explicit --md5 --prefix {target}", quiet=True).stdout
    recorded = facts(events)[f"conda list --explicit --md5 ({environment})"].splitlines()
    assert sorted(recorded) == sorted(line for line in listed.splitlines() if "://" in line)
    assert all(line.startswith(f"{PUBLIC_CHANNELS}/conda-forge/") for line in recorded)
    assert facts(events)[f"pip freeze ({environment})"] == "utm==0.8.1"
    assert traces_of_the_lab(remote, mirrors, target) == ""
    assert remote.run(("grep", "-rIl", "/run/baker", f"{target}/conda-meta"), sudo=True, check=False).stdout == ""
    assert remote.run("ls -A /var/tmp | grep conda- || true", sudo=True).stdout == ""
    assert remote.run("ls -d /opt/conda/pkgs /root/.conda /root/.cache", sudo=True, check=False).stdout == ""
    kernels = remote.run((f"{target}/bin/python", "-m", "jupyter_client.kernelspecapp", "list", "--json"), quiet=True)
    spec = json.loads(kernels.stdout)["kernelspecs"][environment]["spec"]
    assert (spec["argv"][0], spec["display_name"]) == (f"{target}/bin/python", environment)


def test_what_was_recorded_makes_the_same_environment_as_a_list_and_as_a_lock(
    remote: MachineRemote, environment: str, tmp_path: Path, events: list[Event]
) -> None:
    (tmp_path / "tiny.yml").write_text("dependencies: [python=3.11, networkx, pip]\n")
    CondaEnvironment(file="tiny.yml", environment=environment).apply(remote)
    recorded = facts(events)[f"conda list --explicit --md5 ({environment})"]
    (tmp_path / "tiny.lock").write_text(f"@EXPLICIT\n{recorded}\n")
    CondaEnvironment(file="tiny.lock", environment=f"{environment}-list").apply(remote)
    (tmp_path / "conda-lock.yml").write_text(as_lock(recorded))
    CondaEnvironment(file="conda-lock.yml", environment=f"{environment}-lock").apply(remote)
    for copy in ("list", "lock"):
        again = facts(events)[f"conda list --explicit --md5 ({environment}-{copy})"]
        assert again == recorded
        target = f"/opt/conda/envs/{environment}-{copy}"
        assert remote.run((f"{target}/bin/python", "-c", "import networkx")).exit_code == 0
    assert facts(events)[f"pip freeze ({environment}-lock)"] == "utm==0.8.1"


def as_lock(recorded: str) -> str:
    """A lock file like conda-lock's, of what was recorded, and one package that pip installs."""
    packages = []
    for url, md5 in (line.split("#") for line in recorded.splitlines()):
        name, version, _ = url.rsplit("/", 1)[1].rsplit("-", 2)
        package = {"name": name, "version": version, "manager": "conda", "platform": "linux-64", "url": url}
        packages.append(package | {"dependencies": {} if name == "python" else {"python": ""}, "hash": {"md5": md5}})
    utm = {"name": "utm", "version": "0.8.1", "manager": "pip", "platform": "linux-64", "dependencies": {}}
    sha256 = "e3d5e224082af138e40851dcaad08d7f99da1cc4b5c413a7de34eabee35f434a"
    utm |= {"url": "https://files.pythonhosted.org/utm-0.8.1-py3-none-any.whl", "hash": {"sha256": sha256}}
    python_needs = [package for package in packages if package["name"] != "python"]
    lock = {"version": 1, "metadata": {"platforms": ["linux-64"]}, "package": [*reversed(python_needs), utm]}
    lock["package"] += [package for package in packages if package["name"] == "python"]
    return yaml.safe_dump(lock)


def test_what_the_channel_does_not_have_is_named_and_nothing_half_made_stays(
    remote: MachineRemote, environment: str, tmp_path: Path
) -> None:
    (tmp_path / "a.yml").write_text("dependencies: [python=3.11, no-such-package-of-this-name]\n")
    with pytest.raises(StepError, match="conda could not make") as caught:
        CondaEnvironment(file="a.yml", environment=environment).apply(remote)
    assert "no-such-package-of-this-name" in dict(caught.value.details)["last lines"]
    assert caught.value.hint == "correct a.yml"
    assert remote.run(f"ls -A /opt/conda /opt/conda/envs | grep -e {environment} -e pkgs || true").stdout == ""


def test_a_channel_that_does_not_answer_is_told_from_a_wrong_file(
    shared_sandbox: Sandbox, make_remote: object, remote: MachineRemote, environment: str, tmp_path: Path
) -> None:
    gone: MachineRemote = make_remote(shared_sandbox, Mirrors(conda_channel_alias="http://127.0.0.1:9/conda"))  # type: ignore[operator]
    (tmp_path / "a.yml").write_text("channels: [conda-forge]\ndependencies: [python=3.11]\n")
    with pytest.raises(StepError, match="conda could not make") as caught:
        CondaEnvironment(file="a.yml", environment=environment).apply(gone)
    assert caught.value.hint is not None
    assert "cannot be reached" in caught.value.hint


def test_pip_packages_go_into_the_environment(
    remote: MachineRemote, environment: str, tmp_path: Path, events: list[Event]
) -> None:
    (tmp_path / "a.yml").write_text("dependencies: [python=3.11, uv]\n")
    CondaEnvironment(file="a.yml", environment=environment).apply(remote)
    target = f"/opt/conda/envs/{environment}"
    PipPackages(packages=("utm==0.8.1",), conda_environment=target).apply(remote)
    printed = "\n".join(event.text for event in events if isinstance(event, OutputLine))
    assert "+ utm==0.8.1" in printed, "the environment's own uv did it: there is no pip"
    assert remote.run(f"ls {target}/lib/python3.11/site-packages/utm/__pycache__/conversion.*.pyc").exit_code == 0
    assert remote.run((f"{target}/bin/python", "-c", "import utm")).exit_code == 0
