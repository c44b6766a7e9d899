"""Runs a command beside the lab: passes signals on to it, and takes its exit code."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


def run_command(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run `command` to its end, with `environment` added; its exit code as a shell has it.

    A terminal sends Ctrl-C to the command by itself; passing that on too would make it two, which many programs
    take for "at once, without cleaning up".
    """
    terminal = _in_foreground_of_a_terminal()
    child: subprocess.Popen[bytes] | None = None
    pending: list[int] = []

    def forward(signum: int, _: FrameType | None) -> None:
        if terminal and signum in (signal.SIGINT, signal.SIGQUIT):
            return
        if child is None:
            pending.append(signum)
        else:
            child.send_signal(signum)

    previous = {signum: signal.signal(signum, forward) for signum in _FORWARDED}
    try:
        child = subprocess.Popen(command, env=os.environ | environment)
        for signum in pending:  # arrived while the command was being started
            child.send_signal(signum)
        code = child.wait()
    except OSError as error:
        print(f"lab: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    return 128 - code if code < 0 else code


def _in_foreground_of_a_terminal() -> bool:
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
