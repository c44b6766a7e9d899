"""Secrets as they can stand in files."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from baker.keys import new_key_pair
from baker.spellings import spelled

VALUES = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Zl", "Zp", "Cc")), min_size=6, max_size=80)


def lines_found(value: str, content: bytes) -> list[bytes]:
    return [line for line in spelled("it", value).lines if line in content]


def is_in(value: str, content: bytes) -> bool:
    return spelled("it", value).is_among(lines_found(value, content))


@given(value=VALUES, before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_a_value_is_found_in_every_spelling_and_at_every_alignment(value: str, before: bytes, after: bytes) -> None:
    assume(len(value.strip()) >= 6)
    raw = value.encode()
    assert is_in(value, before + raw + after)
    assert is_in(value, base64.b64encode(before + raw + after))
    assert is_in(value, base64.urlsafe_b64encode(before + raw + after))
    assert is_in(value, quote(value).encode())
    assert is_in(value, quote(value, safe="").encode())
    assert is_in(value, json.dumps({"key": value}).encode())
    assert is_in(value, json.dumps({"key": value}, ensure_ascii=False).encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_value_is_found_in_utf_16(encoding: str) -> None:
    assert is_in("correct horse \u0105", "so it was: correct horse \u0105.".encode(encoding))


def test_a_long_value_is_found_in_wrapped_base64() -> None:
    value = "".join(f"{number:04}" for number in range(60))
    assert is_in(value, base64.encodebytes(value.encode()))
    pem = base64.b64encode(value.encode())
    assert is_in(value, b"\n".join(pem[at : at + 64] for at in range(0, len(pem), 64)))


def test_a_key_is_found_by_most_of_its_lines_and_not_by_those_that_all_keys_share() -> None:
    key, other = new_key_pair("one").private, new_key_pair("other").private
    assert is_in(key, key.encode())
    assert is_in(key, b"\n".join(b"    " + line for line in key.encode().splitlines()))
    assert is_in(key, json.dumps({"key": key}).encode())
    assert lines_found(key, other.encode()), "they share their armour and their first line"
    assert not is_in(key, other.encode())


def test_no_line_is_short_enough_to_be_in_everything() -> None:
    shared = spelled("it", "machine\na\nb\nlogin")
    assert {line for line in shared.lines if len(line) < 6} == set()
    assert spelled("it", "a\nb\nc").is_among([]) is False
