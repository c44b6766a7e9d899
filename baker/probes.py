"""One question to one server: would you hand this out? Headers and greetings only; nothing is downloaded.

Knows how each kind of fetch is asked for; `baker.preflight` decides what is asked and what the answers mean.
"""

import base64
import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from baker.provisioner import FetchKind

_DEFAULT_PORTS: Final = {"sftp": 22, "ssh": 22, "git": 9418, "ftp": 21}

_STATUS_WORDS: Final = {
    401: "it asks for a login",
    403: "it refuses to hand this out",
    404: "it has no such thing",
    407: "the proxy asks for a login",
    410: "it has no such thing any more",
    429: "it is being asked too often",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What to ask. `proxies` maps http and https to proxy URLs and `no` to hosts without one; None means this
    process's own environment. `has_secret`: whoever fetches this has a credential that the probe has not.
    """

    kind: FetchKind
    url: str
    ca_bundle: str | None = None
    proxies: Mapping[str, str] | None = None
    has_secret: bool = False
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why not. `no_route`: nobody answered; otherwise somebody did, and it was not yes: `status` is HTTP's, or 0."""

    reason: str
    no_route: bool = False
    status: int = 0


def probe(it: Probe) -> Unreachable | None:
    """Ask; None when the answer is yes, or when the question makes no sense from here (a path on the machine)."""
    try:
        parts = urlsplit(it.url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        if it.kind == "git" and not scheme and ":" in it.url:  # git@host:path
            return _greeting(it, it.url.split(":")[0].rpartition("@")[2], 22)
        if scheme in ("http", "https"):
            return _first_yes(it, _addresses(it))
        if scheme in _DEFAULT_PORTS:
            return _greeting(it, host, port or _DEFAULT_PORTS[scheme])
    except ValueError as error:
        return Unreachable(f"not an address: {error}")
    return None


def without_login(url: str) -> str:
    """`url` without a user name and password in it, fit to be shown."""
    if "@" not in url or "://" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _addresses(it: Probe) -> tuple[str, ...]:
    """What to ask for, the likeliest first: a kind of fetch is a protocol, and its address only the start of it."""
    base = it.url.rstrip("/")
    match it.kind:
        case "conda-channel":
            return (f"{base}/noarch/repodata.json.zst", f"{base}/noarch/repodata.json")
        case "git":
            return (f"{base}/info/refs?service=git-upload-pack",)
        case _:
            return (it.url,)


def _first_yes(it: Probe, addresses: tuple[str, ...]) -> Unreachable | None:
    problem: Unreachable | None = None
    for address in addresses:
        problem = _ask_http(it, address)
        if problem is None or problem.no_route:
            return problem
    return problem


def _ask_http(it: Probe, address: str) -> Unreachable | None:
    methods = ("GET",) if it.kind == "git" else ("HEAD", "GET")  # some servers refuse HEAD alone
    status = 0
    for method in methods:
        try:
            with _opener(it).open(_request(address, method), timeout=it.seconds):
                return None
        except urllib.error.HTTPError as error:
            error.close()
            status = error.code
            if status in (401, 404, 407, 410):
                break
        except urllib.error.URLError as error:
            return _no_answer(error.reason)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _no_answer(error)
    return _judge(it, status)


def _judge(it: Probe, status: int) -> Unreachable | None:
    """An HTTP status other than yes, as a problem; None where it says nothing about the fetch."""
    if it.has_secret and status in (401, 403, 404):
        return None  # a private thing looks like this to somebody without its credential
    if it.kind in ("pip-index", "apt") and status in (403, 404):
        return None  # the server is there, and many list nothing at the top
    words = _STATUS_WORDS.get(status, "it cannot do it now" if status >= 500 else "it does not hand this out")
    return Unreachable(f"the server answers HTTP {status}: {words}", status=status)


def _opener(it: Probe) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=it.ca_bundle)
    proxies = None if it.proxies is None else dict(it.proxies)
    if proxies and urllib.request.proxy_bypass_environment(urlsplit(it.url).hostname or "", proxies):  # type: ignore[attr-defined]
        proxies = {}
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
    )


def _request(address: str, method: str) -> urllib.request.Request:
    """A request for headers; a login in the address becomes a header, which is what every client does with it."""
    parts = urlsplit(address)
    headers = {"User-Agent": "image-baker", "Accept": "*/*"}
    if method == "GET":
        headers["Range"] = "bytes=0-0"
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    return urllib.request.Request(without_login(address), method=method, headers=headers)  # noqa: S310  (http only)


def _greeting(it: Probe, host: str, port: int) -> Unreachable | None:
    """Connect, and hear an SSH server's greeting where one is due."""
    try:
        with socket.create_connection((host, port), timeout=it.seconds) as connection:
            if urlsplit(it.url).scheme in ("git", "ftp"):
                return None
            if connection.recv(4) != b"SSH-":
                return Unreachable(f"port {port} of {host} is not an SSH server")
    except OSError as error:
        return _no_answer(error)
    return None


def _no_answer(error: object) -> Unreachable:
    match error:
        case ssl.SSLCertVerificationError():
            return Unreachable(
                f"its certificate is not trusted here: {error.verify_message}; [tls] ca_bundle of a mirrors file helps"
            )
        case TimeoutError():
            return Unreachable("no answer in time", no_route=True)
        case socket.gaierror():
            return Unreachable("its name cannot be resolved", no_route=True)
        case OSError(strerror=str() as reason):
            return Unreachable(reason[:1].lower() + reason[1:], no_route=True)
        case _:
            return Unreachable(str(error) or type(error).__name__, no_route=True)
