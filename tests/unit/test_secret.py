"""Secrets by name, and the redactor."""

import json
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baker.secret import REDACTED, SHORTEST_SECRET, Redactor, Secret

VALUES = st.text(
    alphabet=st.characters(exclude_characters="*", exclude_categories=("Cs",)), min_size=SHORTEST_SECRET, max_size=60
).filter(lambda text: len(text.strip()) >= SHORTEST_SECRET)


def _lines(value: str) -> list[str]:
    return [line.strip() for line in value.splitlines() if len(line.strip()) >= SHORTEST_SECRET]


@given(values=st.lists(VALUES, min_size=1, max_size=4), around=st.lists(st.text(max_size=20), min_size=5, max_size=5))
def test_no_value_and_no_line_of_one_passes(values: list[str], around: list[str]) -> None:
    redactor = Redactor()
    redactor.add(values)
    text = around[0] + "".join(value + rest for value, rest in zip(values, around[1:], strict=False))
    shown = redactor(text)
    for value in values:
        assert value.strip() not in shown
        for line in _lines(value):
            assert line not in shown


@given(st.text())
def test_without_secrets_text_is_as_it_was(text: str) -> None:
    assert Redactor()(text) == text


def test_a_longer_secret_leaves_no_tail_behind_a_shorter_one() -> None:
    redactor = Redactor()
    redactor.add(["password"])
    redactor.add(["password-and-more"])
    assert redactor("<password-and-more> <password>") == f"<{REDACTED}> <{REDACTED}>"


def test_a_key_is_redacted_line_by_line() -> None:
    redactor = Redactor()
    redactor.add(["-----BEGIN KEY-----\nAAAAB3NzaC1yc2E\n-----END KEY-----"])
    assert redactor("debug: read AAAAB3NzaC1yc2E from file") == f"debug: read {REDACTED} from file"


@pytest.mark.parametrize(
    "line",
    [
        "> Authorization: Basic {base64}",
        "GET /?token={url} HTTP/1.1",
        'sent {{"token": "{json}"}}',
        "assert {repr} == ''",
        "+ curl -u {traced} https://example.org/",
    ],
)
def test_a_secret_in_another_spelling_does_not_pass(line: str) -> None:
    secret = "it's/a \\ secret"
    redactor = Redactor()
    redactor.add([secret])
    spellings = {
        "base64": b64encode(f"ada:{secret}".encode()).decode(),
        "url": quote(secret),
        "json": json.dumps(secret)[1:-1],
        "repr": repr(secret + "'" + '"'),
        "traced": "'it'\\''s/a \\ secret'",
    }
    text = line.format(**spellings)
    shown = redactor(text)
    assert REDACTED in shown
    assert "secret" not in shown.replace("secret in", "")
    assert shown.partition(REDACTED)[0] == text[: len(shown.partition(REDACTED)[0])]


@pytest.mark.parametrize(
    ("secret", "name"),
    [
        (Secret.from_env("TOKEN"), "env:TOKEN"),
        (Secret.from_file("~/token"), "file:~/token"),
        (Secret.from_command("pass", "show", "x"), "command:pass show x"),
    ],
)
def test_a_secret_is_its_name(secret: Secret, name: str) -> None:
    assert (str(secret), secret.name) == (name, name)
    assert {secret: 1}[secret] == 1
