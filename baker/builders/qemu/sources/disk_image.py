"""Makes a bootable disk of a Debian tree: GPT, an EFI system partition, and a root file system that can grow.

The root partition is the last one, so cloud-init's growpart can give it the whole disk at first boot.
"""

from pathlib import Path

from baker.builders.qemu.sources import workshop

MIB = 1 << 20

LEAST_DISK_MIB = 2048
ESP_START_MIB = 1
ESP_MIB = 256
"""Room for two kernels and their initrds, and for the time between the copy of a third and the removal of one."""

ROOT_START_MIB = ESP_START_MIB + ESP_MIB
_END_MIB = 1
"""For the second copy of the partition table."""

_FREE_PERCENT = 25
"""Room in the root file system beyond the tree, so that the machine can boot on the smallest disk."""

RAW_NAME = "disk.raw"
KERNEL_NAME = "vmlinuz"

LAYOUT = (LEAST_DISK_MIB, ESP_START_MIB, ESP_MIB)

_BLOCK_BYTES = 4096

_FILL_ESP = """
mformat -i "$1@@$3M" -F -v ESP -T "$4" -h 64 -s 32 ::
mcopy -i "$1@@$3M" -s -Q -o "$2"/* ::
rm -rf -- "$2"
"""

# The firmware reads the EFI system partition, so what belongs there leaves the tree; as does what the kernel provides.
_SPLIT_TREE = """
cd "$1"
mkdir ../esp
mv boot/efi/* ../esp/
cp --dereference vmlinuz ../vmlinuz
chmod 644 ../vmlinuz
find dev -mindepth 1 -delete
rm -rf -- tmp/* var/tmp/* run/*
du --summarize --block-size=1M . | cut -f 1 > ../tree-mib
"""


def make_raw(tree: Path, folder: Path, *, root_partition: str) -> Path:
    """Make `folder`/disk.raw of `tree`, which it uses up; returns a copy of the kernel. DiskFullError, BuilderError.

    `root_partition` is the PARTUUID that the root partition gets.
    """
    raw = folder / RAW_NAME
    _shell(_SPLIT_TREE, tree)
    disk_mib = disk_size_mib(int((folder / "tree-mib").read_text()))
    with raw.open("wb") as file:
        file.truncate(disk_mib * MIB)
    _shell('printf %s "$2" | sfdisk --quiet "$1"', raw, partition_table(root_partition))
    _shell(_FILL_ESP, raw, folder / "esp", ESP_START_MIB, ESP_MIB * MIB // 512)
    root_blocks = (disk_mib - ROOT_START_MIB - _END_MIB) * MIB // _BLOCK_BYTES
    _shell('mke2fs "$@" && rm -rf -- "$0"', *_mke2fs_arguments(tree, raw, root_blocks), name=str(tree))
    return folder / KERNEL_NAME


def convert(raw: Path, image: Path) -> None:
    """Make a qcow2 of a raw disk. DiskFullError, BuilderError.

    Not compressed: it takes 300 MB more in the cache, and spares every boot the decompression of what it reads.
    """
    workshop.run(("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(image)), f"writing {image.name}")


def disk_size_mib(tree_mib: int) -> int:
    """The disk for a tree of this size."""
    return max(LEAST_DISK_MIB, ROOT_START_MIB + _END_MIB + tree_mib * (100 + _FREE_PERCENT) // 100 + 256)


def partition_table(root_partition: str) -> str:
    """What sfdisk is told."""
    return (
        "label: gpt\n"
        f"start={ESP_START_MIB}MiB, size={ESP_MIB}MiB, type=U, name=esp\n"
        f"type=L, uuid={root_partition}, name=root\n"
    )


def _mke2fs_arguments(tree: Path, raw: Path, blocks: int) -> tuple[str, ...]:
    # The file is new, so what is not written is zero: no inode table need be written now or at first boot. The journal
    # is sized for the disk that this will grow to, as a journal does not grow with its file system.
    extended = f"offset={ROOT_START_MIB * MIB},nodiscard,assume_storage_prezeroed=1"
    return (
        "-q", "-t", "ext4", "-b", str(_BLOCK_BYTES), "-m", "1", "-L", "root", "-J", "size=64", "-E", extended,
        "-d", str(tree), str(raw), str(blocks),
    )  # fmt: skip


def _shell(script: str, *arguments: object, name: str = "sh") -> None:
    argv = ("/bin/sh", "-ec", script, name, *map(str, arguments))
    workshop.run_as_root(argv, "laying out the source image")
