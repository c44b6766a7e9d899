"""The command line from outside: which command a word means, exit codes, streams."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from baker.cli.main import COMMANDS, OPTIONS_WITH_VALUE, choose_command, main
from baker.errors import RecipeError

BAKE = [sys.executable, "-c", "import sys; from baker.cli.main import main; sys.exit(main())"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["plan", "x.py"], ("plan", ["x.py"])),
        (["x.py"], ("run", ["x.py"])),
        (["run", "x.py"], ("run", ["x.py"])),
        (["run", "plan"], ("run", ["plan"])),
        (["./plan"], ("run", ["./plan"])),
        (["--on", "plan", "x.py"], ("run", ["--on", "plan", "x.py"])),
        (["--on=plan", "images"], ("images", ["--on=plan"])),
        (["--json", "images"], ("images", ["--json"])),
        (["--", "plan"], ("run", ["--", "plan"])),
        (["--json"], (None, ["--json"])),
        (["--on"], (None, ["--on"])),
        ([], (None, [])),
    ],
)
def test_the_first_word_that_is_no_option_decides(given: list[str], meant: tuple[str | None, list[str]]) -> None:
    assert choose_command(given) == meant


@pytest.mark.parametrize("word", ["rnu", "image", "docter"])
def test_a_slip_in_a_command_is_neither_a_file_nor_a_command(word: str) -> None:
    with pytest.raises(RecipeError, match=f"no such file: {word}") as caught:
        choose_command([word])
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean `bake ")


def test_a_file_named_nearly_like_a_command_is_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plam").touch()
    assert choose_command(["plam"]) == ("run", ["plam"])


def test_the_static_table_knows_every_command_and_every_option_with_a_value() -> None:
    from importlib import import_module

    valued = set()
    for name in COMMANDS:
        command = import_module(f"baker.cli.{name}").command
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.is_flag:
                valued.update(parameter.opts)
        assert command.help
        assert command.epilog, f"bake {name} --help shows no example"
    assert {option for option in valued if option.startswith("--")} == set(OPTIONS_WITH_VALUE)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "error: no recipe given\n"),
        (["plan"], 2, "error: no recipe given\n"),
        (["plan", "--jsn", "ocean.py"], 2, "did you mean --json?"),
        (["plan", "ocean.py", "--no-verify"], 2, "error: bake plan has no option --no-verify\n"),
        (["plan", "ocean.py", "--set", "size_gib"], 2, "write --set NAME=VALUE"),
        (["plan", "ocean.py", "--set", "size=7"], 2, "did you mean size_gib?"),
        (["plan", "ocean.py", "--set", "size_gib=seven"], 2, "size_gib=seven: not a whole number"),
        (["plan", "ocean.py", "--on", "bug"], 3, "did you mean big?"),
        (["plan", "ocean.py", "--on", "aws"], 3, "it has: qemu, big"),
        (["plan", "ocean.py", "other.py"], 2, "unexpected extra argument"),
        (["plan", "ocean.py", "--mirrors", "nowhere.toml"], 2, "nowhere.toml cannot be read"),
        (["ocean.py", "--timeout", "soon"], 2, "'soon' is not a duration such as 90s, 30m or 4h"),
        (["ocean.py", "--timeout", "0s"], 2, "between one second and seven days"),
        (["images", "--on", "qemo"], 3, "did you mean qemu?"),
        (["plan", ""], 2, "error: "),
    ],
)
def test_wrong_usage(
    recipe: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert "Usage:" not in captured.err


def test_plan_shows_what_would_be_made(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "ocean.py", "--set", "size_gib=9", "--on", "big"]) == 0
    out = capsys.readouterr().out
    assert "builder      big (qemu)\n" in out
    assert "9 GiB" in out
    assert "touch a file" in out
    assert "https://example.org/notebooks" in out
    assert "file_exists" in out
    assert "a recipe may print" not in out


def test_plan_shows_fetches_through_mirrors(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.toml").write_text('[git]\n"https://example.org/" = "http://user:hunter2@{host}:8641/"\n')
    assert main(["plan", "ocean.py", "--mirrors", "m.toml"]) == 0
    out = capsys.readouterr().out
    assert "https://example.org/notebooks  -> http://{host}:8641/notebooks" in out
    assert "hunter2" not in out


def test_plan_as_json_is_one_object_with_all_of_it(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "ocean.py", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [step["name"] for step in plan["steps"]] == ["touch a file"]
    assert plan["fingerprint"] == plan["steps"][-1]["fingerprint"]
    assert plan["parameters"] == {"size_gib": "3"}
    assert plan["builder"]["spec"]["memory_mib"] == 4096


def test_a_plan_leaves_nothing_behind(recipe: Path, tmp_path: Path) -> None:
    main(["plan", "ocean.py"])
    assert [path.name for path in tmp_path.iterdir()] == ["ocean.py"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[conda\n", "is not TOML"),
        ("[cnoda]\nx = 1\n", "unknown mirror setting [cnoda] x"),
        ("[pip]\nindex_url = 3\n", "must be text"),
        ("[tls]\nca_bundle = 'nowhere.pem'\n", "[tls] ca_bundle: no such file"),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_bad_mirrors(recipe: Path, capsys: pytest.CaptureFixture[str], content: str | bytes, said: str) -> None:
    Path("m.toml").write_bytes(content.encode() if isinstance(content, str) else content)
    assert main(["plan", "ocean.py", "--mirrors", "m.toml"]) == 2
    assert said in capsys.readouterr().err


def test_mirrors_are_named_by_the_environment_too(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BAKER_MIRRORS", "elsewhere.toml")
    assert main(["plan", "ocean.py"]) == 2
    assert "elsewhere.toml" in capsys.readouterr().err


def test_a_bug_of_ours_is_one_line_and_a_file(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # A spec that only the plan's own code can fail on: `kind` answers once, and then no more.
    recipe.write_text(
        "from baker import Recipe\n"
        "class Spec:\n"
        "    name = 'x'\n"
        "    boot_timeout_seconds = 9\n"
        "    asked = 0\n"
        "    @property\n"
        "    def kind(self):\n"
        "        Spec.asked += 1\n"
        "        if Spec.asked > 3:\n"
        "            raise ZeroDivisionError('by zero')\n"
        "        return 'qemu'\n"
        "recipe = Recipe(name='x', builders=(Spec(),))\n"
    )
    assert main(["plan", str(recipe)]) == 1
    said = capsys.readouterr().err
    assert "error: this is a bug in the baker: ZeroDivisionError: by zero\n" in said
    assert "Traceback" not in said
    (kept,) = tmp_path.glob("bake-*-traceback.txt")
    assert str(kept) in said
    assert "ZeroDivisionError" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("arguments", [["plan", "ocean.py", "--json"], ["--help"]])
def test_whoever_reads_may_go_away(recipe: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*BAKE, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 0
    assert done.stderr.replace("a recipe may print\n", "") == ""


@pytest.mark.parametrize("arguments", [["plan", "ocean.py", "--json"], ["--help"]])
def test_a_full_disk_under_standard_output_is_an_error(recipe: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*BAKE, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4
    assert "error: no room left on the disk" in done.stderr


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_bug(recipe: Path, redirection: str) -> None:
    command = f'"$0" -c "$1" plan ocean.py {redirection}'
    done = subprocess.run(["sh", "-c", command, *BAKE[:1], BAKE[2]], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "bug" not in done.stderr


def test_ctrl_c_during_a_recipe_ends_with_130(recipe: Path) -> None:
    recipe.write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    done = subprocess.run([*BAKE, "plan", "ocean.py"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


def test_text_that_the_terminal_cannot_show_is_spelled_out(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("touch a file", "größe der Wellen 波"))
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([*BAKE, "plan", "ocean.py"], capture_output=True, check=False, env=environment)
    assert done.returncode == 0
    assert "größe der Wellen \\u6ce2".encode("latin-1") in done.stdout
