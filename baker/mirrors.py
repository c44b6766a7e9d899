"""Where things are fetched from instead: a property of the bake, never of the image.

Mirrors reach commands on the machine through their environment, and two files in tmpfs that the environment
points to. Nothing is written to a disk, so there is nothing that could stay in an image; the refused
alternative, configuration files under /etc put back by the seal, has to be undone exactly. How they are written in
a file is in `baker.cli.mirrors_file`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
        if host is None:
            for url in self._machine_urls():
                if "{host}" in url or urlsplit(url).hostname in _LOOPBACK_HOSTS:
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
        return tuple(password for url in self._machine_urls() if (password := urlsplit(url).password))

    def addresses(self) -> tuple[str, ...]:
        """What a setting on the machine would name them by: `host:port/path`, without scheme, login and last slash."""
        parts = [urlsplit(url) for url in self._machine_urls()]
        named = (f"{it.netloc.rpartition('@')[2]}{it.path.rstrip('/')}" for it in parts if it.netloc)
        return tuple(dict.fromkeys(named))

    def sftp_host_key(self, url: str) -> str | None:
        """The host key of what stands in for the sftp server of `url`."""
        mirror = self.sftp.get(host_and_port(url))
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

    def _machine_urls(self) -> tuple[str, ...]:
        """What the machine itself asks. The servers of `sftp` are asked by the baking host."""
        urls = [self.conda_channel_alias, self.conda_installer_url, self.pip_index_url, self.apt_mirror]
        urls += [self.apt_security_mirror, self.http_proxy, self.https_proxy, *self.git.values()]
        return tuple(url for url in urls if url)

    def _git_url(self, url: str) -> str:
        for origin in sorted(self.git, key=len, reverse=True):  # git itself takes the longest match
            if url.startswith(origin):
                return self.git[origin] + url.removeprefix(origin)
        return url

    def _sftp_url(self, url: str) -> str:
        mirror = self.sftp.get(host_and_port(url))
        return f"sftp://{mirror.address}{urlsplit(url).path}" if mirror else url


NO_MIRRORS = Mirrors()


def is_loopback(host: str) -> bool:
    """Whether a host's name means the machine that asks."""
    return host in _LOOPBACK_HOSTS


def host_and_port(url: str) -> str:
    """Which server `url` means, as the keys of `Mirrors.sftp` have it. RecipeError when it is no address."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port or 22}"
    except ValueError as error:
        raise RecipeError(f"{url} is not an address: {error}") from error
