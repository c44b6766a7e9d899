"""What EC2 is asked, against golden files: a change in what is sent shows as a diff.

`BAKER_APPROVE=1 pytest tests/builders/aws/test_requests.py` rewrites them; look at the diff.
"""

import difflib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from baker.builders.aws import images, network, requests, tags
from baker.builders.aws.builder import AwsBuilder
from baker.builders.aws.calls import Cloud
from baker.builders.aws.requests import Payload, SourceImage
from baker.builders.aws.sharing import permission_of
from baker.builders.aws.source import find_source
from baker.builders.aws.spec import Aws, ElasticIp, Volume
from baker.builders.user_data import user_data
from baker.errors import RecipeError
from baker.ports import KeyPair, RunInfo
from baker.recipe import Disk, Share
from tests.builders.aws.conftest import RUN_ID
from tests.builders.aws.fake.client import FakeAws
from tests.builders.aws.test_builder import QuickClock

GOLDEN = Path(__file__).parent / "golden"

EXPIRES = datetime(2026, 1, 2, 8, 0, tzinfo=UTC)
KEY = KeyPair(private="-----BEGIN OPENSSH PRIVATE KEY-----\nnone\n", public="ssh-ed25519 AAAAnone")
SUBNETS = (
    {"SubnetId": "subnet-00000000000000001", "AvailabilityZone": "eu-central-1a"},
    {"SubnetId": "subnet-00000000000000002", "AvailabilityZone": "eu-central-1b"},
)
IMAGE, INSTANCE, GROUP, SNAPSHOT = "ami-00000000000000009", "i-00000000000000001", "sg-00000000000000001", "snap-1"
UBUNTU = SourceImage(
    id="ami-00000000000000001", name="ubuntu-24.04", architecture="x86_64", root_device="/dev/sda1", root_gib=8
)
CROWDED = replace(UBUNTU, root_device="/dev/xvda", other_devices=("/dev/sdb", "/dev/sdf"))
DATA = (Disk(name="data", size_gib=20),)
KMS_KEY = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
ORGANISATION = "arn:aws:organizations::123456789012:organization/o-abcdefghij"
UNIT = "arn:aws:organizations::123456789012:ou/o-abcdefghij/ou-abcd-12345678"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A bake of which all requests are approved."""

    spec: Aws = field(default_factory=Aws)
    disks: tuple[Disk, ...] = ()
    source: SourceImage = UBUNTU
    caller: str = "192.0.2.7/32"
    subnets: int = 1
    share: Share = field(default_factory=Share)


CASES = {
    "plain": Case(),
    "several-types-and-zones": Case(spec=Aws(instance_types=("t3.large", "m5.large")), subnets=2),
    "spot-preferred": Case(spec=Aws(spot="prefer")),
    "spot-only": Case(spec=Aws(spot="only")),
    "private": Case(spec=Aws(address="private", admit="10.0.0.0/16")),
    "behind-session-manager": Case(
        spec=Aws(address="private", admit="nobody", instance_profile="managed", proxy_command="aws ssm {instance}")
    ),
    "elastic-ip": Case(spec=Aws(address=ElasticIp())),
    "elastic-ip-of-the-user": Case(spec=Aws(address=ElasticIp(allocation_id="eipalloc-00000000000000001"))),
    "disks": Case(disks=(*DATA, Disk(name="scratch", size_gib=100))),
    "fast-disks": Case(spec=Aws(root_gib=30, data=Volume(type="io2", iops=8000)), disks=DATA),
    "encrypted": Case(
        spec=Aws(root=Volume(encrypted=True), data=Volume(iops=4000, throughput_mibps=250, kms_key=KMS_KEY)), disks=DATA
    ),
    "not-encrypted": Case(spec=Aws(root=Volume(type="gp2", encrypted=False))),
    "profile-by-name": Case(spec=Aws(instance_profile="reads-the-catch")),
    "profile-by-arn": Case(spec=Aws(instance_profile="arn:aws-cn:iam::123456789012:instance-profile/reads-the-catch")),
    "caller-by-ipv6": Case(caller="2001:db8::7/128"),
    "the-whole-world": Case(spec=Aws(admit="the whole world")),
    "source-with-other-devices": Case(source=CROWDED, disks=DATA),
    "tags-of-the-user": Case(spec=Aws(tags={"team": "ocean", "bake:run": "cannot be taken"}), disks=DATA),
    "deprecated-later": Case(spec=Aws(deprecate_after_days=90)),
    "shared": Case(share=Share(targets=("210987654321", ORGANISATION, UNIT))),
    "shared-with-copies": Case(
        share=Share(targets=("210987654321",), regions=("us-east-1",), public=True, copyable=True)
    ),
}


def run_of(**changes: Any) -> RunInfo:
    values = {
        "run_id": RUN_ID, "recipe": "reef", "fingerprint": "f" * 64, "image_name": "reef-20260102t030405-ffffffff",
        "owner": "ada", "started": EXPIRES.timestamp() - 3600, "expires": EXPIRES.timestamp(), "run_dir": Path("/x"),
    }  # fmt: skip
    return RunInfo(**(values | changes))


RUN = run_of()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call."""

    action: str
    body: Payload


