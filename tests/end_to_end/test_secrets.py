"""Secrets of a recipe, looked for in all that a bake leaves: its outputs, its image, machines of its image."""

import base64
import html
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from baker.errors import SealError
from baker.events import BakeFinished, OutputLine
from baker.home import Home
from tests.end_to_end.conftest import Finished, StartBake
from tests.end_to_end.disks import found_on_disk

TOKEN = 'tok/en+"<of>\\the&recipe'
"""With characters that JSON, XML, URLs and shells write in another way."""

KEY = 'first line of the key: \u00e9\u00df\nsecond line of the "key"\nthird line of the key\n'

BUILDER = '''
"""A builder whose machines are sandboxes; capturing one keeps nothing of it."""
import contextlib
from dataclasses import dataclass
from pathlib import Path
from baker.artifact import Artifact
from baker.testing.sandbox import Sandbox

@dataclass(frozen=True, kw_only=True)
class Box:
    kind = name = "box"
    boot_timeout_seconds = 60

class Machine:
    def __init__(self, sandbox):
        self._sandbox = sandbox
    def __getattr__(self, name):
        return getattr(self._sandbox, name)
    def capture(self, name, labels):
        return Artifact(builder="box", id=name, location="", name=name, fingerprint="f", created="", labels=labels)

class Builder:
    kind = "box"
    baking_host = "127.0.0.1"
    def check(self, spec):
        return ()
    def preflight(self, plan, *, until):
        return ()
    @contextlib.contextmanager
    def machine(self, spec, disks, run, emit):
        with Sandbox.start(may_mount=True) as sandbox:
            yield Machine(sandbox)
    def check_share(self, share):
        return ()
    def keep_manifest(self, artifact, manifest):
        pass
    def images(self, location):
        return ()
    def leftovers(self, location):
        return ()
'''

STEP = '''
from dataclasses import dataclass, field
from baker import NOTHING_REQUIRED, Recipe, Requirements, Secret

TOKEN = Secret.from_env("TOKEN")
KEY = Secret.from_file("key")
EVERY_ARGUMENT = "cat /proc/[0-9]*/cmdline | tr '\\\\0' '\\\\n'"

@dataclass(frozen=True, slots=True, kw_only=True)
class Careless:
    """Gets secrets in every way there is, and tells them to everybody."""

    mode: str
    name = "careless"
    revision = 1

    def inputs(self):
        return ()

    def requires(self):
        return Requirements(secrets=(TOKEN, KEY))

    def apply(self, remote):
        remote.run("cat >/dev/shm/token; cat /dev/shm/token; cat /dev/shm/token >&2", stdin=TOKEN)
        told = remote.run('printf "it is %s\\n" "$T"; ' + EVERY_ARGUMENT, env={"T": TOKEN}, sudo=True).stdout
        with remote.secret_file(KEY) as path:
            key = remote.run(["cat", path]).stdout
            remote.run(EVERY_ARGUMENT, sudo=True)
        remote.record("what was told", told + key)
        remote.say(f"the token: {told}")
        remote.progress(told, 1, 2)
        remote.run("rm /dev/shm/token")
        if self.mode == "failing step":
            remote.run('printf "no: %s\\n" "$T" >&2; exit 3', env={"T": TOKEN})
        if self.mode == "buggy step":
            raise ZeroDivisionError(told + key)
        if self.mode == "failing check":
            remote.run('printf %s "$T" >/etc/leak', env={"T": TOKEN}, sudo=True)
        if self.mode == "leaking step":
            remote.run('mkdir -p "/srv/$T"; printf %s "x$T" | base64 >"/srv/$T/leak"', env={"T": TOKEN}, sudo=True)

def clean(host):
    assert host.run("cat /etc/leak").stdout == "", "the file is not empty"
'''

RECIPE = (
    STEP
    + """
from box import Box

def recipe(mode: str = ""):
    return Recipe(name="careless", builders=(Box(),), provisioners=(Careless(mode=mode),), checks=(clean,))
"""
)


def spellings(value: str) -> list[str]:
    """As outputs could write it; a key also by each of its lines."""
    texts = [value, *value.splitlines()]
    encoded = [
        (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], html.escape(text), repr(text)[1:-1])
        for text in texts
    ]
    return [*(text for texts in encoded for text in texts), base64.b64encode(value.encode()).decode()]


