"""`--on-error pause`: what is told, what ends the wait, and that the key is gone then.

That somebody can log in meanwhile is seen in tests/faults/test_pause.py, on a machine.
"""

import shlex
import signal
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from baker.errors import BakeError, MachineDiedError, StepError
from baker.events import CleanupFailed, Event, Notice, Progress
from baker.interrupts import SIGNALS, Interrupts
from baker.pause import LONGEST_SECONDS, Pause, known_hosts_line, ssh_command
from baker.ports import Address, KeyPair

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nthis is the secret part\n"
ADDRESS = Address(
    host="127.0.0.1",
    port=2222,
    user="baker",
    key=KeyPair(private=PRIVATE, public="ssh-ed25519 AAAA login"),
    host_key="ssh-ed25519 BBBB host",
)
FAILURE = StepError("step 3 'conda' failed: conda exited with 1", details=[("last lines", "no esmpy\nno luck")])
NOON = 1_790_000_000.0 - (1_790_000_000 % 86400) + 12 * 3600


@dataclass
class Scene:
    """A machine, a clock and a keyboard at once: what `happens` does so at a second of the wait. Takes no time."""

    folder: Path
    happens: dict[int, Callable[[], None]] = field(default_factory=dict)
    is_there: bool = True
    enter: bool = False
    address: Address = ADDRESS
    dead: BakeError | None = None
    told: list[Event] = field(default_factory=list)
    modes: dict[str, int] = field(default_factory=dict)
    waited: float = 0.0

    def run(self, *, limit: float = NOON + 4 * 3600) -> None:
        Pause(folder=self.folder, limit=limit, clock=self, keyboard=self)(self, FAILURE, self.told.append)

    def now(self) -> float:
        return NOON + self.waited

    def monotonic(self) -> float:
        return self.waited

    def sleep(self, seconds: float) -> None:
        if not self.modes:
            self.modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in self.folder.rglob("*")}
        before, self.waited = self.waited, self.waited + seconds
        for second, happen in self.happens.items():
            if before < second <= self.waited:
                happen()

    def check_alive(self) -> None:
        if self.dead is not None:
            raise self.dead

    def die(self) -> None:
        self.dead = MachineDiedError("it switched itself off")

    def forget(self) -> None:
        self.enter = False

    def enter_was_pressed(self) -> bool:
        return self.enter

    def press(self) -> None:
        self.enter = True

    @property
    def said(self) -> str:
        return "\n".join(event.text for event in self.told if isinstance(event, Notice))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(folder=tmp_path)


def test_it_tells_until_when_why_and_how(scene: Scene) -> None:
    scene.run()
    first = scene.told[0]
    assert isinstance(first, Notice)
    assert first.level == "warning"
    login = scene.folder / "login"
    assert first.text.splitlines() == [
        "the machine waits for you until 13:00:00 UTC, and is removed then with all that is on it",
        "it failed: step 3 'conda' failed: conda exited with 1",
        "  last lines:",
        "    no esmpy",
        "    no luck",
        f"log in: {ssh_command(ADDRESS, key=login / 'key', known_hosts=login / 'known_hosts')}",
        "end it: press Enter or Ctrl-C",
    ]


def test_without_a_terminal_it_says_which_process_to_end(scene: Scene) -> None:
    scene.is_there = False
    scene.run()
    assert "\nend it: kill " in scene.said
    assert "Enter" not in scene.said


def test_only_its_owner_can_read_the_key_and_nobody_afterwards(scene: Scene) -> None:
    scene.run()
    assert scene.modes == {"login": 0o700, "key": 0o600, "known_hosts": 0o600}
    assert list(scene.folder.iterdir()) == []
    assert "secret part" not in repr(scene.told)


def test_it_lasts_an_hour_and_says_how_much_of_it_is_over(scene: Scene) -> None:
    scene.run()
    assert scene.waited == pytest.approx(LONGEST_SECONDS)
    minutes = [event for event in scene.told if isinstance(event, Progress)]
    assert [event.done for event in minutes] == list(range(60 + 1))
    assert {(event.what, event.total, event.unit) for event in minutes} == {("waited", 60, "minutes")}
    assert scene.said.endswith("the pause is over: the time is up")


