"""A machine from an image shows whether it keeps what it promises; whatever it breaks is named, with exit code 10.

One sandbox is baked and really sealed; each row breaks a copy of its image in one way.
"""

import base64
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from baker.artifact import Artifact
from baker.checks import READY_MADE, imports
from baker.errors import BakeError, BuilderError, Interrupted, LeftoverError, VerifyError
from baker.events import ArtifactVerified, CheckFinished, Event, Notice, Record, VerificationStarted
from baker.home import Home
from baker.interrupts import Interrupts
from baker.labels import recorded, recorded_checks
from baker.manifest import fold
from baker.ports import Address, Promise
from baker.provisioner import NOTHING_REQUIRED, Remote, Requirements
from baker.seal import seal
from baker.verify import verify_again
from tests.faults.baking import ALL_STAGES, Outcome, Oven, unaccounted
from tests.faults.sandbox_builder import SandboxBuilder, SandboxCloud, SandboxSpec

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("verify")]

RUN_ID = "20260101t000000-abcd"
MIRROR = "mirror.example.org/simple"

KEYS = "nobody gets in by the builder's login key"
HOST_KEYS = "the host keys are new"
MACHINE_ID = "the machine-id is new"
SETTINGS = "no setting names a mirror or a file of the bake"
REMAINS = "nothing temporary is left of the bake"
LOGIN = "a login with the builder's key is refused"
COMES_UP = "a machine from the image comes up"
RESTART = "it comes up after a restart"
UNCHANGED = "the image stays as it is"
DISK = "disk data is there with its data"

MODULE = "opt/tool/lib/python3.11/site-packages/reef.py"
IMPORTS = imports("reef", prefix="/opt/tool")

LEAVE_SOMETHING = f"""
mkdir -p /srv/data && echo 'the catch of the day' >/srv/data/catch
python3 -m venv --without-pip /opt/tool && touch /{MODULE}
"""


@dataclass(frozen=True, kw_only=True)
class LooksAround:
    """A step that leaves something for the image, and remembers the builder's machine-id."""

    machine_id: list[str]
    name: str = "look around"
    revision: int = 1
    not_fingerprinted = {"machine_id": "what the test learns"}  # noqa: RUF012

    def inputs(self) -> tuple[Path, ...]:
        return ()

    def requires(self) -> Requirements:
        return NOTHING_REQUIRED

    def apply(self, remote: Remote) -> None:
        remote.run(LEAVE_SOMETHING, sudo=True)
        self.machine_id.append(remote.run("cat /etc/machine-id", quiet=True).stdout)


@dataclass(kw_only=True)
class Baked:
    """A sealed image, what its recipe promised, and what nobody but the test knows of its builder."""

    cloud: SandboxCloud
    artifact: Artifact
    promise: Promise
    builder: Address
    machine_id: str

    def broken(self, name: str) -> tuple[Artifact, Path]:
        """A copy of the image to break: itself, and the folder in which it differs from the tree."""
        artifact = replace(self.artifact, name=name, id=f"image:{name}")
        subprocess.run(["cp", "-a", self.cloud.image(self.artifact.name), self.cloud.image(name)], check=True)
        self.cloud.images[name] = artifact
        return artifact, self.cloud.image(name) / "upper"