def asked(case: Case) -> list[Asked]:
    """All that a bake of the case sends to make something, in the order in which it does."""
    return [Asked(action=action, body=body) for action, body in (*launch(case), *capture(case), *share(case))]


def launch(case: Case) -> Iterator[tuple[str, Payload]]:
    spec, mine = case.spec, {**case.spec.tags, **tags.run_tags(RUN, "bake")}
    networks = (case.caller,) if spec.admit == "the caller" else network.admitted(spec)
    yield "ImportKeyPair", requests.import_key_pair(mine["Name"], KEY.public, mine)
    yield "CreateSecurityGroup", requests.create_security_group(mine["Name"], "vpc-00000000000000001", mine)
    if networks:
        yield "AuthorizeSecurityGroupIngress", requests.authorize_ssh(GROUP, networks, mine)
    data = requests.data_mappings(case.source, case.disks, spec.data)
    instance = requests.Instance(
        image=case.source, key_name=mine["Name"], group=GROUP, tags=mine,
        user_data=user_data(KEY, host_name=mine["Name"], expires=RUN.expires),
        mappings=(requests.root_mapping(case.source, spec), *data),
    )  # fmt: skip
    for attempt, placement in enumerate(network.placements(spec, SUBNETS[: case.subnets])):
        token = requests.client_token(RUN_ID, "bake", placement, attempt * 10)
        yield "RunInstances", requests.run_instances(spec, instance, placement, token)
    match spec.address:
        case ElasticIp(allocation_id=None):
            yield "AllocateAddress", requests.allocate_address(mine)
            yield "AssociateAddress", requests.associate_address("eipalloc-00000000000000002", INSTANCE, take=True)
        case ElasticIp(allocation_id=str(allocation)):
            yield "AssociateAddress", requests.associate_address(allocation, INSTANCE, take=False)


def capture(case: Case) -> Iterator[tuple[str, Payload]]:
    devices = requests.data_mappings(case.source, case.disks, case.spec.data)[: len(case.disks)]
    named = {disk.name: mapping["DeviceName"] for disk, mapping in zip(case.disks, devices, strict=True)}
    labels = tags.label_tags({**images.launch_labels(named, "ubuntu", "t3.large"), "recipe": "reef", "verified": "no"})
    mine = {**case.spec.tags, **tags.run_tags(RUN, "bake"), **labels, "Name": RUN.image_name}
    text, whole = "reef, baked by a run", case.spec.spot == "never"
    yield "CreateImage", requests.create_image(INSTANCE, RUN.image_name, description=text, reboot=whole, mine=mine)
    yield "ModifyImageAttribute", requests.require_imdsv2(IMAGE)
    if case.spec.deprecate_after_days is not None:
        at = EXPIRES + timedelta(days=case.spec.deprecate_after_days, seconds=7)
        yield "EnableImageDeprecation", requests.deprecate_image(IMAGE, at)


