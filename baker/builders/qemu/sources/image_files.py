"""The files that make a Debian tree a bootable cloud machine. Pure: text by path, nothing is written here.

How it boots: the firmware starts systemd-boot from the EFI system partition, which holds copies of the kernels and
initrds in /boot. A hook makes those copies whenever a kernel or an initrd is installed, changed or removed, so an
upgrade boots the new kernel. Refused: GRUB, which wants loop devices to be installed; and kernel-install, which names
its entries after a machine-id that an image must not have.
"""

from collections.abc import Mapping

from baker.builders.qemu.sources.host_apt import PUBLIC_MIRROR

SECURITY_MIRROR = "http://security.debian.org/debian-security"

UPDATE_ESP = "/etc/kernel/postinst.d/zz-update-esp"

_UPDATE_ESP_SCRIPT = r"""#!/bin/sh
# Copies kernels, initrds and the boot loader to the EFI system partition, from which the firmware boots.
# Run by kernel packages and by update-initramfs; may be run by hand at any time.
set -eu
esp=/boot/efi
loader=/usr/lib/systemd/boot/efi/systemd-bootx64.efi
[ -f "$loader" ] && [ -d "$esp" ] || exit 0
mkdir -p "$esp/EFI/BOOT" "$esp/EFI/Linux" "$esp/loader/entries"

put() { # each file is there whole, or as it was
    cmp -s "$1" "$2" || { cp "$1" "$2.new" && mv -f "$2.new" "$2"; }
}

newest=
for version in $(ls /boot | sed -n 's/^vmlinuz-//p' | sort -V); do
    [ -f "/boot/initrd.img-$version" ] || continue
    put "/boot/vmlinuz-$version" "$esp/EFI/Linux/vmlinuz-$version"
    put "/boot/initrd.img-$version" "$esp/EFI/Linux/initrd-$version"
    cat > "$esp/loader/entries/$version.conf.new" <<ENTRY
title Debian
version $version
linux /EFI/Linux/vmlinuz-$version
initrd /EFI/Linux/initrd-$version
options $(cat /etc/kernel/cmdline)
ENTRY
    mv -f "$esp/loader/entries/$version.conf.new" "$esp/loader/entries/$version.conf"
    newest=$version
done
[ -n "$newest" ] || exit 0
put "$loader" "$esp/EFI/BOOT/BOOTX64.EFI"
printf 'default %s.conf\ntimeout 0\n' "$newest" > "$esp/loader/loader.conf.new"
mv -f "$esp/loader/loader.conf.new" "$esp/loader/loader.conf"
for kernel in "$esp"/EFI/Linux/vmlinuz-*; do
    version=${kernel##*/vmlinuz-}
    [ -f "/boot/vmlinuz-$version" ] && continue
    rm -f "$kernel" "$esp/EFI/Linux/initrd-$version" "$esp/loader/entries/$version.conf"
done
sync -f "$esp"
"""

_CLOUD_CONFIG = """\
# Where cloud-init looks for its configuration, likeliest first; ds-identify takes the one that is there.
datasource_list: [NoCloud, ConfigDrive, Azure, Ec2, None]
system_info:
  network:
    renderers: [networkd]
# The boot loader is systemd-boot: there is no GRUB to be told about disks.
grub_dpkg:
  enabled: false
"""

_HOSTS = """\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"""
# The machine's own name is answered by libnss-myhostname, whatever it is called, so sudo never warns.


def image_files(*, root_partition: str) -> Mapping[str, str]:
    """Text by absolute path. `root_partition` is the PARTUUID of the partition that will hold the tree."""
    return {
        UPDATE_ESP: _UPDATE_ESP_SCRIPT,
        "/etc/kernel/cmdline": f"root=PARTUUID={root_partition} ro quiet console=tty0 console=ttyS0,115200\n",
        "/etc/fstab": (
            f"PARTUUID={root_partition} / ext4 errors=remount-ro 0 1\nLABEL=ESP /boot/efi vfat umask=0077,nofail 0 0\n"
        ),
        "/etc/hosts": _HOSTS,
        "/etc/hostname": "debian\n",
        "/etc/default/locale": "LANG=C.UTF-8\n",
        "/etc/cloud/cloud.cfg.d/90-image.cfg": _CLOUD_CONFIG,
        # All disks of all clouds: the machine that an image is made on is not the one that it will boot on.
        "/etc/initramfs-tools/conf.d/image": "MODULES=most\n",
    }


EXECUTABLE = (UPDATE_ESP,)

LINKS: Mapping[str, str] = {
    "/etc/kernel/postrm.d/zz-update-esp": "../postinst.d/zz-update-esp",
    "/etc/initramfs/post-update.d/zz-update-esp": "../../kernel/postinst.d/zz-update-esp",
    "/etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
}
"""Symbolic links: path -> what it points to."""


def apt_sources(suite: str) -> str:
    """The public mirrors, as an image shall have them."""
    lines = [f"deb {PUBLIC_MIRROR} {suite} main"]
    if suite not in ("sid", "unstable"):  # which is its own update
        lines += [f"deb {PUBLIC_MIRROR} {suite}-updates main", f"deb {SECURITY_MIRROR} {suite}-security main"]
    return "\n".join(lines) + "\n"
