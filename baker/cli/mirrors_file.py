"""Reads the file that `--mirrors` or `$BAKER_MIRRORS` names. It is TOML, and every key is optional:

    [conda]      channel_alias = "http://{host}:8640/conda"
                 installer_url = "http://{host}:8640/installer.sh"
                 installer_sha256 = "..."
    [pip]        index_url = "https://..."
    [apt]        mirror = "http://..."            security_mirror = "http://..."
    [git]        "https://github.com/" = "http://{host}:8641/"
    [sftp]       "data.example.org:22" = { address = "127.0.0.1:8642", host_key = "ssh-ed25519 ..." }
    [tls]        ca_bundle = "/etc/ssl/certs/ca-certificates.crt"
    [proxy]      http = "http://..."   https = "http://..."   no_proxy = "localhost"

`{host}` stands for the baking host as the machine sees it. Values of [sftp] are asked by the baking host itself. What
is wrong is said with its key: a mirror that is not used because of a slip is a bake that fails an hour later.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from baker.errors import RecipeError, UsageError
from baker.mirrors import NO_MIRRORS, Mirrors, SftpMirror, host_and_port
from baker.provisioner import is_host_key
from baker.suggestion import did_you_mean

_WEB = ("http", "https")
_PROXIES = (*_WEB, "socks5", "socks5h")
_CLONED = (*_WEB, "git", "ssh", "file")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


def read_mirrors(path: Path | None) -> Mirrors:
    """The mirrors in the file at `path`, none without one. UsageError or RecipeError when it cannot be used.

    A CA bundle is looked for beside the file, unless its path is absolute.
    """
    if path is None:
        return NO_MIRRORS
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"mirrors file {path} cannot be read: {reason}", hint="it is named by --mirrors or $BAKER_MIRRORS"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"mirrors file {path} is not UTF-8 text") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, text, str(error)) from error
    mirrors = parse_mirrors(document, str(path))
    if mirrors.ca_bundle is None:
        return mirrors
    return replace(mirrors, ca_bundle=str(_bundle(path, mirrors.ca_bundle)))


def parse_mirrors(document: Mapping[str, Any], origin: str) -> Mirrors:
    """Mirrors out of a parsed TOML document; `origin` names the file in errors. RecipeError for what is wrong."""
    try:
        values = {section: _section(section, table) for section, table in document.items()}
    except RecipeError as error:
        raise RecipeError(f"{origin}: {error.summary}", details=error.details, hint=error.hint) from error
    conda = values.get("conda", {})
    if ("conda_installer_url" in conda) != ("conda_installer_sha256" in conda):
        raise RecipeError(
            f"{origin}: [conda] installer_url and installer_sha256 need each other",
            hint="print the installer's sum with sha256sum",
        )
    return Mirrors(**{name: value for section in values.values() for name, value in section.items()})


def _section(section: str, table: object) -> dict[str, Any]:
    """The fields of `Mirrors` that a section sets."""
    if section not in _SECTIONS and section not in ("git", "sftp"):
        known = [*_SECTIONS, "git", "sftp"]
        hint = did_you_mean(section, known) or f"the sections are {', '.join(known)}"
        raise RecipeError(f"unknown section [{section}]", hint=hint)
    if not isinstance(table, Mapping):
        raise RecipeError(f"{section!r} is not a section", hint=f"write [{section}], and its keys below")
    if section == "git":
        return {"git": {origin: _git(origin, value) for origin, value in table.items()}} if table else {}
    if section == "sftp":
        return {"sftp": dict(_sftp(server, value) for server, value in table.items())} if table else {}
    return dict(_setting(section, key, value) for key, value in table.items())


def _setting(section: str, key: str, value: object) -> tuple[str, str]:
    keys = _SECTIONS[section]
    if key not in keys:
        raise RecipeError(
            f"[{section}] has no key {key!r}", hint=did_you_mean(key, keys) or f"its keys are {', '.join(keys)}"
        )
    where, (field, read) = f"[{section}] {key}", keys[key]
    text = _text(where, value)
    return field, read(where, text)


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise RecipeError(f"{where} = {value!r} is not text", hint="text stands in quotes")
    if not value.strip():
        raise RecipeError(f"{where} is empty", hint="leave the line out to fetch from the world as it is")
    return value


def _url(where: str, text: str, schemes: Iterable[str] = _WEB) -> str:
    known = list(schemes)
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in known and bool(parts.hostname or parts.scheme == "file") and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that does not close
        is_one = False
    if not is_one or any(character.isspace() for character in text):
        guess = f"{known[0]}://{text}"
        hint = (
            f'write "{guess}"'
            if "://" not in text and not re.search(r"\s", text)
            else f"an address begins with {known[0]}://"
        )
        raise RecipeError(f"{where} = {text!r} is not an address", hint=hint)
    return text


def _proxy(where: str, text: str) -> str:
    return _url(where, text, _PROXIES)


def _sum(where: str, text: str) -> str:
    if not _SHA256.fullmatch(text.lower()):
        raise RecipeError(f"{where} = {text!r} is not a SHA-256", hint="64 of 0-9 and a-f, as sha256sum prints it")
    return text.lower()


def _as_it_is(_where: str, text: str) -> str:
    return text


def _git(origin: str, value: object) -> str:
    where = f"[git] {origin!r}"
    url = _text(where, value)
    if not url.startswith("/"):
        _url(where, url, _CLONED)
    if origin.endswith("/") != url.endswith("/"):
        raise RecipeError(
            f"{where} = {url!r}: only one of the two ends with /",
            hint="what stands behind the one is put behind the other",
        )
    return url


def _sftp(server: str, value: object) -> tuple[str, SftpMirror]:
    where = f"[sftp] {server!r}"
    if not isinstance(value, Mapping) or "address" not in value or set(value) - {"address", "host_key"}:
        raise RecipeError(
            f"{where} does not say what stands in",
            hint='write "server" = { address = "host:port", host_key = "ssh-ed25519 ..." }',
        )
    address = _text(f"{where} address", value["address"])
    for place in (server, address):
        if "/" in place or "@" in place or "{" in place or host_and_port(f"sftp://{place}").startswith("None"):
            raise RecipeError(
                f"{where}: {place!r} is not host:port", hint="the baking host asks it, so this host itself is 127.0.0.1"
            )
    host_key = value.get("host_key")
    if host_key is not None and not (isinstance(host_key, str) and is_host_key(host_key)):
        raise RecipeError(
            f"{where}: host_key {host_key!r} is not a public key",
            hint="`ssh-keyscan HOST` prints it: ssh-ed25519 AAAA...",
        )
    return host_and_port(f"sftp://{server}"), SftpMirror(address=address, host_key=host_key)


_Read = Callable[[str, str], str]

_SECTIONS: Mapping[str, Mapping[str, tuple[str, _Read]]] = {
    "conda": {
        "channel_alias": ("conda_channel_alias", _url),
        "installer_url": ("conda_installer_url", _url),
        "installer_sha256": ("conda_installer_sha256", _sum),
    },
    "pip": {"index_url": ("pip_index_url", _url)},
    "apt": {"mirror": ("apt_mirror", _url), "security_mirror": ("apt_security_mirror", _url)},
    "tls": {"ca_bundle": ("ca_bundle", _as_it_is)},
    "proxy": {"http": ("http_proxy", _proxy), "https": ("https_proxy", _proxy), "no_proxy": ("no_proxy", _as_it_is)},
}
"""Section and key -> the field of `Mirrors`, and what reads its value. [git] and [sftp] have keys of the user's own."""


