"""What is asked of the SDK itself."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from baker.builders.aws.builder import AwsBuilder
from baker.errors import BuilderError
from tests.builders.aws.acts import ImpatientClock
from tests.builders.aws.fake.client import FakeAws


def test_credentials_are_asked_for_once_for_all_regions(
    aws: FakeAws, as_caller: Callable[[FakeAws], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_caller(aws)
    keys = {
        "Version": 1,
        "AccessKeyId": aws.environment["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": aws.environment["AWS_SECRET_ACCESS_KEY"],
    }
    program, asked = tmp_path / "keys", tmp_path / "asked"
    program.write_text(f"#!/bin/sh\necho once >>{asked}\necho '{json.dumps(keys)}'\n")
    program.chmod(0o700)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert not list(AwsBuilder().images("all"))
    assert len({call["region"] for call in aws.calls("DescribeImages")}) > 1
    assert asked.read_text() == "once\n"


def test_a_proxy_that_answers_for_aws_is_no_answer(aws: FakeAws, as_caller: Callable[[FakeAws], None]) -> None:
    as_caller(aws)
    aws.fault("DescribeImages", html=502, times=1 << 30)
    with pytest.raises(BuilderError, match="AWS cannot be reached while listing images") as caught:
        list(AwsBuilder(clock=ImpatientClock()).images())
    assert "proxies" in str(caught.value.hint)