@pytest.fixture(scope="module")
def baked(sandbox_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Baked:
    """Each disk is some hundred kilobytes, as only what differs from the tree is in it."""
    folder = tmp_path_factory.mktemp("verify")
    shelf = folder / "shelf"
    shelf.mkdir()
    builder = SandboxBuilder(cloud=SandboxCloud(tree=sandbox_root, shelf=shelf))
    machine_id: list[str] = []
    oven = Oven(
        builder=builder, spec=SandboxSpec(), home=Home(folder / "home"), folder=folder,
        steps=(LooksAround(machine_id=machine_id),), seal=seal,
    )  # fmt: skip
    started = time.time()
    outcome = oven.bake(RUN_ID)
    assert outcome.error is None, outcome.reasons()
    (artifact,) = builder.images(None)
    address = builder.machines[0].sandbox.address
    promise = Promise(
        checks=(IMPORTS,), folder=folder, boot_timeout_seconds=20, builder=address, mirrors=(MIRROR,), since=started
    )
    return Baked(
        cloud=builder.cloud, artifact=artifact, promise=promise, builder=address, machine_id=machine_id[0].strip()
    )


@dataclass(kw_only=True)
class Seen:
    """What a verification came to."""

    builder: SandboxBuilder
    artifact: Artifact | None = None
    error: BakeError | None = None
    events: list[Event] = field(default_factory=list)

    def checks(self) -> dict[str, str]:
        return {event.name: event.outcome for event in self.events if isinstance(event, CheckFinished)}

    def failed(self) -> set[str]:
        return {name for name, outcome in self.checks().items() if outcome != "passed"}

    def why(self, name: str) -> str:
        assert self.error is not None
        return dict(self.error.details)[name]


Verify = Callable[..., Seen]


@pytest.fixture
def verify(baked: Baked, tmp_path: Path) -> Verify:
    """`verify(artifact, promise)`; nothing may run afterwards, and all that was acquired is accounted for."""

    def run(artifact: Artifact, promise: Promise = baked.promise, *, faults: dict | None = None) -> Seen:
        builder = SandboxBuilder(cloud=baked.cloud, faults=faults or {})
        oven = Oven(builder=builder, spec=SandboxSpec(), home=Home(tmp_path / "home"), folder=tmp_path)
        seen = Seen(builder=builder)
        with Interrupts() as interrupts:
            try:
                verification = oven.verification(interrupts)
                seen.artifact = verification(artifact, promise, oven.run(RUN_ID), seen.events.append)
            except BakeError as error:
                seen.error = error
        assert not baked.cloud.running()
        assert unaccounted(seen.events) == []
        return seen

    return run


def test_an_image_that_keeps_its_promise_is_verified(baked: Baked, verify: Verify) -> None:
    artifact, _ = baked.broken("good")
    digest = SandboxBuilder(cloud=baked.cloud).digest(artifact)
    seen = verify(artifact)
    assert seen.error is None, seen.error.details
    assert seen.artifact is not None
    assert seen.artifact.verified == digest
    assert seen.artifact.labels["verified-at"].startswith("20")
    assert baked.cloud.images["good"] == seen.artifact, "the labels are not on the image itself"
    assert seen.builder.newest == ["good"]
    assert ArtifactVerified(id=artifact.id, digest=digest) in seen.events
    assert seen.checks() == dict.fromkeys(
        (COMES_UP, KEYS, HOST_KEYS, MACHINE_ID, SETTINGS, REMAINS, IMPORTS.name, LOGIN, RESTART, UNCHANGED), "passed"
    )


def test_a_recipe_without_checks_is_looked_at_all_the_same(baked: Baked, verify: Verify) -> None:
    artifact, _ = baked.broken("no-checks")
    seen = verify(artifact, replace(baked.promise, checks=()))
    assert seen.error is None
    assert KEYS in seen.checks()


# --- what an image may break, one row each


def let_the_build_user_in(baked: Baked, root: Path) -> None:
    for name, line in (
        ("passwd", "baker:x:1999:1999::/home/baker:/bin/bash"),
        ("shadow", "baker:*:19000:0:99999:7:::"),
        ("group", "baker:x:1999:"),
    ):
        with (root / "etc" / name).open("a") as file:
            file.write(f"{line}\n")
    write(root / "home/baker/.ssh/authorized_keys", baked.builder.key.public + "\n", mode=0o600)
    for path in ("home/baker", "home/baker/.ssh", "home/baker/.ssh/authorized_keys"):
        os.chown(root / path, 1999, 1999)


def leave_root_s_key(baked: Baked, root: Path) -> None:
    write(root / "root/.ssh/authorized_keys", f'command="true" {baked.builder.key.public}\n')


def leave_a_key_in_etc(baked: Baked, root: Path) -> None:
    write(root / "etc/ssh/keys.d/baker", baked.builder.key.public + "\n")


def leave_a_host_key(baked: Baked, root: Path) -> None:
    write(root / "etc/ssh/keys.d/ssh_host_ed25519_key.pub", baked.builder.host_key + "\n")


def leave_the_machine_id(baked: Baked, root: Path) -> None:
    (root / "etc/machine-id").chmod(0o644)
    (root / "etc/machine-id").write_text(baked.machine_id + "\n")


def leave_a_mirror_in_pip(baked: Baked, root: Path) -> None:
    write(root / "etc/pip.conf", f"[global]\nindex-url = https://somebody@{MIRROR}/\n")


def leave_a_mirror_in_conda(baked: Baked, root: Path) -> None:
    write(root / "opt/conda/.condarc", f"channel_alias: https://{MIRROR}\n")


def leave_a_mirror_in_git(baked: Baked, root: Path) -> None:
    write(root / "srv/notebooks/.git/config", f'[url "https://{MIRROR}/"]\n  insteadOf = https://github.com/\n')


def leave_a_file_s_name(baked: Baked, root: Path) -> None:
    write(root / "etc/apt/apt.conf.d/99mirror", 'Acquire::https::CaInfo "/run/baker/mirrors/ca.pem";\n')


def leave_a_temporary_file(baked: Baked, root: Path) -> None:
    write(root / "var/tmp/build/notes", "x", age=3600)


def leave_a_deadman(baked: Baked, root: Path) -> None:
    write(root / "etc/systemd/system/bake-deadman.timer", "[Timer]\n")


def break_python(baked: Baked, root: Path) -> None:
    write(root / MODULE, "raise ImportError('broken')\n")


def sleep_at_the_restart(baked: Baked, root: Path) -> None:
    script = 'case "$1" in reboot) ln -sf /bin/false /usr/sbin/sshd; kill -s INT 1 ;; *) echo running ;; esac'
    write(root / "usr/local/bin/systemctl", f"#!/bin/sh\n{script}\n", mode=0o755)


ROWS: dict[str, tuple[Callable[[Baked, Path], None], set[str], str]] = {
    "the build user with its key": (let_the_build_user_in, {KEYS, LOGIN}, "/home/baker/.ssh/authorized_keys"),
    "the key in root's account": (leave_root_s_key, {KEYS}, "/root/.ssh/authorized_keys"),
    "the key below /etc/ssh": (leave_a_key_in_etc, {KEYS}, "/etc/ssh/keys.d/baker"),
    "a host key": (leave_a_host_key, {HOST_KEYS}, "/etc/ssh/keys.d/ssh_host_ed25519_key.pub"),
    "the machine-id": (leave_the_machine_id, {MACHINE_ID}, "saw the same"),
    "a mirror in pip.conf": (leave_a_mirror_in_pip, {SETTINGS}, f"/etc/pip.conf:{MIRROR}"),
    "a mirror in .condarc": (leave_a_mirror_in_conda, {SETTINGS}, "/opt/conda/.condarc"),
    "a mirror in a clone": (leave_a_mirror_in_git, {SETTINGS}, "/srv/notebooks/.git/config"),
    "a file of the mirrors": (leave_a_file_s_name, {SETTINGS}, "/etc/apt/apt.conf.d/99mirror:/run/baker"),
    "a temporary file": (leave_a_temporary_file, {REMAINS}, "/var/tmp/build/notes"),
    "the dead-man switch": (leave_a_deadman, {REMAINS}, "/etc/systemd/system/bake-deadman.timer"),
    "a check that fails": (break_python, {IMPORTS.name}, "broken"),
    "a machine that does not come back": (sleep_at_the_restart, {RESTART}, "did not come back"),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_an_image_breaks_is_named(row: str, baked: Baked, verify: Verify) -> None:
    do, names, why = ROWS[row]
    artifact, root = baked.broken(re.sub("[ /]", "-", row))
    do(baked, root)
    promise = replace(baked.promise, boot_timeout_seconds=8) if do is sleep_at_the_restart else baked.promise
    seen = verify(artifact, promise)
    assert isinstance(seen.error, VerifyError)
    assert seen.error.exit_code == 10
    assert seen.failed() == names
    for name in names:
        assert seen.why(name)
    assert why in "".join(seen.why(name) for name in names)
    assert artifact.id in (seen.error.hint or "")
    assert baked.cloud.images[artifact.name].verified == "", "it is labelled as verified"
    assert seen.builder.newest == []
    assert not [event for event in seen.events if isinstance(event, ArtifactVerified)]


def test_a_disk_that_is_not_mounted_is_named_before_and_after_a_restart(baked: Baked, verify: Verify) -> None:
    artifact, _ = baked.broken("unmounted")
    artifact = replace(artifact, labels={**artifact.labels, "disk-data": "/data xfs filled"})
    seen = verify(artifact)
    assert seen.failed() == {DISK, f"{DISK} after a restart"}
    assert seen.why(DISK) == "expected /data xfs filled; saw no mount"


@pytest.mark.parametrize(
    ("label", "name"), [("user-key", KEYS), ("host-key", HOST_KEYS), ("machine-id", MACHINE_ID)], ids=str
)
def test_an_image_that_does_not_say_what_to_compare_is_not_verified(
    baked: Baked, verify: Verify, label: str, name: str
) -> None:
    artifact, _ = baked.broken(f"without-{label}")
    labels = {key: value for key, value in artifact.labels.items() if key != label}
    seen = verify(replace(artifact, labels=labels))
    assert seen.failed() == {name}
    assert "no label" in seen.why(name)


def test_a_machine_that_never_comes_up_fails_the_image_with_its_last_words(baked: Baked, verify: Verify) -> None:
    artifact, root = baked.broken("dead")
    write(root / "usr/sbin/sshd", "#!/bin/sh\necho the keel is broken >&2\nexit 1\n", mode=0o755)
    seen = verify(artifact, replace(baked.promise, boot_timeout_seconds=3))
    assert isinstance(seen.error, VerifyError)
    assert "never came up" in seen.error.summary
    assert "the keel is broken" in str(seen.error.details)
    assert seen.failed() == {COMES_UP}


def test_a_machine_that_ends_meanwhile_fails_the_image(baked: Baked, verify: Verify) -> None:
    artifact, _ = baked.broken("sinking")

    def sink(host) -> None:
        host.run("sudo systemctl poweroff; sleep 60")

    seen = verify(artifact, replace(baked.promise, checks=(sink,)))
    assert isinstance(seen.error, VerifyError)
    assert "the sandbox machine has ended" in seen.error.summary


def test_an_image_that_changes_meanwhile_is_not_verified(baked: Baked, verify: Verify) -> None:
    artifact, root = baked.broken("restless")

    def meddle(host) -> None:
        assert host.file("/srv/data/catch").exists
        (root / "srv/data/catch").write_text("another catch")

    seen = verify(artifact, replace(baked.promise, checks=(meddle,)))
    assert seen.failed() == {UNCHANGED}
    assert baked.cloud.images["restless"].verified == ""


def test_an_image_that_was_verified_and_fails_is_verified_no_more(baked: Baked, verify: Verify) -> None:
    artifact, root = baked.broken("faded")
    verified = verify(artifact).artifact
    assert verified is not None
    assert verified.verified
    leave_root_s_key(baked, root)
    assert isinstance(verify(verified).error, VerifyError)
    assert baked.cloud.images["faded"].verified == ""


def test_a_label_that_cannot_be_taken_away_is_said_and_hides_nothing(baked: Baked, verify: Verify) -> None:
    artifact, root = baked.broken("stuck")
    verified = verify(artifact).artifact
    leave_root_s_key(baked, root)

    def stuck() -> None:
        raise BuilderError("no rights")

    seen = verify(verified, faults={"label": stuck})
    assert isinstance(seen.error, VerifyError)
    (notice,) = [event for event in seen.events if isinstance(event, Notice) and "labelled" in event.text]
    assert "no rights" in notice.text


def test_a_builder_that_starts_no_machine_says_nothing_of_the_image(baked: Baked, verify: Verify) -> None:
    artifact, _ = baked.broken("unlaunched")

    def refuse() -> None:
        raise BuilderError("no quota")

    seen = verify(artifact, faults={"launch image": refuse})
    assert seen.error is not None
    assert seen.error.exit_code == 4
    assert seen.checks() == {}


def test_without_the_builder_s_key_its_fingerprint_still_finds_it(baked: Baked, verify: Verify) -> None:
    """As `bake verify` does later, and on another host."""
    artifact, root = baked.broken("later")
    leave_root_s_key(baked, root)
    seen = verify(artifact, replace(baked.promise, builder=None, mirrors=(), since=0))
    assert seen.failed() == {KEYS}
    assert LOGIN not in seen.checks()


# --- as a story of its own


@pytest.fixture
def again(baked: Baked, tmp_path: Path):
    """`again(artifact, promise, label=...)`: as `bake verify`, with and without the recipe."""

    def run(artifact: Artifact, promise: Promise, *, label: bool) -> Outcome:
        oven = Oven(
            builder=SandboxBuilder(cloud=baked.cloud), spec=SandboxSpec(), home=Home(tmp_path / "home"), folder=tmp_path
        )
        outcome = Outcome(run_id=RUN_ID)
        with Interrupts() as interrupts:
            try:
                verify_again(
                    artifact, promise, oven.verification(interrupts), oven.run(RUN_ID), ledger=oven.ledger,
                    label=label, versions={}, emit=outcome.events.append,
                )  # fmt: skip
            except (BakeError, Interrupted) as error:
                outcome.error = error
        assert not baked.cloud.running()
        assert unaccounted(outcome.events) == []
        assert not oven.ledger.runs()
        assert isinstance(outcome.events[0], VerificationStarted)
        assert outcome.stages() == [("verify", outcome.error is None)]
        assert outcome.finished.image == artifact.id
        return outcome

    return run


def test_with_the_recipe_an_image_that_passes_is_verified(baked: Baked, again) -> None:
    artifact, _ = baked.broken("again")
    outcome = again(artifact, Promise(checks=(IMPORTS,), folder=Path(), boot_timeout_seconds=20), label=True)
    assert outcome.error is None
    assert outcome.finished.exit_code == 0
    assert baked.cloud.images["again"].verified
    manifest = fold([Record(seq=0, at=0.0, event=event) for event in outcome.events])
    assert (manifest.recipe, manifest.image_name, manifest.verified) == ("tiny", "again", True)
    assert {check.stage for check in manifest.checks} == {"verify"}


def test_without_the_recipe_the_checks_of_its_labels_are_run_and_nothing_makes_it_verified(baked: Baked, again) -> None:
    artifact, root = baked.broken("alone")
    labels = {**artifact.labels, "checks": "3", "check-1": str(recorded(IMPORTS))}
    artifact = replace(artifact, labels=labels)
    promise = Promise(checks=recorded_checks(artifact, READY_MADE), folder=Path(), boot_timeout_seconds=20)
    outcome = again(artifact, promise, label=False)
    assert outcome.error is None
    assert IMPORTS.name in {check.name for check in outcome.of(CheckFinished)}
    assert [notice for notice in outcome.of(Notice) if "1 of the 3 checks" in notice.text]
    assert baked.cloud.images["alone"].verified == ""
    assert not outcome.of(ArtifactVerified)

    break_python(baked, root)
    outcome = again(artifact, promise, label=False)
    assert outcome.finished.exit_code == 10


def test_without_the_recipe_a_verified_image_stays_so_when_it_passes(baked: Baked, again) -> None:
    artifact, _ = baked.broken("steady")
    artifact = replace(artifact, labels={**artifact.labels, "verified": "abc"})
    baked.cloud.images["steady"] = artifact
    again(artifact, Promise(checks=(), folder=Path(), boot_timeout_seconds=20), label=False)
    assert baked.cloud.images["steady"] == artifact


def test_a_signal_ends_a_verification_and_its_machine(baked: Baked, again) -> None:
    artifact, _ = baked.broken("signalled")

    def stop(host) -> None:
        host.run("true")
        signal.raise_signal(signal.SIGTERM)

    outcome = again(artifact, Promise(checks=(stop,), folder=Path(), boot_timeout_seconds=20), label=True)
    assert outcome.finished.exit_code == 143
    assert baked.cloud.images["signalled"].verified == ""


# --- as a stage of a bake


@pytest.fixture
def oven(sandbox_root: Path, tmp_path: Path) -> Oven:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    builder = SandboxBuilder(cloud=SandboxCloud(tree=sandbox_root, shelf=shelf))
    return Oven(
        builder=builder, spec=SandboxSpec(), home=Home(tmp_path / "home"), folder=tmp_path,
        steps=(LooksAround(machine_id=[]),), seal=seal, is_verifying=True,
    )  # fmt: skip


def bake(oven: Oven, **options) -> Outcome:
    outcome = oven.bake(RUN_ID, **options)
    assert not oven.builder.cloud.running()
    assert unaccounted(outcome.events) == []
    return outcome


def test_a_bake_ends_with_a_verified_image(oven: Oven) -> None:
    outcome = bake(oven, checks=(IMPORTS,))
    assert outcome.error is None, outcome.reasons()
    assert outcome.stages() == [(stage, True) for stage in (*ALL_STAGES, "verify")]
    (image,) = oven.builder.images(None)
    assert image.verified == oven.builder.digest(image)
    assert len(oven.builder.machines) == 2
    assert image.labels["checks"] == "2"
    assert image.labels["check-1"] == '{"check":"Imports","modules":["reef"],"prefix":"/opt/tool"}'
    first, second = (machine.sandbox.address for machine in oven.builder.machines)
    assert first.key != second.key
    assert first.user != second.user


def test_a_bake_whose_image_fails_ends_with_10_and_says_where_the_image_is(oven: Oven) -> None:
    def only_on_the_builder(host) -> None:
        assert host.user("baker").exists

    outcome = bake(oven, checks=(only_on_the_builder,))
    assert outcome.finished.exit_code == 10
    assert outcome.stages()[-1] == ("verify", False)
    (image,) = oven.builder.images(None)
    assert outcome.finished.image == image.id
    assert image.verified == ""
    assert oven.builder.newest == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_verifying_ends_the_machine_and_leaves_the_image(oven: Oven, signum: signal.Signals) -> None:
    def on_the_second_machine(host) -> None:
        if not host.user("baker").exists:
            signal.raise_signal(signum)

    outcome = bake(oven, checks=(on_the_second_machine,))
    assert isinstance(outcome.error, Interrupted)
    assert outcome.finished.exit_code == 128 + signum
    (image,) = oven.builder.images(None)
    assert outcome.finished.image == image.id
    assert image.verified == ""


def test_a_signal_while_the_second_machine_is_ended_comes_after_it(oven: Oven) -> None:
    oven.builder.faults["terminate image"] = lambda: signal.raise_signal(signal.SIGINT)
    outcome = bake(oven)
    assert isinstance(outcome.error, Interrupted)
    assert oven.builder.machines[1].killed, "the shortest way was not taken"


def test_a_second_machine_that_cannot_be_ended_is_left_over_and_the_image_verified(oven: Oven) -> None:
    def busy() -> None:
        raise OSError("busy")

    oven.builder.faults["terminate image"] = busy
    outcome = bake(oven)
    assert isinstance(outcome.error, LeftoverError)
    (image,) = oven.builder.images(None)
    assert image.verified


def test_older_verified_images_go_only_after_the_new_one_is_verified(oven: Oven) -> None:
    for number, verified in enumerate(("a", "no", "b", "c")):
        name = f"tiny-{number}"
        labels = {"recipe": "tiny", "verified": verified}
        oven.builder.cloud.images[name] = Artifact(
            builder="sandbox", id=f"image:{name}", location="here", name=name, fingerprint="f",
            created=f"2025-01-0{number + 1}", labels=labels,
        )  # fmt: skip

    def fails(host) -> None:
        assert host.user("baker").exists

    assert bake(oven, checks=(fails,), keep=2).finished.exit_code == 10
    assert len(oven.builder.cloud.images) == 5
    del oven.builder.cloud.images[f"tiny-{RUN_ID}"]
    again = Oven(builder=oven.builder, spec=oven.spec, home=oven.home, folder=oven.folder, seal=seal, is_verifying=True)
    outcome = again.bake("20260101t000001-abcd", keep=2)
    assert outcome.error is None
    assert sorted(oven.builder.cloud.images) == ["tiny-1", "tiny-20260101t000001-abcd", "tiny-3"]


def write(path: Path, text: str, *, mode: int = 0o644, age: float = 0.0) -> None:
    for folder in reversed(path.parents):
        if folder.is_char_device():  # how overlayfs says that something has been removed
            folder.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)
    if age:
        for touched in (path, path.parent):
            os.utime(touched, (time.time() - age, time.time() - age))


def test_the_keys_of_the_rows_are_real(baked: Baked) -> None:
    """A row that planted something else than the builder's key would show nothing."""
    assert base64.b64decode(baked.builder.key.public.split()[1]).startswith(b"\0\0\0\x0bssh-ed25519")
