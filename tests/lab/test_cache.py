"""Parts are made once, wholly or not at all, and again when their inputs change."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from lab.cache import Cache, in_use, key_of

KEY = "0123456789"
NEWER = "9876543210"


def test_a_part_is_made_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "content").write_text("x")

    cache = Cache(tmp_path / "cache")
    first = cache.part("thing", KEY, make)
    assert cache.part("thing", KEY, make) == first
    assert (first / "content").read_text() == "x"
    assert len(calls) == 1


def _make_slowly(path: Path, log: Path) -> None:
    def make(folder: Path) -> None:
        with log.open("a") as lines:
            lines.write(f"{os.getpid()}\n")
        time.sleep(0.3)
        (folder / "content").write_text("x")

    part = Cache(path).part("thing", KEY, make)
    assert (part / "content").read_text() == "x"


def test_two_makers_at_once_make_it_once(tmp_path: Path) -> None:
    makers = [
        multiprocessing.get_context("fork").Process(target=_make_slowly, args=(tmp_path / "cache", tmp_path / "log"))
        for _ in range(3)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [maker.exitcode for maker in makers] == [0, 0, 0]
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).part("thing", KEY, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def _make_forever(path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("x")
        time.sleep(600)

    Cache(path).part("thing", KEY, make)


def test_what_a_killed_maker_left_is_not_taken_for_the_part(tmp_path: Path) -> None:
    maker = multiprocessing.get_context("fork").Process(target=_make_forever, args=(tmp_path,))
    maker.start()
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("*/half")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert maker.pid is not None
    os.kill(maker.pid, signal.SIGKILL)
    maker.join()
    part = Cache(tmp_path).part("thing", KEY, lambda folder: (folder / "whole").touch())
    assert [path.name for path in part.iterdir()] == ["whole"]


def test_a_newer_version_removes_the_older_one_unless_it_is_in_use(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    older = cache.part("thing", KEY, lambda folder: None)
    other = cache.part("other", KEY, lambda folder: None)
    with in_use([older]):
        newer = cache.part("thing", NEWER, lambda folder: None)
        assert older.exists()
    cache.part("thing", "5555555555", lambda folder: None)
    assert not older.exists()
    assert not newer.exists()
    assert other.exists(), "another part is none of its versions"


def test_the_key_follows_content_names_and_values(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    keys = {key_of([folder]), key_of([folder], "value")}
    (folder / "a").write_text("2")
    keys.add(key_of([folder]))
    (folder / "a").rename(folder / "b")
    keys.add(key_of([folder]))
    assert len(keys) == 4
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/x.pyc").write_text("x")
    assert key_of([folder]) in keys