def share(case: Case) -> Iterator[tuple[str, Payload]]:
    for target in (*case.share.targets, *(["all"] if case.share.public else [])):
        permission: requests.Permission = permission_of(target) or "Group"
        yield "ModifyImageAttribute", requests.permit_launch(IMAGE, permission, target)
        if case.share.copyable:
            yield "ModifySnapshotAttribute", requests.permit_volumes(SNAPSHOT, permission, target)
    for region in case.share.regions:
        mine = {"Name": RUN.image_name, "bake:recipe": "reef"}
        yield (
            "CopyImage",
            requests.copy_image(IMAGE, RUN.image_name, source="eu-central-1", token=f"{IMAGE}-{region}", mine=mine),
        )


# --- approved


@pytest.mark.parametrize("name", CASES)
def test_the_requests_of_a_spec_are_the_approved_ones(name: str) -> None:
    approve(name, asked(CASES[name]))


def test_a_golden_file_belongs_to_a_case() -> None:
    assert {file.stem for file in GOLDEN.glob("*.json")} == {*CASES, WHOLE}


def approve(name: str, calls: list[Asked]) -> None:
    golden = GOLDEN / f"{name}.json"
    text = pretty([{it.action: readable(it.body)} for it in calls]) + "\n"
    if os.environ.get("BAKER_APPROVE"):
        golden.write_text(text)
    assert golden.exists(), f"{golden.name} is not approved yet: BAKER_APPROVE=1 writes it"
    changed = difflib.unified_diff(golden.read_text().splitlines(), text.splitlines(), "approved", "sent now")
    if difference := "\n".join(changed):
        pytest.fail(f"{golden.name} is not what is sent now; BAKER_APPROVE=1 approves it\n{difference}")


def readable(value: Any) -> Any:
    match value:
        case dict():
            return {key: readable(it) for key, it in value.items()}
        case list() | tuple():
            return [readable(it) for it in value]
        case bytes():
            return value.decode()
        case datetime():
            return value.isoformat()
        case str() if value.startswith("#cloud-config"):
            return value.splitlines()
    return value


def pretty(value: Any, indent: str = "") -> str:
    """JSON in which what is short stands on one line: a tag is one, not four."""
    flat, inner = json.dumps(value), indent + "  "
    if len(indent) + len(flat) <= 110 or not isinstance(value, dict | list):
        return flat
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {pretty(it, inner)}" for key, it in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + pretty(it, inner) for it in value) + f"\n{indent}]"


# --- the SDK's own model


@pytest.fixture(scope="module")
def ec2_model() -> Any:
    return botocore.session.get_session().get_service_model("ec2")


def complaint(model: Any, call: Asked) -> str:
    """What botocore would say before it asks anybody; empty when it is content."""
    return str(ParamValidator().validate(call.body, model.operation_model(call.action).input_shape).generate_report())


@pytest.mark.parametrize("name", CASES)
def test_the_sdk_takes_each_body(name: str, ec2_model: Any) -> None:
    for call in asked(CASES[name]):
        assert complaint(ec2_model, call) == "", call.action


def test_the_sdk_is_asked_in_earnest(ec2_model: Any) -> None:
    assert "Unknown parameter" in complaint(ec2_model, Asked(action="CreateImage", body={"InstanceID": "i-1"}))


# --- rules that hold in all of them

EVERY_CALL = [(name, call) for name, case in CASES.items() for call in asked(case)]

TAGGED_KINDS = {
    "ImportKeyPair": {"key-pair"},
    "CreateSecurityGroup": {"security-group"},
    "AuthorizeSecurityGroupIngress": {"security-group-rule"},
    "RunInstances": {"instance", "volume", "network-interface"},
    "AllocateAddress": {"elastic-ip"},
    "CreateImage": {"image", "snapshot"},
    "CopyImage": {"image", "snapshot"},
}
MAKES_NOTHING = {
    "AssociateAddress", "EnableImageDeprecation", "ModifyImageAttribute", "ModifySnapshotAttribute"
}  # fmt: skip


