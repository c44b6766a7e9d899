"""A machine with secrets wherever they land, scanned: each is found, and none is shown."""

import base64
import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from baker.clock import SystemClock
from baker.communicators.ssh import SshConnector
from baker.errors import SealError
from baker.events import Event, FactRecorded, Notice
from baker.keys import new_key_pair
from baker.recipe import SECRET_KINDS, AllowedSecret
from baker.remote import MachineRemote
from baker.seal.scan import scan
from baker.testing.sandbox import Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("seal")]

TOKEN = "s3cret/+of the?recipe"
"""With characters that every form writes in another way."""

LOGIN_KEY = new_key_pair("login")
OTHER_KEY = new_key_pair("somebody's")

PLANTED: dict[str, tuple[str | bytes, str]] = {
    "/srv/plain.txt": (f"one\ntwo {TOKEN} three\n", ":2 secret of the recipe (env:TOKEN)"),
    "/etc/app/base64": (base64.b64encode(f"ada:{TOKEN}".encode()), ":1 secret of the recipe (env:TOKEN)"),
    "/opt/url": ("https://x.org/?t=s3cret%2F%2Bof%20the%3Frecipe\n", ":1 secret of the recipe (env:TOKEN)"),
    "/var/lib/app/state.json": (json.dumps({"key": LOGIN_KEY.private}), ":1 private key (the bake's own login key)"),
    "/data/utf-16.csv": (f"a;{TOKEN}\r\n".encode("utf-16"), ":1 secret of the recipe (env:TOKEN)"),
    "/usr/share/binary": (bytes(range(256)) * 40 + TOKEN.encode() + bytes(999), ":41 secret of the recipe (env:TOKEN)"),
    "/root/odd\nname": ("https://ada:h7Gk2pQz@github.com/x/y.git\n", "\\x0aname:1 password in a URL"),
    "/home/ada/key": (OTHER_KEY.private, ":1 private key"),
    "/home/ada/.aws/credentials": ("[default]\n", " credentials file"),
    "/srv/notebooks/login.ipynb": ('  "password = \\"corr3ct-h0rse\\"\\n",', ":1 password in a file"),
    "/opt/conda/conda-meta/x.json": ('{"url": "https://ada:h7Gk2pQz@conda.org/x"}', ":1 password in a URL"),
}
"""Path -> content, and what must be said of it after the path."""

PLANTED_BY_COMMANDS = {
    "/srv/log.1.gz": ", when decompressed secret of the recipe (env:TOKEN)",
    "/srv/nested.tgz": ", when decompressed secret of the recipe (env:TOKEN)",
    "/srv/large": " secret of the recipe (env:TOKEN)",
    "/srv/clone/.git/config": " password in a URL",
    "/srv/clone/.git, object ": ":2 secret of the recipe (env:TOKEN)",
    "/srv/other/.git, object ": ":1 password in a file",
    "/srv/covered/below": ":1 private key",
    "/srv/***": " secret of the recipe (env:TOKEN, in the name of the file)",
    "/opt/venv/lib/pkg/changed.pem": ":1 private key",
    "/opt/venv/lib/mine.pem": ":1 private key",
    "/opt/venv/lib/pkg/own.py": ":2 secret of the recipe (env:TOKEN)",
}

UNMODIFIED = ("/opt/venv/lib/pkg/testkey.py", "/opt/venv/lib/pkg/__pycache__/testkey.cpython-311.pyc")

