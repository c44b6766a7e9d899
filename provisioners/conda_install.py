"""Conda itself: a Miniforge-shaped installer, verified before it runs, into a prefix of its own.

Nothing of the bake stays: the installer lies in a temporary folder, the package cache is dropped, and the
`.condarc` names channels only, never the mirror that stood in for them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from baker.errors import FetchError, RecipeError, StepError
from baker.fields import require_types
from baker.provisioner import CommandResult, Fetch, Remote, Requirements

MINIFORGE_URL = (
    "https://github.com/conda-forge/miniforge/releases/download/26.3.2-3/Miniforge3-26.3.2-3-Linux-{architecture}.sh"
)

MINIFORGE_SHA256: Mapping[str, str] = {
    # Read in two unrelated public repositories, one of which names this version; the authors of this file have
    # never downloaded the installer themselves. Other architectures: see the release's own .sha256 files.
    "x86_64": "848194851a98903134187fbb4ab50efe87b003e0c0f808f97644b7524a62bf2c",
}

_PREFIX = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_SHA256 = re.compile(r"[0-9a-f]{64}")

# /var/tmp and not /tmp, which is often a tmpfs too small for an installer of 100 MB and what it unpacks. HOME is
# a folder that goes away, so that nobody's home in the image gets caches or a list of environments. Removing the
# package cache is what `conda clean -afy` does; starting conda for it costs seconds on an emulated machine.
# Exit codes of its own: 41 prefix occupied, 42 not downloaded, 43 nothing to download with, 44 wrong sum, 45 failed.
_SCRIPT = r"""
set -eu
umask 022
prefix=$1 url=$2 expected=$3
marker=$prefix/.installer-sha256

configure() {
    printf '%s\n' "$4" > "$prefix/.condarc"
    mkdir -p /etc/profile.d
    ln -sfn "$prefix/etc/profile.d/conda.sh" /etc/profile.d/conda.sh
    for record in "$prefix"/conda-meta/conda-[0-9]*.json; do echo "installed=$(basename "$record" .json)"; done
}

if [ -f "$marker" ] && [ "$(cat "$marker")" = "$expected" ]; then
    echo "$prefix comes from this installer already"
    configure "$@"
    exit 0
fi
if [ -e "$prefix" ] && [ -n "$(ls -A "$prefix")" ]; then exit 41; fi

work=$(mktemp -d /var/tmp/conda-install.XXXXXX)
done=
trap 'rm -rf "$work"; [ -n "$done" ] || rm -rf "$prefix"' EXIT
trap 'exit 143' HUP INT TERM
export HOME="$work" TMPDIR="$work"

if command -v curl > /dev/null; then
    curl --fail --silent --show-error --location --retry 3 --output "$work/installer.sh" "$url" || exit 42
elif command -v python3 > /dev/null; then
    python3 -c 'import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as reply, open(sys.argv[2], "wb") as file:
    shutil.copyfileobj(reply, file)' "$url" "$work/installer.sh" || exit 42
else
    exit 43
fi
seen=$(sha256sum < "$work/installer.sh" | cut -d ' ' -f 1)
if [ "$seen" != "$expected" ]; then echo "seen=$seen"; exit 44; fi