def bodies(action: str) -> list[Payload]:
    found = [call.body for _, call in EVERY_CALL if call.action == action]
    assert found
    return found


def test_every_machine_is_as_prudence_wants_it() -> None:
    for body in bodies("RunInstances"):
        assert body["MetadataOptions"] == {
            "HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"
        }  # fmt: skip
        assert body["InstanceInitiatedShutdownBehavior"] == "terminate"
        assert (body["MinCount"], body["MaxCount"]) == (1, 1)
        assert re.fullmatch(r"[!-~]{1,64}", body["ClientToken"])
        (interface,) = body["NetworkInterfaces"]
        assert interface["DeleteOnTermination"] is True
        for mapping in body["BlockDeviceMappings"]:
            assert mapping.get("NoDevice") == "" or mapping["Ebs"]["DeleteOnTermination"] is True


def test_all_that_a_call_makes_is_tagged_in_that_call() -> None:
    for name, call in EVERY_CALL:
        if call.action in MAKES_NOTHING:
            continue
        marks = {
            it["ResourceType"]: {tag["Key"]: tag["Value"] for tag in it["Tags"]}
            for it in call.body["TagSpecifications"]
        }
        spot = {"spot-instances-request"} if "InstanceMarketOptions" in call.body else set()
        assert set(marks) == TAGGED_KINDS[call.action] | spot, (name, call.action)
        if call.action == "CopyImage":
            continue  # see below: it has the tags of a finished image
        for mark in marks.values():
            assert mark["bake:run"] == RUN_ID
            assert mark["bake:expires"] == "2026-01-02T08:00:00Z"
            assert (mark["bake:recipe"], mark["bake:owner"]) == ("reef", "ada")


def test_no_private_key_is_in_a_tag_or_a_name() -> None:
    for _, call in EVERY_CALL:
        assert "PRIVATE" not in str({key: value for key, value in call.body.items() if key != "UserData"})


def test_nobody_is_admitted_who_was_not_named() -> None:
    for name, call in EVERY_CALL:
        if call.action != "AuthorizeSecurityGroupIngress":
            continue
        (permission,) = call.body["IpPermissions"]
        assert (permission["IpProtocol"], permission["FromPort"], permission["ToPort"]) == ("tcp", 22, 22)
        open_to_all = "0.0.0.0/0" in str(permission) or "::/0" in str(permission)
        assert open_to_all == (name == "the-whole-world")


def test_each_attempt_has_a_token_of_its_own() -> None:
    for name in CASES:
        tokens = [call.body["ClientToken"] for case, call in EVERY_CALL if case == name and "ClientToken" in call.body]
        assert len(set(tokens)) == len(tokens)


def test_devices_that_the_source_brings_are_not_wanted_and_not_taken() -> None:
    data, *unwanted = requests.data_mappings(CROWDED, DATA, Volume())
    assert data["DeviceName"] == "/dev/sdg"
    assert unwanted == [{"DeviceName": "/dev/sdb", "NoDevice": ""}, {"DeviceName": "/dev/sdf", "NoDevice": ""}]


def test_more_disks_than_free_devices_are_refused() -> None:
    disks = tuple(Disk(name=f"d{number}", size_gib=1) for number in range(requests.MOST_DISKS))
    assert len(requests.data_mappings(UBUNTU, disks, Volume())) == requests.MOST_DISKS
    with pytest.raises(RecipeError, match="leaves 10 devices free, and the recipe has 11 disks"):
        requests.data_mappings(CROWDED, disks, Volume())


# --- at the double: a builder sends what is approved

WHOLE = "whole-bake"
READS = ("Describe", "Get")


@pytest.fixture
def ec2(aws: FakeAws, as_caller: Callable[[FakeAws], None]) -> FakeAws:
    as_caller(aws)
    return aws


