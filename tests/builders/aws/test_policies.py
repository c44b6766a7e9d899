"""The policies that are shipped: enough for a bake, a share and a sweep at the double, and none of it for nothing.

What the double evaluates of them is in `tests/builders/aws/fake/policy.py`; that they mean the same to AWS is untested.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import baker.builders.aws
from baker.artifact import Artifact
from baker.builders.aws.builder import AwsBuilder
from baker.builders.aws.leftovers import KINDS
from baker.builders.aws.regions import all_regions
from baker.builders.aws.requests import authorize_ssh
from baker.builders.aws.source import NAMED
from baker.builders.aws.spec import Aws, ElasticIp, Volume
from baker.builders.aws.tags import run_tags, specification
from baker.clock import SystemClock
from baker.errors import BakeError, BuilderError
from baker.events import CleanupFailed, Event
from baker.keys import new_key_pair
from baker.plan import make_plan
from baker.ports import RunInfo
from baker.recipe import Disk, Recipe, Share
from baker.wait import wait_until
from tests.builders.aws.acts import ImpatientClock
from tests.builders.aws.conftest import RUN_ID
from tests.builders.aws.fake.client import ACCESS_KEY, FakeAws
from tests.builders.aws.test_builder import assert_clean

FOLDER = Path(baker.builders.aws.__file__).parent / "policies"
NAMES = ("bake", "share", "sweep")

ADMIN_KEY = "AKIABAKERFAKE0000002"
"""The account's other key, which no policy is set for."""

DISKS = (Disk(name="data", size_gib=1),)

Policy = dict[str, Any]

_EC2 = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_{}.html"

