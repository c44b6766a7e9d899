"""Where things are fetched from instead: a property of the bake, never of the image.

Mirrors reach commands on the machine through their environment, and two files in tmpfs that the environment
points to. Nothing is written to a disk, so there is nothing that could stay in an image; the refused
alternative, configuration files under /etc put back by the seal, has to be undone exactly.

A mirrors file is TOML; every key is optional:

    [conda]      channel_alias = "http://{host}:8640/conda"
                 installer_url = "http://{host}:8640/installer.sh"
                 installer_sha256 = "..."
    [pip]        index_url = "https://..."
    [apt]        mirror = "http://..."            security_mirror = "http://..."
    [git]        "https://github.com/" = "http://{host}:8641/"
    [sftp]       "data.example.org:22" = { address = "127.0.0.1:8642", host_key = "ssh-ed25519 ..." }
    [tls]        ca_bundle = "/etc/ssl/certs/ca-certificates.crt"
    [proxy]      http = "http://..."   https = "http://..."   no_proxy = "localhost"

`{host}` stands for the baking host as the machine sees it. Values of [sftp] are asked by the baking host itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from baker.errors import RecipeError
from baker.provisioner import Fetch

MACHINE_FOLDER = "/run/baker/mirrors"
"""On the machine; tmpfs, so it is gone with a reboot and must be put there after every connect."""

_CA_BUNDLE_VARIABLES = (
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CONDA_SSL_VERIFY",
)

_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpMirror:
    """The server that stands in for another one: `address` is host:port."""

    address: str
    host_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrors:
    """Stand-ins for what recipes fetch. Empty means: the world as it is."""

    conda_channel_alias: str | None = None
    conda_installer_url: str | None = None
    conda_installer_sha256: str | None = None
    pip_index_url: str | None = None
    apt_mirror: str | None = None
    apt_security_mirror: str | None = None
    git: Mapping[str, str] = field(default_factory=dict)
    sftp: Mapping[str, SftpMirror] = field(default_factory=dict)
    ca_bundle: str | None = None
    http_proxy: str | None = None
    https_proxy: str | None = None
    no_proxy: str | None = None

    def seen_from(self, host: str | None) -> "Mirrors":
        """With `{host}` replaced by the name that the asking side has for the baking host.

        RecipeError when the builder has no such name (`host` is None) and a mirror is on the baking host.
        """
        machine_urls = [self.conda_channel_alias, self.conda_installer_url, self.pip_index_url, self.apt_mirror]
        machine_urls += [self.apt_security_mirror, self.http_proxy, self.https_proxy, *self.git.values()]
        if host is None:
            for url in machine_urls:
                if url and ("{host}" in url or urlsplit(url).hostname in _LOOPBACK_HOSTS):
                    raise RecipeError(
                        f"mirror {url} is on the baking host, which a machine of this builder cannot reach",
                        hint="name a mirror that the machine can reach, or bake on the qemu builder",
                    )
            return self

        def put(url: str | None) -> str | None:
            return url.replace("{host}", host) if url else url

        return replace(
            self,
            conda_channel_alias=put(self.conda_channel_alias),
            conda_installer_url=put(self.conda_installer_url),
            pip_index_url=put(self.pip_index_url),
            apt_mirror=put(self.apt_mirror),
            apt_security_mirror=put(self.apt_security_mirror),
            http_proxy=put(self.http_proxy),
            https_proxy=put(self.https_proxy),
            git={origin: url.replace("{host}", host) for origin, url in self.git.items()},
        )

    def mirrored(self, fetch: Fetch) -> Fetch:
        """`fetch`, with what stands in for it. Does not touch what no mirror names."""
        match fetch.kind:
            case "conda-installer" if self.conda_installer_url:
                return replace(fetch, url=self.conda_installer_url, sha256=self.conda_installer_sha256 or fetch.sha256)
            case "conda-channel" if self.conda_channel_alias and "://" not in fetch.url:
                return replace(fetch, url=f"{self.conda_channel_alias.rstrip('/')}/{fetch.url}")
            case "conda-channel" if "://" not in fetch.url:
                return replace(fetch, url=f"https://conda.anaconda.org/{fetch.url}")
            case "pip-index" if self.pip_index_url:
                return replace(fetch, url=self.pip_index_url)
            case "git":
                return replace(fetch, url=self._git_url(fetch.url))
            case "sftp":
                return replace(fetch, url=self._sftp_url(fetch.url))
            case "apt" if self.apt_mirror:
                return replace(fetch, url=self.apt_mirror)
        return fetch

    def passwords(self) -> tuple[str, ...]:
        """The passwords in its addresses, for the redactor."""
        urls = [self.conda_channel_alias, self.conda_installer_url, self.pip_index_url, self.apt_mirror]
        urls += [self.apt_security_mirror, self.http_proxy, self.https_proxy, *self.git.values()]
        return tuple(password for url in urls if url and (password := urlsplit(url).password))

    def sftp_host_key(self, url: str) -> str | None:
        """The host key of what stands in for the sftp server of `url`."""
        mirror = self.sftp.get(_host_and_port(url))
        return mirror.host_key if mirror else None

    def environment(self) -> dict[str, str]:
        """Variables for every command on the machine that fetches (conda, pip, uv, git, apt, curl read them)."""
        env: dict[str, str] = {}
        if self.conda_channel_alias:
            env["CONDA_CHANNEL_ALIAS"] = self.conda_channel_alias
        if self.pip_index_url:
            env["PIP_INDEX_URL"] = env["UV_DEFAULT_INDEX"] = self.pip_index_url
        for number, (origin, url) in enumerate(self.git.items()):
            env[f"GIT_CONFIG_KEY_{number}"] = f"url.{url}.insteadOf"
            env[f"GIT_CONFIG_VALUE_{number}"] = origin
            env["GIT_CONFIG_COUNT"] = str(number + 1)
        if self.ca_bundle:
            path = f"{MACHINE_FOLDER}/ca.pem"
            env |= dict.fromkeys(_CA_BUNDLE_VARIABLES, path)
        for variable, url_or_hosts in (
            ("http_proxy", self.http_proxy), ("https_proxy", self.https_proxy), ("no_proxy", self.no_proxy),
        ):  # fmt: skip
            if url_or_hosts:
                env[variable] = env[variable.upper()] = url_or_hosts
        if self.apt_mirror or self.ca_bundle:
            env["APT_CONFIG"] = f"{MACHINE_FOLDER}/apt.conf"
        return env

    def _git_url(self, url: str) -> str:
        for origin in sorted(self.git, key=len, reverse=True):  # git itself takes the longest match
            if url.startswith(origin):
                return self.git[origin] + url.removeprefix(origin)
        return url

    def _sftp_url(self, url: str) -> str:
        mirror = self.sftp.get(_host_and_port(url))
        return f"sftp://{mirror.address}{urlsplit(url).path}" if mirror else url


NO_MIRRORS = Mirrors()

_KEYS = {
    ("conda", "channel_alias"): "conda_channel_alias",
    ("conda", "installer_url"): "conda_installer_url",
    ("conda", "installer_sha256"): "conda_installer_sha256",
    ("pip", "index_url"): "pip_index_url",
    ("apt", "mirror"): "apt_mirror",
    ("apt", "security_mirror"): "apt_security_mirror",
    ("tls", "ca_bundle"): "ca_bundle",
    ("proxy", "http"): "http_proxy",
    ("proxy", "https"): "https_proxy",
    ("proxy", "no_proxy"): "no_proxy",
}


def parse_mirrors(document: Mapping[str, Any], origin: str) -> Mirrors:
    """Mirrors out of a parsed TOML document; `origin` names the file in errors. RecipeError for what is unknown."""
    values: dict[str, Any] = {}
    for section, table in document.items():
        if not isinstance(table, Mapping):
            raise RecipeError(f"{origin}: '{section}' is not a table", hint=f"write [{section}] and its keys below")
        for key, value in table.items():
            if section == "git":
                values.setdefault("git", {})[key] = _text(value, f"{origin}: [git] {key}")
            elif section == "sftp":
                server = key if ":" in key else f"{key}:22"
                values.setdefault("sftp", {})[server] = _sftp_mirror(value, f"{origin}: [sftp] {key}")
            elif (section, key) in _KEYS:
                values[_KEYS[section, key]] = _text(value, f"{origin}: [{section}] {key}")
            else:
                known = sorted({known_section for known_section, _ in _KEYS} | {"git", "sftp"})
                keys = sorted(name for known_section, name in _KEYS if known_section == section)
                hint = f"[{section}] has {', '.join(keys)}" if keys else f"the sections are {', '.join(known)}"
                raise RecipeError(f"{origin}: unknown mirror setting [{section}] {key}", hint=hint)
    if values.get("conda_installer_url") and not values.get("conda_installer_sha256"):
        raise RecipeError(f"{origin}: [conda] installer_url needs installer_sha256", hint="print it with sha256sum")
    return Mirrors(**values)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise RecipeError(f"{where} must be text, not {type(value).__name__}")
    return value


def _sftp_mirror(value: object, where: str) -> SftpMirror:
    if (
        not isinstance(value, Mapping)
        or not isinstance(value.get("address"), str)
        or set(value) - {"address", "host_key"}
    ):
        raise RecipeError(f"{where} must be {{ address = 'host:port', host_key = 'ssh-ed25519 ...' }}")
    return SftpMirror(address=value["address"], host_key=value.get("host_key"))


def _host_and_port(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port or 22}"
    except ValueError as error:
        raise RecipeError(f"{url} is not an address: {error}") from error