bash "$work/installer.sh" -b -f -p "$prefix" < /dev/null || exit 45
[ -x "$prefix/bin/conda" ] || exit 45
rm -rf "$prefix/pkgs"
configure "$@"
echo "$expected" > "$marker"
done=yes
"""


def check_conda_prefix(prefix: str) -> None:
    """RecipeError unless `prefix` is an absolute path that conda's scripts can live in (no spaces, no oddities)."""
    if not _PREFIX.fullmatch(prefix):
        raise RecipeError(
            f"{prefix!r} is no place for conda",
            hint="an absolute path of letters, digits, '.', '_' and '-', such as /opt/conda",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaInstall:
    """Installs conda into `prefix` from the installer at `url`.

    `{architecture}` in `url` is the machine's, as `uname -m` has it. `sha256` is the sum of the installer: one for
    each architecture, or a single one when `url` names a single file. `channels` go into `.condarc`, with strict
    priority; without that file conda older than 25.9 adds Anaconda's own channels, which cost money for many.

    The same installer again changes nothing but `.condarc`; a prefix that holds anything else is a StepError, as is
    an architecture without a sum. A wrong sum or an installer that cannot be had is a FetchError.
    """

    revision: ClassVar[int] = 1

    url: str = MINIFORGE_URL
    sha256: str | Mapping[str, str] = field(default_factory=lambda: dict(MINIFORGE_SHA256))
    prefix: str = "/opt/conda"
    channels: tuple[str, ...] = ("conda-forge",)

    def __post_init__(self) -> None:
        require_types(self)
        check_conda_prefix(self.prefix)
        if "://" not in self.url:
            raise RecipeError(f"the conda installer's url {self.url!r} is not a URL", hint="https://.../Miniforge3.sh")
        if isinstance(self.sha256, str) and "{architecture}" in self.url:
            raise RecipeError(
                "one sha256 cannot be that of installers for several architectures",
                hint='write sha256={"x86_64": "...", "aarch64": "..."}, or a url without {architecture}',
            )
        if self.url != MINIFORGE_URL and self.sha256 == MINIFORGE_SHA256:
            raise RecipeError(
                f"the conda installer {self.url} needs its own sha256",
                hint="print it with sha256sum; the default sum is that of the default installer",
            )
        for digest in [self.sha256] if isinstance(self.sha256, str) else self.sha256.values():
            if not _SHA256.fullmatch(digest):
                raise RecipeError(
                    f"{digest!r} is not a SHA-256", hint="64 digits of 0-9 and a-f, as sha256sum prints them"
                )
        if not self.sha256:
            raise RecipeError("the conda installer needs a sha256", hint="print it with sha256sum")
        if not self.channels:
            raise RecipeError("channels must name at least one channel", hint='write channels=("conda-forge",)')

    @property
    def name(self) -> str:
        return f"conda in {self.prefix}"

    def inputs(self) -> tuple[Path, ...]:
        return ()

    def requires(self) -> Requirements:
        if isinstance(self.sha256, str):
            installers = [Fetch(kind="conda-installer", url=self.url, sha256=self.sha256)]
        else:
            installers = [self._installer(architecture) for architecture in self.sha256]
        channels = [Fetch(kind="conda-channel", url=channel) for channel in self.channels]
        return Requirements(fetches=(*installers, *channels))

    def apply(self, remote: Remote) -> None:
        installer = remote.mirrored(self._installer(remote.architecture))
        if installer.sha256 is None:
            known = ", ".join(self.sha256) if not isinstance(self.sha256, str) else ""
            raise StepError(
                f"no SHA-256 is known for a conda installer on {remote.architecture}",
                details=(("installer", installer.url), ("known for", known)),
                hint=f'give it: CondaInstall(sha256={{"{remote.architecture}": "..."}})',
            )
        script = (
            "/bin/sh",
            "-c",
            _SCRIPT,
            "conda-install",
            self.prefix,
            installer.url,
            installer.sha256,
            self._condarc(),
        )
        result = remote.run(script, sudo=True, check=False)
        if result.exit_code != 0:
            raise self._failure(result, installer)
        remote.record("conda installer", f"{installer.url} sha256:{installer.sha256}")
        remote.record("conda", _printed(result, "installed") or "unknown")

    def _installer(self, architecture: str) -> Fetch:
        sha256 = self.sha256 if isinstance(self.sha256, str) else self.sha256.get(architecture)
        url = self.url.replace("{architecture}", architecture)
        return Fetch(kind="conda-installer", url=url, sha256=sha256)

    def _condarc(self) -> str:
        return "\n".join(["channels:", *(f"  - {channel}" for channel in self.channels), "channel_priority: strict"])

    def _failure(self, result: CommandResult, installer: Fetch) -> StepError | FetchError:
        last_lines = ("last lines", "\n".join((result.stderr or result.stdout).splitlines()[-12:]) or "(no output)")
        where = ("installer", installer.url)
        match result.exit_code:
            case 41:
                return StepError(
                    f"{self.prefix} holds something else than this installer makes",
                    details=(where,),
                    hint="give conda another prefix, or start from a source image without it",
                )
            case 42:
                return FetchError(
                    "the conda installer cannot be downloaded by the machine",
                    details=(where, last_lines),
                    hint="check the url; behind a proxy or without the world, name a stand-in: --mirrors FILE",
                )
            case 43:
                return StepError(
                    "the machine has neither curl nor python3 to download the conda installer with",
                    hint='put SystemPackages(packages=("curl",)) before this step',
                )
            case 44:
                return FetchError(
                    "the conda installer is not the one that the recipe names",
                    details=(
                        where,
                        ("expected", f"sha256 {installer.sha256}"),
                        ("seen", f"sha256 {_printed(result, 'seen')}"),
                    ),
                    hint="it was not run; if the file is right, correct the sum in the recipe or in the mirrors",
                )
        return StepError(f"the conda installer failed: exit code {result.exit_code}", details=(where, last_lines))


def _printed(result: CommandResult, key: str) -> str | None:
    """What the script printed as `key=value`, the last time."""
    values = [line.removeprefix(f"{key}=") for line in result.stdout.splitlines() if line.startswith(f"{key}=")]
    return values[-1] if values else None
