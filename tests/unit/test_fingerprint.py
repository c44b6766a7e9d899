"""Content addresses: what changes them, and what must not."""

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baker.fingerprint import canonical, chain, digest, digest_file, digest_tree
from baker.secret import Secret

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: int
    y: Any = None


@given(JSON)
def test_the_same_value_has_the_same_digest(value: Any) -> None:
    assert digest(value) == digest(canonical(value))
    assert len(digest(value)) == 64


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_count(value: dict[str, int]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], [2, 1]),
        ("1", 1),
        (None, ""),
        ([["a"], "b"], [["a", "b"]]),
        (Point(1), Point(2)),
        (Point(1), {"x": 1, "y": None}),
        (b"a", "a"),
        (Secret.from_env("A"), Secret.from_env("B")),
        ("\ud800", "\ud801"),
    ],
)
def test_different_values_differ(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (Colour.RED, "red"),
        (Path("a/b"), "a/b"),
        (Path("/home/me/a"), "a"),
        ({3, 1}, [1, 3]),
        ((1, (2,)), [1, [2]]),
        (Secret.from_env("TOKEN"), {"secret": "env:TOKEN"}),
    ],
)
def test_each_kind_of_value_has_one_form(value: Any, form: Any) -> None:
    assert canonical(value) == form


@pytest.mark.parametrize("value", [object(), print, Point])
def test_what_has_no_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="has no canonical form"):
        digest(value)


def test_a_chain_depends_on_all_that_is_below() -> None:
    assert chain(chain("", "a"), "c") != chain(chain("", "b"), "c")
    assert chain("a", "b") != chain("ab", "")


def _tree(root: Path) -> Path:
    (root / "empty").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "link").symlink_to("a.txt")
    return root


def test_a_trees_digest_is_of_what_it_holds_and_not_of_where_it_lies(tmp_path: Path) -> None:
    assert digest_tree(_tree(tmp_path / "one")) == digest_file(_tree(tmp_path / "deep" / "two"))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a.txt").write_text("b"),
        lambda root: (root / "a.txt").rename(root / "b.txt"),
        lambda root: (root / "a.txt").chmod(0o755),
        lambda root: (root / "empty").rmdir(),
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("b.txt")),
        lambda root: ((root / "link").unlink(), (root / "link").write_text("a")),
    ],
)
def test_every_change_to_a_tree_counts(tmp_path: Path, change: Any) -> None:
    root = _tree(tmp_path / "tree")
    before = digest_tree(root)
    change(root)
    assert digest_tree(root) != before


def test_times_and_owners_do_not_count(tmp_path: Path) -> None:
    root = _tree(tmp_path / "tree")
    before = digest_tree(root)
    os.utime(root / "a.txt", (0, 0))
    (root / "a.txt").chmod(0o600)
    assert digest_tree(root) == before


def test_a_big_file_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"x" * (3 << 20))
    import hashlib

    assert digest_file(path) == hashlib.sha256(b"x" * (3 << 20)).hexdigest()
