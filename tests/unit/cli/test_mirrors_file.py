"""A mirrors file that cannot be meant: what a person reads. What mirrors do is in ../test_mirrors.py."""

from pathlib import Path

import pytest

from baker.cli.main import main
from baker.cli.mirrors_file import read_mirrors
from baker.errors import RecipeError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHv0kTzfyxnBPC8Vnc0yYRt6EfLmUB+YKKHUiePN4ZCI"
SUM = "a" * 64

WRONG: dict[str, tuple[str | bytes, str, str | None]] = {
    "no bracket": (
        "[conda\n",
        "mirrors file m.toml line 1 is not TOML: expected ']' at the end of a table declaration",
        None,
    ),
    "no quotes": (
        "[pip]\nindex_url = https://pip.example/simple\n",
        "mirrors file m.toml line 2 is not TOML: invalid value",
        'text stands in quotes: index_url = "https://pip.example/simple"',
    ),
    "an address as a key": (
        '[git]\nhttps://github.com/ = "http://a:1/"\n',
        "mirrors file m.toml line 2 is not TOML: expected '=' after a key in a key/value pair",
        'a server or an address stands in quotes: "https://github.com/" = ...',
    ),
    "a server as a key": (
        '[sftp]\ndata.example.org = { address = "b:22" }\n',
        "m.toml: [sftp] 'data' does not say what stands in",
        None,
    ),
    "ends too early": ("[pip]\nindex_url = '''x", "mirrors file m.toml is not TOML: Expected \"'''\"", None),
    "a key twice": (
        '[pip]\nindex_url = "https://a"\nindex_url = "https://b"\n',
        "mirrors file m.toml line 3 is not TOML: cannot overwrite a value",
        None,
    ),
    "not text": (b"\xff\xfe", "mirrors file m.toml is not UTF-8 text", None),
    "unknown section": ("[cnoda]\n", "m.toml: unknown section [cnoda]", "did you mean conda?"),
    "section of another kind": (
        "[docker]\nx = 1\n",
        "m.toml: unknown section [docker]",
        "the sections are conda, pip, apt, tls, proxy, git, sftp",
    ),
    "key outside": ("pip = 3\n", "m.toml: 'pip' is not a section", "write [pip], and its keys below"),
    "unknown key": ('[pip]\nindex = "https://a"\n', "m.toml: [pip] has no key 'index'", "did you mean index_url?"),
    "unknown key, empty": (
        '[apt]\nproxy = ""\n',
        "m.toml: [apt] has no key 'proxy'",
        "its keys are mirror, security_mirror",
    ),
    "a number": ("[pip]\nindex_url = 3\n", "m.toml: [pip] index_url = 3 is not text", "text stands in quotes"),
    "empty": (
        '[proxy]\nhttp = " "\n',
        "m.toml: [proxy] http is empty",
        "leave the line out to fetch from the world as it is",
    ),
    "no scheme": (
        '[proxy]\nhttp = "proxy.example:3128"\n',
        "m.toml: [proxy] http = 'proxy.example:3128' is not an address",
        'write "http://proxy.example:3128"',
    ),
    "another scheme": (
        '[apt]\nmirror = "ftp://a.example/debian"\n',
        "m.toml: [apt] mirror = 'ftp://a.example/debian' is not an address",
        "an address begins with http://",
    ),
    "no host": (
        '[pip]\nindex_url = "https:///simple"\n',
        "m.toml: [pip] index_url = 'https:///simple' is not an address",
        None,
    ),
    "a bad port": (
        '[pip]\nindex_url = "http://a:b/"\n',
        "m.toml: [pip] index_url = 'http://a:b/' is not an address",
        None,
    ),
    "a blank": (
        '[pip]\nindex_url = "https://a b/"\n',
        "m.toml: [pip] index_url = 'https://a b/' is not an address",
        None,
    ),
    "an installer without a sum": (
        '[conda]\ninstaller_url = "https://a/i.sh"\n',
        "m.toml: [conda] installer_url and installer_sha256 need each other",
        "print the installer's sum with sha256sum",
    ),
    "a sum without an installer": (
        f'[conda]\ninstaller_sha256 = "{SUM}"\n',
        "m.toml: [conda] installer_url and installer_sha256 need each other",
        None,
    ),
    "a sum that is none": (
        '[conda]\ninstaller_url = "https://a/i.sh"\ninstaller_sha256 = "abc"\n',
        "m.toml: [conda] installer_sha256 = 'abc' is not a SHA-256",
        "64 of 0-9 and a-f, as sha256sum prints it",
    ),
    "git without an end": (
        '[git]\n"https://github.com/" = "http://a:1"\n',
        "m.toml: [git] 'https://github.com/' = 'http://a:1': only one of the two ends with /",
        "what stands behind the one is put behind the other",
    ),
    "git to nowhere": ('[git]\n"https://a/" = "b/"\n', "m.toml: [git] 'https://a/' = 'b/' is not an address", None),
    "sftp as text": (
        '[sftp]\n"a:22" = "b:22"\n',
        "m.toml: [sftp] 'a:22' does not say what stands in",
        'write "server" = { address = "host:port", host_key = "ssh-ed25519 ..." }',
    ),
    "sftp with a slip": (
        '[sftp]\n"a:22" = { address = "b:22", hostkey = "x" }\n',
        "m.toml: [sftp] 'a:22' does not say what stands in",
        None,
    ),
    "sftp server as a URL": (
        '[sftp]\n"sftp://a" = { address = "b:22" }\n',
        "m.toml: [sftp] 'sftp://a': 'sftp://a' is not host:port",
        None,
    ),
    "sftp by the machine's name for this host": (
        '[sftp]\na = { address = "{host}:22" }\n',
        "m.toml: [sftp] 'a': '{host}:22' is not host:port",
        "the baking host asks it, so this host itself is 127.0.0.1",
    ),
    "host key without its kind": (
        f'[sftp]\na = {{ address = "b:22", host_key = "{KEY.split()[1]}" }}\n',
        f"m.toml: [sftp] 'a': host_key '{KEY.split()[1]}' is not a public key",
        "`ssh-keyscan HOST` prints it: ssh-ed25519 AAAA...",
    ),
    "host key of another kind": (
        f'[sftp]\na = {{ address = "b:22", host_key = "ssh-rsa {KEY.split()[1]}" }}\n',
        f"m.toml: [sftp] 'a': host_key 'ssh-rsa {KEY.split()[1]}' is not a public key",
        None,
    ),
    "host key cut short": (
        '[sftp]\na = { address = "b:22", host_key = "ssh-ed25519 AAAAC3Nza" }\n',
        "m.toml: [sftp] 'a': host_key 'ssh-ed25519 AAAAC3Nza' is not a public key",
        None,
    ),
    "no certificates": (
        '[tls]\nca_bundle = "m.toml"\n',
        "m.toml: [tls] ca_bundle: {folder}/m.toml holds no certificate in PEM form",
        None,
    ),
    "no bundle": (
        '[tls]\nca_bundle = "nowhere.pem"\n',
        "m.toml: [tls] ca_bundle: {folder}/nowhere.pem: no such file or directory",
        None,
    ),
}


