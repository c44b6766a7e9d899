"""What README says can be pasted: each command block runs, and the recipe that it shows plans."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHv0kTzfyxnBPC8Vnc0yYRt6EfLmUB+YKKHUiePN4ZCI"
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines() if line.strip()]


def test_the_two_commands_of_a_newcomer_stand_at_the_top() -> None:
    assert COMMANDS[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_block_runs(command: str, tmp_path: Path) -> None:
    if command.startswith("make "):  # they run the tests, or what the tests run: make itself knows them, that is enough
        subprocess.run(["make", "-n", command.removeprefix("make ")], cwd=ROOT, check=True, capture_output=True)
        return
    argv = command.replace(".venv/bin", str(BIN)).split()
    result = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"BAKER_HOME": str(tmp_path)}, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() or "images" in command


def test_the_recipe_that_it_shows_plans(tmp_path: Path) -> None:
    (recipe,) = blocks("python")
    path = tmp_path / "waves.py"
    path.write_text(recipe)
    result = subprocess.run(
        [BIN / "bake", "plan", path, "--set", "data_gib=8"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "waves" in result.stdout


def test_the_mirrors_file_that_it_shows_is_one() -> None:
    from baker.cli.mirrors_file import parse_mirrors

    (example,) = blocks("toml")
    example = example.replace('"..."', f'"{"a" * 64}"').replace("ssh-ed25519 ...", HOST_KEY)
    assert parse_mirrors(tomllib.loads(example), "README").sftp["data.example.org:22"].address == "127.0.0.1:8642"


def test_it_lists_every_exit_code() -> None:
    from baker import errors

    codes = {cls.exit_code for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, Exception)}
    listed = {int(code) for code in re.findall(r"(?:^|·|Exit codes:) *(\d+) ", README, re.MULTILINE)}
    assert codes <= listed


def test_every_target_of_the_makefile_says_what_it_is_for() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    for target in phony.split():
        assert re.search(rf"^{target}:.*## \S", makefile, re.MULTILINE), f"{target} has no ## text"
