"""CondaInstall: its rules, and itself on a sandbox, with an installer of the same command line as Miniforge."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from baker.errors import FetchError, RecipeError, StepError
from baker.events import Event, FactRecorded
from baker.mirrors import Mirrors
from baker.plan import step_fields
from baker.provisioner import Fetch, Provisioner
from baker.remote import MachineRemote
from provisioners import CondaInstall
from provisioners.conda_install import MINIFORGE_SHA256, MINIFORGE_URL

SUM = "0" * 64

INSTALLER = """#!/bin/sh
set -e
while [ $# -gt 0 ]; do case $1 in -p) prefix=$2; shift 2 ;; *) shift ;; esac; done
mkdir -p "$prefix/bin" "$prefix/conda-meta" "$prefix/etc/profile.d" "$prefix/pkgs/a-1-0" "$HOME/.conda"
echo "$HOME" > "$HOME/.conda/environments.txt"
echo 'channels: [defaults]' > "$prefix/.condarc"
echo 'conda_was_sourced=yes' > "$prefix/etc/profile.d/conda.sh"
echo '{}' > "$prefix/conda-meta/conda-24.7.1-py311_0.json"
printf '#!/bin/sh\\n' > "$prefix/bin/conda"
chmod +x "$prefix/bin/conda"
echo installed here
"""

Serve = Callable[[str], CondaInstall]


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Keep quiet."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and its URL as the sandbox, which shares the host's loopback, sees it."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def serve(served: tuple[Path, str]) -> Serve:
    """Serves a text as the installer, and gives the step that wants it."""

    def step(text: str) -> CondaInstall:
        folder, url = served
        (folder / "installer.sh").write_text(text)
        return CondaInstall(url=f"{url}/installer.sh", sha256=hashlib.sha256(text.encode()).hexdigest())

    return step


def leftovers(remote: MachineRemote) -> str:
    return remote.run("ls -A /var/tmp; ls -d /root/.conda /root/.condarc 2>/dev/null || true", sudo=True).stdout


def test_it_is_a_step_all_of_whose_fields_count() -> None:
    step: Provisioner = CondaInstall()
    assert isinstance(step, Provisioner)
    assert set(step_fields(step)) == {"url", "sha256", "prefix", "channels"}
    assert step.name == "conda in /opt/conda"


def test_by_default_it_wants_miniforge_by_its_sum_and_the_channel() -> None:
    installer, channel = CondaInstall().requires().fetches
    assert installer.url.endswith("/26.3.2-3/Miniforge3-26.3.2-3-Linux-x86_64.sh")
    assert installer.sha256 == MINIFORGE_SHA256["x86_64"]
    assert channel == Fetch(kind="conda-channel", url="conda-forge")


def test_it_wants_each_installer_that_has_a_sum() -> None:
    step = CondaInstall(url="https://example.org/{architecture}.sh", sha256={"x86_64": "0" * 64, "aarch64": "1" * 64})
    assert [fetch.url for fetch in step.requires().fetches if fetch.kind == "conda-installer"] == [
        "https://example.org/x86_64.sh",
        "https://example.org/aarch64.sh",
    ]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"prefix": "conda"}, "no place for conda"),
        ({"prefix": "/opt/my conda"}, "no place for conda"),
        ({"prefix": "/"}, "no place for conda"),
        ({"prefix": "/opt/../conda"}, "no place for conda"),
        ({"url": "miniforge.sh", "sha256": SUM}, "is not a URL"),
        ({"url": "https://example.org/other.sh"}, "needs its own sha256"),
        ({"url": "https://example.org/other.sh", "sha256": ""}, "is not a SHA-256"),
        ({"url": "https://example.org/other.sh", "sha256": {}}, "needs a sha256"),
        ({"url": "https://example.org/other.sh", "sha256": "A" * 64}, "is not a SHA-256"),
        ({"sha256": SUM}, "for several architectures"),
        ({"channels": "conda-forge"}, "is not a tuple of text"),
        ({"channels": ()}, "at least one channel"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        CondaInstall(**fields)  # type: ignore[arg-type]


@pytest.mark.sandbox
def test_conda_is_there_configured_and_nothing_else(remote: MachineRemote, serve: Serve, events: list[Event]) -> None:
    before = leftovers(remote)
    serve(INSTALLER).apply(remote)
    assert remote.run("cat /opt/conda/.condarc").stdout == "channels:\n  - conda-forge\nchannel_priority: strict\n"
    assert remote.run(". /etc/profile.d/conda.sh; echo $conda_was_sourced").stdout == "yes\n"
    assert remote.run("test -e /opt/conda/pkgs", check=False).exit_code == 1
    assert leftovers(remote) == before
    facts = {event.name: event.value for event in events if isinstance(event, FactRecorded)}
    assert facts["conda"] == "conda-24.7.1-py311_0"
    assert "/installer.sh sha256:" in facts["conda installer"]


@pytest.mark.sandbox
def test_again_it_only_writes_the_configuration(remote: MachineRemote, serve: Serve, served: tuple[Path, str]) -> None:
    step = serve(INSTALLER)
    step.apply(remote)
    (served[0] / "installer.sh").unlink()  # a second download would fail
    CondaInstall(url=step.url, sha256=step.sha256, channels=("bioconda", "conda-forge")).apply(remote)
    assert "- bioconda\n  - conda-forge\n" in remote.run("cat /opt/conda/.condarc").stdout


@pytest.mark.sandbox
def test_a_wrong_sum_runs_nothing_and_says_what_was_expected_and_seen(remote: MachineRemote, serve: Serve) -> None:
    good = serve(INSTALLER)
    other = serve(f"{INSTALLER}# changed")
    with pytest.raises(FetchError, match="not the one that the recipe names") as caught:
        good.apply(remote)
    details = dict(caught.value.details)
    assert details["expected"] == f"sha256 {good.sha256}"
    assert details["seen"] == f"sha256 {other.sha256}"
    assert remote.run("test -e /opt/conda", check=False).exit_code == 1
    assert "conda-install" not in leftovers(remote)


@pytest.mark.sandbox
def test_an_installer_that_fails_leaves_nothing_behind(remote: MachineRemote, serve: Serve) -> None:
    with pytest.raises(StepError, match="installer failed") as caught:
        serve(f"{INSTALLER}\necho no space left on device >&2; exit 9").apply(remote)
    assert "no space left on device" in dict(caught.value.details)["last lines"]
    assert remote.run("test -e /opt/conda", check=False).exit_code == 1
    assert "conda-install" not in leftovers(remote)


@pytest.mark.sandbox
def test_a_prefix_with_something_else_in_it_is_left_alone(remote: MachineRemote, serve: Serve) -> None:
    remote.put(b"mine", "/opt/conda/precious")
    with pytest.raises(StepError, match="holds something else"):
        serve(INSTALLER).apply(remote)
    assert remote.run("ls -A /opt/conda").stdout == "precious\n"


@pytest.mark.sandbox
def test_another_installer_does_not_go_over_the_first(remote: MachineRemote, serve: Serve) -> None:
    serve(INSTALLER).apply(remote)
    with pytest.raises(StepError, match="holds something else"):
        serve(f"{INSTALLER}# newer").apply(remote)
    assert remote.run("test -x /opt/conda/bin/conda").exit_code == 0


@pytest.mark.sandbox
def test_an_installer_that_is_not_there_is_out_of_reach(remote: MachineRemote, served: tuple[Path, str]) -> None:
    with pytest.raises(FetchError, match="cannot be downloaded"):
        CondaInstall(url=f"{served[1]}/missing.sh", sha256=SUM).apply(remote)


@pytest.mark.sandbox
def test_an_architecture_without_a_sum_gets_a_clear_error(remote: MachineRemote) -> None:
    with pytest.raises(StepError, match=f"no SHA-256 is known.* on {remote.architecture}") as caught:
        CondaInstall(url=MINIFORGE_URL, sha256={"riscv64": SUM}).apply(remote)
    assert caught.value.hint is not None
    assert remote.architecture in caught.value.hint


@pytest.mark.sandbox
def test_a_mirror_stands_in_with_its_own_sum_and_leaves_no_trace(
    sandbox: object, make_remote: Callable[..., MachineRemote], serve: Serve
) -> None:
    stand_in = serve(INSTALLER)
    assert isinstance(stand_in.sha256, str)
    mirrors = Mirrors(conda_installer_url=stand_in.url, conda_installer_sha256=stand_in.sha256)
    remote = make_remote(sandbox, mirrors)
    CondaInstall().apply(remote)
    assert remote.run("/opt/conda/bin/conda").exit_code == 0
    assert remote.run("grep -r 127.0.0.1 /opt/conda", check=False).stdout == ""
