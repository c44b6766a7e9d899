"""What is in the image, as facts for its manifest: operating system, kernel, packages."""

from collections.abc import Mapping

from baker.errors import SealError
from baker.events import Emit, FactRecorded
from baker.provisioner import Remote

_QUESTIONS = r"""
set -eu
. /etc/os-release
echo "os=$PRETTY_NAME"
echo "architecture=$(uname -m)"
echo "kernel=$(uname -r)"
echo packages=
if command -v dpkg-query >/dev/null; then dpkg-query --show --showformat '${Package} ${Version}\n'
elif command -v rpm >/dev/null; then rpm --query --all --queryformat '%{NAME} %{EVR}\n'
fi | sort
"""


def take_inventory(remote: Remote, emit: Emit) -> None:
    """Ask the machine once, and emit each answer as a fact found by `seal`."""
    result = remote.run(_QUESTIONS, check=False, quiet=True)
    if result.exit_code != 0:
        raise SealError(
            "the machine cannot say what is installed on it",
            details=(("last lines", "\n".join((result.stderr or result.stdout).splitlines()[-5:])),),
        )
    for name, value in parse_inventory(result.stdout).items():
        emit(FactRecorded(source="seal", name=name, value=value))


def parse_inventory(answer: str) -> Mapping[str, str]:
    """`name=value` lines; the last one, `packages=`, has the rest of the text for its value."""
    head, _, packages = answer.partition("packages=\n")
    facts = dict(line.split("=", 1) for line in head.splitlines())
    return {**facts, "packages": packages.strip()}
