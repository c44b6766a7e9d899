"""`bake plan RECIPE --live`: all that is in the way of a bake now, and nothing made."""

import json
import socket
from pathlib import Path

import pytest

from baker.cli.main import main

RECIPE = """\
from dataclasses import dataclass

from baker import Fetch, Recipe, Requirements, Secret
from baker.builders.qemu.spec import CloudImage, Qemu

SECRETS = (Secret.from_env("REEF_TOKEN"), Secret.from_env("REEF_OTHER"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dive:
    url: str
    name = "dive"
    revision = 1

    def inputs(self):
        return ()

    def requires(self):
        return Requirements(secrets=SECRETS, fetches=(Fetch(kind="file", url=self.url),))

    def apply(self, remote):
        raise AssertionError("nothing is baked here")


def recipe(url: str, memory_mib: int = 256):
    source = CloudImage(url=f"{url}/disk", sha256="0" * 64)
    return Recipe(
        name="reef", builders=(Qemu(source=source, memory_mib=memory_mib),), provisioners=(Dive(url=url),)
    )
""".replace("url: str, memory", 'url: str = "http://127.0.0.1:1", memory')


@pytest.fixture
def reef(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAKER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BAKER_MIRRORS", raising=False)
    for name in ("REEF_TOKEN", "REEF_OTHER", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "reef.py"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def nobody() -> str:
    """An address where nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_every_problem_is_told_and_the_first_decides(
    reef: Path, nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["plan", str(reef), "--live", "--set", f"url={nobody}", "--set", "memory_mib=1000000"])
    told = capsys.readouterr()
    assert code == 2
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    words = ("REEF_TOKEN", "REEF_OTHER", "MiB of memory", "that the recipe fetches cannot be had")
    for word in words:
        assert any(word in line for line in errors), (word, told.err)
    assert errors[0] == min(errors, key=lambda line: "REEF_TOKEN" not in line)
    assert "fingerprint" in told.out
    assert "nothing is in the way" not in told.out
    assert not list((reef.parent / "home").glob("*/*"))


def test_a_program_can_read_them_without_secrets(
    reef: Path, nobody: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = nobody.rpartition(":")[2]
    monkeypatch.setenv("REEF_TOKEN", f"127.0.0.1:{port}")  # a value that an error would show
    monkeypatch.setenv("REEF_OTHER", "correct-horse")
    assert main(["plan", str(reef), "--live", "--json", "--set", f"url={nobody}"]) in (4, 5)
    told = capsys.readouterr()
    problems = json.loads(told.out)["problems"]
    assert {problem["exit_code"] for problem in problems} <= {4, 5}
    assert all(set(problem) == {"summary", "details", "hint", "exit_code"} for problem in problems)
    assert port not in json.dumps(problems)
    assert port not in told.err


def test_without_the_word_nobody_is_asked(reef: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(reef), "--set", "memory_mib=1000000", "--json"]) == 0
    told = capsys.readouterr()
    assert "problems" not in json.loads(told.out)
    assert told.err == ""


def test_a_recipe_that_shares_shows_with_whom(reef: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = RECIPE.replace("from baker import", "from baker import Share,").replace(
        'name="reef", builders', 'name="reef", share=Share(targets=("/srv/images",)), builders'
    )
    reef.write_text(changed)
    assert main(["plan", str(reef)]) == 0
    assert "share\n  /srv/images\n" in capsys.readouterr().out
