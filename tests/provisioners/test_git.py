"""GitClone on the sandbox machine, from real git servers on loopback."""

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from baker.errors import StepError
from baker.events import Event, FactRecorded, OutputLine
from baker.mirrors import Mirrors
from baker.ports import Machine
from baker.remote import MachineRemote
from baker.secret import Secret
from provisioners import GitClone
from provisioners.git_commands import Ref, pick_ref

MAIN, OTHER, TAG = "1" * 40, "2" * 40, "3" * 40
TOKEN = Secret.from_env("GIT_TOKEN")
PASSWORD = "correct-horse-battery"


def test_a_branch_and_a_tag_are_told_apart() -> None:
    assert pick_ref("main", f"{MAIN}\trefs/heads/main\n") == Ref(
        kind="branch", full_name="refs/heads/main", commit=MAIN
    )
    assert pick_ref("v1", f"{TAG}\trefs/tags/v1\n") == Ref(kind="tag", full_name="refs/tags/v1", commit=TAG)


def test_an_annotated_tag_stands_for_the_commit_it_tags() -> None:
    listing = f"{TAG}\trefs/tags/v1\n{MAIN}\trefs/tags/v1^{{}}\n"
    assert pick_ref("v1", listing) == Ref(kind="tag", full_name="refs/tags/v1", commit=MAIN)


def test_a_name_of_a_branch_and_a_tag_is_refused() -> None:
    listing = f"{MAIN}\trefs/heads/v1\n{TAG}\trefs/tags/v1\n"
    with pytest.raises(StepError, match="both a branch and a tag") as caught:
        pick_ref("v1", listing)
    assert "refs/tags/v1" in (caught.value.hint or "")
    assert pick_ref("refs/heads/v1", listing) == Ref(kind="branch", full_name="refs/heads/v1", commit=MAIN)


def test_a_ref_that_only_ends_alike_is_another_one() -> None:
    assert pick_ref("main", f"{MAIN}\trefs/heads/old/refs/heads/main\n") is None


@pytest.fixture
def folder() -> str:
    """A folder of the test's own on the shared machine; it need not exist."""
    return f"/srv/{secrets.token_hex(6)}"


def notes(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, OutputLine) and event.stream == "note"]


def lines(remote: MachineRemote, command: str, *, sudo: bool = True) -> list[str]:
    return remote.run(command, sudo=sudo, quiet=True).stdout.splitlines()


def snapshot(remote: MachineRemote, folder: str) -> list[str]:
    """All that a change would change: names, sizes, owners, modes, times of content and of state."""
    return sorted(lines(remote, f"find {folder} /etc/gitconfig -printf '%p %s %u %m %T@ %C@\\n'"))


def add_sibling(main, server) -> None:
    """A submodule on the same server, by a relative url, which git itself can add only to a clone of that server."""
    with (main.work / ".gitmodules").open("a") as file:
        file.write('[submodule "sibling"]\n\tpath = sibling\n\turl = ../sibling.git\n')
    commit = main.git("ls-remote", str(server.folder / "sibling.git"), "HEAD").split()[0]
    main.git("update-index", "--add", "--cacheinfo", f"160000,{commit},sibling")
    main.git("add", ".gitmodules")
    main.publish("Add a sibling")


pytestmark = pytest.mark.sandbox


def test_a_branch_is_cloned_recorded_and_readable_by_all(
    shared_remote: MachineRemote, git_server, folder: str, events: list[Event]
) -> None:
    repository = git_server.repository("notebooks")
    commit = repository.commit("a b/é.ipynb", "{}")
    GitClone(url=git_server.url("notebooks"), target=f"{folder}/notebooks", ref="main").apply(shared_remote)

    target = f"{folder}/notebooks"
    assert lines(shared_remote, f"ls -A {folder}") == ["notebooks"]
    assert lines(shared_remote, f"cat '{target}/a b/é.ipynb'", sudo=False) == ["{}"]
    assert lines(shared_remote, f"stat -c '%U:%G %a' {target} {target}/README.md") == ["root:root 755", "root:root 644"]
    assert lines(shared_remote, f"find {folder} ! -user root") == []
    # whoever logs in can use git there, though the clone is root's
    assert lines(shared_remote, f"git -C {target} log --format=%H -1", sudo=False) == [commit]
    assert lines(shared_remote, f"git -C {target} status --short --branch", sudo=False) == ["## main...origin/main"]
    assert FactRecorded(
        source="connect", name=f"git {target}", value=f"{git_server.url('notebooks')} main {commit}"
    ) in list(events)
    assert any(commit in text for text in notes(events))


