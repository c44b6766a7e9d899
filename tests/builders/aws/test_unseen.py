"""What may have been made, though the last answer was a refusal and no listing shows it yet."""

from collections.abc import Callable, Iterator

import pytest

from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import AwsError
from baker.builders.aws.unseen import Asked
from tests.builders.aws.acts import ImpatientClock
from tests.builders.aws.fake.client import FakeAws


@pytest.fixture
def ec2(aws: FakeAws, as_caller: Callable[[FakeAws], None]) -> FakeAws:
    as_caller(aws)
    return aws


def _refused(asked: Asked, action: str, **parameters: str) -> str:
    """The code of the refusal."""
    with pytest.raises(AwsError) as caught, asked.asking():
        Cloud(None, ImpatientClock()).ask(action, **parameters)
    return caught.value.code


def _seen_at_the_second_look() -> Callable[[], list[str]]:
    looks: Iterator[list[str]] = iter([[], ["it"]])
    return lambda: next(looks)


def test_a_name_that_is_taken_after_a_lost_reply_was_perhaps_taken_by_it(ec2: FakeAws) -> None:
    asked = Asked(ImpatientClock())
    ec2.fault("CreateSecurityGroup", lose="reply")
    assert _refused(asked, "create_security_group", GroupName="reef", Description="SSH") == "InvalidGroup.Duplicate"
    assert asked.found(_seen_at_the_second_look()) == ["it"]


def test_a_quota_that_is_used_up_after_a_lost_reply_was_perhaps_used_up_by_it(ec2: FakeAws) -> None:
    asked = Asked(ImpatientClock())
    ec2.fault("AllocateAddress", lose="reply")
    ec2.fault("AllocateAddress", error="AddressLimitExceeded", skip=1)
    assert _refused(asked, "allocate_address", Domain="vpc") == "AddressLimitExceeded"
    assert asked.found(_seen_at_the_second_look()) == ["it"]


def test_what_was_refused_at_once_is_not_waited_for(ec2: FakeAws) -> None:
    asked = Asked(ImpatientClock())
    ec2.fault("AllocateAddress", error="AddressLimitExceeded")
    assert _refused(asked, "allocate_address", Domain="vpc") == "AddressLimitExceeded"
    assert asked.found(_seen_at_the_second_look()) == []
