"""The command line from outside: which command a word means, exit codes, streams."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from baker.cli.main import COMMANDS, OPTIONS_WITH_VALUE, choose_command, main
from baker.errors import RecipeError

AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Root, but bound by permissions as anybody is."""

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
        (["help"], (None, ["--help"])),
        (["help", "plan"], ("plan", ["--help"])),
        (["help", "--json", "plan", "x.py"], ("plan", ["--help"])),
        (["./help"], ("run", ["./help"])),
        (["--on"], (None, ["--on"])),
        ([], (None, [])),
    ],
)
def test_the_first_word_that_is_no_option_decides(given: list[str], meant: tuple[str | None, list[str]]) -> None:
    assert choose_command(given) == meant


def test_a_file_named_help_is_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("help").touch()
    assert choose_command(["help"]) == ("run", ["help"])


@pytest.mark.parametrize(
    ("word", "meant"), [("build", "run"), ("validate", "plan"), ("list", "images"), ("ocean", "recipes/ocean.py")]
)
def test_what_somebody_may_have_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, meant: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()
    Path("recipes/ocean.py").touch()
    with pytest.raises(RecipeError, match=f"no such file: {word}") as caught:
        choose_command([word])
    assert caught.value.hint == f"did you mean `bake {meant}`?"


def test_a_recipe_is_looked_for_where_recipes_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()
    Path("recipes/ocean.py").touch()
    assert main(["ocean.py"]) == 2
    assert "hint: did you mean recipes/ocean.py?\n" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["-h"]])
def test_help_is_the_page(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("usage: bake [run] RECIPE [options]\n")


def test_the_page_fits_a_terminal_and_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    import re

    from baker import errors

    main(["--help"])
    page = capsys.readouterr().out
    assert [line for line in page.splitlines() if len(line) > 79] == []
    classes = [it for it in vars(errors).values() if isinstance(it, type) and issubclass(it, errors.BakeError)]
    listed = {int(code) for code in re.findall(r"(?:^|  |, )(\d+)\b", page.partition("exit codes:")[2], re.MULTILINE)}
    assert {it.exit_code for it in classes} <= listed


@pytest.mark.parametrize("arguments", [["help", "plan"], ["plan", "--help"], ["plan", "-h"], ["-h", "plan"]])
def test_help_of_a_command_is_its_own(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("Usage: bake plan [OPTIONS] RECIPE\n")


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
        (["plan", ""], 2, "error: invalid value for 'RECIPE': the path is empty\n"),
        ([""], 2, "error: the recipe's name is empty\n"),
        (["--jsn", "ocean.py"], 2, "error: bake has no option --jsn\nhint: did you mean --json?\n"),
        (["--jsn"], 2, "error: bake has no option --jsn\nhint: did you mean --json?\n"),
        (["--on", "qemu"], 2, "error: no recipe given\n"),
        (["--on"], 2, "error: option '--on' requires an argument\n"),
        (["--run-dir", "", "ocean.py"], 2, "error: --run-dir: the path is empty\n"),
        (["plan", "ocean.py", "--mirrors", ""], 2, "error: --mirrors: the path is empty\n"),
        (["ocean.py", "--run-dir", "ocean.py"], 2, "error: the run's folder ocean.py is a file\n"),
        (["ocean.py", "plan"], 2, "hint: a command comes first: `bake plan RECIPE`\n"),
        (["plan", "/proc/self/mem"], 2, "error: /proc/self/mem cannot be read: input/output error\n"),
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
    assert "\nsource       DebianPackages(suite='bookworm')\n" in out
    assert "\nparameters\n  size_gib             9\n" in out


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

    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("baker.cli.plan.plan_lines", broken)
    assert main(["plan", str(recipe)]) == 1
    said = capsys.readouterr().err
    assert "error: this is a bug in the baker: ZeroDivisionError: by zero\n" in said
    assert "Traceback" not in said
    (kept,) = tmp_path.glob("bake-*-traceback.txt")
    assert str(kept) in said
    assert "ZeroDivisionError" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        ("ocean.py", "error: ocean.py cannot be read: permission denied\n"),
        ("m.toml", "error: mirrors file m.toml cannot be read: permission denied\n"),
        ("inputs/script", "error: ocean.py: step 2 'script inputs/script' refers to a file that cannot be read: "),
        ("inputs", "error: ocean.py: step 2 'script inputs/script' refers to a file that cannot be read: "),
        ("checks/waves.py", "error: ocean.py: check 2: {folder}/checks/waves.py cannot be read: permission denied\n"),
        ("checks", "error: ocean.py: check 2: {folder}/checks/waves.py cannot be read: permission denied\n"),
    ],
)
def test_a_file_of_somebody_elses_is_named(recipe: Path, tmp_path: Path, locked: str, said: str) -> None:
    text = recipe.read_text().replace("(Touch(),)", "(Touch(), Shell(script='inputs/script'))")
    recipe.write_text(
        "from provisioners import Shell\n" + text.replace("(file_exists,)", "(file_exists, 'checks/waves.py')")
    )
    for path in ("m.toml", "inputs/script", "checks/waves.py"):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text("def check_waves(host): pass\n" if path.endswith(".py") else "")
    Path(locked).chmod(0o000)
    done = subprocess.run(
        [*AS_ANYBODY, *BAKE, "plan", "ocean.py", "--mirrors", "m.toml"], capture_output=True, text=True, check=False
    )
    Path(locked).chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert said.format(folder=tmp_path) in done.stderr
    assert "denied" in done.stderr


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
