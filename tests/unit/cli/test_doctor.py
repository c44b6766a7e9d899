"""`bake doctor`: what it says of a host, and when it says that nothing can be baked here."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from baker.cli.main import main
from baker.ports import Finding


class Builder:
    """One that lacks nothing."""

    def diagnose_host(self) -> Iterator[Finding]:
        yield Finding(name="wind", ok=True, text="there is some", hint="never shown")


@pytest.fixture(autouse=True)
def _one_builder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("baker.cli.doctor.builder_kinds", lambda: ("fog",))
    monkeypatch.setattr("baker.cli.doctor.find_builder", lambda kind: Builder())
    monkeypatch.setenv("BAKER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BAKER_MIRRORS", raising=False)


def test_a_host_that_has_all(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert f"  ok      home: {tmp_path}/home, which the first bake makes: " in out
    assert "  ok      wind: there is some\ncan bake on: fog\n" in out
    assert "hint" not in out
    assert list(tmp_path.iterdir()) == [], "it looks, and makes nothing"


def test_a_home_that_cannot_be_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    assert main(["doctor"]) == 3
    out = capsys.readouterr().out
    assert f"  NOT OK  home: nothing can be kept in {tmp_path}/home: it is not a folder\n" in out
    assert "\n          hint: export BAKER_HOME=/a/folder/of/yours\n" in out
    assert out.endswith("can bake on: nothing yet\n")


@pytest.mark.parametrize("home", ["x" * 300, "~nobody-of-this-name/x", "/proc/x"])
def test_a_home_that_makes_no_sense_is_no_bug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("BAKER_HOME", home)
    assert main(["doctor"]) in (0, 3)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert " home: " in captured.out


def test_mirrors_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BAKER_MIRRORS", str(tmp_path / "nowhere.toml"))
    assert main(["doctor"]) == 3
    out = capsys.readouterr().out
    assert f"  NOT OK  mirrors: mirrors file {tmp_path}/nowhere.toml cannot be read" in out
    assert out.endswith("can bake on: nothing yet\n")


def test_json_has_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    assert main(["doctor", "--json"]) == 3
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(it["subject"], it["name"], it["ok"]) for it in findings] == [
        ("baker", "version", True),
        ("baker", "home", False),
        ("fog", "parts", True),
        ("fog", "wind", True),
    ]


def test_a_home_on_a_full_disk_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs("/")
    full = os.statvfs_result((*real[:4], 1, *real[5:]))
    monkeypatch.setattr("baker.home.os.statvfs", lambda path: full)
    assert main(["doctor"]) == 0
    assert "KiB free; a recipe with conda wants 10 GiB\n" in capsys.readouterr().out