def test_a_second_run_changes_nothing(shared_remote: MachineRemote, git_server, folder: str, events) -> None:
    git_server.repository("notebooks")
    step = GitClone(url=git_server.url("notebooks"), target=folder, ref="main")
    step.apply(shared_remote)
    before = snapshot(shared_remote, folder)
    step.apply(shared_remote)
    assert snapshot(shared_remote, folder) == before
    assert any("already" in text for text in notes(events))


def test_a_tag_is_checked_out_at_its_commit(shared_remote: MachineRemote, git_server, folder: str) -> None:
    repository = git_server.repository("notebooks")
    tagged = repository.git("rev-parse", "HEAD").strip()
    repository.git("tag", "--annotate", "--message", "one", "v1")
    repository.commit("later", "later")
    GitClone(url=git_server.url("notebooks"), target=folder, ref="v1").apply(shared_remote)
    assert lines(shared_remote, f"git -C {folder} rev-parse HEAD") == [tagged]
    assert lines(shared_remote, f"ls {folder}") == ["README.md"]


@pytest.mark.parametrize("depth", [None, 1])
def test_a_commit_in_the_middle_of_the_history(shared_remote: MachineRemote, git_server, folder, depth) -> None:
    repository = git_server.repository("notebooks")
    middle = repository.commit("middle", "middle")
    repository.commit("later", "later")
    GitClone(url=git_server.url("notebooks"), target=folder, ref=middle, depth=depth).apply(shared_remote)
    assert lines(shared_remote, f"git -C {folder} rev-parse HEAD") == [middle]
    assert len(lines(shared_remote, f"git -C {folder} log --format=%H")) == (depth or 2)


@pytest.mark.parametrize("ref", ["main", "v1"])
def test_a_shallow_clone_has_one_commit(shared_remote: MachineRemote, git_server, folder: str, ref: str) -> None:
    repository = git_server.repository("notebooks")
    repository.commit("later", "later")
    repository.git("tag", "v1")
    repository.push()
    GitClone(url=git_server.url("notebooks"), target=folder, ref=ref, depth=1).apply(shared_remote)
    assert len(lines(shared_remote, f"git -C {folder} log --format=%H")) == 1
    assert lines(shared_remote, f"git -C {folder} status --porcelain") == []


def test_a_clone_follows_its_branch(shared_remote: MachineRemote, git_server, folder: str) -> None:
    repository = git_server.repository("notebooks")
    step = GitClone(url=git_server.url("notebooks"), target=folder, ref="main")
    step.apply(shared_remote)
    shared_remote.run(f"echo result >{folder}/result.csv", sudo=True)  # a file that git does not know stays
    commit = repository.commit("later", "later")
    step.apply(shared_remote)
    assert lines(shared_remote, f"git -C {folder} rev-parse HEAD") == [commit]
    assert lines(shared_remote, f"cat {folder}/result.csv {folder}/later") == ["result", "later"]


def test_changed_files_are_refused_and_stay(shared_remote: MachineRemote, git_server, folder: str) -> None:
    git_server.repository("notebooks")
    step = GitClone(url=git_server.url("notebooks"), target=folder, ref="main")
    step.apply(shared_remote)
    shared_remote.run(f"echo mine >{folder}/README.md", sudo=True)
    with pytest.raises(StepError, match="changed since") as caught:
        step.apply(shared_remote)
    assert "README.md" in caught.value.details[0][1]
    assert lines(shared_remote, f"cat {folder}/README.md") == ["mine"]


def test_a_clone_of_something_else_is_refused(shared_remote: MachineRemote, git_server, folder: str) -> None:
    git_server.repository("notebooks")
    git_server.repository("others")
    GitClone(url=git_server.url("notebooks"), target=folder, ref="main").apply(shared_remote)
    with pytest.raises(StepError, match="something else") as caught:
        GitClone(url=git_server.url("others"), target=folder, ref="main").apply(shared_remote)
    assert ("it is a clone of", git_server.url("notebooks")) in caught.value.details


@pytest.mark.parametrize("make", ["mkdir -p {0} && touch {0}/mine", "mkdir -p /srv && echo mine >{0}"])
def test_other_content_is_refused_and_stays(shared_remote: MachineRemote, git_server, folder: str, make: str) -> None:
    git_server.repository("notebooks")
    shared_remote.run(make.format(folder), sudo=True)
    before = lines(shared_remote, f"find {folder} -printf '%p %s %T@\\n'")
    with pytest.raises(StepError, match="no git repository of its own"):
        GitClone(url=git_server.url("notebooks"), target=folder, ref="main").apply(shared_remote)
    assert lines(shared_remote, f"find {folder} -printf '%p %s %T@\\n'") == before


def test_the_root_of_a_mounted_disk_is_no_place_for_a_clone(shared_remote: MachineRemote, git_server) -> None:
    """Nothing can be renamed over it, be it ever so empty; /run is one on every machine."""
    git_server.repository("notebooks")
    with pytest.raises(StepError, match="no git repository") as caught:
        GitClone(url=git_server.url("notebooks"), target="/run", ref="main").apply(shared_remote)
    assert "mounted disk" in dict(caught.value.details)["it holds"]


