"""A machine from its launch to its end, whatever happens between: the same for one that bakes and one that verifies."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from baker.errors import CommandTimeoutError, ConnectionLostError, LaunchError, NoAnswerError
from baker.interrupts import Interrupts, raise_deferred, shield
from baker.ports import Clock, Machine
from baker.remote import MachineRemote
from baker.wait import wait_until

_DYING_SECONDS = 5.0


@contextmanager
def attended(
    launch: AbstractContextManager[Machine],
    *,
    interrupts: Interrupts,
    clock: Clock,
    stage: Callable[[str], AbstractContextManager[None]],
    failed: Callable[[Machine, Exception], None] | None = None,
) -> Iterator[Machine]:
    """The machine, launched in one `stage` and ended in another, so that the log has the time of both.

    Its end is shielded from signals; one that arrives meanwhile kills the machine, the shortest way. `failed` is called
    with what went wrong, if it was no signal, while the machine is still there.
    """
    with ExitStack() as hurry:
        stack = ExitStack()
        try:
            with stage("launch"):
                machine = stack.enter_context(launch)
                hurry.enter_context(interrupts.hurrying(machine.kill))  # for longer than the machine's own context
            try:
                with _blaming(machine, clock):
                    yield machine
            except Exception as error:
                if failed is not None:
                    failed(machine, error)
                raise
        except BaseException:
            with shield(), stage("terminate"):
                stack.__exit__(*sys.exc_info())
            raise
        with shield(), stage("terminate"):
            stack.close()
    raise_deferred()


def log_in(machine: Machine, remote: MachineRemote, *, timeout: float) -> None:
    """Connect. A machine that never answers is the builder's failure, and its console says most about it."""
    try:
        remote.connect(timeout=timeout)
    except NoAnswerError as error:
        raise LaunchError(
            f"the machine never came up: {error.summary}",
            details=(*error.details, ("the machine", machine.diagnose())),
            hint="give it longer with boot_timeout_seconds, or find out from its console what it waits for",
        ) from error
    except (LaunchError, ConnectionLostError) as error:
        raise error.with_details(("the machine", machine.diagnose())) from error.__cause__


@contextmanager
def _blaming(machine: Machine, clock: Clock) -> Iterator[None]:
    """What goes wrong with a machine that is dead, or stopped, is the machine's fault: say that instead.

    sshd goes some seconds before a machine that switches itself off, so a lost connection is asked about for a while.
    """
    try:
        yield
    except ConnectionLostError:
        wait_until(machine.check_alive, timeout=_DYING_SECONDS, clock=clock)
        raise
    except (LaunchError, CommandTimeoutError):
        machine.check_alive()
        raise
