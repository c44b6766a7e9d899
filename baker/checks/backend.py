"""testinfra over our own connection.

testinfra's own paramiko backend does not verify host keys, has no time-out and hangs on much stderr; this one is a
few lines over the `Remote` that the steps use. It knows nothing of pytest.
"""

from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult  # type: ignore[import-untyped]

from baker.provisioner import Remote


class RemoteBackend(BaseBackend):  # type: ignore[misc]
    """Runs the commands of checks as the login user; `with host.sudo()` works as everywhere in testinfra.

    `commands` counts those that reached the machine. A check that ends well without one has looked at the wrong
    machine, or at none.
    """

    NAME = "baker"

    def __init__(self, remote: Remote) -> None:
        super().__init__("machine")
        self._remote = remote
        self.commands = 0

    def run(
        self,
        command: str,
        *args: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        **_kwargs: Any,
    ) -> CommandResult:
        """Run a command. `stdin` and `timeout` (seconds) are ours; `host.run` passes them on.

        CommandTimeoutError after `timeout`; ConnectionLostError when the machine is out of reach.
        """
        full_command = self.get_command(command, *args)
        result = self._remote.run(full_command, stdin=stdin, timeout=timeout, check=False, quiet=True)
        self.commands += 1
        return self.result(result.exit_code, full_command.encode(), result.stdout, result.stderr)

    def get_encoding(self) -> str:
        """`Remote` has decoded everything already; asking the machine would cost a command."""
        return "utf-8"