def test_an_empty_folder_is_filled(shared_remote: MachineRemote, git_server, folder: str) -> None:
    git_server.repository("notebooks")
    shared_remote.run(["mkdir", "-p", folder], sudo=True)
    GitClone(url=git_server.url("notebooks"), target=folder, ref="main").apply(shared_remote)
    assert lines(shared_remote, f"ls {folder}") == ["README.md"]


def test_a_ref_that_is_not_there_is_named_with_those_that_are(
    shared_remote: MachineRemote, git_server, folder: str
) -> None:
    git_server.repository("notebooks")
    with pytest.raises(StepError, match="no branch or tag 'mian'") as caught:
        GitClone(url=git_server.url("notebooks"), target=f"{folder}/n", ref="mian").apply(shared_remote)
    assert "main" in (caught.value.hint or "")
    with pytest.raises(StepError) as caught:
        GitClone(url=git_server.url("notebooks"), target=f"{folder}/n", ref="abcdef1").apply(shared_remote)
    assert "40 digits" in (caught.value.hint or "")
    assert shared_remote.run(["test", "-e", folder], check=False).exit_code == 1


def test_a_clone_that_fails_midway_leaves_nothing(shared_remote: MachineRemote, git_server, folder: str) -> None:
    """The references are told, the objects are not."""
    git_server.repository("notebooks")
    shared_remote.run(["mkdir", "-p", folder], sudo=True)
    url = git_server.url("notebooks")
    step = GitClone(url=url, target=f"{folder}/notebooks", ref="0" * 40)
    with pytest.raises(StepError, match="git cannot fetch"):
        step.apply(shared_remote)
    assert lines(shared_remote, f"ls -A {folder}") == []


def test_a_server_that_breaks_is_said_by_its_url(shared_remote: MachineRemote, git_server, folder: str) -> None:
    git_server.repository("notebooks")
    git_server.broken.add("/notebooks.git/info/refs")
    with pytest.raises(StepError, match=r"git cannot fetch http://127.0.0.1") as caught:
        GitClone(url=git_server.url("notebooks"), target=folder, ref="main").apply(shared_remote)
    command = dict(caught.value.details)["command"]
    assert command.startswith("git ls-remote")
    assert "credential" not in command


def test_an_owner_gets_all_of_it_and_no_trust_of_others(shared_remote: MachineRemote, git_server, folder) -> None:
    git_server.repository("notebooks")
    step = GitClone(url=git_server.url("notebooks"), target=folder, ref="main", owner="1234:1234")
    step.apply(shared_remote)
    assert lines(shared_remote, f"find {folder} ! -uid 1234 -o ! -gid 1234") == []
    trusted = shared_remote.run("git config --system --get-all safe.directory", check=False, quiet=True).stdout
    assert folder not in trusted.splitlines()
    before = snapshot(shared_remote, folder)
    step.apply(shared_remote)
    assert snapshot(shared_remote, folder) == before


def test_a_mirror_stands_in_and_leaves_no_trace(
    shared_sandbox: Machine, make_remote: Callable[..., MachineRemote], private_git_server, folder: str, secret_values
) -> None:
    """The credential goes to the server that stands in, for submodules too."""
    private_git_server.repository("sibling")
    add_sibling(private_git_server.repository("notebooks"), private_git_server)
    secret_values[TOKEN] = PASSWORD
    url = "https://git.example.org/notebooks.git"
    mirrors = Mirrors(git={"https://git.example.org/": f"http://127.0.0.1:{private_git_server.port}/"})
    remote = make_remote(shared_sandbox, mirrors=mirrors)
    step = GitClone(url=url, target=folder, ref="main", credential=TOKEN, submodules=True)
    step.apply(remote)
    step.apply(remote)
    assert lines(remote, f"ls {folder}/sibling") == ["README.md"]
    assert lines(remote, f"git -C {folder} config --local --get remote.origin.url") == [url]
    assert remote.run(["grep", "-rF", "127.0.0.1", folder], sudo=True, check=False).stdout == ""


def test_a_mirror_that_is_asked_in_clear_is_not_told_the_credential(
    shared_sandbox: Machine,
    make_remote: Callable[..., MachineRemote],
    foreign_git_server,
    folder,
    secret_values,
    events,
) -> None:
    foreign_git_server.repository("notebooks")
    secret_values[TOKEN] = PASSWORD
    mirrors = Mirrors(git={"https://git.example.org/": f"http://127.0.0.2:{foreign_git_server.port}/"})
    remote = make_remote(shared_sandbox, mirrors=mirrors)
    step = GitClone(url="https://git.example.org/notebooks.git", target=folder, ref="main", credential=TOKEN)
    with pytest.raises(StepError, match="cannot fetch"):
        step.apply(remote)
    assert foreign_git_server.authorizations == []
    assert any("credential is not sent to the mirror http://127.0.0.2" in text for text in notes(events))
    foreign_git_server.login = None  # a mirror for everybody needs none
    step.apply(remote)
    assert foreign_git_server.authorizations == []
    assert lines(remote, f"ls {folder}") == ["README.md"]


