"""What only a machine from the image can show, beside the recipe's checks: asked in one question, judged here.

    keys         no key of the builder's: neither in an account, nor as a host key
    identity     a machine-id of its own
    disks        mounted where the builder had them, with something on those that were filled
    settings     nothing that names a mirror of the bake, or a file of it in /run
    remains      no temporary file, and no dead-man switch, that is older than this machine's start

The question is asked before anything else runs on the machine. What the machine's own first boot wrote is told from
what the image brought by time: nothing of the image is younger than the start.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from baker.artifact import Artifact
from baker.comparison import MACHINE_ID, QUESTION, disk_fact
from baker.deadman import UNIT, UNIT_FOLDER
from baker.errors import StepError
from baker.labels import agrees, disk_labels
from baker.provisioner import Remote

RUN_FOLDER = "/run/baker"
"""Where a bake has all its files on the builder, in tmpfs."""

_EMPTY = hashlib.sha256(b"").hexdigest()

_LOOK = r"""
for tool in awk base64 date find findmnt getconf grep lsblk sha256sum stat xargs; do
  command -v "$tool" >/dev/null || { echo "$tool is not on the machine" >&2; exit 3; }
done
needles=$(cat)
since=$1 run_folder=$2 unit=$3
shift 3
# When the first process began, in seconds since the epoch; rather a moment late than early, so two ticks are added:
# one for what the kernel cuts off, one for what printf rounds.
ticks=$(sed 's/.*) //' /proc/1/stat | awk '{print $20}')
read -r uptime _ </proc/uptime
boot=$(awk -v up="$uptime" -v now="$(date +%s.%N)" -v ticks="$ticks" -v hertz="$(getconf CLK_TCK)" \
  'BEGIN {printf "%.2f", now - up + (ticks + 2) / hertz}')

# Public keys: those that let somebody in, and those that this machine shows, or would if the file beside it were there.
key='AAAA[0-9A-Za-z+/]{40,}=*'
{
  cut -d: -f6 /etc/passwd | sort -u | while read -r home; do find "$home/.ssh" -type f -print0 2>/dev/null; done
  find /etc/ssh -type f -print0
} | xargs -0 --no-run-if-empty grep --text --only-matching --with-filename --extended-regexp "$key" | sed 's/^/key /'
for file in /etc/ssh/ssh_host_*_key; do
  [ -e "$file" ] && [ ! -e "$file.pub" ] || continue
  ssh-keygen -y -P '' -f "$file" | grep --only-matching --extended-regexp "$key" | sed "s|^|key $file:|"
done

# Settings that the bake made or changed. In the large folders only files that are made for settings.
changed() { find "$@" -newerct "@$since" ! -newerct "@$boot" -print0; }
{
  changed /etc /root /home /usr/local/etc /var/spool/cron -xdev -type f -size -4096k
  changed /opt /srv /usr/local -xdev -type f -size -4096k '(' \
    -name .condarc -o -name condarc -o -name pip.conf -o -name uv.toml -o -name direct_url.json \
    -o -path '*/.git/config' -o -path '*/conda-meta/*' ')'
} 2>/dev/null | xargs -0 --no-run-if-empty grep --only-matching --with-filename -I -m 1 --fixed-strings \
  -e "$needles" -- | sed 's/^/names /'

