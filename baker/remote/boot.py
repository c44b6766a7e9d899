"""A machine's boots: waiting for the first one to be finished, and asking for another.

A boot is known by the kernel's boot id, so that a machine that has not gone down yet is never taken for one that
is back.
"""

from contextlib import suppress

from baker.errors import CommandTimeoutError, ConnectionLostError, LaunchError
from baker.events import Emit, Notice
from baker.ports import Clock
from baker.provisioner import Remote
from baker.remote.link import Link
from baker.wait import wait_until

_BOOT_ID = "cat /proc/sys/kernel/random/boot_id"

_RESTART = "systemctl reboot || reboot"

_FINISH_BOOT = "if [ -d /run/systemd/system ]; then systemctl is-system-running --wait; fi"
"""sshd may answer before /data is mounted. How it exits does not matter: a `degraded` boot is finished too."""

_CLOUD_INIT = r"""
command -v cloud-init >/dev/null || exit 0
result=/run/cloud-init/result.json
units="cloud-init-local cloud-init cloud-config cloud-final"
while [ -e /run/cloud-init/enabled ] && ! [ -e "$result" ] && ! systemctl is-failed $units >/dev/null 2>&1; do
  sleep 0.5
done
if grep -qs '"errors": \[\]' "$result" && ! grep -q '"recoverable_errors": {$' "$result"; then exit 0; fi
exec cloud-init status --wait --long
"""
"""Its own command says how it went, and is asked only when its result, a file, does not say that all is well: it is
Python, and takes as long as one of the four stages of cloud-init (7 s on an emulated machine).
"""

_ATTEMPT_SECONDS = 60.0
"""How long one question to a machine that is going down may take."""


def wait_for_cloud_init(remote: Remote, *, timeout: float, emit: Emit) -> None:
    """Return when cloud-init has done its work, or at once where there is none. LaunchError when it failed."""
    try:
        result = remote.run(_CLOUD_INIT, timeout=timeout, check=False, quiet=True)
    except CommandTimeoutError as error:
        raise LaunchError(
            f"cloud-init was not finished after {timeout:.0f} s", hint="the serial log shows what it waits for"
        ) from error
    if result.exit_code == 0:
        return
    said = f"{result.stdout}\n{result.stderr}".strip(".\n ")  # a dot for each second of waiting comes first
    if result.exit_code == 2:  # cloud-init's "recoverable errors": all was done, something was complained about
        emit(Notice(level="warning", text=f"cloud-init finished with complaints: {said}"))
        return
    raise LaunchError(
        "cloud-init failed on the machine",
        details=(("cloud-init", said or "(no message)"),),
        hint="the serial log has what it did, line by line",
    )


def reboot(remote: Remote, link: Link, *, timeout: float, clock: Clock) -> None:
    """Restart the machine; return when its next boot is finished. ConnectionLostError when it does not come back."""
    deadline = clock.monotonic() + timeout
    before = _boot_id(remote)
    with suppress(ConnectionLostError, CommandTimeoutError):  # it may go down before it says that it does
        remote.run(_RESTART, sudo=True, quiet=True, timeout=_ATTEMPT_SECONDS)

    def new_boot() -> bool | None:
        remaining = deadline - clock.monotonic()
        with suppress(ConnectionLostError, CommandTimeoutError):
            link.reopen(max(1.0, remaining))
            if _boot_id(remote) != before:
                return True
        return None

    if not wait_until(new_boot, timeout=timeout, clock=clock):
        raise ConnectionLostError(
            f"the machine did not come back within {timeout:g} s of a restart",
            hint="the serial log shows how far it came",
        )
    with suppress(CommandTimeoutError):
        remote.run(_FINISH_BOOT, check=False, quiet=True, timeout=max(1.0, deadline - clock.monotonic()))


def _boot_id(remote: Remote) -> str:
    return remote.run(_BOOT_ID, quiet=True, timeout=_ATTEMPT_SECONDS).stdout.strip()
