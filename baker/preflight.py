"""Whether what a recipe fetches can be reached, asked before anything is created, all at once.

Asks from the baking host, in place of the side that will fetch: what the machine fetches goes through the mirrors'
proxy alone, since the machine knows nothing of this host's settings. A server that answers "not you" or "no such
thing" is told apart from one that does not answer. It changes nothing anywhere and downloads no more than headers.
"""

import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from baker.errors import FetchError
from baker.mirrors import NO_MIRRORS, Mirrors
from baker.plan import Plan
from baker.probes import Probe, Unreachable, probe, without_login
from baker.provisioner import Fetch

PROBE_SECONDS = 10.0
"""How long one server may take to answer."""

LIMIT_SECONDS = 25.0
"""How long all of them may take: name servers that do not answer are not covered by a socket's time-out."""

_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Something to ask for: `fetch` as the recipe says it, `mirrored` as this bake fetches it, `steps` who wants it."""

    fetch: Fetch
    mirrored: Fetch
    steps: tuple[str, ...]
    has_secret: bool


def check_fetches(
    plan: Plan,
    mirrors: Mirrors,
    *,
    baking_host: str | None,
    probe_seconds: float = PROBE_SECONDS,
    limit_seconds: float = LIMIT_SECONDS,
) -> None:
    """FetchError that lists everything that `plan` fetches and that cannot be reached.

    `baking_host` is the name that the builder's machines have for this host. RecipeError when a mirror is on this
    host and the machine has no name for it.
    """
    wanted = _wanted(plan, mirrors.seen_from(baking_host))
    problems = _probe_all(wanted, mirrors, baking_host, probe_seconds, limit_seconds)
    if not problems:
        return
    count = f"{len(problems)} of {len(wanted)} things" if len(wanted) > 1 else "the one thing"
    raise FetchError(
        f"{count} that the recipe fetches cannot be had",
        details=[(_named(it), f"{problem.reason}\nwanted by {', '.join(it.steps)}") for it, problem in problems],
        hint=_hint(mirrors, [problem for _, problem in problems]),
    )


def _wanted(plan: Plan, mirrors: Mirrors) -> tuple[_Wanted, ...]:
    """Each thing once, with all the steps that want it."""
    found: dict[Fetch, _Wanted] = {}
    for step in plan.steps:
        name = f"step {step.number} {step.name!r}"
        has_secret = bool(step.requirements.secrets)
        for fetch in step.requirements.fetches:
            before = found.get(fetch)
            found[fetch] = _Wanted(
                fetch=fetch,
                mirrored=mirrors.mirrored(fetch),
                steps=(*before.steps, name) if before else (name,),
                has_secret=has_secret or (before is not None and before.has_secret),
            )
    return tuple(found.values())


def _probe_all(
    wanted: tuple[_Wanted, ...], mirrors: Mirrors, baking_host: str | None, probe_seconds: float, limit_seconds: float
) -> list[tuple[_Wanted, Unreachable]]:
    """What cannot be had, in the recipe's order. Threads of a pool would hold up the exit; these are abandoned."""
    answers: queue.Queue[tuple[int, Unreachable | None]] = queue.Queue()

    def ask(number: int, it: _Wanted) -> None:
        try:
            problem = _ask(it, mirrors, baking_host, probe_seconds)
        except ValueError as error:
            problem = Unreachable(f"not an address: {error}")
        answers.put((number, problem))

    for number, it in enumerate(wanted):
        threading.Thread(target=ask, args=(number, it), daemon=True, name=f"probe-{number}").start()
    found: dict[int, Unreachable | None] = {
        number: Unreachable(f"no answer within {limit_seconds:g} s", no_route=True) for number in range(len(wanted))
    }
    deadline = time.monotonic() + limit_seconds
    for _ in wanted:
        try:
            number, problem = answers.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            break
        found[number] = problem
    return [(it, problem) for number, it in enumerate(wanted) if (problem := found[number])]


def _ask(it: _Wanted, mirrors: Mirrors, baking_host: str | None, seconds: float) -> Unreachable | None:
    machine_side = it.mirrored.side == "machine"
    url = it.mirrored.url
    if machine_side and urlsplit(url).hostname in _LOOPBACK_HOSTS:
        return Unreachable("on the machine this address means the machine itself; write {host} for this host")
    proxies = None  # this host's own settings
    if machine_side:
        url = _as_seen_here(url, baking_host)
        named = {"http": mirrors.http_proxy, "https": mirrors.https_proxy}
        proxies = {scheme: _as_seen_here(proxy, baking_host) for scheme, proxy in named.items() if proxy}
        if proxies and mirrors.no_proxy:
            proxies["no"] = mirrors.no_proxy
    return probe(
        Probe(
            kind=it.mirrored.kind,
            url=url,
            ca_bundle=mirrors.ca_bundle,
            proxies=proxies,
            has_secret=it.has_secret,
            seconds=seconds,
        )
    )


def _as_seen_here(url: str, baking_host: str | None) -> str:
    """A machine's address for this host, as this host's own."""
    if baking_host is None:
        return url
    parts = urlsplit(url.replace("{host}", baking_host))
    if parts.hostname != baking_host:
        return urlunsplit(parts)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(baking_host, "127.0.0.1")))


def _named(it: _Wanted) -> str:
    """What cannot be had: as the recipe says it, and what stands in for it."""
    url, mirrored = without_login(it.fetch.url), without_login(it.mirrored.url)
    if url == mirrored:
        return url
    is_mirror = it.mirrored != NO_MIRRORS.mirrored(it.fetch)  # a channel's name becomes an address without one, too
    return f"{url} (by mirror {mirrored})" if is_mirror else f"{url} ({mirrored})"


def _hint(mirrors: Mirrors, problems: Iterable[Unreachable]) -> str:
    if all(not problem.no_route for problem in problems):
        return "the servers answer: look at the addresses in the recipe, and at who may read them"
    if mirrors == NO_MIRRORS:
        return "behind a proxy, or without a way out? name what stands in: --mirrors FILE or $BAKER_MIRRORS"
    return "look at the mirrors file: is what it names running, and does it name all that is out of reach?"
