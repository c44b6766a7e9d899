"""The image that a bake starts from, found at the double."""

from collections.abc import Callable

import pytest

from baker.builders.aws.calls import Cloud
from baker.builders.aws.source import NAMED, find_source, login_user
from baker.builders.aws.spec import AmiFilter, Aws
from baker.clock import SystemClock
from baker.errors import BuilderError
from tests.builders.aws.fake.client import FakeAws


@pytest.fixture
def ec2(aws: FakeAws, as_caller: Callable[[FakeAws], None]) -> FakeAws:
    as_caller(aws)
    return aws


@pytest.fixture
def cloud(ec2: FakeAws) -> Cloud:
    return Cloud(None, SystemClock())


def test_a_name_is_looked_up_where_its_publisher_keeps_it(ec2: FakeAws, cloud: Cloud) -> None:
    for name, named in NAMED.items():
        found = find_source(Aws(source=name), cloud)
        assert found.id == ec2.client("ssm").get_parameter(Name=named.parameter)["Parameter"]["Value"]
        assert found.architecture == ("arm64" if name.endswith("arm64") else "x86_64")
        assert login_user(Aws(source=name)) == named.login_user


def test_a_parameter_is_a_source_too(cloud: Cloud) -> None:
    parameter = NAMED["debian-12"].parameter
    assert find_source(Aws(source=parameter), cloud) == find_source(Aws(source="debian-12"), cloud)
    assert login_user(Aws(source=parameter)) == "admin"


def test_a_filter_takes_the_newest_image_of_its_owner(cloud: Cloud) -> None:
    """A stranger's image has a newer name than Canonical's, and is not taken."""
    canonical, name = "099720109477", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*"
    found = find_source(Aws(source=AmiFilter(owner=canonical, name=name), login_user="ubuntu"), cloud)
    assert found.id == find_source(Aws(source="ubuntu-24.04"), cloud).id
    with pytest.raises(BuilderError, match="no image of 099720109477 in eu-central-1 is called ubuntu-99"):
        find_source(Aws(source=AmiFilter(owner=canonical, name="ubuntu-99*"), login_user="ubuntu"), cloud)