def outputs(bake: Finished, home: Home) -> dict[str, str]:
    """All that a bake has written: what -> text."""
    files = [path for folder in (bake.run_dir, home.ledger, home.work) for path in folder.rglob("*") if path.is_file()]
    return {"stdout": bake.stdout, "stderr": bake.stderr} | {
        str(path): path.read_text(encoding="utf-8", errors="replace") for path in files
    }


def leaks(bake: Finished, home: Home) -> list[str]:
    wanted = [text for value in (TOKEN, KEY) for text in spellings(value)]
    return [f"{text!r} in {where}" for where, said in outputs(bake, home).items() for text in wanted if text in said]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    (tmp_path / "key").write_text(KEY)


@pytest.fixture
def box(tmp_path: Path, environment: None, sandbox_root: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipe, for the installed builder of sandboxes."""
    info = tmp_path / "installed" / "box-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: box\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[baker.builders]\nbox = box:Builder\n")
    (info.parent / "box.py").write_text(BUILDER)
    paths = [str(info.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    (tmp_path / "careless.py").write_text(RECIPE)
    return tmp_path / "careless.py"


MODES = {"": 0, "failing step": 6, "buggy step": 6, "failing check": 7, "leaking step": SealError.exit_code}


@pytest.mark.sandbox
@pytest.mark.parametrize(("mode", "exit_code"), MODES.items())
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["", "json"])
def test_no_output_of_a_bake_holds_a_secret(
    start_bake: StartBake, home: Home, box: Path, mode: str, exit_code: int, options: tuple[str, ...]
) -> None:
    bake = start_bake(box, *options, "--no-verify", "--set", f"mode={mode}").finish(timeout=300)
    assert bake.exit_code == exit_code, bake.stderr[-3000:]
    assert leaks(bake, home) == []
    said = [event.text for event in bake.events(OutputLine)]
    assert said.count("it is ***") == 1, "the step has told its secret"
    if mode == "leaking step":
        (finished,) = bake.events(BakeFinished)
        assert ("/srv/***/leak:1", "secret of the recipe (env:TOKEN)") in finished.details


ON_A_DISK = '''
import os
from dataclasses import dataclass
from baker import Disk, Recipe, Requirements, Secret
from baker.builders.qemu.spec import Qemu
from baker.errors import SealError
from baker.seal.scan import scan
from provisioners import DiskMount

TOKEN = Secret.from_env("TOKEN")
KEY = Secret.from_file("key")
DISKS = (Disk(name="data", size_gib=1),)

WRITTEN_AND_REMOVED = r"""
set -e
for file in /var/tmp/token /home/baker/token /root/.netrc /root/.bash_history /data/token; do
  printf '%s\\n' "$T" >$file
done
logger -t careless "the token is $T"
head -c 300000 /dev/urandom | base64 >/data/live
sync; rm /var/tmp/token /data/token; sync
printf 'said on the console: %s\\n' "$T" >/dev/ttyS0
"""

@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    name: str
    revision = 1

    def inputs(self):
        return ()

    def requires(self):
        return Requirements(secrets=(TOKEN, KEY), disks=("data",))

class OnAnUnmountedDisk(Step):
    def apply(self, remote):
        device = remote.disk("data")
        remote.run(f"mkfs.ext4 -q {device} && mount {device} /mnt && cat >/mnt/token && umount /mnt", sudo=True,
                   stdin=TOKEN)
        try:
            known = {"token": os.environ["TOKEN"]}
            scan(remote, disks=DISKS, allow=(), secrets=known, own_keys={}, emit=lambda _: None)
            said = "nothing was found"
        except SealError as error:
            said = str(error.details)
        remote.record("an unmounted disk", said)
        remote.run(f"mount {device} /mnt && rm /mnt/token && umount /mnt && blkdiscard -f -z {device}", sudo=True)

class OnMountedOnes(Step):
    def apply(self, remote):
        remote.run("cat >/dev/null", stdin=TOKEN)
        with remote.secret_file(KEY) as path:
            remote.run(["grep", "-c", "key", path])
        remote.run(WRITTEN_AND_REMOVED, env={"T": TOKEN}, sudo=True)
        remote.record("machine-id", remote.run("cat /etc/machine-id").stdout.strip())
        remote.record("host key", remote.run("cat /etc/ssh/ssh_host_ed25519_key.pub", sudo=True).stdout.split()[1])

recipe = Recipe(
    name="careless",
    builders=(Qemu(memory_mib=1024, cpus=1, disk_gib=4),),
    disks=DISKS,
    provisioners=(
        OnAnUnmountedDisk(name="unmounted"), DiskMount(disk="data", path="/data"), OnMountedOnes(name="mounted"),
    ),
)
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A machine that a user of the image has started, as README shows."""

    port: int
    key: Path
    process: "subprocess.Popen[bytes]"

    def ssh(self, command: str) -> str:
        """What a command prints; retried until the machine is up."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=20", "LogLevel=ERROR"]
        argv = ["ssh", "-i", str(self.key), "-p", str(self.port), *(f"-o{option}" for option in options)]
        deadline = time.monotonic() + 900
        while True:
            done = subprocess.run([*argv, "ada@127.0.0.1", command], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout
            assert self.process.poll() is None, "the machine has ended"
            assert time.monotonic() < deadline, done.stderr
            time.sleep(1)


@contextmanager
def started(image: Path, folder: Path) -> Iterator[Started]:
    """Without host keys in its seed: the machine makes its own."""
    seed = folder / "seed"
    seed.mkdir(parents=True)
    key = folder / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (seed / "meta-data").write_text(f"instance-id: {folder.name}\n")
    user = {"name": "ada", "shell": "/bin/bash", "ssh_authorized_keys": [key.with_suffix(".pub").read_text()]}
    (seed / "user-data").write_text(f"#cloud-config\n{json.dumps({'users': [user]})}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    drives = [f"file={image}/{name}.qcow2,if=virtio,snapshot=on" for name in ("root", "data")]
    drives.append(f"driver=vvfat,dir={seed},label=CIDATA,if=virtio,read-only=on")
    argv = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,tb-size=128", "-cpu", "max", "-m", "1024"]
    argv += ["-bios", "/usr/share/ovmf/OVMF.fd", "-display", "none", "-serial", "none", "-monitor", "none"]
    argv += [word for drive in drives for word in ("-drive", drive)]
    argv += ["-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as process:
        try:
            yield Started(port=port, key=key, process=process)
        finally:
            process.kill()


@pytest.mark.qemu
def test_no_secret_stays_in_an_image_and_no_two_machines_of_it_are_alike(
    start_bake: StartBake, home: Home, environment: None, tmp_path: Path
) -> None:
    (tmp_path / "careless.py").write_text(ON_A_DISK)
    bake = start_bake(tmp_path / "careless.py", "--no-verify").finish()
    assert bake.exit_code == 0, bake.stderr[-3000:]
    assert leaks(bake, home) == []
    assert "said on the console: ***" in (bake.run_dir / "serial.log").read_text(errors="replace")
    facts = json.loads((bake.run_dir / "manifest.json").read_text())["facts"]
    assert "('/dev/vdb/token:1', 'secret of the recipe (token)')" in facts["unmounted"]["an unmounted disk"]
    assert "/run/baker" not in facts["unmounted"]["an unmounted disk"], "the search has searched its own view"

    image = Path(bake.stdout.splitlines()[-1])
    secret = [text for value in (TOKEN, KEY) for text in spellings(value) if "\n" not in text]
    there = {"root.qcow2": "/etc/ssh", "data.qcow2": "lost+found"}  # or nothing is proved
    for name, text in there.items():
        found = found_on_disk(image / name, (*secret, text), tmp_path)
        assert found
        assert [place for place in found if not place.startswith(text)] == []

    baked = facts["mounted"]
    ids, keys = [baked["machine-id"]], [{baked["host key"]}]
    for name in ("one", "two"):
        with started(image, tmp_path / name) as machine:
            said = machine.ssh("cat /etc/machine-id /etc/ssh/ssh_host_*_key.pub").splitlines()
        ids.append(said[0])
        keys.append({line.split()[1] for line in said[1:]})
    assert all(len(it) == 32 for it in ids)
    assert len(set(ids)) == 3
    assert all(keys)
    assert len(set.union(*keys)) == sum(map(len, keys)), "two machines have a key in common"
