"""The baking host's own way to Debian's archive: mirrors, proxies, certificates. For the making of an image only.

Institutes behind a proxy have set up apt on their hosts already; a source image is fetched the same way. Nothing of
it goes into the image, which names the public mirrors.
"""

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PUBLIC_MIRROR = "http://deb.debian.org/debian"
PUBLIC_SECURITY_MIRROR = "http://deb.debian.org/debian-security"

APT_FOLDER = Path("/etc/apt")

_DEBIAN_SUITES = frozenset(
    ("bullseye", "bookworm", "trixie", "forky", "duke", "sid", "oldstable", "stable", "testing", "unstable")
)
_SECURITY_SUFFIX = "-security"
_POCKETS = (_SECURITY_SUFFIX, "-updates", "-backports", "-proposed-updates")

_KEPT_SETTING = re.compile(
    r"Acquire::(https?::(Proxy(::[\w.-]+)?|CaInfo|CaPath|Verify-Peer)|Check-Valid-Until|Check-Date|Retries) "
)
"""How to reach an archive and how to judge its dates; nothing that changes what apt installs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostApt:
    """Where this host fetches Debian's packages from, and the apt settings (`Name "value";`) it needs for that."""

    mirror: str = PUBLIC_MIRROR
    security_mirror: str = PUBLIC_SECURITY_MIRROR
    settings: tuple[str, ...] = ()


def read_host_apt(folder: Path = APT_FOLDER) -> HostApt:
    """What this host uses. The public mirrors where its sources are another distribution's, or cannot be read."""
    mirror, security_mirror = PUBLIC_MIRROR, PUBLIC_SECURITY_MIRROR
    for uri, suite in reversed(list(_sources(folder))):  # the first one that fits wins, as with apt
        if suite.endswith(_SECURITY_SUFFIX):
            security_mirror = uri
        else:
            mirror = uri
    return HostApt(mirror=mirror, security_mirror=security_mirror, settings=tuple(_settings()))


def _sources(folder: Path) -> Iterator[tuple[str, str]]:
    """(URI, suite) of each source of Debian's own archive, component main, fetched over the network."""
    files = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]
    for file in files:
        text = _read(file)
        entries = _deb822_entries(text) if file.suffix == ".sources" else _line_entries(text)
        for uri, suite, components in entries:
            base = next((suite.removesuffix(pocket) for pocket in _POCKETS if suite.endswith(pocket)), suite)
            if base in _DEBIAN_SUITES and "main" in components and uri.startswith(("http://", "https://")):
                yield uri.rstrip("/"), suite


def _line_entries(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """The format of one source a line: `deb [options] URI suite component...`."""
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", "", line.partition("#")[0]).split()
        if len(words) >= 4 and words[0] == "deb":
            yield words[1], words[2], words[3:]


def _deb822_entries(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """The format of one paragraph a source, with lists of words in its fields."""
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", uncommented):
        fields = _fields(paragraph.splitlines())
        if "deb" in fields.get("types", []) and fields.get("enabled") not in (["no"], ["false"]):
            for uri in fields.get("uris", []):
                for suite in fields.get("suites", []):
                    yield uri, suite, fields.get("components", [])


def _fields(lines: Iterable[str]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if line[:1].isspace():  # goes on with the field above
            fields.setdefault(name, []).extend(line.split())
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.lower()
            fields[name] = value.split()
    return fields


def _settings() -> Iterator[str]:
    """The host's apt settings of the kinds that we keep; none where there is no apt."""
    try:
        dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return
    for line in dumped.splitlines():
        if _KEPT_SETTING.match(line) and not line.endswith(' "";'):
            yield line


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
