"""What is imported for what: guards the speed of `bake --help`, and that a plan needs no SDK."""

import subprocess
import sys
from pathlib import Path

import pytest

from baker.registry import builder_kinds

SDKS = ("paramiko", "pytest", "testinfra", "boto3", "azure", "qemu.qmp", "pycdlib", "cryptography")

BLOCKED = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        for sdk in {SDKS!r}:
            if name == sdk or name.startswith(sdk + "."):
                raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Block())
"""

MAIN = "from baker.cli.main import main; code = main(sys.argv[1:])"


def _python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], [], ["paln"]])
def test_help_imports_neither_click_nor_an_sdk(arguments: list[str]) -> None:
    shown = "print(*sorted(sys.modules), file=sys.stderr)"
    modules = set(_python(f"{MAIN}\n{shown}", *arguments).stderr.split())
    assert "baker.cli.main" in modules
    assert not {name for name in modules if name.partition(".")[0] in {"click", "importlib.metadata", "qemu", *SDKS}}
    assert not {name for name in modules if name.startswith("baker.cli.") and name.count(".") == 2} - {
        "baker.cli.main",
        "baker.cli.failures",
    }


def test_help_names_every_command() -> None:
    shown = _python(f"{MAIN}\nsys.exit(code)", "--help")
    assert shown.returncode == 0
    from baker.cli.main import COMMANDS

    assert all(f"\n  {name} " in shown.stdout for name in COMMANDS)


def test_plan_works_with_every_sdk_blocked(recipe: Path) -> None:
    shown = _python(f"{BLOCKED}\n{MAIN}\nsys.exit(code)", "plan", str(recipe))
    assert (shown.returncode, shown.stderr) == (0, "a recipe may print\n")
    assert "touch a file" in shown.stdout


def test_the_recipe_of_the_house_is_planned_for_each_builder_with_every_sdk_blocked() -> None:
    ocean = str(Path(__file__).parents[3] / "recipes" / "ocean.py")
    for kind, source in (("qemu", "bookworm"), ("aws", "debian-12"), ("azure", "12-gen2")):
        shown = _python(f"{BLOCKED}\n{MAIN}\nsys.exit(code)", "plan", ocean, "--on", kind)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert f"builder      {kind}\n" in shown.stdout
        assert source in shown.stdout


def test_a_spec_is_looked_at_with_every_sdk_blocked(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("Qemu(),", "Qemu(cpus=0),"))
    shown = _python(f"{BLOCKED}\n{MAIN}\nsys.exit(code)", "plan", str(recipe))
    assert (shown.returncode, shown.stdout) == (2, "")
    assert f"error: {recipe}: Qemu(cpus=0): cpus must be a whole number from 1 to 255\n" in shown.stderr


@pytest.mark.parametrize("kind", builder_kinds())
def test_no_builder_loads_an_sdk_before_it_works(kind: str) -> None:
    program = f"{BLOCKED}\nfrom baker.registry import load_builder\nprint(load_builder({kind!r}).kind)"
    assert _python(program).stdout == f"{kind}\n"


def test_the_block_blocks() -> None:
    assert "paramiko is blocked" in _python(f"{BLOCKED}\nimport paramiko").stderr


def test_a_builder_whose_sdk_is_blocked_says_what_to_install(tmp_path: Path) -> None:
    told = _python(f"{BLOCKED}\n{MAIN}\nsys.exit(code)", "images", "--on", "qemu")
    assert told.returncode == 3
    assert "Traceback" not in told.stderr
    assert told.stderr.startswith("error: builder 'qemu' ")
