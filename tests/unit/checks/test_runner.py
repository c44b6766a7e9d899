"""Checks, run by the real pytest and the real testinfra, over a shell of this machine."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from baker.checks.runner import run_checks
from baker.errors import (
    BakeError,
    BakeTimeoutError,
    ChecksFailedError,
    CommandTimeoutError,
    ConnectionLostError,
    Interrupted,
)
from baker.events import CheckFinished, Event, Notice, OutputLine, Progress
from baker.provisioner import Remote
from baker.recipe import Check


def passes(host: Any) -> None:
    assert host.run("true").rc == 0


def sees_something_else(host: Any) -> None:
    answer = host.check_output("echo 41")
    assert answer == "42"


def test_no_checks_are_no_work(bench: Any) -> None:
    assert bench.run() == ()
    assert bench.remote.commands == []


def test_a_passing_check_is_one_event_with_its_time(bench: Any) -> None:
    result = bench.run_one(passes)
    assert (result.name, result.outcome, result.message) == ("passes", "passed", "")
    assert result.seconds > 0
    assert bench.events == [Progress(what="passes", done=0, total=1, unit="checks"), result]
    assert bench.remote.commands == ["true"]


def test_all_checks_run_even_when_one_fails(bench: Any) -> None:
    results = bench.run(sees_something_else, passes)
    assert [result.outcome for result in results] == ["failed", "passed"]
    assert [event for event in bench.events if isinstance(event, CheckFinished)] == list(results)
    assert [event.done for event in bench.events if isinstance(event, Progress)] == [0, 1]


def test_a_failing_inline_function_says_what_it_expected_and_saw(bench: Any) -> None:
    """Such a function was imported long before pytest was."""
    path = bench.folder / "ocean.py"
    path.write_text(
        "EXPECTED = '42'\n\n"
        "def make(wanted):\n"
        "    def tools_are_there(host):\n"
        "        answer = host.check_output('echo 41')\n"
        "        assert answer == wanted, EXPECTED\n"
        "    def nested(host):\n"
        "        assert host.check_output('echo 41') == wanted\n"
        "    return tools_are_there, nested\n"
    )
    names: dict[str, Any] = {}
    exec(compile(path.read_text(), path, "exec"), names)
    with_message, plain = bench.run(*names["make"]("42"))
    assert with_message.message.startswith("ocean.py:6: 42\nassert '41' == '42'")
    assert plain.message.startswith("ocean.py:8: assert '41' == '42'")


def test_a_function_without_source_still_fails(bench: Any) -> None:
    names: dict[str, Any] = {}
    exec("def made_up(host):\n    assert host.run('true').rc == 1", names)
    assert bench.run_one(names["made_up"]).outcome == "failed"
    assert bench.run_one(names["made_up"]).message == "assertion failed"


def test_a_file_of_check_functions_says_what_it_expected_and_saw(bench: Any) -> None:
    file = bench.write(
        "checks/ocean.py",
        """\
        def check_answer(host):
            answer = host.check_output("echo 41")
            assert answer == "42"

        def check_fine(host):
            assert host.file("/").is_directory

        def helper(host):
            raise RuntimeError("not a check")
        """,
    )
    answer, fine = bench.run(file)
    assert (answer.name, answer.outcome) == ("checks/ocean.py::check_answer", "failed")
    assert answer.message.startswith("checks/ocean.py:3: assert '41' == '42'")
    assert (fine.name, fine.outcome) == ("checks/ocean.py::check_fine", "passed")


def test_a_file_may_use_what_pytest_offers(bench: Any) -> None:
    file = bench.write(
        "checks.py",
        """\
        import pytest
        from neighbour import ANSWER

        @pytest.fixture
        def answer(host):
            return host.check_output("echo 42")

        @pytest.mark.parametrize("wanted", ["42", "43"])
        def check_answer(answer, wanted):
            assert answer == wanted

        def check_later(host):
            host.run("true")
            pytest.skip("no GPU here")

        def check_neighbour(host):
            assert host.check_output("echo 42") == ANSWER
        """,
    )
    bench.write("neighbour.py", "ANSWER = '42'")
    results = bench.run(file)
    assert [(result.name.removeprefix("checks.py::"), result.outcome) for result in results] == [
        ("check_answer[42]", "passed"),
        ("check_answer[43]", "failed"),
        ("check_later", "skipped"),
        ("check_neighbour", "passed"),
    ]
    assert results[2].message == "checks.py:14: no GPU here"


def test_a_second_run_sees_changed_files_and_leaves_nothing(bench: Any) -> None:
    source = "from neighbour import ANSWER\ndef check_answer(host):\n    assert host.check_output('echo 1') == ANSWER\n"
    file = bench.write("checks.py", source)
    modules, path, environment = set(sys.modules), list(sys.path), dict(os.environ)
    for answer, outcome in (("1", "passed"), ("2", "failed"), ("1", "passed")):
        bench.write("neighbour.py", f"ANSWER = '{answer}'")
        assert bench.run_one(file).outcome == outcome
    bench.write("checks.py", source.replace("== ANSWER", "!= ANSWER"))
    assert bench.run_one(file).outcome == "failed"
    left = {name for name in set(sys.modules) - modules if not name.startswith(("testinfra", "_pytest"))}
    assert not {name for name in left if "checks" in name or "neighbour" in name}
    assert sys.path == path
    assert dict(os.environ) == environment
    assert sorted(path.name for path in bench.folder.iterdir()) == ["checks.py", "neighbour.py"]


def test_nothing_of_the_caller_is_read(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("conftest.py", "raise RuntimeError('conftest.py was read')")
    bench.write("pytest.ini", "[pytest]\naddopts = --no-such-option\n")
    bench.write("pyproject.toml", "[tool.pytest.ini_options]\naddopts = '--no-such-option'\n")
    monkeypatch.chdir(bench.folder)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    assert bench.run_one(bench.write("checks/a.py", "def check_a(host):\n    host.run('true')\n")).outcome == "passed"


def test_what_a_check_prints_becomes_notes(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def talks(host: Any) -> None:
        print(host.check_output("echo spoken"))

    result = bench.run_one(talks)
    assert bench.events[1:] == [OutputLine(stream="note", text="spoken"), result]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_sudo_is_that_of_testinfra(bench: Any) -> None:
    def as_root(host: Any) -> None:
        with host.sudo():
            host.run("id")
        with host.sudo("nobody"):
            host.run("id")

    bench.run_one(as_root)
    assert bench.remote.commands == ["sudo /bin/sh -c id", "sudo -u nobody /bin/sh -c id"]


def test_text_of_any_language_comes_through_in_one_command(bench: Any) -> None:
    def umlauts(host: Any) -> None:
        assert host.check_output("echo Übergröße") == "Übergröße"

    assert bench.run_one(umlauts).outcome == "passed"
    assert len(bench.remote.commands) == 1


@pytest.mark.parametrize(
    ("error", "outcome", "message"),
    [
        (ValueError("broken"), "error", "ValueError: broken"),
        (AssertionError("wrong"), "failed", "wrong"),
        (CommandTimeoutError("sleep did not end within 5 s"), "failed", "sleep did not end within 5 s"),
        (SystemExit(3), "error", "SystemExit: 3"),
    ],
)
def test_what_a_check_raises_is_its_result(bench: Any, error: BaseException, outcome: str, message: str) -> None:
    def raises(host: Any) -> None:
        host.run("true")
        raise error

    results = bench.run(raises, passes)
    assert [result.outcome for result in results] == [outcome, "passed"]
    assert results[0].message == message


@pytest.mark.parametrize(
    "error",
    [
        Interrupted(signal.SIGTERM),
        KeyboardInterrupt(),
        BakeTimeoutError("the bake took too long"),
        ConnectionLostError("the machine is gone"),
    ],
)
@pytest.mark.parametrize("phase", ["setup", "call", "teardown", "emit"])
def test_what_ends_a_bake_passes_through(bench: Any, error: BaseException, phase: str) -> None:
    file = bench.write(
        "checks.py",
        """\
        import pytest
        from baker_test_hook import reach

        @pytest.fixture
        def thing():
            reach("setup")
            yield
            reach("teardown")

        def check_first(host, thing):
            reach("call")
            host.run("true")

        def check_second(host):
            reach("second")
        """,
    )
    reached: list[str] = []

    def reach(name: str) -> None:
        reached.append(name)
        if name == phase:
            raise error

    def emit(event: Event) -> None:
        if isinstance(event, CheckFinished):
            reach("emit")

    module = type(sys)("baker_test_hook")
    module.reach = reach  # type: ignore[attr-defined]
    sys.modules["baker_test_hook"] = module
    try:
        with pytest.raises(type(error)) as caught:
            run_checks((file,), cast(Remote, bench.remote), folder=bench.folder, emit=emit)
    finally:
        del sys.modules["baker_test_hook"]
    assert caught.value is error
    assert "second" not in reached


def test_a_real_signal_in_the_middle_of_a_check_passes_through(bench: Any) -> None:
    def stop(signum: int, frame: object) -> None:
        raise Interrupted(signum)

    def waits(host: Any) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        host.run("sleep 30")

    previous = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(Interrupted):
            bench.run(waits)
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_checks_that_never_reach_the_machine_prove_nothing(bench: Any) -> None:
    def looks_at_the_wrong_machine(host: Any) -> None:
        import testinfra

        assert testinfra.get_host("local://").file("/").exists

    with pytest.raises(ChecksFailedError, match="none of them ran a command on the machine"):
        bench.run(looks_at_the_wrong_machine)
    bench.run(looks_at_the_wrong_machine, passes)
    assert [event.level for event in bench.events if isinstance(event, Notice)] == ["warning"]


def test_a_check_that_returns_false_fails(bench: Any) -> None:
    result = bench.run_one(lambda host: host.run("false").rc == 0)
    assert (result.outcome, result.message) == ("failed", "the check returned False")
    assert result.name.startswith("lambda at ")


def test_a_check_that_makes_another_one_has_checked_nothing(bench: Any) -> None:
    result = bench.run_one(lambda host: host.run("true").rc == 0 and (lambda host: False))
    assert result.outcome == "failed"
    assert result.message.startswith("the check checked nothing: it returned another one")


def test_a_check_of_a_file_that_returns_false_fails_too(bench: Any) -> None:
    file = bench.write("checks.py", "def check_salt(host):\n    return host.run('false').rc == 0\n")
    result = bench.run_one(file)
    assert (result.outcome, result.message) == ("failed", "the check returned False")


def test_a_file_that_skips_itself_is_refused(bench: Any) -> None:
    file = bench.write("checks.py", "import pytest\npytest.importorskip('no_such_module')\n")
    with pytest.raises(ChecksFailedError, match=r"checks\.py"):
        bench.run(file)


async def asynchronous(host: Any) -> None:
    raise AssertionError


def generator(host: Any) -> Any:
    yield host


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (asynchronous, "check asynchronous is asynchronous or a generator"),
        (generator, "check generator is asynchronous or a generator"),
        (lambda: None, r"check lambda at .*test_runner.py:\d+ cannot be called with `host` alone"),
        (lambda host, more: None, "cannot be called with `host` alone"),
        (cast(Callable[..., object], 42), "42 is not a check"),
        ("missing.py", r"check file .*/missing.py cannot be read: No such file"),
        (Path(), "cannot be read: Is a directory"),
    ],
)
def test_what_is_no_check_is_refused_before_any_is_run(bench: Any, check: Check, message: str) -> None:
    with pytest.raises(ChecksFailedError, match=message):
        bench.run(passes, check)
    assert bench.remote.commands == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def check_a(host:\n    pass\n", r"broken.py, line 1: '\(' was never closed"),
        ("import os\n\nimport no_such_module\n", r"broken.py, line 3: ModuleNotFoundError: No module named"),
        ("x = 1\n\n\nraise ValueError('odd')\n", r"broken.py, line 4: ValueError: odd"),
        ("def test_a(host):\n    pass\n", r"broken.py defines no check"),
        ("x = '\0'\n", r"broken.py.*null byte"),
        ("async def check_a(host):\n    pass\n", r"broken.py: check_a is asynchronous"),
        ("import pytest\npytest.exit('enough')\n", r"broken.py, line 2: Exit: enough"),
    ],
)
def test_a_broken_check_file_is_named_with_its_line(bench: Any, source: str, message: str) -> None:
    with pytest.raises(ChecksFailedError, match=message) as caught:
        bench.run(passes, bench.write("broken.py", source))
    assert isinstance(caught.value, BakeError)
    assert bench.remote.commands == []


def test_a_check_cannot_end_the_session_quietly(bench: Any) -> None:
    def ends(host: Any) -> None:
        host.run("true")
        pytest.exit("enough")

    with pytest.raises(ChecksFailedError, match="a check ended the session: enough"):
        bench.run(ends, passes)


def test_an_unknown_fixture_is_an_error_of_its_check(bench: Any) -> None:
    file = bench.write("checks.py", "def check_a(hsot):\n    pass\n\ndef check_b(host):\n    host.run('true')\n")
    first, second = bench.run(file)
    assert (first.outcome, second.outcome) == ("error", "passed")
    assert "fixture 'hsot' not found" in first.message


def test_importing_the_checks_imports_neither_pytest_nor_testinfra() -> None:
    program = "import sys, baker.checks, baker.checks.runner; print({'pytest', 'testinfra'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
