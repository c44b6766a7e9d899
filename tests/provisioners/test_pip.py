"""PipPackages: its rules, what pip and uv say, and real installs from PyPI on a sandbox."""

import secrets
from pathlib import Path

import pytest

from baker.errors import RecipeError, StepError
from baker.events import Event, FactRecorded, OutputLine
from baker.mirrors import Mirrors
from baker.plan import step_fields
from baker.provisioner import Fetch, Provisioner
from baker.remote import MachineRemote
from baker.testing.sandbox import Sandbox
from provisioners import PipPackages
from provisioners.pip import culprit_of

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture
def machine(shared_sandbox: Sandbox, make_remote: object) -> MachineRemote:
    """The session's machine, which trusts whom the baking host trusts: here TLS may be signed by a proxy."""
    return make_remote(shared_sandbox, Mirrors(ca_bundle=CA_BUNDLE))  # type: ignore[operator, no-any-return]


@pytest.fixture
def venv() -> str:
    """A place of this test's own."""
    return f"/opt/{secrets.token_hex(6)}/tools"


def facts(events: list[Event]) -> dict[str, str]:
    return {event.name: event.value for event in events if isinstance(event, FactRecorded)}


def temporary_files(remote: MachineRemote, venv: str) -> str:
    folders = f"/var/tmp /run/baker/steps /root/.cache {venv}"
    return remote.run(f"ls -A {folders} 2>/dev/null | grep -e '^pip' -e uv || true", sudo=True).stdout


def test_it_is_a_step_all_of_whose_fields_count() -> None:
    step: Provisioner = PipPackages(packages=("utm",), venv="/opt/tools")
    assert isinstance(step, Provisioner)
    assert set(step_fields(step)) == {"packages", "requirements", "conda_environment", "venv", "python", "installer"}
    assert step.requires().fetches == (Fetch(kind="pip-index", url="https://pypi.org/simple"),)


@pytest.mark.parametrize(
    ("step", "name", "inputs"),
    [
        (PipPackages(packages=("utm",), venv="/opt/tools"), "pip packages utm in /opt/tools", ()),
        (PipPackages(packages=("a", "b", "c", "d"), venv="/opt/t"), "pip packages a b c ... in /opt/t", ()),
        (
            PipPackages(requirements="environments/pip.txt", conda_environment="/opt/conda/envs/ocean"),
            "pip packages environments/pip.txt in /opt/conda/envs/ocean",
            (Path("environments/pip.txt"),),
        ),
        (
            PipPackages(requirements="/srv/a/requirements.txt", venv="/opt/t"),
            "pip packages /srv/a/requirements.txt in /opt/t",
            (),
        ),
    ],
)
def test_its_name_says_what_goes_where_and_files_of_the_recipe_are_inputs(
    step: PipPackages, name: str, inputs: tuple[Path, ...]
) -> None:
    assert (step.name, step.inputs()) == (name, inputs)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"venv": "/opt/t"}, "nothing to install"),
        ({"packages": "utm", "venv": "/opt/t"}, "not a tuple of text"),
        ({"packages": ("utm",)}, "either a venv or a conda_environment"),
        ({"packages": ("utm",), "venv": "/a", "conda_environment": "/b"}, "either a venv or a conda_environment"),
        ({"packages": ("--index-url=http://x",), "venv": "/opt/t"}, "is no package"),
        ({"packages": (" ",), "venv": "/opt/t"}, "is no package"),
        ({"packages": ("utm",), "venv": "tools"}, "is not absolute"),
        ({"packages": ("utm",), "venv": "/opt/t", "python": "python3"}, "is not absolute"),
        (
            {"packages": ("utm",), "venv": "/opt/t", "installer": "poetry"},
            "installer='poetry' is not 'auto', 'uv' or 'pip'",
        ),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        PipPackages(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("output", "culprit"),
    [
        ("ERROR: Could not find a version\nERROR: No matching distribution found for utm==99", "utm==99"),
        ("  cause: Because nosuch was not found in the package registry and you require", "nosuch"),
        ("  cause: Because there is no version of utm==99 and you require utm==99, we", "utm==99"),
        ("╰─▶ Because there are no versions of utm and you require utm, we can", "utm"),
        ("error: Failed to download and build `utm==0.7.0`\n  cause: Hash mismatch for `utm==0.7.0`\n", "utm==0.7.0"),
        ("... DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If\n    utm==0.7.0 from https://f/utm", "utm==0.7.0"),
        ("mode, all requirements must have a hash, but none were provided for: idna==3.10\n", "idna==3.10"),
        ("they are missing from some requirements. Here\n    idna==3.10 --hash=sha256:94\n", "idna==3.10"),
        ("Successfully installed utm-0.7.0", None),
    ],
)
def test_the_package_at_fault_is_found_in_what_pip_and_uv_print(output: str, culprit: str | None) -> None:
    assert culprit_of(output) == culprit


