"""What we teach pytest: to take its items from a recipe, and to tell each result as one event.

Knows pytest and nothing of connections. An exception that ends the bake is never a check's result: pytest would
eat it, so it is put into `ended_by`, whence the session raises it again.
"""

import contextlib
import io
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from baker.checks.collecting import Collector
from baker.checks.judging import ends_the_bake, is_verdict
from baker.checks.telling import message_of
from baker.errors import ChecksFailedError
from baker.events import CheckFinished, Emit, OutputLine, Progress
from baker.recipe import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A result, and how many commands of the check reached the machine."""

    result: CheckFinished
    commands: int


class CheckPlugin:
    """Serves one session. `outcomes` grows check by check; `ended_by` is what ended the session early."""

    def __init__(
        self,
        checks: tuple[Check, ...],
        *,
        host: object,
        folder: Path,
        emit: Emit,
        count_commands: Callable[[], int],
    ) -> None:
        self.outcomes: list[Outcome] = []
        self.ended_by: BaseException | None = None
        self._checks = checks
        self._host = host
        self._folder = folder
        self._emit = emit
        self._count_commands = count_commands
        self._outcome: Literal["passed", "failed", "error", "skipped"] = "passed"
        self._seconds = 0.0
        self._messages: list[str] = []

    @pytest.fixture
    def host(self) -> object:
        """The machine, as testinfra has it."""
        return self._host

    def pytest_collection(self, session: pytest.Session) -> bool:
        """Instead of looking for test files: the recipe's checks, in its order. All of them before any is run."""
        collector = Collector(session, host=self._host, folder=self._folder)
        session.items = [item for check in self._checks for item in collector.items_of(check)]
        session.testscollected = len(session.items)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """A check of a file: as one given directly, it fails when it returns False; pytest itself would only warn."""
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        if pyfuncitem.obj(**arguments) is False:
            pytest.fail("the check returned False", pytrace=False)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """One check. What it prints becomes notes: our standard output belongs to the image's name."""
        self._outcome, self._seconds, self._messages = "passed", 0.0, []
        checks = len(item.session.items)
        self._emit(Progress(what=_name_of(item), done=len(self.outcomes), total=checks, unit="checks"))
        commands_before = self._count_commands()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            answer = yield
        for line in printed.getvalue().splitlines():
            self._emit(OutputLine(stream="note", text=line))
        result = CheckFinished(
            name=_name_of(item),
            outcome=self._outcome,
            seconds=self._seconds,
            message="\n".join(self._messages),
        )
        self.outcomes.append(Outcome(result=result, commands=self._count_commands() - commands_before))
        self._emit(result)
        return answer

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """After each of a check's three phases: setup, call, teardown."""
        error = call.excinfo.value if call.excinfo else None
        if error is not None and ends_the_bake(error):
            raise error
        report = yield
        self._seconds += call.duration
        if error is not None and report.outcome != "passed":
            self._messages.append(message_of(error, self._folder))
        if report.outcome == "failed":
            self._outcome = "failed" if report.when == "call" and is_verdict(error) else "error"
        elif report.outcome == "skipped" and self._outcome == "passed":
            self._outcome = "skipped"
        return report

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._end(excinfo.value)

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
        """True keeps pytest from printing a traceback."""
        self._end(excinfo.value)
        return True

    def _end(self, error: BaseException) -> None:
        if isinstance(error, pytest.exit.Exception):
            error = ChecksFailedError(f"a check ended the session: {error}", hint="use pytest.fail or pytest.skip")
        self.ended_by = self.ended_by or error


def _name_of(item: pytest.Item) -> str:
    """`checks/ocean.py::check_tools` for one of a file, the plain name for one that stands in the recipe."""
    return item.nodeid.removeprefix("::")