def test_a_whole_bake_sends_the_approved_requests(ec2: FakeAws) -> None:
    """The table above is of what the functions give; this is what a builder makes of them."""
    spec = Aws(
        source="debian-12", instance_types=("t3.micro",), address=ElasticIp(), admit="192.0.2.0/24",
        data=Volume(iops=4000), tags={"team": "ocean"}, deprecate_after_days=30, subnets=(_subnet(ec2),),
    )  # fmt: skip
    clock = StandingClock()
    builder = AwsBuilder(clock=clock)
    run = run_of(started=clock.now(), expires=clock.now() + 3600)
    with builder.machine(spec, DATA, run, lambda _: None) as machine:
        image = machine.capture(run.image_name, {"recipe": "reef", "verified": "no"})
    shared = Share(targets=("210987654321",), regions=("us-east-1",), copyable=True)
    results = builder.share(image, shared, upload=None, emit=lambda _: None)  # type: ignore[arg-type]
    assert all(result.ok for result in results), results
    made = [it for it in ec2.calls() if not it["action"].startswith(READS)]
    calls = [Asked(action=it["action"], body=it["parameters"]) for it in made]
    approve(WHOLE, sorted(_numbered(calls), key=lambda call: call.action))
    for region in ("eu-central-1", "us-east-1"):  # neither is a leftover of the bake, for whom it was made
        (made_image,) = builder.images(region)
        (described,) = ec2.client(region=region).describe_images(ImageIds=[made_image.id])["Images"]
        assert {"Key": "team", "Value": "ocean"} in described["Tags"]
        assert list(builder.leftovers(region)) == []


class StandingClock(QuickClock):
    """Always at the same instant, so that tags are the same each time."""

    def now(self) -> float:
        return datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


def _subnet(ec2: FakeAws) -> str:
    return str(ec2.client().describe_subnets()["Subnets"][0]["SubnetId"])


def _numbered(calls: list[Asked]) -> list[Asked]:
    """With numbers for what is random: ids, tokens, keys."""
    text = json.dumps([[it.action, readable(it.body)] for it in calls])
    for pattern, to in (
        (r"ssh-ed25519 [A-Za-z0-9+/=]+", "ssh-ed25519 ..."),
        (r"(?<=PRIVATE KEY-----)[^-]+", "..."),
        (rf"(?<={RUN_ID}-)[0-9a-f]{{32}}", "..."),
    ):
        text = re.sub(pattern, to, text)
    known: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        kind = found[1]
        return known.setdefault(found[0], f"{kind}-{1 + sum(it.startswith(f'{kind}-') for it in known.values())}")

    text = re.sub(r"\b(ami|eipalloc|eipassoc|i|sg|snap|subnet|vpc)-[0-9a-f]{8,17}\b", number, text)
    return [Asked(action=action, body=body) for action, body in json.loads(text)]


def test_an_image_keeps_what_its_source_can_do_and_asks_for_more_safety(ec2: FakeAws, run: RunInfo) -> None:
    """ENA and the boot mode come with the instance; IMDSv2 is asked for, unless the source brought it."""
    client, builder = ec2.client(), AwsBuilder(clock=QuickClock())
    for source, asks in (("debian-12", 1), ("amazon-linux-2023", 0)):
        name = f"reef-{source}"
        spec = Aws(source=source, instance_types=("t3.micro",), admit="192.0.2.0/24")
        before = len(ec2.calls("ModifyImageAttribute"))
        with builder.machine(spec, (), run, lambda _: None) as machine:
            image = machine.capture(name, {"recipe": "reef"})
        (made,) = client.describe_images(ImageIds=[image.id])["Images"]
        (old,) = client.describe_images(ImageIds=[find_source(spec, Cloud(None, QuickClock())).id])["Images"]
        assert made["ImdsSupport"] == "v2.0"
        assert (made["EnaSupport"], made["BootMode"]) == (old["EnaSupport"], old["BootMode"])
        assert len(ec2.calls("ModifyImageAttribute")) - before == asks


@pytest.fixture
def run(run_info: Callable[..., RunInfo]) -> RunInfo:
    return run_info()