PLANT = r"""
set -eu
token=$1 key=/home/ada/key
mkdir -p /srv/s3cret; : >"/srv/$token"
cd /srv
printf 'one\n%s\n' "$token" | gzip >log.1.gz
tar -czf nested.tgz plain.txt
# Larger than what is read at once: the secret lies where two pieces meet.
truncate -s 67108854 large; printf '%s' "$token" >>large; truncate -s 140000000 large
git init -q clone; cd clone; git config user.email ada@example.org; git config user.name ada
git config remote.origin.url https://ada:h7Gk2pQz@github.com/x/y.git
printf 'first\npassword = "%s"\n' "$token" >settings.py; git add .; git commit -qm 'with a secret'
git rm -q settings.py; git commit -qm 'remove it'; git gc -q
git init -q /srv/other; cd /srv/other; git config user.email ada@example.org; git config user.name ada
echo 'login(pwd="corr3ct-h0rse")' >login.py; git add .; git commit -qm one; echo >login.py; git commit -qam two
git init -q --bare /srv/huge; head -c 70000000 /dev/urandom | git -C /srv/huge hash-object -w --stdin
mkdir -p /srv/broken/objects /srv/broken/refs; echo 'no head' >/srv/broken/HEAD
# What a mount hides is on the disk all the same; what is in memory is not.
mkdir /srv/covered; cp $key /srv/covered/below; mount -t tmpfs none /srv/covered; cp $key /srv/covered/in-memory
# Files of packages: one as it came, with its compiled form; one that was changed; one that was never published.
mkdir -p /opt/venv/lib/pkg/__pycache__ /opt/venv/lib/pkg.dist-info /opt/venv/lib/mine.dist-info
cd /opt/venv/lib
(echo '# for tests'; cat $key) >pkg/testkey.py; cp $key pkg/__pycache__/testkey.cpython-311.pyc
(cat $key; echo) >pkg/changed.pem
(cat $key; echo '# mine') >mine.pem
printf 'a\n%s\n' "$token" >pkg/own.py
record() { printf '%s,sha256=%s,9\n' "$1" "$(openssl dgst -sha256 -binary "$1" | base64 | tr '+/' '-_' | tr -d =)"; }
(record pkg/testkey.py; record pkg/own.py) >pkg.dist-info/RECORD
record mine.pem >mine.dist-info/RECORD; echo '{}' >mine.dist-info/direct_url.json
"""


@contextmanager
def connected(machine: Sandbox, folder: Path) -> Iterator[MachineRemote]:
    clock = SystemClock()
    with MachineRemote(
        machine=machine,
        connector=SshConnector(clock=clock),
        transfer=lambda *_, **__: pytest.fail("nothing is imported here"),
        resolve=lambda secret: secret.name,
        folder=folder,
        emit=lambda event: pytest.fail(f"the log was told {event}"),
        clock=clock,
    ) as remote:
        remote.connect(timeout=60)
        yield remote


def run_scan(remote: MachineRemote, allow: tuple[AllowedSecret, ...] = ()) -> list[Event]:
    events: list[Event] = []
    own_keys = {"the bake's own login key": LOGIN_KEY.public, "the bake's own host key": remote_host_key(remote)}
    scan(remote, disks=(), allow=allow, secrets={"env:TOKEN": TOKEN}, own_keys=own_keys, emit=events.append)
    return events


def remote_host_key(remote: MachineRemote) -> str:
    return remote.run("cat /etc/ssh/ssh_host_ed25519_key.pub", quiet=True).stdout.strip()


@pytest.fixture(scope="module")
def remote(sandbox_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineRemote]:
    """The planted machine. It is scanned by several tests, and none changes it."""
    folder = tmp_path_factory.mktemp("recipe")
    with Sandbox.start(sandbox_root, may_mount=True) as machine, connected(machine, folder) as remote:
        for path, (content, _) in PLANTED.items():
            remote.put(content.encode() if isinstance(content, str) else content, path)
        remote.run(["/bin/sh", "-c", PLANT, "plant", TOKEN], sudo=True, quiet=True)
        yield remote


WATCH = r"""
while [ ! -e /dev/shm/stop ]; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; done | tr '\0' '\n' |
  grep -E 's3cret|patterns-F' | sort -u >/dev/shm/seen
: >/dev/shm/done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What a scan of the planted machine said, and what a watcher on it saw of arguments and environments."""

    error: SealError
    said: list[str]
    seen: list[str]


@pytest.fixture(scope="module")
def scanned(remote: MachineRemote) -> Scanned:
    remote.run(f"setsid sh -c {shlex.quote(WATCH)} >/dev/null 2>&1 </dev/null &", sudo=True, quiet=True)
    with pytest.raises(SealError) as caught:
        run_scan(remote)
    wait = ": >/dev/shm/stop; while [ ! -e /dev/shm/done ]; do sleep 0.1; done; cat /dev/shm/seen"
    seen = remote.run(wait, sudo=True, quiet=True).stdout.splitlines()
    said = [f"{where} {what}" for where, what in caught.value.details]
    return Scanned(error=caught.value, said=said, seen=seen)


@pytest.fixture(scope="module")
def allowed(remote: MachineRemote) -> list[Event]:
    """What a scan tells when the recipe allows everything."""
    entries = [AllowedSecret(path="*", kind=kind, reason="a test of the allow list") for kind in SECRET_KINDS]
    return run_scan(remote, allow=tuple(entries))


def shown(path: str) -> str:
    return path.replace("\n", "\\x0a")


