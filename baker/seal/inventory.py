"""What is in the image, as facts for its manifest: operating system, kernel, packages of the system, of conda, of pip.

One round trip, in which the machine is asked, too, what one from the image will be compared with (`baker.comparison`).
Git commits, checksums of data and the like are facts that the steps record.
"""

import json
from collections.abc import Mapping

from baker import comparison
from baker.errors import SealError
from baker.events import Emit, FactRecorded, Notice
from baker.ports import MirroredRemote
from baker.provisioner import Fetch
from baker.recipe import Disk
from baker.seal.installed import INSTALLED_PROGRAM

CHANNELS = "https://conda.anaconda.org/"
"""Where channels of conda are that are given by name."""

_NO_PYTHON = "(no Python)"

# Of packages that were removed only settings may be left: dpkg still lists those, with another status.
_QUESTIONS = r"""
program=$1 folder=$2 mirror=$3 channels=$4
shift 4
compare "$@"
. /etc/os-release
echo "os=$PRETTY_NAME"
echo "architecture=$(uname -m)"
echo "kernel=$(uname -r)"
echo packages=
if command -v dpkg-query >/dev/null; then
  dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Version} ${Architecture}\n' |
    sed -n 's/^installed //p'
elif command -v rpm >/dev/null; then rpm --query --all --queryformat '%{NAME} %{EVR} %{ARCH}\n'
fi | LC_ALL=C sort
echo installed=
for python in /usr/bin/python3 /usr/libexec/platform-python /opt/*/bin/python3 "$(command -v python3 || true)"; do
  if [ -x "$python" ]; then exec "$python" -I -S -B -c "$program" "$folder" "$mirror" "$channels"; fi
done
echo '(no Python)'
"""


def take_inventory(remote: MirroredRemote, disks: tuple[Disk, ...], emit: Emit) -> None:
    """Ask the machine once, and emit each answer as a fact found by `seal`.

    Conda's records get the public address of its channels back where a mirror stood in for it. SealError when the
    machine cannot say what is installed.
    """
    mirror = remote.mirrored(Fetch(kind="conda-channel", url="conda-forge")).url.removesuffix("conda-forge")
    script = f"set -eu\n{comparison.QUESTION}{_QUESTIONS}"
    words = ["/bin/sh", "-c", script, "inventory", INSTALLED_PROGRAM, "/", mirror, CHANNELS]
    result = remote.run([*words, *comparison.arguments(remote, disks)], sudo=True, check=False, quiet=True)
    if result.exit_code != 0:
        raise SealError(
            "the machine cannot say what is installed on it",
            details=(("last lines", "\n".join((result.stderr or result.stdout).splitlines()[-5:])),),
        )
    if result.stdout.rstrip().endswith(_NO_PYTHON):
        text = "the machine has no Python to list what conda and pip installed: it is not in the manifest"
        emit(Notice(level="warning", text=text))
    for name, value in parse_inventory(result.stdout).items():
        emit(FactRecorded(source="seal", name=name, value=value))


def parse_inventory(answer: str) -> Mapping[str, str]:
    """`name=value` lines; then `packages=`, with lines of its own; then `installed=`, with a JSON object of facts."""
    head, _, rest = answer.partition("packages=\n")
    packages, _, installed = rest.rpartition("installed=\n")
    facts = dict(line.split("=", 1) for line in head.splitlines())
    facts["packages"] = packages.strip()
    return facts if installed.strip() == _NO_PYTHON else facts | json.loads(installed)
