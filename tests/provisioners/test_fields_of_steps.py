"""Mistakes in a recipe are found when the step is made, in words for the person who wrote it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from baker.builders.qemu.spec import Qemu
from baker.errors import RecipeError
from baker.plan import make_plan
from baker.provisioner import Fetch, Requirements, SftpSource
from baker.recipe import Recipe
from baker.secret import Secret
from provisioners import DiskMount, Files, GitClone, Partition, PipPackages, Reboot, SftpImport, Shell, SystemPackages

URL = "https://example.org/notebooks.git"
TOKEN = Secret.from_env("TOKEN")

MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "no package": (lambda: SystemPackages(packages=()), "packages is empty"),
    "two words": (lambda: SystemPackages(packages=("git curl",)), "not one word"),
    "an option": (lambda: SystemPackages(packages=("--purge",)), "no name of a package"),
    "a removal": (lambda: SystemPackages(packages=("bash-",)), "no name of a package"),
    "neither path nor partitions": (lambda: DiskMount(disk="data"), "either a path or partitions"),
    "path and partitions": (
        lambda: DiskMount(disk="data", path="/data", partitions=(Partition(path="/a"),)),
        "either a path or partitions",
    ),
    "rest in the middle": (
        lambda: DiskMount(disk="data", partitions=(Partition(path="/a"), Partition(path="/b"))),
        "only the last",
    ),
    "one path twice": (
        lambda: DiskMount(disk="data", partitions=(Partition(path="/a", size_gib=1), Partition(path="/a"))),
        "same path",
    ),
    "owner beside partitions": (
        lambda: DiskMount(disk="data", owner="ada", partitions=(Partition(path="/a"),)),
        "of each partition",
    ),
    "a system folder": (lambda: DiskMount(disk="data", path="/usr"), "belongs to the system"),
    "the root": (lambda: DiskMount(disk="data", path="/"), "belongs to the system"),
    "a blank in fstab": (lambda: DiskMount(disk="data", path="/my data"), "holds a blank"),
    "an empty partition": (lambda: Partition(path="/a", size_gib=0), "at least 1"),
    "relative target": (lambda: Files(target="etc/motd", content=""), "not absolute"),
    "dots": (lambda: Files(target="/srv/../etc", content=""), "shortest form"),
    "a last slash": (lambda: Files(target="/srv/", content=""), "shortest form"),
    "a line break": (lambda: Files(target="/srv/a\nb", content=""), "control character"),
    "nothing to put": (lambda: Files(target="/srv/a"), "either a source or a content"),
    "two things to put": (lambda: Files(target="/srv/a", source="a", content="b"), "either a source or a content"),
    "a source from anywhere": (lambda: Files(target="/srv/a", source="/etc/passwd"), "not relative"),
    "an owner with a blank": (lambda: Files(target="/srv/a", content="", owner="a b"), "owner 'a b'"),
    "a mode too large": (lambda: Files(target="/srv/a", content="", mode=0o17777), "mode"),
    "nothing to run": (Shell, "either a command or a script"),
    "two things to run": (lambda: Shell(command="true", script="a.sh"), "either a command or a script"),
    "an empty command": (lambda: Shell(command=" \n"), "empty"),
    "arguments of a command": (lambda: Shell(command="true", arguments=("a",)), "go to a script"),
    "a variable with a dash": (lambda: Shell(command="true", env={"A-B": "c"}), "'A-B'"),
    "no exit code": (lambda: Shell(command="true", exit_codes=()), "exit_codes"),
    "an exit code of 256": (lambda: Shell(command="true", exit_codes=(256,)), "exit_codes"),
    "minus one retry": (lambda: Shell(command="true", retries=-1), "retries"),
    "no time": (lambda: Shell(command="true", timeout_seconds=0), "timeout_seconds"),
    "no time to restart": (lambda: Reboot(timeout_seconds=0), "timeout_seconds"),
    "ssh": (lambda: GitClone(url="git@example.org:a.git", target="/srv/a", ref="main"), "not https"),
    "an option as url": (lambda: GitClone(url="--upload-pack=x", target="/srv/a", ref="main"), "url"),
    "an option as ref": (lambda: GitClone(url=URL, target="/srv/a", ref="--all"), "ref"),
    "another kind of ref": (lambda: GitClone(url=URL, target="/srv/a", ref="refs/pull/1/head"), "neither"),
    "a history of nothing": (lambda: GitClone(url=URL, target="/srv/a", ref="main", depth=0), "depth"),
    "a host key that is none": (
        lambda: SftpImport(
            source=SftpSource(url="sftp://data.example.org/a", user="ada", host_key="SHA256:abc"), target="/srv/a"
        ),
        "host_key 'SHA256:abc' is not a public key",
    ),
    "a credential in clear": (
        lambda: GitClone(url="http://example.org/a.git", target="/srv/a", ref="main", credential=TOKEN),
        "in clear",
    ),
}


@pytest.mark.parametrize(("make", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_when_the_step_is_made(make: Callable[[], object], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        make()
    assert words in caught.value.summary
    assert "\n" not in caught.value.summary


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(RecipeError) as caught:
        GitClone(url="https://ada:hunter22@example.org/a.git", target="/srv/a", ref="main")
    assert "hunter22" not in caught.value.summary
    assert "hunter22" not in repr(caught.value)
    assert "credential=" in (caught.value.hint or "")


def test_what_steps_require() -> None:
    assert DiskMount(disk="data", path="/data").requires() == Requirements(disks=("data",))
    clone = GitClone(url=URL, target="/srv/a", ref="main", credential=TOKEN)
    assert clone.requires() == Requirements(fetches=(Fetch(kind="git", url=URL),), secrets=(TOKEN,))
    local = GitClone(url="file:///srv/git/a.git", target="/srv/a", ref="main")
    assert local.requires() == Requirements()
    shell = Shell(command="true", env={"A": TOKEN, "B": "plain", "C": TOKEN})
    assert shell.requires() == Requirements(secrets=(TOKEN,))


@pytest.mark.parametrize("step", [Files(target="/srv/a", source="absent"), Shell(script="absent")])
def test_a_file_that_the_recipe_lacks_is_found_by_the_plan(step: Files | Shell, tmp_path: Path) -> None:
    recipe = Recipe(name="ocean", builders=(Qemu(),), provisioners=(step,), folder=tmp_path)
    with pytest.raises(RecipeError, match=r"step 1 .*absent"):
        make_plan(recipe, recipe.builders[0])


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        (Shell(script="folder"), "folder is a folder, and a file is wanted"),
        (Shell(script="setup.sh"), "setup.sh has the line ends of Windows"),
        (PipPackages(requirements="folder", venv="/opt/t"), "folder is a folder, and a file is wanted"),
    ],
)
def test_a_file_that_cannot_work_is_found_by_the_plan(
    step: Shell | PipPackages, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "setup.sh").write_bytes(b"#!/bin/bash\r\ntrue\r\n")
    recipe = Recipe(name="ocean", builders=(Qemu(),), provisioners=(step,), folder=tmp_path)
    with pytest.raises(RecipeError) as caught:
        make_plan(recipe, recipe.builders[0])
    assert caught.value.summary == f"step 1 {step.name!r}: {complaint}"


@pytest.mark.parametrize("script", [b"#!/bin/sh\ntrue\n", b"#!/bin/sh\necho 'a\r\n'", b"\x7fELF\r\n", b""])
def test_a_script_that_can_work_is_left_alone(script: bytes, tmp_path: Path) -> None:
    (tmp_path / "setup.sh").write_bytes(script)
    recipe = Recipe(name="ocean", builders=(Qemu(),), provisioners=(Shell(script="setup.sh"),), folder=tmp_path)
    assert make_plan(recipe, recipe.builders[0]).steps


def test_the_content_of_a_file_is_part_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    recipe = Recipe(
        name="ocean", builders=(Qemu(),), provisioners=(Files(target="/srv/a", source="a"),), folder=tmp_path
    )
    before = make_plan(recipe, recipe.builders[0]).fingerprint
    (tmp_path / "a").write_text("two")
    assert make_plan(recipe, recipe.builders[0]).fingerprint != before
