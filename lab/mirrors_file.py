"""Writes the mirrors file with which a bake finds the lab, and what of the host's own settings a machine needs.

The format is that of `baker.cli.mirrors_file`; nothing of baker is imported.
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DEBIAN = "http://deb.debian.org/debian"
_DEBIAN_SECURITY = ("http://deb.debian.org/debian-security", "http://security.debian.org/debian-security")
_PYPI = "https://pypi.org/simple"
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

Value = str | Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the lab listens (ports on 127.0.0.1), and what proves that it is the lab."""

    http_port: int
    sftp_port: int
    sftp_host_key: str
    installer_name: str
    installer_sha256: str


def mirrors_text(endpoints: Endpoints, host: Mapping[str, Mapping[str, Value]]) -> str:
    """The mirrors file, as TOML; `host` are sections that the host adds (`host_settings`)."""
    lab = f"http://{{host}}:{endpoints.http_port}"
    sections: dict[str, Mapping[str, Value]] = {
        "conda": {
            "channel_alias": f"{lab}/conda",
            "installer_url": f"{lab}/installer/{endpoints.installer_name}",
            "installer_sha256": endpoints.installer_sha256,
        },
        "git": {"https://github.com/": f"{lab}/git/github.com/"},
        "sftp": {
            "data.example.org:22": {
                "address": f"127.0.0.1:{endpoints.sftp_port}",
                "host_key": endpoints.sftp_host_key,
            }
        },
    }
    sections |= host
    parts = [f"[{name}]\n{''.join(_line(key, keys[key]) for key in keys)}" for name, keys in sections.items()]
    return "# Written by the lab, for as long as it serves.\n\n" + "\n".join(parts)


def host_settings(tools_python: Path) -> dict[str, dict[str, Value]]:
    """What a machine must know to reach the world from this host: CA bundle, and mirrors other than the default."""
    sections: dict[str, dict[str, Value]] = {}
    if _CA_BUNDLE.exists():
        sections["tls"] = {"ca_bundle": str(_CA_BUNDLE)}
    if apt := apt_mirrors(_apt_sources()):
        sections["apt"] = dict(apt)
    index = _pip_index(tools_python)
    if index.startswith(("http://", "https://")) and index.rstrip("/") != _PYPI:
        sections["pip"] = {"index_url": index}
    return sections


def apt_mirrors(sources: str) -> dict[str, str]:
    """Keys of [apt] for the host's sources (both formats), where they are not Debian's own servers."""
    urls = re.findall(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s*)?)(https?://\S+)", sources, flags=re.MULTILINE)
    found: dict[str, str] = {}
    for url in (url.rstrip("/") for url in urls):
        if url.endswith("/debian") and url != _DEBIAN:
            found.setdefault("mirror", url)
        elif url.endswith("/debian-security") and url not in _DEBIAN_SECURITY:
            found.setdefault("security_mirror", url)
    return found


def _apt_sources() -> str:
    folder = Path("/etc/apt/sources.list.d")
    files = [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))]
    return "\n".join(file.read_text(errors="replace") for file in files if file.exists())


def _pip_index(tools_python: Path) -> str:
    """The index that pip uses on this host; "" for its default."""
    if named := os.environ.get("PIP_INDEX_URL"):
        return named
    command = [str(tools_python), "-m", "pip", "config", "get", "global.index-url"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def _line(key: str, value: Value) -> str:
    quoted = json.dumps(key)  # a JSON string of ASCII is a TOML string
    if isinstance(value, str):
        return f"{quoted} = {json.dumps(value)}\n"
    return f"{quoted} = {{ {', '.join(f'{name} = {json.dumps(text)}' for name, text in value.items())} }}\n"
