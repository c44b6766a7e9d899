"""What `bake doctor` is told of this host."""

from pathlib import Path

import pytest

from baker.builders.qemu.diagnosis import findings
from baker.home import Home


def test_what_is_missing_comes_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {finding.name: finding for finding in findings(Home(tmp_path), device=tmp_path / "kvm")}
    to_run = found["to run machines"]
    assert not to_run.ok
    assert "qemu-img" in to_run.text
    assert to_run.hint is not None
    assert to_run.hint.startswith("apt-get install qemu-system-x86 qemu-utils")


def test_slow_is_not_broken_and_nothing_is_written(tmp_path: Path) -> None:
    finding = list(findings(Home(tmp_path), device=tmp_path / "kvm"))[-1]
    assert finding.ok
    assert "emulated in software" in finding.text
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_nearly_full_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> set[str]:
        return {finding.name for finding in findings(Home(tmp_path), device=tmp_path / "kvm")}

    assert "disk space" not in names()
    monkeypatch.setattr(Home, "free_bytes", lambda home: 1 << 30)
    found = {finding.name: finding for finding in findings(Home(tmp_path), device=tmp_path / "kvm")}
    assert found["disk space"].text == "1.0 GiB are free, and a bake needs 4 GiB at least"
    assert not found["disk space"].ok


def test_kvm_that_was_not_tried_is_not_praised(tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch()
    finding = list(findings(Home(tmp_path / "home"), device=device))[-1]
    assert "the first bake finds out" in finding.text
