"""Whether a source image that is not there yet could be had: asked before anything is made, in a second or two.

A slip in a suite or an address, and a mirror that is down, would show only when mmdebstrap or the download gets there.
"""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from baker.builders.qemu.sources import cache, debian
from baker.builders.qemu.sources.download import shown
from baker.builders.qemu.sources.host_apt import APT_FOLDER, HostApt, read_host_apt
from baker.builders.qemu.spec import CloudImage, DebianPackages, SourceImage
from baker.errors import FetchError, RecipeError
from baker.home import Home
from baker.ports import Problem
from baker.probes import Probe, Unreachable, probe

_NOT_THERE = (404, 410)
_SETTING = re.compile(r'(?P<name>\S+) "(?P<value>.*)";')


def source_problems(
    source: SourceImage,
    home: Home,
    *,
    now: Callable[[], float] = time.time,
    apt: Callable[[], HostApt] = read_host_apt,
) -> Iterator[Problem]:
    """What would keep `source` from being made; nothing when an image of it is kept. Makes no file and no folder."""
    if cache.is_kept(source, home, now=now):
        return
    match source:
        case DebianPackages():
            yield from _debian_problems(source, apt())
        case CloudImage():
            yield from _cloud_image_problems(source)


def _debian_problems(source: DebianPackages, apt: HostApt) -> Iterator[Problem]:
    """Asks for what apt asks first: the archive's list of what is in a suite."""
    for line in debian.host_sources(source.suite, apt):
        _, mirror, pocket, *_ = line.split()
        problem = probe(_as_apt_asks(f"{mirror}/dists/{pocket}/InRelease", apt))
        if problem is None:
            continue
        if problem.status in _NOT_THERE and pocket == source.suite:
            yield Problem(
                summary=f"there is no Debian {pocket!r} at {shown(mirror)}",
                hint="suite names a release of Debian, such as bookworm; for others take CloudImage(...)",
                exit_code=RecipeError.exit_code,
            )
        else:
            yield Problem(
                summary=f"Debian {pocket} cannot be fetched from {shown(mirror)}: {problem.reason}",
                hint="this is this host's own mirror: see that `apt-get update` works",
                exit_code=FetchError.exit_code,
            )
        return  # the first says what to do; the others would only repeat it


def _cloud_image_problems(source: CloudImage) -> Iterator[Problem]:
    problem: Unreachable | None
    if source.url.startswith("file:"):
        is_there = Path(url2pathname(urlsplit(source.url).path)).is_file()
        problem = None if is_there else Unreachable("no such file")
    else:
        problem = probe(Probe(kind="url", url=source.url))
    if problem:
        yield Problem(
            summary=f"the source image {shown(source.url)} cannot be fetched: {problem.reason}",
            hint="look at the address in CloudImage(url=...), and at this host's way to it",
            exit_code=FetchError.exit_code,
        )


def _as_apt_asks(url: str, apt: HostApt) -> Probe:
    """Through apt's own proxies, with its certificates; a login that it keeps in its own files is not read."""
    settings = {found["name"]: found["value"] for line in apt.settings if (found := _SETTING.match(line))}
    parts = urlsplit(url)
    scheme = parts.scheme
    names = (f"Acquire::{scheme}::Proxy::{parts.hostname}", f"Acquire::{scheme}::Proxy", "Acquire::http::Proxy")
    named = next((settings[name] for name in names if name in settings), None)
    proxies = None if named is None else {} if named == "DIRECT" else {scheme: named}
    return Probe(
        kind="url",
        url=url,
        ca_bundle=settings.get("Acquire::https::CaInfo"),
        proxies=proxies,
        has_secret=_has_logins(APT_FOLDER),
    )


def _has_logins(folder: Path) -> bool:
    return (folder / "auth.conf").exists() or any(folder.glob("auth.conf.d/*"))
