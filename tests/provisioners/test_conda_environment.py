"""CondaEnvironment on a sandbox, with a program in conda's place that writes down what it was asked.

What only a real conda can show is in test_conda_genuine.py.
"""

import json
import secrets
from pathlib import Path

import pytest

from baker.errors import BakeError, RecipeError, StepError
from baker.events import Event, FactRecorded, OutputLine
from baker.mirrors import Mirrors
from baker.plan import step_fields
from baker.provisioner import Provisioner
from baker.remote import MachineRemote
from baker.testing.sandbox import Sandbox
from provisioners import CondaEnvironment
from provisioners.environment_file import PUBLIC_CHANNELS

ALIAS = "http://127.0.0.1:1/conda"

CONDA = r"""#!/bin/sh
set -eu
asked="$*" target= file=
while [ $# -gt 0 ]; do case $1 in --prefix) target=$2 ;; --file) file=$2 ;; esac; shift; done
mkdir -p "$target/conda-meta" "$CONDA_PKGS_DIRS/a-1-0" "$HOME/.conda"
touch "$HOME/.conda/environments.txt"
cp "$file" "$target/given"
printf '%s\n' "${CONDA_CHANNELS-none}" > "$target/channels"
printf '%s\n' "$asked" > "$target/asked"
ls -A "$(dirname "$file")" > "$target/beside"
grep -q impossible "$file" && { echo "PackagesNotFoundError: impossible" >&2; exit 1; }
echo "{\"name\": \"a\", \"url\": \"$CONDA_CHANNEL_ALIAS/conda-forge/noarch/a-1-0.conda\", \"md5\": \"0a\"}" \
    > "$target/conda-meta/a-1-0.json"
echo "+$CONDA_CHANNEL_ALIAS/conda-forge" > "$target/conda-meta/history"
"""


@pytest.fixture
def remote(shared_sandbox: Sandbox, make_remote: object) -> MachineRemote:
    return make_remote(shared_sandbox, Mirrors(conda_channel_alias=ALIAS))  # type: ignore[operator, no-any-return]


@pytest.fixture
def prefix(remote: MachineRemote) -> str:
    """A prefix of this test's own, with the program in conda's place."""
    path = f"/opt/{secrets.token_hex(6)}"
    remote.put(CONDA.encode(), f"{path}/bin/conda", mode=0o755)
    remote.run(("ln", "-s", "/usr/bin/python3", f"{path}/bin/python"), sudo=True)
    return path


@pytest.fixture
def ocean(tmp_path: Path) -> str:
    (tmp_path / "ocean.yml").write_text("name: ocean\nchannels: [conda-forge, nodefaults]\ndependencies: [python]\n")
    return "ocean.yml"


def said(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, OutputLine) and event.stream == "note")


def exists(remote: MachineRemote, path: str) -> bool:
    return remote.run(("test", "-e", path), sudo=True, check=False).exit_code == 0


def leftovers(remote: MachineRemote, prefix: str) -> str:
    folders = f"/var/tmp /run/baker/steps /root/.conda {prefix}"
    return remote.run(f"ls -A {folders} 2>/dev/null | grep -e conda -e pkgs || true", sudo=True).stdout.strip()


