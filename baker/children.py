"""Child processes that cannot outlive the bake.

A child is bound to its parent in the kernel (`PR_SET_PDEATHSIG`), so it dies with a bake that is killed by SIGKILL,
when no clean-up of ours can run. The signal is tied to the *thread* that started the child: start it from the thread
that owns it. The refused alternative, a watchdog process, can be killed as well.
"""

import os
from collections.abc import Sequence


def bound_to_parent(argv: Sequence[str]) -> tuple[str, ...]:
    """`argv` as a child of this process that is killed when this process ends, however it ends.

    setpriv asks the kernel for it; the shell then looks whether the parent has died in the moment before. Both
    replace themselves, so the child's pid is the program's.
    """
    only_with_parent = f'[ "$PPID" = {os.getpid()} ] && exec "$0" "$@"'
    return ("setpriv", "--pdeathsig", "KILL", "--", "/bin/sh", "-c", only_with_parent, *argv)
