"""Makes a source image from Debian packages alone, by mmdebstrap. Needs neither loop devices nor, mostly, root."""

import io
import re
import shlex
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from baker.builders.qemu.sources import disk_image, workshop
from baker.builders.qemu.sources.host_apt import HostApt, read_host_apt
from baker.builders.qemu.sources.image_files import EXECUTABLE, LINKS, UPDATE_ESP, apt_sources, image_files
from baker.builders.qemu.spec import DebianPackages
from baker.errors import BuilderError, FetchError, RecipeError
from baker.events import Emit, OutputLine, Progress
from baker.fingerprint import digest

ARCHITECTURE = "amd64"

PACKAGES = (
    # what boots
    "linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "systemd-boot-efi", "udev", "kmod", "dbus",
    # network, names, time
    "systemd-resolved", "systemd-timesyncd", "libnss-myhostname", "iproute2", "netbase",
    # what a cloud wants of a machine, and how one logs in
    "cloud-init", "cloud-guest-utils", "openssh-server", "sudo", "procps",
    # disks
    "e2fsprogs", "xfsprogs", "dosfstools", "fdisk", "gdisk",
    # what nearly every step needs
    "ca-certificates", "curl", "python3", "bzip2", "xz-utils", "zstd", "less", "tzdata",
)  # fmt: skip

_ENABLED = ("systemd-networkd.service", "systemd-resolved.service")
_DISABLED = ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service")
"""What would take apt's lock, or the disk's time, in the middle of a bake."""

_OUT_OF_REACH = re.compile(
    r"Failed to fetch|Could not resolve|Temporary failure|Could not connect|Connection failed|Unable to connect"
    r"|does not have a Release file|Certificate verification failed"
)
_UNKNOWN_PACKAGE = re.compile(r"Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate")
_HOST_SOURCES = "host-sources.list"
_STEPS = ("packages", "file system", "disk image")


def content_key(source: DebianPackages) -> str:
    """What decides how the image comes out, besides the day: changes with the spec and with this program."""
    files = (image_files(root_partition=""), dict(LINKS), tuple(_hooks(source.suite)))
    return digest([source.suite, source.packages, PACKAGES, *files, disk_image.LAYOUT])


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFiles:
    """Where and how this host asks for packages, in files for its owner alone: a mirror or proxy may want a login."""

    sources: Path
    settings: Path

    @classmethod
    def write(cls, folder: Path, suite: str, apt: HostApt) -> "HostFiles":
        """Into `folder`. The image gets neither; a hook removes mmdebstrap's copies."""
        files = cls(sources=folder / _HOST_SOURCES, settings=folder / "host-settings.conf")
        for path, lines in ((files.sources, host_sources(suite, apt)), (files.settings, apt.settings)):
            path.touch(mode=0o600)
            path.write_text("".join(f"{line}\n" for line in lines))
        return files


def make(source: DebianPackages, folder: Path, image: Path, *, emit: Emit, apt: HostApt | None = None) -> Path:
    """Make `image` (qcow2), working in `folder`; returns a copy of its kernel beside it. About a minute.

    `apt` is where packages come from: the host's own mirrors by default. BuilderError, FetchError, DiskFullError,
    and RecipeError for a package that does not exist. What is in `folder` when this fails is the caller's to remove.
    """
    workshop.require_namespaces()
    tree, overlay, partition = folder / "tree", folder / "overlay.tar", str(uuid.uuid4())
    _say(emit, source, 0)
    overlay.write_bytes(_overlay(partition))
    _make_tree(source, tree, overlay, apt or read_host_apt(), emit)
    _say(emit, source, 1)
    kernel = disk_image.make_raw(tree, folder, root_partition=partition)
    _say(emit, source, 2)
    disk_image.convert(folder / disk_image.RAW_NAME, image)
    _say(emit, source, 3)
    return kernel


def bootstrap_command(source: DebianPackages, tree: Path, overlay: Path, host: "HostFiles") -> tuple[str, ...]:
    """mmdebstrap's arguments. Pure. Nothing of the host's is among them: anybody here can read them."""
    return (
        "mmdebstrap", "--mode=root", "--format=directory", "--variant=apt", f"--architectures={ARCHITECTURE}",
        "--skip=chroot/mount/sys",  # a user namespace may not mount it, and no package needs it
        f"--include={','.join((*PACKAGES, *source.packages))}",
        f"--aptopt={host.settings}",
        f"--essential-hook=tar-in {shlex.quote(str(overlay))} /",
        *(f"--customize-hook={hook}" for hook in _hooks(source.suite)),
        source.suite, str(tree), str(host.sources),
    )  # fmt: skip


