"""What this host has for the QEMU builder, for `bake doctor`. Starts no machine and changes nothing."""

from collections.abc import Iterator
from pathlib import Path

from baker.builders.qemu import accelerator
from baker.builders.qemu.conditions import LEAST_FREE_GIB
from baker.builders.qemu.sources import MissingTool, missing_tools
from baker.home import Home
from baker.ports import Finding

_SOFTWARE = "machines are emulated in software, 10 to 30 times slower"


def findings(home: Home, *, device: Path = accelerator.KVM_DEVICE) -> Iterator[Finding]:
    """Programs by what they are for, then the accelerator: what is known of it without trying."""
    missing = missing_tools()
    yield _tools("to run machines", [tool for tool in missing if tool.purpose == "run"])
    yield _tools("to make Debian sources", [tool for tool in missing if tool.purpose != "run"])
    if (free := home.free_bytes() / 2**30) < LEAST_FREE_GIB:
        yield Finding(
            name="disk space",
            ok=False,
            text=f"{free:.1f} GiB are free, and a bake needs {LEAST_FREE_GIB} GiB at least",
            hint="free some space, or export BAKER_HOME=/a/folder/on/a/larger/disk",
        )
    yield _accelerator(home, device)


def _tools(name: str, missing: list[MissingTool]) -> Finding:
    if not missing:
        return Finding(name=name, ok=True, text="all programs are installed")
    packages = sorted({tool.package for tool in missing})
    commands = ", ".join(tool.command for tool in missing)
    return Finding(name=name, ok=False, text=f"without {commands}", hint=f"apt-get install {' '.join(packages)}")


def _accelerator(home: Home, device: Path) -> Finding:
    """Slow is not broken: software emulation is a finding that is fine."""
    answer = accelerator.known(home, device)
    if answer is None:
        text = f"{device} is there; the first bake finds out whether it works"
    elif answer.works:
        text = "KVM works"
    else:
        text = f"{_SOFTWARE}: {answer.reason}"
    return Finding(name="accelerator", ok=True, text=text)
