"""Asking several regions, of which one refuses."""

from collections.abc import Callable

import pytest

from baker.builders.aws.builder import AwsBuilder
from baker.builders.aws.calls import Cloud
from baker.builders.aws.leftovers import find_leftovers
from baker.builders.aws.regions import in_each
from baker.builders.aws.tags import run_tags, specification
from baker.clock import SystemClock
from baker.errors import BuilderError
from baker.ports import RunInfo
from tests.builders.aws.fake.client import FakeAws

REGIONS = ("eu-central-1", "us-east-1", "us-west-2")


@pytest.fixture
def keys(aws: FakeAws, as_caller: Callable[[FakeAws], None], run_info: Callable[..., RunInfo]) -> FakeAws:
    """A key pair of a run in each region, and one region, whichever is asked first, in which instances are denied."""
    as_caller(aws)
    for region in REGIONS:
        tags = specification(("key-pair",), run_tags(run_info(), "bake"))
        aws.client("ec2", region=region).create_key_pair(KeyName="left", TagSpecifications=tags)
    aws.fault("DescribeInstances", error="UnauthorizedOperation")
    return aws


def test_a_region_that_refuses_keeps_no_other_from_answering(keys: FakeAws) -> None:
    clouds = [Cloud(region, SystemClock()) for region in REGIONS]
    answers = in_each(clouds, find_leftovers)
    found = {next(answers).location, next(answers).location}
    with pytest.raises(BuilderError, match="1 of 3 regions could not be asked") as caught:
        next(answers)
    (silent,) = set(REGIONS) - found
    assert silent in dict(caught.value.details)
    assert "UnauthorizedOperation" in str(caught.value.details)


def test_a_region_that_was_asked_alone_gives_its_own_reason(keys: FakeAws) -> None:
    with pytest.raises(BuilderError, match="the account that bakes may not"):
        list(AwsBuilder().leftovers("us-east-1"))
    assert [it.location for it in AwsBuilder().leftovers("us-east-1")] == ["us-east-1"]