def test_the_credential_is_nowhere(
    shared_remote: MachineRemote, private_git_server, folder: str, secret_values, events
) -> None:
    """Not on the machine's disks nor in its tmpfs, in no argument of any process while git asks, in no event."""
    private_git_server.repository("notebooks")
    secret_values[TOKEN] = PASSWORD
    arguments: list[bytes] = []
    private_git_server.on_request = lambda: arguments.extend(
        path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    )
    GitClone(url=private_git_server.url("notebooks"), target=folder, ref="main", credential=TOKEN).apply(shared_remote)

    assert private_git_server.authorizations, "the server was never told the password, so nothing is proved"
    assert any(b"git" in argv for argv in arguments)
    assert not any(PASSWORD.encode() in argv for argv in arguments)
    search = ["grep", "-rlF", "--exclude-dir=proc", "--exclude-dir=sys", "--devices=skip", PASSWORD, "/"]
    found = shared_remote.run(search, sudo=True, check=False, quiet=True).stdout
    assert found == ""
    assert "Authorization" not in "".join(lines(shared_remote, f"cat {folder}/.git/config"))
    assert PASSWORD not in repr(events)


def test_a_credential_is_wanted_or_wrong(
    shared_remote: MachineRemote, private_git_server, folder: str, secret_values
) -> None:
    private_git_server.repository("notebooks")
    url = private_git_server.url("notebooks")
    with pytest.raises(StepError) as caught:
        GitClone(url=url, target=folder, ref="main").apply(shared_remote)
    assert "wants a credential" in (caught.value.hint or "")
    secret_values[TOKEN] = "not-the-password"
    with pytest.raises(StepError) as caught:
        GitClone(url=url, target=folder, ref="main", credential=TOKEN).apply(shared_remote)
    assert "refuses this credential" in (caught.value.hint or "")
    assert shared_remote.run(["test", "-e", folder], check=False).exit_code == 1


def test_submodules_come_along_and_another_server_is_told_nothing(
    shared_remote: MachineRemote, git_server, private_git_server, folder: str, secret_values
) -> None:
    """One by a relative url on the same server, one on another, and one in a submodule."""
    inner = git_server.repository("inner")
    outer = git_server.repository("outer")
    outer.git("submodule", "--quiet", "add", git_server.url("inner"), "inner")
    outer.publish("Add a submodule")
    private_git_server.repository("sibling")
    main = private_git_server.repository("main")
    main.git("submodule", "--quiet", "add", "--name", "outer", git_server.url("outer"), "outer")
    add_sibling(main, private_git_server)
    git_server.authorizations.clear()
    secret_values[TOKEN] = PASSWORD

    step = GitClone(
        url=private_git_server.url("main"), target=folder, ref="main", credential=TOKEN, submodules=True, depth=1
    )
    step.apply(shared_remote)

    assert inner.work.exists()
    for path in ("README.md", "sibling/README.md", "outer/README.md", "outer/inner/README.md"):
        assert lines(shared_remote, f"cat {folder}/{path}", sudo=False)
    assert lines(shared_remote, f"git -C {folder}/outer/inner log --format=%s", sudo=False) == ["Write README.md"]
    assert git_server.authorizations == []
    before = snapshot(shared_remote, folder)
    step.apply(shared_remote)
    assert snapshot(shared_remote, folder) == before


def test_submodules_that_are_asked_for_later_come_later(shared_remote: MachineRemote, git_server, folder) -> None:
    git_server.repository("inner")
    outer = git_server.repository("outer")
    outer.git("submodule", "--quiet", "add", git_server.url("inner"), "inner")
    outer.publish("Add a submodule")
    GitClone(url=git_server.url("outer"), target=folder, ref="main").apply(shared_remote)
    assert lines(shared_remote, f"ls {folder}/inner") == []
    GitClone(url=git_server.url("outer"), target=folder, ref="main", submodules=True).apply(shared_remote)
    assert lines(shared_remote, f"ls {folder}/inner") == ["README.md"]


def test_a_machine_without_git(remote: MachineRemote) -> None:
    remote.run("mv $(command -v git) /root/", sudo=True)
    with pytest.raises(StepError, match="git is not installed") as caught:
        GitClone(url="https://example.org/a.git", target="/srv/a", ref="main").apply(remote)
    assert 'SystemPackages(packages=("git",))' in (caught.value.hint or "")
