"""What environment files mean to conda: pure tables, no machine."""

import textwrap

import pytest
import yaml

from baker.errors import StepError
from provisioners.environment_file import CondaInput, candidates, conda_platform, read_environment

LOCK = """
version: 1
metadata:
  platforms: [linux-64, osx-arm64]
package:
- {name: xarray, version: 2024.7.0, manager: conda, platform: linux-64, dependencies: {numpy: '>=1.23', python: ''},
   url: 'https://conda.anaconda.org/conda-forge/noarch/xarray-2024.7.0-pyhd8ed1ab_0.conda',
   hash: {md5: 11111111111111111111111111111111, sha256: 1a}, category: main, optional: false}
- {name: numpy, version: 2.0.0, manager: conda, platform: linux-64, dependencies: {python: ''},
   url: 'https://conda.anaconda.org/conda-forge/linux-64/numpy-2.0.0-py312_0.conda',
   hash: {md5: 22222222222222222222222222222222}, category: main, optional: false}
- {name: python, version: 3.12.4, manager: conda, platform: linux-64, dependencies: {},
   url: 'https://conda.anaconda.org/conda-forge/linux-64/python-3.12.4-0.conda',
   hash: {sha256: 3333333333333333333333333333333333333333333333333333333333333333}, category: main, optional: false}
- {name: python, version: 3.12.4, manager: conda, platform: osx-arm64, dependencies: {},
   url: 'https://conda.anaconda.org/conda-forge/osx-arm64/python-3.12.4-0.conda', hash: {md5: 4}, category: main}
- {name: pytest, version: 8.0.0, manager: conda, platform: linux-64, dependencies: {python: ''},
   url: 'https://conda.anaconda.org/conda-forge/noarch/pytest-8.0.0-0.conda', hash: {md5: 5}, category: dev}
- {name: utm, version: 0.7.0, manager: pip, platform: linux-64, dependencies: {},
   url: 'https://files.pythonhosted.org/packages/aa/utm-0.7.0.tar.gz', hash: {sha256: 6a}, category: main}
- {name: ours, version: 1.0, manager: pip, platform: linux-64, dependencies: {},
   url: 'https://data.example.org/ours-1.0.tar.gz', hash: {sha256: 7b}, category: main}
"""


def read(text: str, path: str = "environment.yml") -> CondaInput:
    return read_environment(path, textwrap.dedent(text), "linux-64")


def test_a_plain_environment_keeps_what_it_says() -> None:
    found = read(
        """
        name: ocean
        channels: [conda-forge]
        variables: {OMP_NUM_THREADS: "1"}
        dependencies: [python=3.12, xarray, pip, {pip: [utm==0.7.0]}]
        """
    )
    assert (found.kind, found.name, found.warnings) == ("environment", "ocean", ())
    assert yaml.safe_load(found.text) == {
        "channels": ["conda-forge"],
        "variables": {"OMP_NUM_THREADS": "1"},
        "dependencies": ["python=3.12", "xarray", "pip", {"pip": ["utm==0.7.0"]}],
    }


def test_the_prefix_of_its_author_is_dropped() -> None:
    assert "prefix" not in read("{name: a, prefix: /home/ann/envs/a, dependencies: [python]}").text


@pytest.mark.parametrize(
    ("channels", "kept"),
    [
        ("[conda-forge, nodefaults]", ["conda-forge"]),
        ("[nodefaults]", None),  # those of .condarc
        ("[https://conda.anaconda.org/bioconda, conda-forge/label/dev]", ["bioconda", "conda-forge/label/dev"]),
        ("[https://conda.example.org/ours/]", ["https://conda.example.org/ours"]),
        ("", None),
    ],
)
def test_nodefaults_is_left_out_and_public_channels_go_by_name(channels: str, kept: list[str] | None) -> None:
    assert yaml.safe_load(read(f"{{channels: {channels}, dependencies: [python]}}").text).get("channels") == kept


