"""Images of Debian packages: what is asked of mmdebstrap, and what comes out."""

import subprocess
import time
from pathlib import Path

import pytest

from baker.builders.qemu import qemu_img
from baker.builders.qemu.sources import missing_tools, prepare, require_installed, workshop
from baker.builders.qemu.sources.debian import HostFiles, bootstrap_command, content_key
from baker.builders.qemu.sources.disk_image import LEAST_DISK_MIB, ROOT_START_MIB, disk_size_mib, partition_table
from baker.builders.qemu.sources.host_apt import PUBLIC_MIRROR, PUBLIC_SECURITY_MIRROR, HostApt, read_host_apt
from baker.builders.qemu.sources.image_files import UPDATE_ESP, apt_sources, image_files
from baker.builders.qemu.spec import CloudImage, DebianPackages
from baker.errors import BuilderError, BuilderUnavailableError, DiskFullError, FetchError, RecipeError
from baker.home import Home

HOST = HostApt(
    mirror="http://mirror.example/debian",
    security_mirror="http://mirror.example/security",
    settings=('Acquire::http::Proxy "http://me:letmein@proxy.example:3128";',),
)


def test_packages_come_from_the_hosts_mirrors_and_the_image_names_the_public_ones(tmp_path: Path) -> None:
    host = HostFiles.write(tmp_path, "bookworm", HOST)
    command = bootstrap_command(DebianPackages(packages=("git",)), Path("/w/tree"), Path("/w/overlay.tar"), host)
    assert command[-3:] == ("bookworm", "/w/tree", str(host.sources))
    assert f"--aptopt={host.settings}" in command
    assert host.sources.read_text() == (
        "deb http://mirror.example/debian bookworm main\n"
        "deb http://mirror.example/debian bookworm-updates main\n"
        "deb http://mirror.example/security bookworm-security main\n"
    )
    assert host.settings.read_text() == 'Acquire::http::Proxy "http://me:letmein@proxy.example:3128";\n'
    assert any(argument.startswith("--include=") and argument.endswith(",git") for argument in command)
    hooks = [argument for argument in command if "hook=" in argument]
    assert any(PUBLIC_MIRROR in hook for hook in hooks)
    assert any("rm -f" in hook and "99mmdebstrap" in hook for hook in hooks), "the host's settings leave the image"


def test_a_login_of_the_hosts_proxy_is_in_no_argument_and_in_no_readable_file(tmp_path: Path) -> None:
    host = HostFiles.write(tmp_path, "bookworm", HOST)
    command = bootstrap_command(DebianPackages(), Path("/w/tree"), Path("/w/overlay.tar"), host)
    assert not [argument for argument in command if "letmein" in argument or "mirror.example" in argument]
    assert [path.stat().st_mode & 0o777 for path in (host.sources, host.settings)] == [0o600, 0o600]


def test_what_changes_the_image_changes_its_key() -> None:
    keys = [content_key(DebianPackages()), content_key(DebianPackages(packages=("git",)))]
    assert len({*keys, content_key(DebianPackages(suite="trixie"))}) == 3
    assert content_key(DebianPackages()) == keys[0]


def test_the_public_sources_of_an_image() -> None:
    assert apt_sources("trixie") == (
        "deb http://deb.debian.org/debian trixie main\n"
        "deb http://deb.debian.org/debian trixie-updates main\n"
        "deb http://security.debian.org/debian-security trixie-security main\n"
    )
    assert apt_sources("sid") == "deb http://deb.debian.org/debian sid main\n"


def test_kernel_and_file_system_table_name_the_same_partition() -> None:
    files = image_files(root_partition="1234-abcd")
    assert "root=PARTUUID=1234-abcd " in files["/etc/kernel/cmdline"]
    assert files["/etc/fstab"].startswith("PARTUUID=1234-abcd / ext4 ")
    assert "uuid=1234-abcd" in partition_table("1234-abcd")


