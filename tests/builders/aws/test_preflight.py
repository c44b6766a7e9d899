"""What is asked of an account before anything is made: each refusal names the reason and what mends it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from baker.builders.aws.builder import AwsBuilder
from baker.builders.aws.spec import Aws, Volume
from baker.errors import BuilderError
from baker.events import Event
from baker.plan import make_plan
from baker.ports import Problem, RunInfo
from baker.recipe import Disk, Recipe, Share
from tests.builders.aws.fake.client import FakeAws

OTHERS = Share(targets=("210987654321",))
EVERYBODY = Share(public=True)


@pytest.fixture
def ec2(aws: FakeAws, as_caller: Callable[[FakeAws], None]) -> FakeAws:
    as_caller(aws)
    return aws


@pytest.fixture
def look(ec2: FakeAws) -> Callable[..., list[Problem]]:
    """`look(share=..., **fields of Aws)`: what a preflight finds; it makes nothing."""

    def look(*, share: Share | None = None, **changes: Any) -> list[Problem]:
        values = {"source": "debian-12", "instance_types": ("t3.micro",), "caller_service": ec2.caller_address_url}
        spec = Aws(**(values | changes))
        recipe = Recipe(name="reef", builders=(spec,), disks=(Disk(name="data", size_gib=1),), share=share or Share())
        before = ec2.account()
        found = AwsBuilder().preflight(make_plan(recipe, spec), until=time.time() + 3600)
        assert ec2.account() == before
        return list(found)

    return look


def key(ec2: FakeAws) -> str:
    return str(ec2.client("kms").create_key()["KeyMetadata"]["KeyId"])


def encrypt_by_default(ec2: FakeAws, region: str = "eu-central-1") -> None:
    ec2.client(region=region).enable_ebs_encryption_by_default()


def test_all_that_is_wrong_is_told_at_once(look: Callable[..., list[Problem]]) -> None:
    found = look(source="ami-00000000", login_user="ada", instance_types=("t9.huge",), subnets=("subnet-00000000",))
    assert [problem.exit_code for problem in found] == [4, 4]
    assert "InvalidAMIID.NotFound" in found[0].summary
    assert "InvalidSubnetID.NotFound" in found[1].summary
    assert all(problem.hint for problem in found)


@pytest.mark.parametrize(
    ("quotas", "spot", "refused"),
    [
        ({"L-1216C47A": 1}, "never", "L-1216C47A"),
        ({"L-1216C47A": 2}, "never", ""),
        ({"L-34B43A08": 0}, "never", ""),
        ({"L-34B43A08": 0}, "prefer", ""),
        ({"L-34B43A08": 0}, "only", "L-34B43A08"),
        ({"L-34B43A08": 0, "L-1216C47A": 0}, "prefer", "L-1216C47A"),
    ],
)
def test_the_quota_of_processors(
    ec2: FakeAws, look: Callable[..., list[Problem]], quotas: dict[str, int], spot: str, refused: str
) -> None:
    ec2.settings(quotas=quotas)
    found = look(spot=spot)
    assert [refused in str(problem.hint) for problem in found] == ([True] if refused else [])


def test_what_runs_already_counts_for_the_quota(ec2: FakeAws, look: Callable[..., list[Problem]]) -> None:
    ec2.look_alikes()  # two machines of two processors each
    ec2.settings(quotas={"L-1216C47A": 5})
    (problem,) = look()
    assert "is 5, 4 are in use, and t3.micro needs 2 (VcpuLimitExceeded)" in problem.summary
    assert look(spot="only") == []


def test_who_may_not_ask_for_quotas_bakes_all_the_same(ec2: FakeAws, look: Callable[..., list[Problem]]) -> None:
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "servicequotas:*", "Resource": "*"},
    ]
    ec2.policy({"Version": "2012-10-17", "Statement": statements})
    assert look() == []
    assert len(ec2.calls("GetServiceQuota")) == 1


def test_a_key_that_is_not_there_or_not_usable(ec2: FakeAws, look: Callable[..., list[Problem]]) -> None:
    (missing,) = look(root=Volume(kms_key="alias/reef"))
    assert "the encryption key cannot be used (NotFoundException" in missing.summary
    assert "kms_key" in str(missing.hint)
    mine = key(ec2)
    assert look(root=Volume(kms_key=mine)) == []
    ec2.client("kms").disable_key(KeyId=mine)
    (disabled,) = look(root=Volume(kms_key=mine))
    assert disabled.summary == f"the encryption key {mine} is disabled"


def test_a_profile_that_is_not_there(look: Callable[..., list[Problem]]) -> None:
    (problem,) = look(instance_profile="reef-role")
    assert problem.summary.startswith("there is no instance profile reef-role (InvalidParameterValue: ")
    assert "list-instance-profiles" in str(problem.hint)


@pytest.mark.parametrize(
    ("changes", "share", "says"),
    [
        ({"region": "eu-centrl-1"}, None, "AWS has no region eu-centrl-1, as far as boto3 knows"),
        ({}, Share(regions=("us-eastt-1",)), "AWS has no region us-eastt-1 to copy the image to"),
    ],
)
def test_a_region_that_is_none(
    look: Callable[..., list[Problem]], changes: dict[str, Any], share: Share | None, says: str
) -> None:
    (problem,) = look(share=share, **changes)
    assert problem.summary.startswith(says)
    assert problem.hint in ("did you mean eu-central-1?", "did you mean us-east-1?")


def test_a_region_that_the_account_has_not_enabled(look: Callable[..., list[Problem]]) -> None:
    found = look(region="ap-east-1")
    assert any("OptInRequired" in problem.summary for problem in found)
    assert any("enable" in str(problem.hint) for problem in found)


def test_encryption_that_keeps_an_image_from_others(ec2: FakeAws, look: Callable[..., list[Problem]]) -> None:
    mine = key(ec2)
    own, others = Volume(kms_key=mine), Volume(encrypted=True)
    assert look(share=OTHERS) == []
    assert look(share=OTHERS, root=own, data=own) == []
    (problem,) = look(share=OTHERS, root=own, data=others)
    assert "encrypted with AWS's own key" in problem.summary
    encrypt_by_default(ec2)
    (problem,) = look(share=OTHERS)
    assert "kms_key" in str(problem.hint)
    assert look() == [], "an image for nobody else may be encrypted as it likes"


def test_encryption_in_the_region_of_a_copy(ec2: FakeAws, look: Callable[..., list[Problem]]) -> None:
    share = Share(targets=OTHERS.targets, regions=("us-east-1",))
    assert look(share=share) == []
    encrypt_by_default(ec2, "us-east-1")
    (problem,) = look(share=share)
    assert problem.summary.startswith("the copy in us-east-1 would be encrypted with AWS's own key")
    assert "modify-ebs-default-kms-key-id --region us-east-1" in str(problem.hint)
    assert look(share=Share(regions=("us-east-1",))) == []


def test_a_public_image(ec2: FakeAws, look: Callable[..., list[Problem]]) -> None:
    (problem,) = look(share=EVERYBODY)
    assert problem.summary == "this account blocks public images in eu-central-1"
    assert "disable-image-block-public-access --region eu-central-1" in str(problem.hint)
    ec2.client().disable_image_block_public_access()
    assert look(share=EVERYBODY) == []
    own = Volume(kms_key=key(ec2))
    (problem,) = look(share=EVERYBODY, root=own, data=own)
    assert problem.summary == "the image would be encrypted, and an encrypted image cannot be public"


@pytest.mark.parametrize(
    ("seconds", "says"), [(1800, "expire in 30 minutes, before the bake may end"), (7200, ""), (-60, "have expired")]
)
def test_how_long_the_credentials_of_the_environment_live(
    look: Callable[..., list[Problem]], monkeypatch: pytest.MonkeyPatch, seconds: int, says: str
) -> None:
    until = datetime.fromtimestamp(time.time() + seconds + 5, UTC)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", until.isoformat())
    found = look()
    assert [problem.summary for problem in found] == ([f"the AWS credentials {says}"] if says else [])


def test_a_name_that_is_taken_starts_no_machine(ec2: FakeAws, run_info: Callable[..., RunInfo]) -> None:
    ec2.look_alikes()
    told: list[Event] = []
    run = run_info(image_name="bake-ocean-20260101t000000-zzzz")
    spec = Aws(source="debian-12", instance_types=("t3.micro",), caller_service=ec2.caller_address_url)
    before = ec2.account()
    with pytest.raises(BuilderError, match="an image called bake-ocean-20260101t000000-zzzz exists already"):  # noqa: SIM117
        with AwsBuilder().machine(spec, (), run, told.append):
            pass
    assert (told, ec2.account()) == ([], before)