@pytest.mark.parametrize("channel", ["defaults", "pkgs/main", "https://repo.anaconda.com/pkgs/main"])
def test_anacondas_own_channels_get_a_warning(channel: str) -> None:
    (warning,) = read(f"channels: ['{channel}', conda-forge]\ndependencies: [python]").warnings
    assert channel in warning


def test_a_channel_that_only_sounds_like_it_gets_none() -> None:
    assert read("{channels: [defaults-of-ours], dependencies: [python]}").warnings == ()


def test_an_explicit_list_is_taken_as_it_is() -> None:
    text = "# made by conda list\n@EXPLICIT\nhttps://conda.anaconda.org/conda-forge/noarch/a-1-0.conda#00"
    found = read_environment("conda-linux-64.lock", text, "linux-64")
    assert (found.kind, found.text) == ("explicit", f"{text}\n")


def test_requirements_become_a_python_and_pip() -> None:
    found = read_environment("/srv/notebooks/binder/requirements.txt", "utm\n", "linux-64")
    assert found.kind == "environment"
    assert yaml.safe_load(found.text) == {"dependencies": ["python", "pip", {"pip": ["-r requirements.txt"]}]}


def test_a_lock_becomes_an_explicit_list_for_the_platform_dependencies_first() -> None:
    found = read(LOCK, "conda-lock.yml")
    assert found.kind == "explicit"
    channel = "https://conda.anaconda.org/conda-forge"
    assert found.text.splitlines()[1:] == [
        "@EXPLICIT",
        f"{channel}/linux-64/python-3.12.4-0.conda#{'3' * 64}",
        f"{channel}/linux-64/numpy-2.0.0-py312_0.conda#{'2' * 32}",
        f"{channel}/noarch/xarray-2024.7.0-pyhd8ed1ab_0.conda#{'1' * 32}",
    ]


def test_what_a_lock_leaves_to_pip_goes_by_version_and_sum_so_that_an_index_can_stand_in() -> None:
    assert read(LOCK, "conda-lock.yml").pip_requirements.splitlines() == [
        "utm==0.7.0 --hash=sha256:6a",
        "ours @ https://data.example.org/ours-1.0.tar.gz#sha256=7b",
    ]


def test_a_lock_without_the_platform_says_which_it_has() -> None:
    with pytest.raises(StepError, match="locks nothing for linux-aarch64") as caught:
        read_environment("conda-lock.yml", LOCK, "linux-aarch64")
    assert caught.value.details == (("platforms in it", "linux-64, osx-arm64"),)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: [", "line 1 is not YAML: "),
        ("name: ocean\ndependencies:\n  - python\n - pip\n", "line 4 is not YAML: "),
        ("name: ocean\ndependencies:\n\t- python\n", "line 3 is not YAML: found character that cannot start"),
        ("name: \0", "is not YAML: "),
        ("name: ocean\ndependancies: [python]", "names no packages"),
        ("name: ocean\ndependencies:\n", "names no packages"),
        ("dependencies: [{python: 3.12}]", "python: 3.12 is no package"),
        ("dependencies: [3.12]", "3.12 is no package"),
        ("dependencies: [python, null]", "None is no package"),
        ("dependencies: [{pip: utm}]", "below `pip:` there must be a list"),
        ("dependencies: [{pip: [3]}]", "below `pip:` there must be a list"),
        ("- just\n- a list", "does not describe an environment"),
        ("", "does not describe an environment"),
        ("dependencies: python", "`dependencies` must be a list"),
        ("channels: conda-forge", "`channels` must be a list"),
        ("{metadata: {}, package: [{name: a}]}", "is not what conda-lock writes"),
        ("{metadata: {}, package: [a, b]}", "is not what conda-lock writes"),
    ],
)
def test_a_broken_file_is_named(text: str, complaint: str) -> None:
    with pytest.raises(StepError, match=complaint) as caught:
        read(text, "binder/environment.yml")
    assert caught.value.summary.startswith("binder/environment.yml")