@pytest.mark.sandbox
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_packages_are_installed_compiled_and_recorded_and_nothing_else_stays(
    machine: MachineRemote, venv: str, events: list[Event], installer: str
) -> None:
    step = PipPackages(packages=("utm==0.8.1",), venv=venv, installer=installer)  # type: ignore[arg-type]
    step.apply(machine)
    assert (
        machine.run((f"{venv}/bin/python", "-c", "import utm; print(utm.from_latlon(54.3, 10.1)[2])")).stdout == "32\n"
    )
    assert machine.run(f"ls {venv}/lib/python3*/site-packages/utm/__pycache__/conversion.*.pyc").exit_code == 0
    assert "utm==0.8.1" in facts(events)[f"pip freeze ({venv})"].splitlines()
    assert temporary_files(machine, venv) == ""
    assert machine.run(f"{venv}/bin/python -m pip --version").exit_code == 0
    machine.run(f"cd {venv}/lib/python3*/site-packages && echo x=1 >of_somebody_else.py", sudo=True)
    before = machine.run(f"find {venv} -cnewer {venv}/pyvenv.cfg | sort").stdout
    step.apply(machine)  # nothing is installed, so nothing is compiled
    assert machine.run(f"find {venv} -cnewer {venv}/pyvenv.cfg | sort").stdout == before


@pytest.mark.sandbox
def test_for_a_requirements_file_uv_is_fetched_and_goes_away(
    machine: MachineRemote, venv: str, events: list[Event], tmp_path: Path
) -> None:
    (tmp_path / "pip.txt").write_text("utm==0.8.1  # coordinates\n")
    PipPackages(requirements="pip.txt", venv=venv).apply(machine)
    printed = "\n".join(event.text for event in events if isinstance(event, OutputLine))
    assert "Using Python 3" in printed, "uv says this, pip does not"
    assert machine.run(f"{venv}/bin/python -c 'import utm'").exit_code == 0
    assert temporary_files(machine, venv) == ""


@pytest.mark.sandbox
def test_a_requirements_file_may_lie_on_the_machine_and_name_others_beside_it(
    machine: MachineRemote, venv: str
) -> None:
    folder = str(Path(venv).parent)
    machine.put(b"-r more.txt\n", f"{folder}/requirements.txt")
    machine.put(b"utm==0.8.1\n", f"{folder}/more.txt")
    PipPackages(requirements=f"{folder}/requirements.txt", venv=venv, installer="pip").apply(machine)
    assert machine.run(f"{venv}/bin/python -c 'import utm'").exit_code == 0
    assert machine.run(f"cat {folder}/requirements.txt").stdout == "-r more.txt\n"


@pytest.mark.sandbox
@pytest.mark.parametrize("installer", ["pip", "uv"])
@pytest.mark.parametrize(
    ("requirement", "culprit"),
    [
        ("utm==99", "utm==99"),
        ("no-such-package-of-this-name==1", "no-such-package-of-this-name"),
        (f"utm==0.8.1 --hash=sha256:{'0' * 64}", "utm==0.8.1"),
    ],
)
def test_what_cannot_be_installed_is_named_and_leaves_no_venv(
    machine: MachineRemote, venv: str, tmp_path: Path, installer: str, requirement: str, culprit: str
) -> None:
    (tmp_path / "pip.txt").write_text(f"{requirement}\n")
    with pytest.raises(StepError) as caught:
        PipPackages(requirements="pip.txt", venv=venv, installer=installer).apply(machine)  # type: ignore[arg-type]
    assert caught.value.summary.startswith(culprit)
    assert caught.value.hint == "correct pip.txt"
    assert machine.run(f"test -e {venv}", check=False).exit_code == 1
    assert temporary_files(machine, venv) == ""


@pytest.mark.sandbox
def test_with_sums_each_package_must_have_one(machine: MachineRemote, venv: str, tmp_path: Path) -> None:
    (tmp_path / "pip.txt").write_text(f"idna==3.10\nutm==0.8.1 --hash=sha256:{'0' * 64}\n")
    for installer in ("uv", "pip"):
        with pytest.raises(StepError, match=r"^idna==3\.10 could not be installed"):
            PipPackages(requirements="pip.txt", venv=venv, installer=installer).apply(machine)  # type: ignore[arg-type]


@pytest.mark.sandbox
def test_an_environment_without_python_says_which_step_is_missing(machine: MachineRemote) -> None:
    with pytest.raises(StepError, match="no Python in /opt/conda/envs/ocean") as caught:
        PipPackages(packages=("utm",), conda_environment="/opt/conda/envs/ocean").apply(machine)
    assert caught.value.hint is not None
    assert "CondaEnvironment" in caught.value.hint


@pytest.mark.sandbox
def test_an_interpreter_that_is_not_there_is_named(machine: MachineRemote, venv: str) -> None:
    with pytest.raises(StepError, match=r"no /usr/bin/python2\.7"):
        PipPackages(packages=("utm",), venv=venv, python="/usr/bin/python2.7").apply(machine)


@pytest.mark.sandbox
def test_a_folder_that_is_no_venv_is_left_alone(machine: MachineRemote, venv: str) -> None:
    machine.put(b"mine", f"{venv}/precious")
    with pytest.raises(StepError, match="holds something"):
        PipPackages(packages=("utm",), venv=venv).apply(machine)
    assert machine.run(f"ls -A {venv}").stdout == "precious\n"