@pytest.mark.parametrize(("left", "waited"), [(90.0, 90.0), (-5.0, 0.0)])
def test_it_never_lasts_longer_than_the_bake_may(scene: Scene, left: float, waited: float) -> None:
    scene.run(limit=NOON + left)
    assert scene.waited == pytest.approx(waited)


def test_enter_ends_it(scene: Scene) -> None:
    scene.happens[100] = scene.press
    scene.run()
    assert 100 <= scene.waited < 102
    assert scene.said.endswith("the pause is over: Enter was pressed")


def test_what_was_typed_before_does_not_end_it(scene: Scene) -> None:
    scene.press()
    scene.run()
    assert scene.waited == pytest.approx(LONGEST_SECONDS)


def test_the_end_of_the_machine_ends_it(scene: Scene) -> None:
    scene.happens[100] = scene.die
    scene.run()
    assert 100 <= scene.waited < 102
    assert scene.said.endswith("the pause is over: it switched itself off")


def test_a_machine_that_has_ended_is_not_waited_with(scene: Scene) -> None:
    scene.die()
    scene.run()
    assert scene.waited == 0
    assert scene.said == "the pause is over: it switched itself off"


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_ends_it_and_nothing_else_and_the_next_one_hurries(scene: Scene, signum: signal.Signals) -> None:
    hurried: list[str] = []
    scene.happens[100] = lambda: signal.raise_signal(signum)
    with Interrupts() as interrupts, interrupts.hurrying(lambda: hurried.append("machine")):
        scene.run()
        assert hurried == []
        assert scene.said.endswith(f"the pause is over: stopped by {signum.name}")
        signal.raise_signal(signum)
    assert hurried == ["machine"]
    assert list(scene.folder.iterdir()) == []


def test_without_room_for_the_key_there_is_no_pause_and_no_other_error(scene: Scene) -> None:
    (scene.folder / "login").write_text("somebody's own")
    scene.run()
    assert scene.waited == 0
    assert "the pause is over: FileExistsError" in scene.said
    assert (scene.folder / "login").read_text() == "somebody's own"


def test_a_key_that_cannot_be_removed_is_a_leftover_with_its_command(scene: Scene) -> None:
    login = scene.folder / "login"

    def move() -> None:
        login.rename(scene.folder / "elsewhere")

    scene.happens[10] = move
    scene.run()
    (failed,) = [event for event in scene.told if isinstance(event, CleanupFailed)]
    assert failed.what == f"the login key in {login}"
    assert failed.remove_hint == f"rm -rf {login}"


def test_a_path_may_hold_what_means_something_to_ssh_or_a_shell() -> None:
    command = ssh_command(ADDRESS, key=Path("/a b/%d/it's"), known_hosts=Path("/plain/known_hosts"))
    words = shlex.split(command)
    assert 'IdentityFile="/a b/%%d/it\'s"' in words
    assert "UserKnownHostsFile=/plain/known_hosts" in words
    assert words[-3:] == ["-p", "2222", "baker@127.0.0.1"]


def test_a_proxy_command_is_a_line_of_shell_in_which_nothing_is_ssh_s_own() -> None:
    address = replace(ADDRESS, proxy_command=("ssh", "-W", "10.0.0.7:22", "100%host", "it's"))
    words = shlex.split(ssh_command(address, key=Path("/key"), known_hosts=Path("/known_hosts")))
    (option,) = [word for word in words if word.startswith("ProxyCommand=")]
    assert option.startswith("ProxyCommand=ssh -W 10.0.0.7:22 100%%host ")
    assert shlex.split(option.replace("%%", "%"))[-1] == "it's"


def test_a_server_on_the_usual_port_goes_by_its_name_alone() -> None:
    assert known_hosts_line(ADDRESS) == "[127.0.0.1]:2222 ssh-ed25519 BBBB host\n"
    assert known_hosts_line(replace(ADDRESS, port=22)) == "127.0.0.1 ssh-ed25519 BBBB host\n"
