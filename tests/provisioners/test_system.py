"""SystemPackages and SystemUpdate on the sandbox machine: real apt from the real archive, real dnf from a small one."""

from collections.abc import Iterable

import pytest

from baker.errors import StepError
from baker.events import Event, OutputLine
from baker.remote import MachineRemote
from provisioners import SystemPackages, SystemUpdate
from provisioners.system import restart_reasons

pytestmark = pytest.mark.sandbox


def said(events: Iterable[Event], stream: str) -> str:
    return "\n".join(event.text for event in events if isinstance(event, OutputLine) and event.stream == stream)


def installed(remote: MachineRemote, package: str) -> bool:
    return remote.run(["dpkg", "--status", package], check=False, quiet=True).exit_code == 0


HOLD = """
import fcntl, subprocess, sys, time
files = [open(path, "w") for path in sys.argv[2:]]
for file in files: fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
while subprocess.run(["pgrep", "-x", "apt-get"], stdout=subprocess.DEVNULL).returncode: time.sleep(0.1)
time.sleep(float(sys.argv[1]))
"""


def hold(remote: MachineRemote, seconds: int, *paths: str) -> None:
    """Another program that has the locks at `paths`, until apt-get has met them for a while."""
    holding = f"rm -f /tmp/held; nohup python3 -c '{HOLD}' {seconds} {' '.join(paths)} >/tmp/held 2>&1 &"
    remote.run(f"{holding}\nuntil grep -qs held /tmp/held; do sleep 0.1; done", sudo=True, quiet=True)


def test_apt_from_nothing_to_a_whole_life(remote: MachineRemote, events: list[Event]) -> None:
    """One machine, since each would fetch the lists again: missing, present, unknown, locked, updated."""
    assert not installed(remote, "hello")
    SystemPackages(packages=("hello", "ca-certificates")).apply(remote)
    assert installed(remote, "hello")
    assert "Reading package lists" in said(events, "stdout")

    lists = remote.run("ls /var/lib/apt/lists", quiet=True).stdout
    assert "_Packages" in lists
    assert "Translation" not in lists

    events.clear()  # all present: nothing but one look
    SystemPackages(packages=("hello", "ca-certificates")).apply(remote)
    assert said(events, "stdout") == ""
    assert said(events, "note") == "all packages are installed already"

    events.clear()  # the lists are young: no second update
    SystemPackages(packages=("sl",)).apply(remote)
    assert installed(remote, "sl")
    assert "InRelease" not in said(events, "stdout")

    events.clear()  # unknown: the lists are fetched once more, then it is said
    with pytest.raises(StepError) as caught:
        SystemPackages(packages=("cowsay", "no-such-thing", "nor-that")).apply(remote)
    assert caught.value.summary == "packages no-such-thing, nor-that are unknown to the system"
    assert "spelling" in (caught.value.hint or "")
    assert "InRelease" in said(events, "stdout")
    assert not installed(remote, "cowsay")

    version = remote.run("apt-cache policy hello | sed -n 's/.*Installed: //p'", quiet=True).stdout.strip()
    events.clear()
    SystemPackages(packages=(f"hello={version}",)).apply(remote)
    assert said(events, "note") == "all packages are installed already"
    with pytest.raises(StepError, match="package hello is unknown"):
        SystemPackages(packages=("hello=0.1",)).apply(remote)

    events.clear()  # removed but for its configuration is not installed
    remote.run("apt-get -qq remove sl", sudo=True, quiet=True)
    SystemPackages(packages=("sl",)).apply(remote)
    assert installed(remote, "sl")

    events.clear()
    hold(remote, 12, "/var/lib/apt/lists/lock")
    SystemUpdate().apply(remote)
    assert "another program holds the package lock" in said(events, "note")

    events.clear()
    remote.run("apt-get -qq remove sl", sudo=True, quiet=True)
    hold(remote, 4, "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")
    SystemPackages(packages=("sl",)).apply(remote)
    assert "Waiting for cache lock" in said(events, "stdout") + said(events, "stderr")
    assert installed(remote, "sl")


