"""The mirrors file that the lab writes is one that the baker reads."""

import tomllib
from pathlib import Path

import pytest

from baker.cli.mirrors_file import parse_mirrors
from baker.provisioner import Fetch
from lab.mirrors_file import Endpoints, apt_mirrors, host_settings, mirrors_text

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHv0kTzfyxnBPC8Vnc0yYRt6EfLmUB+YKKHUiePN4ZCI"
ENDPOINTS = Endpoints(
    http_port=8640,
    sftp_port=8642,
    sftp_host_key=HOST_KEY,
    installer_name="Miniforge3-Linux-x86_64.sh",
    installer_sha256="0" * 64,
)
HOST = {"tls": {"ca_bundle": "/etc/ca.pem"}, "pip": {"index_url": 'https://pypi.example.org/"simple"'}}


def test_the_baker_reads_it() -> None:
    mirrors = parse_mirrors(tomllib.loads(mirrors_text(ENDPOINTS, HOST)), "lab").seen_from("10.0.2.2")
    assert mirrors.ca_bundle == "/etc/ca.pem"
    assert mirrors.pip_index_url == 'https://pypi.example.org/"simple"'
    asked = [
        Fetch(kind="conda-channel", url="conda-forge"),
        Fetch(kind="conda-installer", url="https://github.com/x.sh", sha256="1" * 64),
        Fetch(kind="git", url="https://github.com/image-baker/ocean-notebooks"),
        Fetch(kind="sftp", url="sftp://data.example.org/ocean", side="host"),
    ]
    assert [mirrors.mirrored(fetch).url for fetch in asked] == [
        "http://10.0.2.2:8640/conda/conda-forge",
        "http://10.0.2.2:8640/installer/Miniforge3-Linux-x86_64.sh",
        "http://10.0.2.2:8640/git/github.com/image-baker/ocean-notebooks",
        "sftp://127.0.0.1:8642/ocean",
    ]
    assert mirrors.mirrored(asked[1]).sha256 == "0" * 64
    assert mirrors.sftp_host_key("sftp://data.example.org/ocean") == HOST_KEY


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ("deb http://deb.debian.org/debian bookworm main\n", {}),
        ("URIs: http://deb.debian.org/debian\nURIs: http://deb.debian.org/debian-security\n", {}),
        ("deb http://security.debian.org/debian-security bookworm-security main", {}),
        ("deb [arch=amd64 signed-by=/k] https://apt.example.org/debian/ bookworm main",
         {"mirror": "https://apt.example.org/debian"}),
        ("Types: deb\nURIs: http://m.example.org/debian\n\nTypes: deb\nURIs: http://m.example.org/debian-security\n",
         {"mirror": "http://m.example.org/debian", "security_mirror": "http://m.example.org/debian-security"}),
        ("deb https://deb.nodesource.com/node_20.x nodistro main\n# deb http://old.example.org/debian x main", {}),
    ],
)  # fmt: skip
def test_the_hosts_apt_mirror_is_passed_on_when_it_is_not_the_default(sources: str, expected: dict[str, str]) -> None:
    assert apt_mirrors(sources) == expected


def test_the_hosts_pip_index_is_passed_on_when_it_is_not_the_default(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pypi.example.org/simple")
    assert host_settings(tmp_path / "python")["pip"] == {"index_url": "https://pypi.example.org/simple"}
    monkeypatch.setenv("PIP_INDEX_URL", "https://pypi.org/simple/")
    assert "pip" not in host_settings(tmp_path / "python")
