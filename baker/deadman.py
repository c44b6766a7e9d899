"""The dead-man switch: a timer inside the machine that powers it off at one fixed instant, whoever is left to care.

It is armed by cloud-init before anybody can log in, survives restarts, and is never re-armed: a baking host that
vanishes can neither forget it nor feed it. Two triggers make sure of it: the calendar, which holds across a clock that
is set right, and a look at each start, for an instant that has passed already (systemd takes a calendar time that lies
before the start for one that never comes).

Nothing on the machine can hold it up. The units wait for no other: neither a service that hangs at the start, nor a
time server that never answers (a timer waits for one unless it is told not to), nor the emergency shell disarms them.
And `systemctl poweroff --force` stops no unit first; it still ends processes and unmounts. On EC2 that is a shutdown
from inside, which terminates the instance when it was launched so.
"""

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from baker.errors import SealError
from baker.events import Emit, Notice
from baker.ports import Clock
from baker.provisioner import Remote

UNIT = "bake-deadman"
DESCRIPTION = "End this temporary machine"
"""In both units, and so in all that the machine's logs say of them."""

UNIT_FOLDER, TRANSIENT_UNIT_FOLDER = "/etc/systemd/system", "/run/systemd/system"

_NO_SYSTEMD = 3

_SKEW_SECONDS = 120.0
"""By how much a machine's clock may be wrong without a word."""

_TIMER = """\
[Unit]
Description={description} at {instant}
DefaultDependencies=no
IgnoreOnIsolate=yes

[Timer]
OnActiveSec=1
OnCalendar={instant}
AccuracySec=1s
"""

_SERVICE = """\
[Unit]
Description={description}
DefaultDependencies=no
IgnoreOnIsolate=yes

[Service]
Type=oneshot
ExecCondition=/bin/sh -c 'test "$(date +%%s)" -ge {seconds}'
ExecStart=/usr/bin/env systemctl poweroff --force
"""

_ARM = """
[ -d /run/systemd/system ] || exit {no_systemd}
systemctl --quiet is-active {unit}.timer && exit 0
set -eu
cd {folder}
printf %s {timer} >{unit}.timer
printf %s {service} >{unit}.service
mkdir -p timers.target.wants
ln -sf ../{unit}.timer timers.target.wants/{unit}.timer
systemctl start {unit}.timer
"""
"""A unit that systemd has not met is read when it is started, so nothing needs to be reloaded."""

_MAKE_TRANSIENT = f"""
set -eu
cd {UNIT_FOLDER}
[ -e {UNIT}.timer ] || exit 0
mkdir -p {TRANSIENT_UNIT_FOLDER}
mv -f {UNIT}.timer {UNIT}.service {TRANSIENT_UNIT_FOLDER}/
rm -f timers.target.wants/{UNIT}.timer
rmdir --ignore-fail-on-non-empty timers.target.wants
systemctl daemon-reload
systemctl --quiet is-active {UNIT}.timer
"""


def cloud_config(expires: float) -> dict[str, Any]:
    """The part of cloud-init's configuration that arms the switch at each boot, before sshd starts.

    `expires` is in seconds since the epoch, UTC.
    """
    return {"bootcmd": [["/bin/sh", "-c", arming_script(expires)]]}


def arm(remote: Remote, expires: float, emit: Emit, clock: Clock) -> None:
    """Make sure that the switch is armed; one round trip.

    A warning where the machine has no systemd to hold it, and where a wrong clock makes it another time.
    """
    script = f"date +%s\n{arming_script(expires)}"
    result = remote.run(["/bin/sh", "-c", script], sudo=True, check=False, quiet=True)
    if result.exit_code:
        reason = "it has no systemd" if result.exit_code == _NO_SYSTEMD else result.stderr.strip() or "no reason given"
        text = f"the machine would not switch itself off if it were forgotten: no dead-man switch is armed ({reason})"
        emit(Notice(level="warning", text=text))
        return
    ahead = int(result.stdout) - clock.now()
    if abs(ahead) > _SKEW_SECONDS:
        wrong, when = ("ahead of", "earlier") if ahead > 0 else ("behind", "later")
        text = (
            f"the machine's clock is {abs(ahead) / 60:.0f} min {wrong} this host's: "
            f"its dead-man switch would end it that much {when}"
        )
        emit(Notice(level="warning", text=text))


def make_transient(remote: Remote) -> None:
    """Move the switch to /run, where it stays armed until the machine stops and is in no image. SealError."""
    result = remote.run(_MAKE_TRANSIENT, sudo=True, check=False, quiet=True)
    if result.exit_code:
        raise SealError(
            "the machine's dead-man switch could not be taken out of the image",
            details=(("last lines", result.stderr.strip() or "the timer does not run any more"),),
        )


def arming_script(expires: float) -> str:
    """What arms the switch, for /bin/sh as root; harmless when it is armed. Exits with 3 where there is no systemd."""
    return _ARM.format(
        no_systemd=_NO_SYSTEMD,
        unit=UNIT,
        folder=UNIT_FOLDER,
        timer=shlex.quote(units(expires)[f"{UNIT}.timer"]),
        service=shlex.quote(units(expires)[f"{UNIT}.service"]),
    )


def units(expires: float) -> Mapping[str, str]:
    """systemd's units, by their file names."""
    instant = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {
        f"{UNIT}.timer": _TIMER.format(description=DESCRIPTION, instant=instant),
        f"{UNIT}.service": _SERVICE.format(description=DESCRIPTION, seconds=int(expires)),
    }