def _make_tree(source: DebianPackages, tree: Path, overlay: Path, apt: HostApt, emit: Emit) -> None:
    argv = bootstrap_command(source, tree, overlay, HostFiles.write(tree.parent, source.suite, apt))
    scratch = ("env", f"TMPDIR={tree.parent}", "LC_ALL=C.UTF-8")  # what a killed mmdebstrap leaves goes with us
    try:
        workshop.run_as_root(
            (*scratch, *argv),
            f"installing Debian {source.suite}",
            on_line=lambda line: _tell(line, emit),
        )
    except BuilderError as error:
        raise _explained(error, source, apt) from error


def _tell(line: str, emit: Emit) -> None:
    """What mmdebstrap says itself, and of all that packages print, nothing: it is in the error when they fail."""
    if line.startswith(("I: ", "W: ", "E: ")) and "I: running --" not in line:
        emit(OutputLine(stream="note", text=line))


def _explained(error: BuilderError, source: DebianPackages, apt: HostApt) -> BuilderError | FetchError | RecipeError:
    """What mmdebstrap's last lines mean."""
    said = dict(error.details).get("message", "")
    if found := _UNKNOWN_PACKAGE.search(said):
        return RecipeError(
            f"Debian {source.suite} has no package {found[1] or found[2]}",
            hint="correct DebianPackages(packages=...) in the recipe",
        )
    if _OUT_OF_REACH.search(said):
        return FetchError(
            f"Debian {source.suite} cannot be fetched from {_shown(apt.mirror)} and {_shown(apt.security_mirror)}",
            details=error.details,
            hint="these are this host's own mirrors: see that `apt-get update` works, and that there is such a suite",
        )
    return error


def _shown(url: str) -> str:
    """An address without a login."""
    return re.sub(r"//[^/@]*@", "//", url)


def host_sources(suite: str, apt: HostApt) -> Iterator[str]:
    """The image's sources, asked from where this host asks."""
    for line in apt_sources(suite).splitlines():
        kind, _, pocket, components = line.split(maxsplit=3)
        mirror = apt.security_mirror if pocket.endswith("-security") else apt.mirror
        yield f"{kind} {mirror} {pocket} {components}"


def _hooks(suite: str) -> Iterator[str]:
    """Shell commands with the tree as `$1`, after all packages are installed."""
    yield f'chroot "$1" systemctl enable {" ".join(_ENABLED)}'
    yield f'chroot "$1" systemctl disable {" ".join(_DISABLED)}'
    yield 'chroot "$1" systemctl set-default multi-user.target'
    yield f'ln -sf {LINKS["/etc/resolv.conf"]} "$1/etc/resolv.conf"'  # mmdebstrap had put the host's there
    yield f'chroot "$1" {UPDATE_ESP}'
    # Each machine makes its own identity. An empty machine-id, not none: /etc may be read-only at first boot.
    yield ': > "$1/etc/machine-id"; rm -f "$1/var/lib/dbus/machine-id" "$1"/etc/ssh/ssh_host_*'
    yield f'rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1"/etc/apt/sources.list.d/*{_HOST_SOURCES}'
    yield f'printf %s {shlex.quote(apt_sources(suite))} > "$1/etc/apt/sources.list"'
    yield 'find "$1/var/log" -type f -delete; rm -f "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old'


def _overlay(root_partition: str) -> bytes:
    """The files of ours as a tar archive: everything in it is root's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("boot/efi")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(folder)
        for path, text in image_files(root_partition=root_partition).items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(text.encode()), 0o755 if path in EXECUTABLE else 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
        for path, target in LINKS.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return buffer.getvalue()


def _say(emit: Emit, source: DebianPackages, done: int) -> None:
    doing = f": {_STEPS[done]}" if done < len(_STEPS) else ""
    what = f"making source image Debian {source.suite}{doing}"
    emit(Progress(what=what, done=done, total=len(_STEPS), unit="steps"))
