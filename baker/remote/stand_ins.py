"""The files that a bake's mirrors need on the machine; the environment of mirrored commands points to them.

All of them lie in tmpfs, below MACHINE_FOLDER: nothing is written to a disk that could stay in an image.
"""

from pathlib import Path

from baker.errors import RecipeError
from baker.events import Emit, Notice
from baker.mirrors import MACHINE_FOLDER, Mirrors
from baker.provisioner import Remote

CA_FILE = f"{MACHINE_FOLDER}/ca.pem"
APT_CONFIGURATION = f"{MACHINE_FOLDER}/apt.conf"
APT_SOURCES = f"{MACHINE_FOLDER}/sources.list"

_RELEASE = ". /etc/os-release && echo $ID $VERSION_CODENAME; ls /etc/apt/sources.list.d 2>/dev/null; true"

_KEYRINGS = {
    "debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}

_COMPONENTS = {"debian": "main contrib non-free non-free-firmware", "ubuntu": "main restricted universe multiverse"}


def apply(remote: Remote, mirrors: Mirrors, *, emit: Emit) -> None:
    """Put the files there that `mirrors` need. RecipeError when the CA bundle cannot be read on the baking host."""
    if mirrors.ca_bundle:
        remote.put(_read_bundle(mirrors.ca_bundle), CA_FILE)
    if mirrors.apt_mirror or mirrors.ca_bundle:
        release, *parts = remote.run(_RELEASE, quiet=True).stdout.splitlines() or [""]
        distribution, _, codename = release.partition(" ")
        sources = apt_sources(mirrors, distribution, codename)
        if sources and distribution == "debian" and not mirrors.apt_security_mirror:
            text = "the mirrors name no [apt] security_mirror: packages come without security updates"
            emit(Notice(level="warning", text=text))
        if sources:
            remote.put(sources.encode(), APT_SOURCES)
        remote.put(apt_configuration(mirrors, own_sources=bool(sources), parts=bool(parts)).encode(), APT_CONFIGURATION)


def remove(remote: Remote) -> None:
    """Remove what `apply` put there; nothing when it put nothing."""
    remote.run(["rm", "-rf", "--", MACHINE_FOLDER], sudo=True, quiet=True)


def apt_sources(mirrors: Mirrors, distribution: str, codename: str) -> str:
    """A sources.list for the machine's own release, from the mirror alone; empty where no mirror stands in."""
    if not mirrors.apt_mirror or distribution not in _KEYRINGS or not codename:
        return ""
    entries = [(mirrors.apt_mirror, codename), (mirrors.apt_mirror, f"{codename}-updates")]
    if distribution == "ubuntu":  # whose security updates lie in the same archive
        entries.append((mirrors.apt_security_mirror or mirrors.apt_mirror, f"{codename}-security"))
    elif mirrors.apt_security_mirror:
        entries.append((mirrors.apt_security_mirror, f"{codename}-security"))
    signed_by, components = _KEYRINGS[distribution], _COMPONENTS[distribution]
    return "".join(f"deb [signed-by={signed_by}] {url} {suite} {components}\n" for url, suite in entries)


def apt_configuration(mirrors: Mirrors, *, own_sources: bool, parts: bool = True) -> str:
    """What APT_CONFIG points to: read before /etc/apt, which sets none of this again.

    `parts` says that the machine came with sources in sources.list.d, as Ubuntu does: they are set aside. Else the
    folder is left alone, for sources that the recipe adds.
    """
    lines = []
    if own_sources:
        lines.append(f'Dir::Etc::sourcelist "{APT_SOURCES}";')
        lines += ['Dir::Etc::sourceparts "/dev/null";'] if parts else []
    if mirrors.ca_bundle:
        lines.append(f'Acquire::https::CaInfo "{CA_FILE}";')
    for scheme, proxy in (("http", mirrors.http_proxy), ("https", mirrors.https_proxy)):
        if proxy:
            lines.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    return "\n".join(lines) + "\n"


def _read_bundle(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise RecipeError(
            f"the mirrors' CA bundle cannot be read: {path}", details=(("reason", error.strerror or str(error)),)
        ) from error