{
  find /tmp /var/tmp -xdev -mindepth 1 ! -newermt "@$boot" -print | head -n 20
  if [ -e "$run_folder" ]; then echo "$run_folder"; fi
  # cloud-init gives this machine a switch as well, under the same name: when a file came into being tells them apart.
  for file in "$unit.timer" "$unit.service"; do
    [ -e "$file" ] || continue
    stat --format '%.2W %.2Y' "$file" | awk -v boot="$boot" -v file="$file" \
      '{made = $1 > 0 ? $1 : $2; if (made < boot) print file}'
  done
} | sed 's/^/left /'
"""

_COMPARE = f'set -eu\n{QUESTION}\ncompare "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the machine answered. `keys` are (fingerprint, file); `named` are `file:what it names`."""

    machine_id: str
    disks: dict[str, str]
    keys: tuple[tuple[str, str], ...]
    named: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; all is well when there are no `problems`."""

    name: str
    problems: tuple[str, ...] = ()


def gather(remote: Remote, artifact: Artifact, *, names: Sequence[str], since: float) -> Evidence:
    """Ask the machine. `names` are what no setting may name. StepError when it cannot answer."""
    disks = ask_disks(remote, artifact)
    words = ["/bin/sh", "-c", _LOOK, "look", str(int(since)), RUN_FOLDER, f"{UNIT_FOLDER}/{UNIT}"]
    result = remote.run(words, sudo=True, stdin="\n".join((RUN_FOLDER, *names)), quiet=True)
    answers = [line.partition(" ")[::2] for line in result.stdout.splitlines()]
    return Evidence(
        machine_id=disks.pop(MACHINE_ID, ""),
        disks=disks,
        keys=tuple(_key(text) for kind, text in answers if kind == "key"),
        named=tuple(text for kind, text in answers if kind == "names"),
        left=tuple(text for kind, text in answers if kind == "left"),
    )


def ask_disks(remote: Remote, artifact: Artifact) -> dict[str, str]:
    """What the machine says to the question that the builder was asked: its machine-id, and its disks."""
    devices = {name: _device(remote, name) for name in disk_labels(artifact)}
    known = [word for name, device in devices.items() if device for word in (name, device)]
    result = remote.run(["/bin/sh", "-c", _COMPARE, "compare", *known], sudo=True, quiet=True)
    return dict(line.split("=", 1) for line in result.stdout.splitlines())


def judge(evidence: Evidence, artifact: Artifact) -> tuple[Finding, ...]:
    """All that is looked at, with what is wrong: what was expected, and what was seen."""
    return (
        _no_key_of(evidence, artifact, "user-key", "nobody gets in by the builder's login key"),
        _no_key_of(evidence, artifact, "host-key", "the host keys are new"),
        Finding(name="the machine-id is new", problems=tuple(_machine_id(evidence, artifact))),
        *judge_disks(evidence.disks, artifact),
        Finding(
            name="no setting names a mirror or a file of the bake",
            problems=tuple(f"expected none; saw {place}" for place in evidence.named),
        ),
        Finding(
            name="nothing temporary is left of the bake",
            problems=tuple(f"expected nothing older than the machine's start; saw {path}" for path in evidence.left),
        ),
    )


def judge_disks(answers: dict[str, str], artifact: Artifact, when: str = "") -> tuple[Finding, ...]:
    """Whether each disk is mounted as the builder had it. `when` ends the findings' names."""
    return tuple(
        Finding(
            name=f"disk {name} is there with its data{when}",
            problems=() if agrees(seen, label) else (f"expected {label or 'it unmounted'}; saw {seen or 'no mount'}",),
        )
        for name, label in disk_labels(artifact).items()
        for seen in [answers.get(disk_fact(name), "")]
    )


def _no_key_of(evidence: Evidence, artifact: Artifact, label: str, name: str) -> Finding:
    key = artifact.labels.get(label)
    if key is None:
        return Finding(name=name, problems=(f"the image has no label {label} that says which was the builder's",))
    files = [file for fingerprint, file in evidence.keys if fingerprint == key]
    return Finding(
        name=name, problems=tuple(f"expected the builder's {key} nowhere; saw it in {file}" for file in files)
    )


def _machine_id(evidence: Evidence, artifact: Artifact) -> list[str]:
    builders = artifact.labels.get(MACHINE_ID)
    if builders is None:
        return [f"the image has no label {MACHINE_ID} that says which was the builder's"]
    if evidence.machine_id == _EMPTY:
        return ["expected a machine-id; it is empty"]
    return ["expected another machine-id than the builder's; saw the same"] if evidence.machine_id == builders else []


def _device(remote: Remote, name: str) -> str | None:
    try:
        return remote.disk(name)
    except StepError:
        return None  # it has none of this name: nothing will be seen of it


def _key(text: str) -> tuple[str, str]:
    file, _, blob = text.rpartition(":")
    try:
        digest = hashlib.sha256(base64.b64decode(blob, validate=True)).digest()
    except binascii.Error:
        return ("", file)
    return ("SHA256:" + base64.b64encode(digest).decode().rstrip("="), file)
