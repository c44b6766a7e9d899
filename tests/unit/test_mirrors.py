"""Mirrors: what stands in for what."""

import tomllib

import pytest

from baker.cli.mirrors_file import parse_mirrors
from baker.errors import RecipeError
from baker.mirrors import MACHINE_FOLDER, NO_MIRRORS, Mirrors
from baker.provisioner import Fetch, FetchKind

SHA = "a" * 64
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHv0kTzfyxnBPC8Vnc0yYRt6EfLmUB+YKKHUiePN4ZCI"
ALL = f"""
[conda]
channel_alias = "http://{{host}}:8640/conda/"
installer_url = "http://{{host}}:8640/installer.sh"
installer_sha256 = "{SHA}"
[pip]
index_url = "https://pip.example/simple"
[apt]
mirror = "http://apt.example/debian"
security_mirror = "http://apt.example/security"
[git]
"https://github.com/" = "http://{{host}}:8641/"
"https://github.com/ours/" = "http://{{host}}:8642/"
[sftp]
"data.example:22" = {{ address = "127.0.0.1:8643", host_key = "{HOST_KEY}" }}
[tls]
ca_bundle = "/ca.pem"
[proxy]
http = "http://{{host}}:3128"
https = "http://{{host}}:3128"
no_proxy = "localhost"
"""


def _parse(text: str) -> Mirrors:
    return parse_mirrors(tomllib.loads(text), "m.toml")


def _url(mirrors: Mirrors, kind: FetchKind, url: str) -> str:
    return mirrors.mirrored(Fetch(kind=kind, url=url)).url


def test_an_empty_file_is_the_world_as_it_is() -> None:
    assert _parse("") == NO_MIRRORS
    assert NO_MIRRORS.environment() == {}
    assert _url(NO_MIRRORS, "git", "https://github.com/a") == "https://github.com/a"
    assert _url(NO_MIRRORS, "conda-channel", "conda-forge") == "https://conda.anaconda.org/conda-forge"


@pytest.mark.parametrize(
    ("kind", "url", "mirrored"),
    [
        ("conda-channel", "conda-forge", "http://10.0.2.2:8640/conda/conda-forge"),
        ("conda-channel", "https://own.example/channel", "https://own.example/channel"),
        ("conda-installer", "https://x.example/miniforge.sh", "http://10.0.2.2:8640/installer.sh"),
        ("pip-index", "https://pypi.org/simple", "https://pip.example/simple"),
        ("apt", "http://deb.debian.org/debian", "http://apt.example/debian"),
        ("git", "https://github.com/theirs/x", "http://10.0.2.2:8641/theirs/x"),
        ("git", "https://github.com/ours/x", "http://10.0.2.2:8642/x"),
        ("git", "https://gitlab.example/x", "https://gitlab.example/x"),
        ("sftp", "sftp://data.example/waves", "sftp://127.0.0.1:8643/waves"),
        ("sftp", "sftp://data.example:22/waves", "sftp://127.0.0.1:8643/waves"),
        ("sftp", "sftp://data.example:2222/waves", "sftp://data.example:2222/waves"),
        ("url", "https://x.example/file", "https://x.example/file"),
    ],
)
def test_each_kind_has_its_stand_in(kind: FetchKind, url: str, mirrored: str) -> None:
    assert _url(_parse(ALL).seen_from("10.0.2.2"), kind, url) == mirrored


def test_an_installer_that_is_mirrored_has_the_mirrors_sum() -> None:
    fetch = Fetch(kind="conda-installer", url="https://x.example/m.sh", sha256="b" * 64)
    assert _parse(ALL).mirrored(fetch).sha256 == SHA


def test_the_host_key_of_a_stand_in_is_its_own() -> None:
    assert _parse(ALL).sftp_host_key("sftp://data.example/x") == HOST_KEY
    assert _parse(ALL).sftp_host_key("sftp://other.example/x") is None


def test_every_tool_is_told_by_its_environment() -> None:
    env = _parse(ALL).seen_from("10.0.2.2").environment()
    assert env["CONDA_CHANNEL_ALIAS"] == "http://10.0.2.2:8640/conda/"
    assert env["PIP_INDEX_URL"] == env["UV_DEFAULT_INDEX"] == "https://pip.example/simple"
    assert env["GIT_CONFIG_COUNT"] == "2"
    assert env["GIT_CONFIG_KEY_1"] == "url.http://10.0.2.2:8642/.insteadOf"
    assert env["GIT_CONFIG_VALUE_1"] == "https://github.com/ours/"
    assert env["SSL_CERT_FILE"] == env["GIT_SSL_CAINFO"] == f"{MACHINE_FOLDER}/ca.pem"
    assert env["https_proxy"] == env["HTTPS_PROXY"] == "http://10.0.2.2:3128"
    assert env["no_proxy"] == "localhost"
    assert env["APT_CONFIG"] == f"{MACHINE_FOLDER}/apt.conf"
    assert not [value for value in env.values() if "{host}" in value]


@pytest.mark.parametrize(
    "text",
    [
        '[pip]\nindex_url = "http://{host}/x"\n',
        '[git]\n"https://x/" = "http://localhost:1/"\n',
        '[proxy]\nhttp = "http://127.0.0.1:3128"\n',
        '[apt]\nsecurity_mirror = "http://[::1]:1/"\n',
    ],
)
def test_a_builder_that_cannot_reach_this_host_refuses_mirrors_on_it(text: str) -> None:
    with pytest.raises(RecipeError, match="is on the baking host"):
        _parse(text).seen_from(None)


def test_mirrors_elsewhere_are_the_same_from_everywhere() -> None:
    mirrors = _parse('[pip]\nindex_url = "https://pip.example/simple"\n')
    assert mirrors.seen_from(None) == mirrors.seen_from("10.0.2.2") == mirrors


@pytest.mark.parametrize("url", ["sftp://data.example:port/x", "sftp://[::1/x"])
def test_an_address_that_is_none_is_the_recipes_fault(url: str) -> None:
    with pytest.raises(RecipeError, match="is not an address"):
        _url(_parse(ALL), "sftp", url)


def test_the_passwords_in_addresses_are_known_to_whoever_redacts() -> None:
    mirrors = Mirrors(pip_index_url="https://me:swordfish22@m/simple", git={"https://a/": "http://u:trout4455@m/"})
    assert mirrors.passwords() == ("swordfish22", "trout4455")