def test_the_disk_grows_with_the_tree_and_leaves_room() -> None:
    assert disk_size_mib(500) == LEAST_DISK_MIB
    assert disk_size_mib(4000) > ROOT_START_MIB + 4000 * 1.2


def test_the_hook_that_fills_the_boot_partition_is_sound_shell() -> None:
    script = image_files(root_partition="x")[UPDATE_ESP]
    subprocess.run(("/bin/sh", "-n"), input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "sources.list",
            "# comment\ndeb [arch=amd64 signed-by=/k.gpg] https://m.example/debian/ bookworm main contrib\n"
            "deb-src https://src.example/debian bookworm main\n"
            "deb http://s.example/security bookworm-security main # here\n",
        ),
        (
            "sources.list.d/debian.sources",
            "# generated\nTypes: deb deb-src\nURIs: https://m.example/debian\nSuites: bookworm\n bookworm-updates\n"
            "Components: main\n\nTypes: deb\nURIs: http://s.example/security/\nSuites: bookworm-security\n"
            "Components: main\n",
        ),
    ],
)
def test_the_hosts_mirrors_are_read_in_both_formats(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    (tmp_path / "sources.list.d").mkdir(exist_ok=True)
    (tmp_path / "sources.list.d" / "z.list").write_text("deb http://later.example/debian bookworm main\n")
    found = read_host_apt(tmp_path)
    assert (found.mirror, found.security_mirror) == ("https://m.example/debian", "http://s.example/security")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deb http://archive.ubuntu.com/ubuntu noble main\ndeb http://archive.ubuntu.com/ubuntu noble-security main\n",
        "deb https://download.docker.com/linux/debian bookworm stable\n",
        "deb file:/srv/mirror bookworm main\n",
        "deb\nnonsense here\n",
    ],
)
def test_another_hosts_sources_are_not_taken(text: str, tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(text)
    found = read_host_apt(tmp_path)
    assert (found.mirror, found.security_mirror) == (PUBLIC_MIRROR, PUBLIC_SECURITY_MIRROR)


def test_a_source_that_is_switched_off_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "a.sources").write_text(
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n"
    )
    assert read_host_apt(tmp_path).mirror == PUBLIC_MIRROR


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "qemu-img").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("baker.builders.qemu.sources.tools.SYSTEM_FOLDERS", ())
    missing = missing_tools(DebianPackages())
    assert "qemu-img" not in {tool.command for tool in missing}
    assert {(tool.command, tool.package, tool.purpose) for tool in missing} >= {
        ("qemu-system-x86_64", "qemu-system-x86", "run"),
        ("mmdebstrap", "mmdebstrap", "make DebianPackages sources"),
        ("mcopy", "mtools", "make DebianPackages sources"),
    }
    needed = {tool.command for tool in missing_tools(CloudImage(url="https://a/", sha256="0" * 64))}
    assert needed == {"qemu-system-x86_64", "setpriv"}
    with pytest.raises(BuilderUnavailableError, match="mmdebstrap") as caught:
        require_installed(missing)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("apt-get install ")


def test_nothing_missing_is_no_error() -> None:
    require_installed(())


def test_a_tool_that_fails_says_its_last_lines() -> None:
    lines: list[str] = []
    with pytest.raises(BuilderError, match="trying failed: sh exited with 3") as caught:
        workshop.run(("sh", "-c", "echo one; echo two >&2; exit 3"), "trying", on_line=lines.append)
    assert lines == ["one", "two"]
    assert dict(caught.value.details)["message"] == "one\ntwo"


def test_a_tool_that_finds_the_disk_full() -> None:
    with pytest.raises(DiskFullError):
        workshop.run(("sh", "-c", "cat /proc/version > /dev/full"), "writing")


def test_a_tool_that_is_not_installed() -> None:
    with pytest.raises(BuilderUnavailableError):
        workshop.run(("no-such-tool",), "trying")