_OF_KMS = dict.fromkeys(
    ("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
    "https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html",
)
"""EC2 asks for these of KMS in the caller's name, where a volume or a copy has a key of the user's."""

DEMANDED: dict[str, dict[str, str]] = {
    "bake": {
        # A bake without these works, and is worse: a group goes only when its machine has ended, a death has no last
        # words, a quota is met only at the launch.
        "ec2:ModifyInstanceAttribute": _EC2.format("ModifyInstanceAttribute"),
        "ec2:GetConsoleOutput": _EC2.format("GetConsoleOutput"),
        "servicequotas:GetServiceQuota": (
            "https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html"
        ),
        **_OF_KMS,
    },
    "share": {**_OF_KMS, "kms:DescribeKey": _OF_KMS["kms:CreateGrant"]},
    "sweep": {},
}
"""Actions that nothing fails without at the double, with the page of AWS that demands each."""

OFTEN: dict[str, tuple[str, ...]] = {"bake": ("iam:PassRole",), "share": (), "sweep": ("ec2:DescribeVolumes",)}
"""Those that every run of the tests tries without; `make soak` tries all."""


def policy(name: str) -> Policy:
    return dict(json.loads((FOLDER / f"{name}.json").read_text()))


def actions_of(document: Policy) -> list[str]:
    return sorted({action for statement in document["Statement"] for action in _list(statement["Action"])})


def without(document: Policy, action: str) -> Policy:
    statements = [
        {**it, "Action": [one for one in _list(it["Action"]) if one != action]} for it in document["Statement"]
    ]
    return {**document, "Statement": [it for it in statements if it["Action"]]}


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


class PassingClock(ImpatientClock):
    """On which the time of day passes, too: a second copy has a token of its own."""

    def now(self) -> float:
        return super().now() + self._slept


# --- what is done with each, in an account of the double


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The double. `run` is of the bake; `told` is what builders said."""

    fake: FakeAws
    run: RunInfo
    told: list[Event]
    builder: AwsBuilder

    def admin(self, service: str = "ec2", **where: str) -> Any:
        return self.fake.client(service, access_key=ADMIN_KEY, **where)

    def permit(self, document: Policy) -> None:
        self.fake.policy(document, access_key=ACCESS_KEY)

    def spec(self, **changes: Any) -> Aws:
        values: dict[str, Any] = {"source": "debian-12", "instance_types": ("t3.micro",), "admit": "192.0.2.0/24"}
        return Aws(**(values | changes))

    def image(self, **changes: Any) -> Artifact:
        with self.builder.machine(self.spec(**changes), DISKS, self.run, self.told.append) as machine:
            machine.diagnose()
            return machine.capture(self.run.image_name, {"recipe": "reef", "verified": "no"})

    def assert_clean(self, before: list[dict[str, Any]], kept: tuple[str, ...] = ()) -> None:
        """Nothing is left, nothing of others was touched, and no clean-up was refused anything."""
        self.fake.forget_policies()
        assert [event for event in self.told if isinstance(event, CleanupFailed)] == []
        assert_clean(self.fake, before, kept=list(kept))


Deed = Callable[[Account], Iterator[None]]
"""Sets the scene, yields, and then does what is to be permitted. AssertionError or BakeError when that fails."""


def bake(account: Account) -> Iterator[None]:
    """All that a bake asks: a preflight, an image that fails, one that does not, a machine from it, its end."""
    admin, builder = account.admin(), account.builder
    key = account.admin("kms").create_key()["KeyMetadata"]["KeyId"]
    admin.modify_ebs_default_kms_key_id(KmsKeyId=key)
    admin.disable_image_block_public_access()
    _make_profile(account.admin("iam"))
    lent = admin.allocate_address(Domain="vpc")["AllocationId"]
    before = account.fake.account()
    yield
    spec = account.spec(address=ElasticIp(), instance_profile="reads", spot="prefer")
    keyed = replace(spec, data=Volume(kms_key=key))
    for it, shared in ((spec, Share(public=True)), (keyed, Share(targets=("210987654321",)))):
        plan = make_plan(Recipe(name="reef", builders=(it,), disks=DISKS, share=shared), it)
        assert builder.preflight(plan, until=account.run.expires) == ()
        admin.enable_ebs_encryption_by_default()
    account.fake.fault("CreateImage", effect="fail-image")
    with pytest.raises(BuilderError, match="could not make the image"):
        account.image()
    account.fake.fault("ImportKeyPair", lose="reply")
    image = account.image(address=ElasticIp(), instance_profile="reads", deprecate_after_days=30)
    borrowing = account.spec(address=ElasticIp(allocation_id=lent))
    with builder.launch_image(image, account.run, account.told.append, spec=borrowing):
        image = builder.set_labels(image, {"verified": builder.digest(image)})
    assert builder.resolve("reef") == image
    builder.delete(image)
    account.assert_clean(before)


def _make_profile(iam: Any) -> None:
    """A role that machines may be given, as README says: below /baker/."""
    iam.create_role(
        Path="/baker/", RoleName="reads", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}'
    )
    iam.create_instance_profile(InstanceProfileName="reads")
    iam.add_role_to_instance_profile(InstanceProfileName="reads", RoleName="reads")


def share(account: Account) -> Iterator[None]:
    """An image with an account and a region; a first copy fails."""
    builder, before = account.builder, account.fake.account()
    image = account.image(deprecate_after_days=30)
    image = builder.set_labels(image, {"verified": builder.digest(image)})
    yield
    wanted = Share(targets=("210987654321",), regions=("us-east-1",), copyable=True)
    account.fake.fault("CopyImage", effect="fail-image")
    _, failed = builder.share(builder.resolve("reef"), wanted, upload=None, emit=account.told.append)  # type: ignore[arg-type]
    assert "could not make the copy" in failed.message
    results = builder.share(image, wanted, upload=None, emit=account.told.append)  # type: ignore[arg-type]
    assert all(it.ok for it in results), results
    account.fake.forget_policies()
    (copy,) = builder.images("us-east-1")
    account.assert_clean(before, (image.id, copy.id))


def sweep(account: Account) -> Iterator[None]:
    """One of each kind of thing; and asking which regions there are."""
    account.fake.look_alikes()
    before = account.fake.account()
    _leave_one_of_each(account)
    yield
    assert "eu-central-1" in all_regions(account.builder.cloud_in(None, account.builder.clock))
    found = list(account.builder.leftovers(None))
    assert {it.kind for it in found} == {kind.name for kind in KINDS}
    for leftover in found:
        account.builder.destroy(leftover)
    account.assert_clean(before)


def _leave_one_of_each(account: Account) -> None:
    """As a bake that was killed would, and then some."""
    admin, marks = account.admin(), run_tags(account.run, "bake")
    image = account.admin("ssm").get_parameter(Name=NAMED["debian-12"].parameter)["Parameter"]["Value"]

    def tagged(*kinds: str) -> list[dict[str, Any]]:
        return specification(kinds, marks)

    group = admin.create_security_group(GroupName="g", Description="d", TagSpecifications=tagged("security-group"))
    key = new_key_pair("k").public.encode()
    admin.import_key_pair(KeyName="k", PublicKeyMaterial=key, TagSpecifications=tagged("key-pair"))
    admin.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip"))
    spot = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
    (instance,) = admin.run_instances(
        ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, SecurityGroupIds=[group["GroupId"]],
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": False}}],
        InstanceMarketOptions={"MarketType": "spot", "SpotOptions": spot},
        TagSpecifications=tagged("instance", "volume", "network-interface", "spot-instances-request"),
    )["Instances"]  # fmt: skip

    def runs() -> bool | None:
        (reservation,) = admin.describe_instances(InstanceIds=[instance["InstanceId"]])["Reservations"]
        return True if reservation["Instances"][0]["State"]["Name"] == "running" else None

    assert wait_until(runs, timeout=60, clock=SystemClock())
    admin.create_network_interface(SubnetId=instance["SubnetId"], TagSpecifications=tagged("network-interface"))
    admin.create_image(
        InstanceId=instance["InstanceId"], Name="reef", NoReboot=True, TagSpecifications=tagged("image", "snapshot")
    )


DEEDS: dict[str, Deed] = {"bake": bake, "share": share, "sweep": sweep}


@pytest.fixture
def account(aws: FakeAws, as_caller: Callable[[FakeAws], None], run_info: Callable[..., RunInfo]) -> Account:
    as_caller(aws)
    aws.settings(hidden_calls={"instance": 0, "image": 0}, shutting_down={"polls": 0})
    return Account(fake=aws, run=run_info(), told=[], builder=AwsBuilder(clock=PassingClock()))


def do(name: str, account: Account, document: Policy) -> list[dict[str, Any]]:
    """Do it under a policy; the calls that were."""
    deed = DEEDS[name](account)
    next(deed)
    before = len(account.fake.calls())
    account.permit(document)
    for _ in deed:
        raise AssertionError("a deed yields once")
    return [it for it in account.fake.calls()[before:] if it["access_key"] == ACCESS_KEY]


@pytest.mark.parametrize("name", DEEDS)
def test_it_is_enough_and_all_of_it_is_asked_for(name: str, account: Account) -> None:
    document = policy(name)
    mine = do(name, account, document)
    asked = {f"{it['service']}:{it['action']}" for it in mine}
    asked |= {"ec2:CreateTags" for it in mine if "TagSpecifications" in it["parameters"]}
    asked |= {"iam:PassRole" for it in mine if "IamInstanceProfile" in it["parameters"]}
    assert set(actions_of(document)) - asked <= set(DEMANDED[name])


EACH = [(name, action) for name in DEEDS for action in actions_of(policy(name)) if action not in DEMANDED[name]]


@pytest.mark.parametrize(
    ("name", "action"),
    [pytest.param(*it, marks=() if it[1] in OFTEN[it[0]] else pytest.mark.soak, id=": ".join(it)) for it in EACH],
)
def test_nothing_can_be_left_out(name: str, action: str, account: Account) -> None:
    with pytest.raises((AssertionError, BakeError)):
        do(name, account, without(policy(name), action))


@pytest.mark.soak
@pytest.mark.parametrize("name", DEEDS)
def test_what_aws_demands_and_the_double_does_not_is_in_the_table_alone(name: str, account: Account) -> None:
    document = policy(name)
    for action in DEMANDED[name]:
        document = without(document, action)
    do(name, account, document)


@pytest.mark.parametrize("name", NAMES)
def test_the_table_names_nothing_that_is_not_in_the_policy(name: str) -> None:
    assert set(DEMANDED[name]) <= set(actions_of(policy(name)))


# --- what it is tied to


def test_the_conditions_are_the_approved_ones() -> None:
    """One line for each action on each kind of thing. `BAKER_APPROVE=1` rewrites the file; look at the diff."""
    golden = Path(__file__).parent / "golden_policies.txt"
    text = "".join(f"{line}\n" for name in NAMES for line in sorted(_lines(name)))
    if os.environ.get("BAKER_APPROVE"):
        golden.write_text(text)
    assert text == golden.read_text()


def _lines(name: str) -> Iterator[str]:
    for statement in policy(name)["Statement"]:
        conditions = [
            f"{operator} {key} = {' | '.join(_list(values))}"
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        ]
        for action in _list(statement["Action"]):
            for resource in _list(statement["Resource"]):
                yield f"{name}: {action} on {resource}: {' and '.join(conditions) or 'always'}"


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_into_a_managed_policy_of_any_partition(name: str) -> None:
    """6144 characters without blanks: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    text = (FOLDER / f"{name}.json").read_text()
    assert len("".join(text.split())) <= 6144
    assert "arn:aws" not in text


def test_what_is_not_ours_is_out_of_reach(account: Account) -> None:
    account.fake.look_alikes()
    before, theirs = account.fake.account(), _ids_of(account.fake.account())
    statements = [statement for name in NAMES for statement in policy(name)["Statement"]]
    account.permit({"Version": "2012-10-17", "Statement": statements})
    ec2 = account.fake.client()
    for call, parameters in (
        (ec2.terminate_instances, {"InstanceIds": [theirs["instance"]]}),
        (ec2.stop_instances, {"InstanceIds": [theirs["instance"]]}),
        (ec2.create_image, {
            "InstanceId": theirs["instance"], "Name": "mine", "TagSpecifications": _ours("image", "snapshot"),
        }),
        (ec2.create_tags, {"Resources": [theirs["instance"]], "Tags": _ours("x")[0]["Tags"]}),
        (ec2.create_tags, {"Resources": [theirs["image"]], "Tags": _ours("x")[0]["Tags"]}),
        (ec2.deregister_image, {"ImageId": theirs["image"]}),
        (ec2.modify_image_attribute, {"ImageId": theirs["image"], "LaunchPermission": {"Add": [{"Group": "all"}]}}),
        (ec2.delete_snapshot, {"SnapshotId": theirs["snapshot"]}),
        (ec2.delete_volume, {"VolumeId": theirs["volume"]}),
        (ec2.delete_security_group, {"GroupId": theirs["security-group"]}),
        (
            ec2.authorize_security_group_ingress,
            authorize_ssh(theirs["security-group"], ("0.0.0.0/0",), {"bake:run": RUN_ID}),
        ),
        (ec2.delete_key_pair, {"KeyPairId": theirs["key-pair"]}),
        (ec2.release_address, {"AllocationId": theirs["address"]}),
        (ec2.create_security_group, {"GroupName": "g", "Description": "without a tag"}),
        (ec2.import_key_pair, {"KeyName": "k", "PublicKeyMaterial": new_key_pair("k").public.encode()}),
        (ec2.run_instances, _launch(account)),
        (ec2.run_instances, {
            **_launch(account), "SecurityGroupIds": [theirs["security-group"]],
            "TagSpecifications": _ours("instance", "volume", "network-interface"),
        }),
    ):  # fmt: skip
        with pytest.raises(ClientError) as caught:
            call(**parameters)
        assert caught.value.response["Error"]["Code"] == "UnauthorizedOperation", (call.__name__, caught.value)
    account.assert_clean(before)


def _ids_of(things: list[dict[str, Any]]) -> dict[str, str]:
    return {it["kind"]: it["id"] for it in things}


def _ours(*kinds: str) -> list[dict[str, Any]]:
    return specification(kinds, {"bake:run": RUN_ID})


def _launch(account: Account) -> dict[str, Any]:
    image = account.admin("ssm").get_parameter(Name=NAMED["debian-12"].parameter)["Parameter"]["Value"]
    return {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