MAKE_REPOSITORY = r"""
set -eu
mkdir -p /srv/rpms /srv/build
cd /srv/build
make_package() {
    cat >"$1.spec" <<END
Name: $1
Version: $2
Release: 1
Summary: A package
License: MIT
BuildArch: noarch
$3
%description
A package.
%install
mkdir -p %{buildroot}/usr/share/bakery
echo $2 >%{buildroot}/usr/share/bakery/$1
%files
/usr/share/bakery/$1
END
    rpmbuild -bb --quiet --define "_rpmdir /srv/rpms" --define "_topdir /srv/build" "$1.spec"
}
make_package flour 1 "Recommends: sugar"
make_package flour 2 "Recommends: sugar"
make_package sugar 1 "Provides: sweet"
mv /srv/rpms/noarch/flour-2* /srv/
createrepo_c --quiet /srv/rpms
mkdir -p /etc/yum.repos.d
printf '[bakery]\nname=bakery\nbaseurl=file:///srv/rpms\ngpgcheck=0\nmetadata_expire=-1\n' >/etc/yum.repos.d/bakery.repo
mv "$(command -v apt-get)" /root/  # from now on this is a dnf system
"""


def test_dnf_from_nothing_to_a_whole_life(remote: MachineRemote, events: list[Event]) -> None:
    """Debian's dnf and rpm on a machine of the test's own, with a repository made there."""
    SystemPackages(packages=("dnf", "rpm", "createrepo-c")).apply(remote)
    remote.run(MAKE_REPOSITORY, sudo=True, quiet=True)

    def content() -> list[str]:
        return remote.run("cd /usr/share/bakery && grep . *", check=False, quiet=True).stdout.splitlines()

    SystemPackages(packages=("flour",)).apply(remote)
    assert content() == ["1"]  # what it recommends did not come along

    events.clear()
    SystemPackages(packages=("flour",)).apply(remote)
    assert said(events, "note") == "all packages are installed already"
    assert said(events, "stdout") == ""

    with pytest.raises(StepError, match="package no-such-thing is unknown"):
        SystemPackages(packages=("no-such-thing",)).apply(remote)

    remote.run("mv /srv/flour-2* /srv/rpms/noarch/ && createrepo_c --quiet /srv/rpms", sudo=True, quiet=True)
    SystemUpdate().apply(remote)
    assert content() == ["2"]

    remote.run("dnf --assumeyes --quiet remove flour", sudo=True, quiet=True)
    SystemPackages(packages=("flour",), recommends=True).apply(remote)
    assert content() == ["flour:2", "sugar:1"]

    events.clear()  # by what a package provides
    SystemPackages(packages=("sweet",)).apply(remote)
    assert said(events, "note") == "all packages are installed already"


USE_A_LIBRARY = """
import ctypes, shutil, time
shutil.copy("/lib/x86_64-linux-gnu/libz.so.1", "/usr/lib/libold.so.1")
ctypes.CDLL("/usr/lib/libold.so.1")
open("/tmp/loaded", "w").close()
time.sleep(600)
"""


def test_a_restart_is_wanted_for_a_new_kernel_and_for_libraries_in_use(remote: MachineRemote) -> None:
    assert restart_reasons(remote) == ()
    start = f"cp -p $(command -v python3) /usr/bin/oldserver; nohup oldserver -c '{USE_A_LIBRARY}' >/dev/null 2>&1 &"
    remote.run(f"{start}\nuntil [ -e /tmp/loaded ]; do sleep 0.1; done", sudo=True)
    assert restart_reasons(remote) == ()
    remote.run("rm /usr/lib/libold.so.1; touch /boot/vmlinuz-999.1-1-amd64 /boot/vmlinuz-0-rescue-1", sudo=True)
    running = remote.run("uname -r", quiet=True).stdout.strip()
    assert restart_reasons(remote) == (
        f"kernel 999.1-1-amd64 is installed, {running} runs",
        "replaced libraries are in use by oldserver",
    )
    remote.run(f"rm /boot/vmlinuz-999*; touch /boot/vmlinuz-{running}; touch /run/reboot-required", sudo=True)
    assert restart_reasons(remote)[:2] == ("the system says so", f"kernel {running} was installed anew")


def test_a_machine_without_either(remote: MachineRemote) -> None:
    remote.run('mv "$(command -v apt-get)" /root/', sudo=True)
    with pytest.raises(StepError, match="neither apt-get nor dnf"):
        SystemPackages(packages=("git",)).apply(remote)