def test_what_an_interrupted_tool_has_started_ends_with_it(tmp_path: Path) -> None:
    def stop(_line: str) -> None:
        raise KeyboardInterrupt

    pid_file = tmp_path / "pid"
    script = f"sleep 61.25 & echo started; touch {pid_file}; wait"
    with pytest.raises(KeyboardInterrupt):
        workshop.run_as_root(("sh", "-c", script), "waiting", on_line=stop)
    deadline = time.monotonic() + 10  # the kernel ends what is in a namespace just after its first process
    while (running := _runs(b"sleep\x0061.25\x00")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running


def _runs(command: bytes) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == command:
                return True
        except OSError:  # it has just ended
            continue
    return False


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kept image, made when there is none, as a raw disk."""
    source = prepare(DebianPackages(), Home.from_environment(), refresh=False, emit=lambda _: None)
    qemu_img.check(source.path)
    raw = tmp_path_factory.mktemp("debian") / "disk.raw"
    subprocess.run(("qemu-img", "convert", "-O", "raw", str(source.path), str(raw)), check=True)
    return raw


def root_file(disk: Path, request: str) -> str:
    """What debugfs says about a path in the root file system."""
    options = f"{disk}?offset={ROOT_START_MIB << 20}"
    return subprocess.run(("debugfs", "-R", request, options), capture_output=True, text=True, check=True).stdout


@pytest.mark.qemu
def test_the_image_holds_no_identity_and_no_trace_of_this_host(debian: Path) -> None:
    assert root_file(debian, "cat /etc/machine-id") == ""
    assert root_file(debian, "cat /etc/apt/sources.list") == apt_sources("bookworm")
    assert "ssh_host" not in root_file(debian, "ls -p /etc/ssh")
    assert "99mmdebstrap" not in root_file(debian, "ls -p /etc/apt/apt.conf.d")
    assert root_file(debian, "stat /etc/resolv.conf").count('"../run/systemd/resolve/stub-resolv.conf"') == 1
    for empty in ("/var/lib/apt/lists", "/var/cache/apt/archives", "/dev", "/run", "/tmp"):
        entries = {line.split("/")[5] for line in root_file(debian, f"ls -p {empty}").split()}
        assert entries <= {".", "..", "lock", "partial", "auxfiles"}, empty


@pytest.mark.qemu
def test_files_belong_to_whom_they_should(debian: Path) -> None:
    assert "User:     0   Group:    42 " in root_file(debian, "stat /etc/shadow")
    assert "Mode:  04755" in root_file(debian, "stat /usr/bin/sudo")


@pytest.mark.qemu
def test_the_boot_partition_is_whole(debian: Path) -> None:
    listed = subprocess.run(
        ("mdir", "-i", f"{debian}@@1M", "-/", "-b", "::"), capture_output=True, text=True, check=True
    )
    assert {"::/EFI/BOOT/BOOTX64.EFI", "::/loader/loader.conf"} <= set(listed.stdout.split("\n"))
    assert "::/EFI/Linux/vmlinuz-" in listed.stdout
    assert "::/EFI/Linux/initrd-" in listed.stdout


@pytest.mark.qemu
def test_a_mirror_that_nobody_answers_is_named(home_folder: Path) -> None:
    from baker.builders.qemu.sources import debian as maker

    nowhere = HostApt(mirror="http://127.0.0.1:1/debian", security_mirror="http://127.0.0.1:1/security")
    with pytest.raises(FetchError, match=r"cannot be fetched from http://127\.0\.0\.1:1/debian"):
        maker.make(DebianPackages(), home_folder, home_folder / "x.qcow2", emit=lambda _: None, apt=nowhere)


@pytest.mark.soak  # mmdebstrap looks for it only after the essential packages are installed
def test_a_package_that_does_not_exist_is_the_recipes_fault(home_folder: Path) -> None:
    from baker.builders.qemu.sources import debian as maker

    source = DebianPackages(packages=("no-such-package-anywhere",))
    with pytest.raises(RecipeError, match="has no package no-such-package-anywhere"):
        maker.make(source, home_folder, home_folder / "x.qcow2", emit=lambda _: None)


@pytest.fixture
def home_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "part"
    folder.mkdir()
    return folder