def test_it_is_a_step_all_of_whose_fields_count() -> None:
    step: Provisioner = CondaEnvironment(file="environments/ocean.yml")
    assert isinstance(step, Provisioner)
    assert set(step_fields(step)) == {"file", "repository", "environment", "prefix", "kernel"}
    assert step.inputs() == (Path("environments/ocean.yml"),)
    assert step.name == "conda environment of environments/ocean.yml"
    assert CondaEnvironment(repository="/srv/n", environment="ocean").name == "conda environment ocean"
    assert CondaEnvironment(repository="/srv/n").inputs() == ()


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "either a file or a repository"),
        ({"file": "a.yml", "repository": "/srv/a"}, "either a file or a repository"),
        ({"file": ""}, "not relative"),
        ({"file": "/srv/a/environment.yml"}, "not relative"),
        ({"repository": "notebooks"}, "not absolute"),
        ({"file": "requirements.txt"}, "cannot say how its environment is called"),
        ({"file": "conda-linux-64.lock"}, "cannot say how its environment is called"),
        ({"file": "a.yml", "environment": "base"}, "no name for a conda environment"),
        ({"file": "a.yml", "environment": "a/b"}, "no name for a conda environment"),
        ({"file": "a.yml", "environment": ""}, "no name for a conda environment"),
        ({"file": "a.yml", "prefix": "conda"}, "no place for conda"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(fields: dict[str, str], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        CondaEnvironment(**fields)  # type: ignore[arg-type]


@pytest.mark.sandbox
def test_the_file_makes_the_environment_that_it_names_and_nothing_else_stays(
    remote: MachineRemote, prefix: str, ocean: str, events: list[Event]
) -> None:
    CondaEnvironment(file=ocean, prefix=prefix).apply(remote)
    target = f"{prefix}/envs/ocean"
    assert remote.run(f"cat {target}/given").stdout == "channels:\n- conda-forge\ndependencies:\n- python\n"
    assert remote.run(f"cat {target}/asked").stdout.startswith(f"env create --quiet --prefix {target} --file ")
    assert remote.run(f"cat {target}/channels").stdout == "conda-forge\n", "or old conda would add Anaconda's"
    assert leftovers(remote, prefix) == ""
    facts = {event.name: event.value for event in events if isinstance(event, FactRecorded)}
    assert facts == {"conda list --explicit --md5 (ocean)": f"{PUBLIC_CHANNELS}/conda-forge/noarch/a-1-0.conda#0a"}
    assert remote.run(f"grep -r 127.0.0.1 {target}", check=False).stdout == ""
    assert "no kernel registered: ipykernel is not in ocean" in said(events)


@pytest.mark.sandbox
def test_the_same_file_again_starts_no_conda(
    remote: MachineRemote, prefix: str, ocean: str, events: list[Event]
) -> None:
    step = CondaEnvironment(file=ocean, prefix=prefix)
    step.apply(remote)
    remote.run(f"rm {prefix}/envs/ocean/asked", sudo=True)
    step.apply(remote)
    assert not exists(remote, f"{prefix}/envs/ocean/asked")
    assert "made from the same file: nothing to do" in said(events)
    assert leftovers(remote, prefix) == ""


@pytest.mark.sandbox
def test_an_environment_made_from_something_else_is_left_alone(
    remote: MachineRemote, prefix: str, ocean: str, tmp_path: Path
) -> None:
    step = CondaEnvironment(file=ocean, prefix=prefix)
    step.apply(remote)
    (tmp_path / ocean).write_text("name: ocean\ndependencies: [python, more]\n")
    with pytest.raises(StepError, match=r"was not made from ocean\.yml as it is now"):
        step.apply(remote)
    assert "more" not in remote.run(f"cat {prefix}/envs/ocean/given").stdout
    remote.put(b"", f"{prefix}/envs/theirs/conda-meta/history")
    with pytest.raises(StepError, match="is there already"):
        CondaEnvironment(file=ocean, environment="theirs", prefix=prefix).apply(remote)


@pytest.mark.sandbox
def test_when_conda_fails_its_last_lines_are_shown_and_nothing_half_made_stays(
    remote: MachineRemote, prefix: str, ocean: str, tmp_path: Path
) -> None:
    (tmp_path / ocean).write_text("name: ocean\ndependencies: [impossible]\n")
    with pytest.raises(StepError, match=r"conda could not make .*/envs/ocean: exit code 1") as caught:
        CondaEnvironment(file=ocean, prefix=prefix).apply(remote)
    assert "PackagesNotFoundError: impossible" in dict(caught.value.details)["last lines"]
    assert caught.value.hint == "correct ocean.yml"
    assert not exists(remote, f"{prefix}/envs/ocean")
    assert leftovers(remote, prefix) == ""


@pytest.mark.sandbox
def test_without_conda_the_missing_step_is_named(remote: MachineRemote, ocean: str) -> None:
    with pytest.raises(StepError, match="no conda in /opt/nowhere") as caught:
        CondaEnvironment(file=ocean, prefix="/opt/nowhere").apply(remote)
    assert caught.value.hint is not None
    assert "CondaInstall" in caught.value.hint


@pytest.mark.sandbox
def test_defaults_gets_a_warning_in_the_log(
    remote: MachineRemote, prefix: str, tmp_path: Path, events: list[Event]
) -> None:
    (tmp_path / "a.yml").write_text("name: a\nchannels: [defaults]\ndependencies: [python]\n")
    CondaEnvironment(file="a.yml", prefix=prefix).apply(remote)
    assert "warning: a.yml uses channel defaults" in said(events)


@pytest.mark.sandbox
def test_a_repository_on_the_machine_says_itself_what_it_needs(
    remote: MachineRemote, prefix: str, events: list[Event]
) -> None:
    repository = f"{prefix}/src/Notebooks"
    remote.put(b"dependencies: [wrong]\n", f"{repository}/environment.yml")
    remote.put("dependencies: [right]  # ü\n".encode(), f"{repository}/binder/environment.yml")
    CondaEnvironment(repository=repository, prefix=prefix).apply(remote)
    assert f"described by {repository}/binder/environment.yml" in said(events)
    assert "right" in remote.run(f"cat {prefix}/envs/Notebooks/given").stdout
    assert remote.run(f"ls -A {repository}/binder").stdout == "environment.yml\n"


@pytest.mark.sandbox
def test_requirements_of_a_repository_are_read_where_they_lie(remote: MachineRemote, prefix: str) -> None:
    repository = f"{prefix}/src/tool"
    remote.put(b"-r more.txt\n", f"{repository}/requirements.txt")
    remote.put(b"utm\n", f"{repository}/more.txt")
    CondaEnvironment(repository=repository, prefix=prefix).apply(remote)
    assert "-r requirements.txt" in remote.run(f"cat {prefix}/envs/tool/given").stdout
    assert "more.txt" in remote.run(f"cat {prefix}/envs/tool/beside").stdout
    assert remote.run(f"ls -A {repository}").stdout == "more.txt\nrequirements.txt\n"


@pytest.mark.sandbox
def test_requirements_of_the_recipe_come_along(remote: MachineRemote, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "pip.txt").write_text("utm\n")
    CondaEnvironment(file="pip.txt", environment="tool", prefix=prefix).apply(remote)
    assert "pip.txt" in remote.run(f"cat {prefix}/envs/tool/beside").stdout.splitlines()
    assert leftovers(remote, prefix) == ""


@pytest.mark.sandbox
def test_an_explicit_list_is_fetched_from_what_stands_in_for_the_public_channel(
    remote: MachineRemote, prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "a.lock").write_text(f"@EXPLICIT\n{PUBLIC_CHANNELS}/conda-forge/noarch/a-1-0.conda#0a\n")
    CondaEnvironment(file="a.lock", environment="a", prefix=prefix).apply(remote)
    target = f"{prefix}/envs/a"
    assert remote.run(f"cat {target}/asked").stdout.startswith(f"create --quiet --prefix {target} --file ")
    assert remote.run(f"cat {target}/given").stdout == f"@EXPLICIT\n{ALIAS}/conda-forge/noarch/a-1-0.conda#0a\n"


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "has no folder"),
        ({"README.md": "hello"}, "does not say which packages it needs"),
        ({"environment.yml": "name: base\ndependencies: [python]"}, "no name for a conda environment"),
        ({"environment.yml": "name: ["}, "environment.yml line 1 is not YAML"),
    ],
)
def test_a_repository_that_does_not_say_it_is_an_error(
    remote: MachineRemote, prefix: str, files: dict[str, str], complaint: str
) -> None:
    for name, text in files.items():
        remote.put(text.encode(), f"{prefix}/src/{name}")
    with pytest.raises(StepError, match=complaint):
        CondaEnvironment(repository=f"{prefix}/src", prefix=prefix).apply(remote)


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"dependencies: [python]", "does not name its environment"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_the_recipe_that_cannot_be_used_is_named(
    remote: MachineRemote, prefix: str, tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / "a.yml").write_bytes(content)
    with pytest.raises(BakeError, match=f"a.yml {complaint}"):
        CondaEnvironment(file="a.yml", prefix=prefix).apply(remote)


@pytest.mark.sandbox
def test_the_kernel_is_registered_in_the_environment(
    remote: MachineRemote, prefix: str, ocean: str, events: list[Event]
) -> None:
    step = CondaEnvironment(file=ocean, prefix=prefix)
    step.apply(remote)
    spec = {"argv": ["python", "-m", "ipykernel_launcher"], "display_name": "Python 3", "language": "python"}
    kernels = f"{prefix}/envs/ocean/share/jupyter/kernels"
    remote.put(json.dumps(spec).encode(), f"{kernels}/python3/kernel.json")
    CondaEnvironment(file=ocean, prefix=prefix, kernel=False).apply(remote)
    assert not exists(remote, f"{kernels}/ocean")
    step.apply(remote)
    registered = json.loads(remote.run(f"cat {kernels}/ocean/kernel.json").stdout)
    assert registered["argv"][0] == f"{prefix}/envs/ocean/bin/python"
    assert "kernel ocean registered" in said(events)