def _bundle(path: Path, named: str) -> Path:
    bundle = path.absolute().parent / Path(named).expanduser()
    try:
        is_one = b"-----BEGIN CERTIFICATE-----" in bundle.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: [tls] ca_bundle: {bundle}: {(error.strerror or str(error)).lower()}") from error
    if not is_one:
        raise UsageError(f"{path}: [tls] ca_bundle: {bundle} holds no certificate in PEM form")
    return bundle


def _not_toml(path: Path, text: str, said: str) -> UsageError:
    """The line that is not TOML, and the commonest reason: text without quotes."""
    place = _PLACE.search(said)
    reason = _PLACE.sub("", said).removesuffix(" (at end of document)")
    if place is None:
        return UsageError(f"mirrors file {path} is not TOML: {reason}")
    number, column = int(place[1]), int(place[2])
    line = text.splitlines()[number - 1]
    key, value = (part.strip() for part in (line.partition("=")[0], line.partition("=")[2]))
    hint = None
    if key[:1] not in ("", "[", '"', "'") and not re.fullmatch(r"[\w-]+", key):
        hint = f'a server or an address stands in quotes: "{key}" = ...'
    elif value and value[0] not in "\"'{[":
        hint = f'text stands in quotes: {key} = "{value}"'
    return UsageError(
        f"mirrors file {path} line {number} is not TOML: {reason[:1].lower()}{reason[1:]}",
        details=((f"line {number}", f"{line.expandtabs(1)}\n{' ' * (column - 1)}^"),),
        hint=hint,
    )
