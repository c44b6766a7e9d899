"""The EC2 builder against EC2's double: from launch to image, with real machines, and nothing left whatever fails."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baker.artifact import Artifact
from baker.builders.aws.builder import AwsBuilder
from baker.builders.aws.machine import AwsMachine
from baker.builders.aws.spec import Aws, ElasticIp, Volume
from baker.clock import SystemClock
from baker.errors import BakeError, BuilderError, LaunchError, MachineDiedError
from baker.events import CleanupFailed, Event, ResourceAcquired, ResourceKept, ResourceReleased
from baker.plan import Plan, make_plan
from baker.ports import RunInfo
from baker.recipe import Disk, Recipe, Share
from tests.builders.aws.acts import ImpatientClock
from tests.builders.aws.conftest import RUN_ID
from tests.builders.aws.fake.client import FakeAws

DISKS = (Disk(name="data", size_gib=3),)
LABELS = {"recipe": "reef", "fingerprint": "f", "run": RUN_ID, "verified": "no"}


class QuickClock(SystemClock):
    """Waits a hundredth as long as it is told to."""

    def sleep(self, seconds: float) -> None:
        super().sleep(min(seconds / 100, 0.05))


BUILDER = AwsBuilder(clock=QuickClock())


def spec_for(fake: FakeAws, **changes: Any) -> Aws:
    values: dict[str, Any] = {
        "source": "debian-12", "instance_types": ("t3.micro", "t3.small"), "caller_service": fake.caller_address_url,
    }  # fmt: skip
    return Aws(**(values | changes))


@pytest.fixture
def ec2(aws: FakeAws, as_caller: Callable[[FakeAws], None]) -> FakeAws:
    """The double, without machines; the environment leads there."""
    as_caller(aws)
    return aws


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def run(run_info: Callable[..., RunInfo]) -> RunInfo:
    return run_info()


def plan_of(spec: Aws, **recipe: Any) -> Plan:
    return make_plan(Recipe(name="reef", builders=(spec,), **recipe), spec)


def bake(ec2: FakeAws, run: RunInfo, told: list[Event], builder: AwsBuilder = BUILDER, **changes: Any) -> Artifact:
    """An image of a machine that nobody logged in to."""
    with builder.machine(spec_for(ec2, **changes), DISKS, run, told.append) as machine:
        return machine.capture(run.image_name, LABELS)


def assert_clean(ec2: FakeAws, before: list[dict[str, Any]], *, kept: list[str] | None = None) -> None:
    """Nothing of ours but `kept`, once machines that were told to end have ended; nothing of others touched."""
    let_machines_end(ec2)
    ec2.assert_clean(before, kept=kept or [])


def let_machines_end(ec2: FakeAws) -> None:
    """Look at them until they have: in the double time passes when somebody looks."""
    for _ in range(50):
        reservations = ec2.client().describe_instances()["Reservations"]
        states = {instance["State"]["Name"] for it in reservations for instance in it["Instances"]}
        if "shutting-down" not in states:
            break


def _balance(told: list[Event]) -> None:
    acquired = [(event.kind, event.id) for event in told if isinstance(event, ResourceAcquired)]
    ended = [(event.kind, event.id) for event in told if isinstance(event, ResourceReleased | ResourceKept)]
    assert sorted(acquired) == sorted(ended)


def test_an_image_is_made_and_nothing_else_stays(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    ec2.look_alikes()
    before = ec2.account()
    image = bake(ec2, run, told)
    assert (image.builder, image.location, image.name) == ("aws", "eu-central-1", run.image_name)
    assert image.labels["recipe"] == "reef"
    assert image.labels["disks"] == "data=/dev/sdf"
    assert "expires" not in next(iter(BUILDER.images(None))).labels
    assert BUILDER.resolve(image.name).id == BUILDER.resolve(image.id).id == image.id
    _balance(told)
    assert_clean(ec2, before, kept=BUILDER.digest(image).split("+"))
    assert list(BUILDER.leftovers(None)) == []


def test_the_machine_is_as_the_recipe_and_prudence_want_it(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    spec = spec_for(ec2, data=Volume(iops=4000, throughput_mibps=200, encrypted=True), tags={"team": "ocean"})
    with BUILDER.machine(spec, (Disk(name="data", size_gib=20),), run, told.append) as machine:
        (call,) = [it["parameters"] for it in ec2.calls("RunInstances") if it["status"] == 200]
        (group,) = [it["parameters"] for it in ec2.calls("AuthorizeSecurityGroupIngress")]
        assert machine.disks["data"].startswith("/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol")
    assert call["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert call["MetadataOptions"]["HttpTokens"] == "required"
    (ranges,) = [permission["IpRanges"] for permission in group["IpPermissions"]]
    assert [it["CidrIp"] for it in ranges] == ["127.0.0.1/32"]
    root, data = (mapping["Ebs"] for mapping in call["BlockDeviceMappings"])
    assert root["DeleteOnTermination"]
    assert data["DeleteOnTermination"]
    assert (data["VolumeSize"], data["Iops"], data["Throughput"], data["Encrypted"]) == (20, 4000, 200, True)
    for specification in call["TagSpecifications"]:
        tags = {tag["Key"]: tag["Value"] for tag in specification["Tags"]}
        assert (tags["bake:run"], tags["team"]) == (RUN_ID, "ocean")
        assert tags["bake:expires"].endswith("Z")
    assert "BEGIN" not in str(call["TagSpecifications"])


# --- faults, beside the table of tests/builders/aws/test_faults.py


def test_the_credentials_expire_in_the_middle(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    with pytest.raises(BuilderError, match="expired"):  # noqa: SIM117
        with BUILDER.machine(spec_for(ec2), DISKS, run, told.append) as machine:
            ec2.expire()
            machine.capture(run.image_name, LABELS)
    failed = [event for event in told if isinstance(event, CleanupFailed)]
    assert {event.what.split()[0] for event in failed} == {"instance", "security", "key", "image"} - (
        set() if any(event.what.startswith("image") for event in failed) else {"image"}
    )
    assert all(event.remove_hint.startswith("aws ec2 ") for event in failed)


def test_a_machine_that_died_is_never_captured(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    with pytest.raises(MachineDiedError, match="ended before its capture"):  # noqa: SIM117
        with BUILDER.machine(spec_for(ec2), DISKS, run, told.append) as machine:
            ec2.die(machine.id)
            machine.capture(run.image_name, LABELS)
    assert not list(BUILDER.images(None))
    assert not list(BUILDER.leftovers(None))


def test_an_image_that_fails_leaves_no_snapshot(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    ec2.fault("CreateImage", effect="fail-image")
    before = ec2.account()
    with pytest.raises(BuilderError, match="could not make the image"):
        bake(ec2, run, told)
    assert_clean(ec2, before)


# --- capacity


def test_another_type_is_tried_where_there_is_no_capacity(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    ec2.fault("RunInstances", error="InsufficientInstanceCapacity", where={"InstanceType": "t3.micro"}, times=1 << 30)
    image = bake(ec2, run, told)
    assert image.labels["instance-type"] == "t3.small"
    tokens = [it["parameters"]["ClientToken"] for it in ec2.calls("RunInstances")]
    assert len(set(tokens)) == len(tokens)


def test_nothing_to_be_had_names_all_that_was_tried(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    ec2.fault("RunInstances", error="InsufficientInstanceCapacity", times=1 << 30)
    with pytest.raises(LaunchError, match="no machine of the wanted kind") as caught:
        bake(ec2, run, told)
    tried = [label for label, _ in caught.value.details if label.startswith("t3.")]
    assert len(tried) == len(ec2.calls("RunInstances")), (
        "each place is asked once: botocore does not ask again by itself"
    )
    assert not list(BUILDER.leftovers(None))


def test_spot_falls_back_to_on_demand(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    ec2.fault("RunInstances", error="MaxSpotInstanceCountExceeded", times=6)
    bake(ec2, run, told, spot="prefer")
    markets = ["InstanceMarketOptions" in it["parameters"] for it in ec2.calls("RunInstances")]
    assert markets == [True] * 6 + [False]


def test_a_spot_machine_is_captured_while_it_runs(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    bake(ec2, run, told, spot="only")
    assert not ec2.calls("StopInstances")
    (call,) = ec2.calls("CreateImage")
    assert call["parameters"]["NoReboot"] is True


# --- addresses


def test_an_elastic_address_of_the_bake_is_released(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    before = ec2.account()
    with BUILDER.machine(spec_for(ec2, address=ElasticIp()), (), run, told.append) as machine:
        assert machine.address.host == ec2.client().describe_addresses()["Addresses"][0]["PublicIp"]
    _balance(told)
    assert_clean(ec2, before)


def test_an_elastic_address_of_the_user_is_never_released(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    mine = ec2.client().allocate_address(Domain="vpc")
    before = ec2.account()
    with BUILDER.machine(
        spec_for(ec2, address=ElasticIp(allocation_id=mine["AllocationId"])), (), run, told.append
    ) as it:
        assert it.address.host == mine["PublicIp"]
    (address,) = ec2.client().describe_addresses()["Addresses"]
    assert "AssociationId" not in address
    assert_clean(ec2, before)


# --- with a machine behind it


@pytest.fixture
def ec2_with_machines(aws_with_machines: FakeAws, as_caller: Callable[[FakeAws], None]) -> FakeAws:
    as_caller(aws_with_machines)
    return aws_with_machines


@pytest.mark.sandbox
@pytest.mark.xdist_group("aws-machines")
def test_what_was_done_on_the_machine_is_in_the_image(
    ec2_with_machines: FakeAws, run: RunInfo, make_remote: Callable[..., Any], told: list[Event]
) -> None:
    spec, before = spec_for(ec2_with_machines), ec2_with_machines.account()
    with BUILDER.machine(spec, DISKS, run, told.append) as machine:
        remote = make_remote(machine)
        remote.run("echo the catch of the day >/srv/catch", sudo=True)
        machine.finalize(remote)
        image = machine.capture(run.image_name, LABELS)
        builders_key = machine.address.key
    with BUILDER.launch_image(image, run, told.append, spec=spec) as machine:
        remote = make_remote(machine)
        assert remote.run("cat /srv/catch").stdout == "the catch of the day\n"
        assert machine.address.key != builders_key
    assert_clean(ec2_with_machines, before, kept=BUILDER.digest(image).split("+"))


@pytest.mark.sandbox
@pytest.mark.xdist_group("aws-machines")
def test_a_machine_that_ends_is_noticed(ec2_with_machines: FakeAws, run: RunInfo, told: list[Event]) -> None:
    with pytest.raises(MachineDiedError):  # noqa: SIM117
        with AwsBuilder(clock=QuickClock()).machine(spec_for(ec2_with_machines), (), run, told.append) as machine:
            _die_and_look(ec2_with_machines, machine)
    assert not list(BUILDER.leftovers(None))


def _die_and_look(fake: FakeAws, machine: AwsMachine) -> None:
    import time

    fake.die(machine.id)
    time.sleep(5.1)  # a machine is looked at every five seconds at most
    machine.check_alive()


# --- what is asked before anything is made


def preflight(ec2: FakeAws, run: RunInfo, *, share: Share | None = None, **changes: Any) -> list[str]:
    plan = plan_of(spec_for(ec2, **changes), disks=DISKS, **({"share": share} if share else {}))
    return [problem.summary for problem in BUILDER.preflight(plan, until=run.expires)]


def test_a_sound_plan_has_no_problems_and_makes_nothing(ec2: FakeAws, run: RunInfo) -> None:
    before = ec2.account()
    assert preflight(ec2, run) == []
    assert ec2.account() == before


def _said(ec2: FakeAws, run: RunInfo, changes: dict[str, Any]) -> list[str]:
    """What a preflight finds, or what stops it."""
    try:
        return preflight(ec2, run, **changes)
    except BakeError as error:
        return [error.summary]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"instance_types": ("m9.huge",)}, "there is no instance type m9.huge"),
        ({"root_gib": 1}, "the source image needs a root volume of"),
        ({"subnets": ("subnet-00000000",)}, "the network does not exist"),
        ({"source": "ami-00000000"}, "no such image"),
        ({"proxy_command": "no-such-program {host}"}, "there is no program no-such-program"),
    ],
)
def test_what_cannot_be_had_is_found_before(ec2: FakeAws, run: RunInfo, changes: dict[str, Any], says: str) -> None:
    assert any(says in summary for summary in _said(ec2, run, changes))
    assert all(call["parameters"].get("DryRun") for call in ec2.calls("RunInstances"))


def test_no_credentials(ec2: FakeAws, run: RunInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BuilderError, match="no AWS credentials") as caught:
        preflight(ec2, run)
    assert "AWS_PROFILE" in str(caught.value.hint)


def test_expired_credentials(ec2: FakeAws, run: RunInfo) -> None:
    ec2.expire()
    with pytest.raises(BuilderError, match="expired"):
        preflight(ec2, run)


def test_a_denied_action_is_found_before(ec2: FakeAws, run: RunInfo) -> None:
    ec2.policy({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*"},
        ],
    })  # fmt: skip
    assert preflight(ec2, run) == ["the account that bakes may not ec2:RunInstances (UnauthorizedOperation)"]
    ec2.forget_policies()


def test_nobody_answers(ec2: FakeAws, run: RunInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(BuilderError, match="cannot be reached"):
        plan = plan_of(spec_for(ec2))
        AwsBuilder(clock=ImpatientClock()).preflight(plan, until=run.expires)


# --- images, sharing, sweeping


def test_an_image_is_shared_target_by_target(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    image = bake(ec2, run, told)
    share = Share(targets=("210987654321", "999999999999"), regions=("us-east-1",), copyable=True)
    results = share_with(share, image, told)
    assert [(result.target, result.ok) for result in results] == [
        ("210987654321", True),
        ("999999999999", False),
        ("us-east-1", False),  # the copy is there, and could not be shared with one of the two
    ]
    (copy,) = BUILDER.images("us-east-1")
    assert f"the copy is {copy.id}, and could not be shared there with 999999999999: " in results[-1].message
    for id, region in ((image.id, "eu-central-1"), (copy.id, "us-east-1")):
        assert granted(ec2, id, region) == ["210987654321"]


def share_with(share: Share, image: Artifact, told: list[Event], builder: AwsBuilder = BUILDER) -> Any:
    return builder.share(image, share, upload=None, emit=told.append)  # type: ignore[arg-type]


def granted(ec2: FakeAws, image: str, region: str) -> list[str]:
    client = ec2.client(region=region)
    answer = client.describe_image_attribute(ImageId=image, Attribute="launchPermission")
    return [entry["UserId"] for entry in answer["LaunchPermissions"]]


def test_a_copy_is_what_the_original_is_but_verified_as_itself(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    image = bake(ec2, run, told, tags={"team": "ocean"}, deprecate_after_days=30)
    image = BUILDER.set_labels(image, {"verified": BUILDER.digest(image)})
    ec2.settings(copy={"seconds": 0.2, "polls": 3})
    (result,) = share_with(Share(regions=("us-east-1", "eu-central-1")), image, told)
    (copy,) = BUILDER.images("us-east-1")
    assert (result.ok, result.message) == (True, f"copied to us-east-1 as {copy.id}")
    assert copy.verified == BUILDER.digest(copy) != image.verified
    assert {**copy.labels, "verified": ""} == {**next(iter(BUILDER.images(None))).labels, "verified": ""}
    original, copied = (
        ec2.client(region=it.location).describe_images(ImageIds=[it.id])["Images"][0] for it in (image, copy)
    )
    assert original["DeprecationTime"] == copied["DeprecationTime"]
    assert {"Key": "team", "Value": "ocean"} in copied["Tags"]
    assert not list(BUILDER.leftovers("all")), "a copy is nobody's leftover"
    share_with(Share(regions=("us-east-1",)), image, told)
    assert len(ec2.calls("CopyImage")) == 1, "what is there already is not copied again"


def test_copies_queue_and_one_that_fails_loses_no_other(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    image = bake(ec2, run, told)
    before = ec2.account()
    ec2.fault("CopyImage", error="UnauthorizedOperation", times=1 << 30)
    refused = share_with(Share(regions=("us-east-1", "us-west-2")), image, told)
    assert [result.ok for result in refused] == [False, False]
    assert ec2.account() == before
    ec2.forget_faults()
    ec2.fault("CopyImage", error="ResourceLimitExceeded", times=4)  # other people's copies are under way
    ec2.settings(copies_at_once=1)
    results = share_with(Share(regions=("us-east-1", "ap-east-1", "us-west-2")), image, told)
    assert [(result.target, result.ok) for result in results] == [
        ("us-east-1", True), ("ap-east-1", False), ("us-west-2", True),
    ]  # fmt: skip
    assert "OptInRequired" in results[1].message


def test_a_label_is_written_on_image_and_snapshots(ec2: FakeAws, run: RunInfo, told: list[Event]) -> None:
    before = ec2.account()
    image = bake(ec2, run, told)
    verified = BUILDER.set_labels(image, {"verified": BUILDER.digest(image)})
    assert verified.verified == BUILDER.digest(verified)
    assert BUILDER.resolve("reef").id == image.id
    BUILDER.delete(verified)
    assert_clean(ec2, before)


def test_an_image_that_is_not_there(ec2: FakeAws) -> None:
    with pytest.raises(BuilderError, match="no image reef-1 of ours in eu-central-1"):
        BUILDER.resolve("reef-1")


@pytest.mark.parametrize(
    ("share", "says"),
    [
        (Share(targets=("12345",)), "cannot be shared with '12345'"),
        (Share(targets=("/srv/images",)), "cannot be shared with '/srv/images'"),
        (Share(regions=("nowhere",)), "'nowhere' is no region"),
    ],
)
def test_a_target_that_cannot_be_meant(share: Share, says: str) -> None:
    (problem,) = BUILDER.check_share(share)
    assert says in problem.summary
    assert problem.exit_code == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"instance_types": "t3.micro"}, "must be a tuple of types"),
        ({"instance_types": ()}, "must be a tuple of types"),
        ({"source": "ubuntu-42.04"}, "no name that is known"),
        ({"source": "ami-0123456789abcdef0"}, "must be said for this source"),
        ({"admit": "0.0.0.0/0"}, 'if that is meant, write "the whole world"'),
        ({"admit": "everyone"}, "must be"),
        ({"spot": "yes"}, "must be"),
        ({"root_gib": 0}, "must be a whole number"),
        ({"address": "none"}, "must be"),
        ({"vpc": "main"}, "must be an id"),
        ({"subnets": None}, "must be a tuple of ids"),
        ({"subnets": "subnet-0123456789abcdef0"}, "must be a tuple of ids"),
        ({"region": "Frankfurt"}, "must be a region"),
        ({"tags": {"team": 1}}, "must be texts"),
        ({"tags": ("team",)}, "must be texts"),
        ({"deprecate_after_days": 0}, "must be a whole number of days"),
        ({"capture_timeout_seconds": "1 h"}, "must be a number of seconds"),
        ({"admit": "nobody"}, "leaves no way to the machine"),
        ({"proxy_command": ["ssh"]}, "or a tuple of its words"),
        ({"proxy_command": "ssh 'bastion"}, "cannot be taken apart into words: No closing quotation"),
        ({"proxy_command": " "}, "has no words"),
        ({"proxy_command": "ssh -W {hots}:{port} bastion"}, "has a placeholder {hots}; there are {host}, {port}"),
    ],
)
def test_what_is_wrong_with_a_spec(changes: dict[str, Any], says: str) -> None:
    problems = BUILDER.check(Aws(**changes))
    assert any(says in problem.summary for problem in problems), problems
    assert all(problem.exit_code == 2 for problem in problems)


def test_a_source_that_is_not_there_is_told_with_the_code_of_aws(ec2: FakeAws, run: RunInfo) -> None:
    (said,) = preflight(ec2, run, source="/aws/service/canonical/ubuntu/server/99.04/x")
    assert said.startswith("there is no such image in this region (ParameterNotFound: ")
