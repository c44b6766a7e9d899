"""What a person reads for each bad recipe. `BAKER_APPROVE=1 pytest tests/unit/cli` rewrites the golden file."""

import os
import re
import sys
from pathlib import Path

import pytest

from baker.cli.main import main

GOLDEN = Path(__file__).parent / "golden" / "bad_recipes.txt"


def _said(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    code = main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    text = captured.err.replace(str(tmp_path), "<folder>").replace(sys.executable, "<python>")
    assert "Traceback" not in text
    return f"exit {code}\n{text}"


def _approved() -> dict[str, str]:
    parts = re.split(r"^=== (.*) ===\n", GOLDEN.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _other_cases(tmp_path: Path) -> dict[str, list[str]]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "ocean.py").write_text("")
    (tmp_path / "ocean.py").write_text("recipe = 1\n")
    os.mkfifo(tmp_path / "pipe.py")
    return {
        "no such file": ["plan", "sub/nowhere.py"],
        "a slip in the file's name": ["plan", "ocaen.py"],
        "a folder": ["plan", "folder"],
        "a pipe": ["plan", "pipe.py"],
        "a file as a folder": ["plan", "ocean.py/x.py"],
        "a slip in a command": ["paln", "ocean.py"],
        "no command and no file": ["ocean"],
    }


def test_each_bad_recipe_says_what_is_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    bad_recipes: dict[str, str | bytes],
    bad_inputs: dict[str, str | bytes],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.yml").mkdir()
    for name, content in bad_inputs.items():
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    said = {}
    for what, source in bad_recipes.items():
        Path("bad.py").write_bytes(source.encode() if isinstance(source, str) else source)
        said[what] = _said(tmp_path, capsys, ["plan", "bad.py"])
    for what, arguments in _other_cases(tmp_path).items():
        said[what] = _said(tmp_path, capsys, arguments)
    if os.environ.get("BAKER_APPROVE"):
        GOLDEN.write_text("".join(f"=== {what} ===\n{text}" for what, text in said.items()), encoding="utf-8")
    assert said == _approved()


def test_every_bad_recipe_ends_with_a_code_of_the_recipe_or_the_builder() -> None:
    codes = {what: text.partition("\n")[0] for what, text in _approved().items()}
    assert {what for what, code in codes.items() if code != "exit 2"} == {"unknown builder"}
    assert codes["unknown builder"] == "exit 3"