def test_the_broken_line_is_shown_and_a_tab_is_named() -> None:
    with pytest.raises(StepError) as caught:
        read("name: ocean\ndependencies:\n\t- python\n")
    assert caught.value.details == (("it says", "   2  dependencies:\n   3  \t- python"),)
    assert caught.value.hint == "YAML is indented with blanks, never with tabs"


def test_a_slip_in_a_key_is_seen() -> None:
    with pytest.raises(StepError) as caught:
        read("dependancies: [python]")
    assert caught.value.hint == "did you mean `dependencies` by `dependancies`?"


@pytest.mark.parametrize(
    "requirement",
    [
        "-r more.txt",
        "--requirement=more.txt",
        "-e .",
        "--constraint pins.txt",
        "./ours",
        "../ours",
        "/srv/ours",
        "-rmore.txt",
    ],
)
def test_a_requirement_that_is_another_file_is_told(requirement: str) -> None:
    assert read(f"dependencies: [pip, {{pip: [utm, '{requirement}']}}]").pip_paths == (requirement,)


@pytest.mark.parametrize(
    "requirement", ["utm==0.8", "-e git+https://x.example/a.git", "-r https://x.example/r.txt", "a.b"]
)
def test_a_requirement_that_is_fetched_is_none(requirement: str) -> None:
    assert read(f"dependencies: [pip, {{pip: ['{requirement}']}}]").pip_paths == ()


def test_a_lock_is_read_for_whichever_machine_it_is_for() -> None:
    assert "linux-64" in read_environment("conda-lock.yml", LOCK, None).text
    others = LOCK.replace("linux-64", "win-64")
    with pytest.raises(StepError, match="locks nothing for linux-64"):
        read_environment("conda-lock.yml", others, None)


def test_packages_that_need_each_other_are_listed_python_before_pip() -> None:
    needs = {"pip": ["python"], "a": ["b", "pip"], "python": ["pip"], "b": ["a"]}
    package = {"manager": "conda", "platform": "linux-64", "hash": {}}
    packages = [
        package | {"name": name, "url": name, "dependencies": dict.fromkeys(n, "")} for name, n in needs.items()
    ]
    lines = read(yaml.safe_dump({"metadata": {}, "package": packages}), "conda-lock.yml").text.splitlines()
    assert sorted(lines[2:]) == ["a", "b", "pip", "python"]
    assert lines.index("python") < lines.index("pip") < lines.index("a")


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        (["environment.yml", "conda-lock.yml", "requirements.txt"], "conda-lock.yml"),
        (["environment.yml", "conda-linux-64.lock"], "conda-linux-64.lock"),
        (["environment.yml", "conda-linux-aarch64.lock"], "environment.yml"),
        (["requirements.txt", "environment.yml"], "environment.yml"),
        (["requirements.txt", "binder/environment.yml"], "binder/environment.yml"),
        (["environment.yml", "binder/environment.yml"], "binder/environment.yml"),
        (["environment.yml", ".binder/environment.yaml"], "environment.yml"),
        (["binder/requirements.txt", "environment/environment.yml"], "environment/environment.yml"),
        (["environment.yml", "environment/explicit.txt"], "environment/explicit.txt"),
        (["requirements.txt"], "requirements.txt"),
    ],
)
def test_a_lock_goes_before_a_wish_and_a_folder_made_for_it_before_the_root(there: list[str], chosen: str) -> None:
    order = candidates("/srv/notebooks", "linux-64")
    assert next(path for path in order if path.removeprefix("/srv/notebooks/") in there) == f"/srv/notebooks/{chosen}"


def test_conda_has_a_name_for_the_machine() -> None:
    assert conda_platform("x86_64") == "linux-64"
    with pytest.raises(StepError, match="no packages for riscv64 machines"):
        conda_platform("riscv64")