def test_every_secret_is_found_and_nothing_else_is(scanned: Scanned) -> None:
    wanted = {path: said for path, (_, said) in PLANTED.items()} | PLANTED_BY_COMMANDS
    missing = [path for path, what in wanted.items() if not any(_tells(line, path, what) for line in scanned.said)]
    surplus = [line for line in scanned.said if not any(_tells(line, path, what) for path, what in wanted.items())]
    assert (missing, surplus) == ([], [])
    assert scanned.error.exit_code == 9
    assert scanned.error.summary == f"{len(scanned.said)} secrets are on the machine, and would be in the image"


def _tells(line: str, path: str, what: str) -> bool:
    return line.startswith(shown(path)) and line.endswith(what)


def test_no_secret_is_shown(scanned: Scanned) -> None:
    said = str((scanned.error.summary, scanned.error.details, scanned.error.hint))
    for secret in (TOKEN, "h7Gk2pQz", *OTHER_KEY.private.splitlines()[1:-1], *LOGIN_KEY.private.splitlines()[1:-1]):
        assert secret not in said
    assert scanned.error.__context__ is None


def test_what_the_recipe_allows_is_told_with_its_reason(allowed: list[Event]) -> None:
    facts = {event.name: event.value for event in allowed if isinstance(event, FactRecorded)}
    lines = facts["allowed secrets"].splitlines()
    assert "/srv/plain.txt:2: secret of the recipe (env:TOKEN): a test of the allow list" in lines
    assert len(lines) == len(PLANTED) + len(PLANTED_BY_COMMANDS)
    assert TOKEN not in facts["allowed secrets"]


def test_what_it_need_not_allow_is_warned_of(allowed: list[Event]) -> None:
    warnings = [event.text for event in allowed if isinstance(event, Notice)]
    assert "the recipe allows a Slack token in *, and none was found there: remove the entry" in warnings
    assert not [text for text in warnings if "private key" in text]


def test_an_entry_allows_its_path_and_its_kind_alone(remote: MachineRemote, scanned: Scanned) -> None:
    entries = (
        AllowedSecret(path="/home/*/key", kind="private key", reason="a test"),
        AllowedSecret(path="/srv/plain.txt", kind="private key", reason="of another kind"),
    )
    with pytest.raises(SealError) as caught:
        run_scan(remote, allow=entries)
    left = [f"{where} {what}" for where, what in caught.value.details]
    assert [line for line in scanned.said if line not in left] == ["/home/ada/key:1 private key"]


def test_what_packages_ship_is_set_aside_and_told(allowed: list[Event]) -> None:
    (fact,) = [it for it in allowed if isinstance(it, FactRecorded) and it.name.startswith("secrets in unmodified")]
    assert {f"{path}: private key" for path in UNMODIFIED} <= set(fact.value.splitlines())
    assert not [line for line in fact.value.splitlines() if not line.endswith(": private key")]


def test_a_repository_that_is_too_large_or_broken_is_told(allowed: list[Event]) -> None:
    told = [event.text for event in allowed if isinstance(event, Notice) and event.text.startswith("not searched")]
    assert [text.partition(" (")[0] for text in told] == [
        "not searched for secrets: /srv/broken",
        "not searched for secrets: /srv/huge",
    ]
    assert "(fatal: not a git repository" in told[0]
    assert told[1].endswith("(its history has 66 MiB)")


def test_nothing_of_the_search_stays_on_the_machine(remote: MachineRemote, scanned: Scanned) -> None:
    left = remote.run("find /run/baker -type f; findmnt --raw --noheadings --output TARGET", sudo=True, quiet=True)
    assert "/run/baker" not in left.stdout


def test_the_secret_is_in_no_argument(scanned: Scanned) -> None:
    """But for paths, of which one holds it."""
    assert "patterns-F" in scanned.seen, "the watcher saw the search"
    assert not [line for line in scanned.seen if TOKEN in line and not line.startswith("view/")]


def test_a_machine_that_may_not_be_searched_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    """This one may not mount."""
    with connected(sandbox, tmp_path) as remote, pytest.raises(SealError, match="could not be searched") as caught:
        run_scan(remote)
    assert "unshare" in caught.value.details[0][1]


def test_a_clean_machine_passes_without_a_word(sandbox_root: Path, tmp_path: Path) -> None:
    with Sandbox.start(sandbox_root, may_mount=True) as machine, connected(machine, tmp_path) as remote:
        events = run_scan(remote)
    assert {event.name for event in events if isinstance(event, FactRecorded)} == {
        "files searched for secrets",
        "secrets in unmodified files of packages",
    }
    assert not [event for event in events if isinstance(event, Notice)]