@pytest.mark.parametrize(("content", "summary", "hint"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_meant_is_said_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, summary: str, hint: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("m.toml")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(RecipeError) as caught:
        read_mirrors(path)
    assert caught.value.summary == summary.replace("{folder}", str(tmp_path))
    if hint is not None:
        assert caught.value.hint == hint


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[pip]\n[git]\n[sftp]\n[tls]\n",
        '[proxy]\nhttp = "socks5h://a:1080"\nno_proxy = "localhost,.example"\n',
        '[git]\n"git@github.com:" = "ssh://git@a:2222"\n"https://x/" = "/srv/git/"\n',
        f'[sftp]\n"[::1]:2222" = {{ address = "[::1]:22", host_key = "{KEY} of somebody" }}\na = {{ address = "b" }}\n',
        f'[conda]\ninstaller_url = "http://{{host}}:1/i.sh"\ninstaller_sha256 = "{SUM.upper()}"\n',
    ],
)
def test_what_can_be_meant_is_taken(tmp_path: Path, content: str) -> None:
    (tmp_path / "m.toml").write_text(content)
    read_mirrors(tmp_path / "m.toml")


def test_a_sum_is_compared_in_one_case(tmp_path: Path) -> None:
    content = f'[conda]\ninstaller_url = "http://a/i.sh"\ninstaller_sha256 = "{SUM.upper()}"\n'
    (tmp_path / "m.toml").write_text(content)
    assert read_mirrors(tmp_path / "m.toml").conda_installer_sha256 == SUM


def test_a_server_is_found_with_and_without_its_port(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('[sftp]\n"Data.Example" = { address = "b:1" }\n"[::1]" = { address = "c:2" }\n')
    assert set(read_mirrors(tmp_path / "m.toml").sftp) == {"data.example:22", "::1:22"}


def test_a_bundle_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "m.toml").write_text('[tls]\nca_bundle = "ca.pem"\n')
    assert read_mirrors(tmp_path / "m.toml").ca_bundle == str(tmp_path / "ca.pem")


def test_it_ends_the_command_with_2(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.toml").write_text("[pip]\nindex_url = here\n")
    assert main(["plan", "ocean.py", "--mirrors", "m.toml"]) == 2
    assert capsys.readouterr().err == (
        "error: mirrors file m.toml line 2 is not TOML: invalid value\n"
        "  line 2:\n    index_url = here\n                ^\n"
        'hint: text stands in quotes: index_url = "here"\n'
    )
