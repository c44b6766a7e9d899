"""Files on the sandbox machine."""

import secrets
from pathlib import Path

import pytest

from baker.errors import StepError
from baker.remote import MachineRemote
from provisioners import Files

pytestmark = pytest.mark.sandbox


@pytest.fixture
def folder() -> str:
    """A folder of the test's own on the shared machine; it does not exist yet."""
    return f"/srv/{secrets.token_hex(6)}"


def listing(remote: MachineRemote, folder: str) -> list[str]:
    found = remote.run(["find", folder, "-printf", "%P|%y|%u:%g|%m|%l\\n"], sudo=True, quiet=True)
    return sorted(found.stdout.splitlines())


def text(remote: MachineRemote, path: str) -> str:
    return remote.run(["cat", path], sudo=True, quiet=True).stdout


def test_a_file_with_its_folders(shared_remote: MachineRemote, folder: str, tmp_path: Path) -> None:
    (tmp_path / "motd").write_text("hello\nwörld")
    Files(target=f"{folder}/a/motd", source="motd", owner="1234:1235", mode=0o600).apply(shared_remote)
    assert text(shared_remote, f"{folder}/a/motd") == "hello\nwörld"
    assert listing(shared_remote, f"{folder}/a/motd") == ["|f|1234:1235|600|"]


def test_a_text(shared_remote: MachineRemote, folder: str) -> None:
    Files(target=f"{folder}/motd", content="one\n").apply(shared_remote)
    Files(target=f"{folder}/motd", content="two\n").apply(shared_remote)
    assert text(shared_remote, f"{folder}/motd") == "two\n"
    assert listing(shared_remote, folder) == ["motd|f|root:root|644|", "|d|root:root|755|"]


def test_an_empty_text_is_an_empty_file(shared_remote: MachineRemote, folder: str) -> None:
    Files(target=f"{folder}/empty", content="").apply(shared_remote)
    assert text(shared_remote, f"{folder}/empty") == ""


def test_a_folder_keeps_modes_links_and_names(shared_remote: MachineRemote, folder: str, tmp_path: Path) -> None:
    source = tmp_path / "notebooks"
    (source / "empty").mkdir(parents=True)
    source.chmod(0o755)
    (source / "a b\nc").write_text("odd")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o750)
    (source / "link").symlink_to("run.sh")
    Files(target=folder, source="notebooks", owner="1234:1235").apply(shared_remote)
    assert shared_remote.run(["cat", f"{folder}/a b\nc"], sudo=True, quiet=True).stdout == "odd"
    found = listing(shared_remote, folder)
    assert "run.sh|f|1234:1235|750|" in found
    assert "link|l|1234:1235|777|run.sh" in found
    assert "empty|d|1234:1235|755|" in found
    assert "|d|1234:1235|755|" in found


def test_what_else_is_in_a_target_folder_stays(shared_remote: MachineRemote, folder: str, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "new").write_text("new")
    shared_remote.run(f"mkdir -m 0711 {folder} && echo old >{folder}/old", sudo=True)
    Files(target=folder, source="etc").apply(shared_remote)
    assert text(shared_remote, f"{folder}/old") == "old\n"
    assert "|d|root:root|711|" in listing(shared_remote, folder)
    Files(target=folder, source="etc", mode=0o700).apply(shared_remote)
    assert "|d|root:root|700|" in listing(shared_remote, folder)


def test_a_file_does_not_replace_a_folder(shared_remote: MachineRemote, folder: str, tmp_path: Path) -> None:
    (tmp_path / "motd").write_text("hello")
    shared_remote.run(["mkdir", folder], sudo=True)
    with pytest.raises(StepError, match="is a folder") as caught:
        Files(target=folder, source="motd").apply(shared_remote)
    assert f'target="{folder}/motd"' in (caught.value.hint or "")
    assert listing(shared_remote, folder) == ["|d|root:root|755|"]


def test_a_folder_does_not_replace_a_file(shared_remote: MachineRemote, folder: str, tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    shared_remote.run(f"echo mine >{folder}", sudo=True)
    with pytest.raises(StepError, match="is a file"):
        Files(target=folder, source="notebooks").apply(shared_remote)
    assert text(shared_remote, folder) == "mine\n"
