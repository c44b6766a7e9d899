"""What the fake says, where moto says something else or nothing: each with a boto3 client, as a builder would ask."""

import base64
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from baker.keys import new_key_pair
from tests.builders.aws.fake.client import ACCOUNT, FakeAws
from tests.builders.aws.fake.public import CANONICAL, STRANGER

RUN = [{"Key": "bake:run", "Value": "20260101t000000-abcd"}]
DEBIAN_PARAMETER = "/aws/service/debian/release/12/latest/amd64"


def tagged(*kinds):
    return [{"ResourceType": kind, "Tags": RUN} for kind in kinds]


@pytest.fixture
def ec2(aws: FakeAws):
    return aws.client()


def refused(code, call, **parameters):
    """The message of a refusal with this code."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response["Error"]["Message"]


def debian(aws, region="eu-central-1"):
    return aws.client("ssm", region=region).get_parameter(Name=DEBIAN_PARAMETER)["Parameter"]["Value"]


def launch(aws, ec2, **more):
    """An instance, in whatever state it is at first, that calls can already name."""
    asked = {
        "ImageId": debian(aws), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1,
        "TagSpecifications": tagged("instance", "volume", "network-interface"),
    }  # fmt: skip
    (instance,) = ec2.run_instances(**(asked | more))["Instances"]
    if aws.settings()["hidden_calls"]["instance"]:
        refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=[instance["InstanceId"]])
    return instance["InstanceId"]


def describe(ec2, instance):
    return ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


def state(ec2, instance):
    return describe(ec2, instance)["State"]["Name"]


def states(ec2, instance, last):
    """The states until `last`."""
    seen = [state(ec2, instance)]
    while seen[-1] != last:
        assert len(seen) < 20, seen
        seen.append(state(ec2, instance))
    return list(dict.fromkeys(seen))


def running(aws, ec2, **more):
    instance = launch(aws, ec2, **more)
    states(ec2, instance, "running")
    return instance


def stopped(aws, ec2, **more):
    instance = running(aws, ec2, **more)
    ec2.stop_instances(InstanceIds=[instance])
    states(ec2, instance, "stopped")
    return instance


def image_state(ec2, image):
    return ec2.describe_images(ImageIds=[image])["Images"][0]["State"]


def make_image(aws, ec2, name="ocean-1", **more):
    image = ec2.create_image(InstanceId=stopped(aws, ec2), Name=name, **more)["ImageId"]
    refused("InvalidAMIID.NotFound", ec2.describe_images, ImageIds=[image])
    while image_state(ec2, image) == "pending":
        pass
    return image


# Who asks, and how


def test_the_account_is_known_by_its_keys(aws):
    assert aws.client("sts").get_caller_identity()["Account"] == ACCOUNT
    stranger = "AKIA0000000000000000"
    refused("AuthFailure", aws.client(access_key=stranger).describe_regions)
    refused("InvalidClientTokenId", aws.client("sts", access_key=stranger).get_caller_identity)


def test_credentials_expire_and_a_role_gives_new_ones(aws, ec2):
    iam = aws.client("iam")
    trust = '{"Version": "2012-10-17", "Statement": []}'
    role = iam.create_role(RoleName="baker", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    sts = aws.client("sts")
    aws.fault("DescribeKeyPairs", effect="expire-credentials")
    given = sts.assume_role(RoleArn=role, RoleSessionName="bake")["Credentials"]
    ec2.describe_key_pairs()
    refused("RequestExpired", ec2.describe_key_pairs)
    refused("ExpiredToken", sts.get_caller_identity)
    assert aws.client(access_key=given["AccessKeyId"]).describe_key_pairs()["KeyPairs"] == []


@pytest.mark.parametrize(("region", "code"), [("eu-centrul-1", "AuthFailure"), ("ap-east-1", "OptInRequired")])
def test_a_region_that_cannot_be_used(aws, region, code):
    refused(code, aws.client(region=region).describe_instances)


def test_regions(ec2):
    assert len(ec2.describe_regions()["Regions"]) == 4
    assert len(ec2.describe_regions(AllRegions=True)["Regions"]) == 5


def test_what_is_not_in_the_model_or_not_in_the_fake_is_refused(aws, ec2):
    refused(
        "InvalidParameterValue", ec2.run_instances, ImageId=debian(aws), InstanceType="m99.huge", MinCount=1, MaxCount=1
    )
    refused(
        "NotInTheFake",
        ec2.create_fleet,
        TargetCapacitySpecification={"TotalTargetCapacity": 1},
        LaunchTemplateConfigs=[],
    )
    message = refused(
        "NotInTheFake", ec2.run_instances, ImageId=debian(aws), MinCount=1, MaxCount=1,
        HibernationOptions={"Configured": True},
    )  # fmt: skip
    assert "HibernationOptions" in message
    refused("InvalidParameterValue", ec2.describe_instances, Filters=[{"Name": "moon", "Values": ["full"]}])

    def misspell(params, **_):
        params["body"]["InstanceID.1"] = "i-1"

    ec2.meta.events.register("before-call.ec2.DescribeInstances", misspell)
    refused("UnknownParameter", ec2.describe_instances)


def test_a_dry_run_does_nothing_and_says_whether_it_could(aws, ec2):
    asked = {"ImageId": debian(aws), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, "DryRun": True}
    refused("DryRunOperation", ec2.run_instances, **asked)
    refused("DryRunOperation", ec2.describe_volumes, DryRun=True)
    refused("InvalidKeyPair.NotFound", ec2.run_instances, **asked, KeyName="nobody's")
    deny = {"Statement": [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]}
    aws.policy(deny)
    refused("UnauthorizedOperation", ec2.run_instances, **asked)
    assert ec2.describe_instances()["Reservations"] == []


# Instances


def test_an_instance_is_not_seen_at_first_and_then_pending(aws, ec2):
    instance = launch(aws, ec2)
    assert states(ec2, instance, "running") == ["pending", "running"]
    ec2.terminate_instances(InstanceIds=[instance])
    assert states(ec2, instance, "terminated") == ["shutting-down", "terminated"]
    described = describe(ec2, instance)
    assert described["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert described["Tags"] == RUN


def test_a_listing_does_not_show_it_at_first_either(aws, ec2):
    ours = [{"Name": "tag:bake:run", "Values": ["20260101t000000-abcd"]}]
    ec2.run_instances(
        ImageId=debian(aws), InstanceType="t3.micro", MinCount=1, MaxCount=1, TagSpecifications=tagged("instance"),
        ClientToken="run-1",
    )  # fmt: skip
    assert ec2.describe_instances(Filters=ours)["Reservations"] == []
    assert len(ec2.describe_instances(Filters=ours)["Reservations"]) == 1
    by_token = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["run-1"]}])
    assert len(by_token["Reservations"]) == 1


def test_pace_can_be_seconds(aws, ec2):
    aws.settings(pending={"seconds": 0.5, "polls": 0})
    instance = launch(aws, ec2)
    started = time.monotonic()
    assert states_slowly(ec2, instance) == "running"
    assert time.monotonic() - started > 0.3


def states_slowly(ec2, instance):
    while state(ec2, instance) == "pending":
        time.sleep(0.05)
    return state(ec2, instance)


def test_all_that_a_launch_makes_has_its_tags_and_goes_with_it(aws, ec2):
    before = aws.account()
    data = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 4, "VolumeType": "gp3", "DeleteOnTermination": True}}
    instance = running(aws, ec2, BlockDeviceMappings=[data])
    assert sorted(it["kind"] for it in aws.ours()) == ["instance", "network-interface", "volume", "volume"]
    ec2.terminate_instances(InstanceIds=[instance])
    states(ec2, instance, "terminated")
    aws.assert_clean(before)


def test_a_volume_that_is_not_to_be_deleted_is_left(aws, ec2):
    before = aws.account()
    data = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 4}}
    instance = running(aws, ec2, BlockDeviceMappings=[data])
    (volume,) = [
        it["Ebs"]["VolumeId"] for it in describe(ec2, instance)["BlockDeviceMappings"] if it["DeviceName"] == "/dev/sdf"
    ]
    refused("VolumeInUse", ec2.delete_volume, VolumeId=volume)
    ec2.terminate_instances(InstanceIds=[instance])
    states(ec2, instance, "terminated")
    with pytest.raises(AssertionError, match="left behind"):
        aws.assert_clean(before)
    ec2.delete_volume(VolumeId=volume)
    aws.assert_clean(before)


@pytest.mark.parametrize(
    ("ebs", "code"),
    [
        ({"VolumeSize": 4}, "InvalidBlockDeviceMapping"),
        ({"VolumeSize": 8, "VolumeType": "gp3", "Iops": 100}, "InvalidParameterValue"),
        ({"VolumeSize": 8, "VolumeType": "gp3", "Throughput": 1000}, "InvalidParameterValue"),
        ({"VolumeSize": 8, "VolumeType": "gp2", "Throughput": 125}, "InvalidParameterCombination"),
        ({"VolumeSize": 8, "VolumeType": "io2"}, "MissingParameter"),
        ({"VolumeSize": 8, "KmsKeyId": "alias/mine"}, "InvalidParameterDependency"),
    ],
)
def test_volumes_that_cannot_be(aws, ec2, ebs, code):
    asked = {"ImageId": debian(aws), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    mapping = [{"DeviceName": "/dev/xvda", "Ebs": ebs}]
    refused(code, ec2.run_instances, **asked, BlockDeviceMappings=mapping)


def test_gp3_is_what_was_asked_for(aws, ec2):
    ebs = {"VolumeSize": 20, "VolumeType": "gp3", "Iops": 4000, "Throughput": 500, "Encrypted": True}
    instance = running(aws, ec2, BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": ebs}])
    (volume,) = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])["Volumes"]
    assert [volume[it] for it in ("Size", "VolumeType", "Iops", "Throughput", "Encrypted")] == [
        20,
        "gp3",
        4000,
        500,
        True,
    ]


def test_the_same_token_is_the_same_instance(aws, ec2):
    asked = {"ImageId": debian(aws), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, "ClientToken": "run-1"}
    first = ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
    assert ec2.run_instances(**asked)["Instances"][0]["InstanceId"] == first
    refused("IdempotentParameterMismatch", ec2.run_instances, **asked | {"InstanceType": "t3.small"})
    with pytest.raises(ClientError):
        state(ec2, first)
    ec2.terminate_instances(InstanceIds=[first])
    states(ec2, first, "terminated")
    refused("IdempotentInstanceTerminated", ec2.run_instances, **asked)


def test_what_cannot_be_launched(aws, ec2):
    asked = {"ImageId": debian(aws), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    for code, change in (
        ("InvalidAMIID.NotFound", {"ImageId": "ami-0123456789abcdef0"}),
        ("InvalidAMIID.Malformed", {"ImageId": "ubuntu"}),
        ("InvalidKeyPair.NotFound", {"KeyName": "k"}),
        ("InvalidGroup.NotFound", {"SecurityGroupIds": ["sg-0123456789abcdef0"]}),
        ("InvalidSubnetID.NotFound", {"SubnetId": "subnet-0123456789abcdef0"}),
        ("InvalidParameterValue", {"InstanceType": "m7g.medium"}),
        ("InvalidParameterValue", {"IamInstanceProfile": {"Name": "nobody's"}}),
        ("InvalidParameterValue", {"UserData": "x" * 16385}),
        ("InvalidParameterValue", {"TagSpecifications": tagged("image")}),
        ("NotInTheFake", {"UserData": "#cloud-config\nphone_home: {url: x}\n"}),
    ):
        refused(code, ec2.run_instances, **asked | change)
    assert ec2.describe_instances()["Reservations"] == []


def test_tags_that_aws_refuses(ec2):
    for key, value in (("aws:run", "x"), ("k" * 128, "x"), ("k", "x" * 257)):
        specification = [{"ResourceType": "security-group", "Tags": [{"Key": key, "Value": value}]}]
        refused(
            "InvalidParameterValue", ec2.create_security_group, GroupName="g", Description="d",
            TagSpecifications=specification,
        )  # fmt: skip
    refused("InvalidVolume.NotFound", ec2.create_tags, Resources=["vol-0123456789abcdef0"], Tags=RUN)


def test_capacity_is_short_where_it_is_said_to_be(aws, ec2):
    aws.settings(shortages=[{"type": "t3.*", "zone": "eu-central-1a"}, {"market": "spot"}])
    asked = {"ImageId": debian(aws), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    refused("InsufficientInstanceCapacity", ec2.run_instances, **asked)
    elsewhere = asked | {"Placement": {"AvailabilityZone": "eu-central-1b"}}
    assert ec2.run_instances(**elsewhere)["Instances"]
    refused(
        "InsufficientInstanceCapacity", ec2.run_instances, **elsewhere, InstanceMarketOptions={"MarketType": "spot"}
    )


def test_quotas(aws, ec2):
    aws.settings(quotas={"L-1216C47A": 3})
    quotas = aws.client("service-quotas")
    assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")["Quota"]["Value"] == 3
    refused("NoSuchResourceException", quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-00000000")
    running(aws, ec2)
    assert "vCPU limit of 3" in refused(
        "VcpuLimitExceeded", ec2.run_instances, ImageId=debian(aws), InstanceType="t3.micro", MinCount=1, MaxCount=1
    )


def test_stopping_and_starting(aws, ec2):
    instance = launch(aws, ec2)
    refused("IncorrectInstanceState", ec2.stop_instances, InstanceIds=[instance])
    states(ec2, instance, "running")
    address = describe(ec2, instance)["PublicIpAddress"]
    ec2.stop_instances(InstanceIds=[instance])
    assert states(ec2, instance, "stopped") == ["stopping", "stopped"]
    assert "PublicIpAddress" not in describe(ec2, instance)
    ec2.start_instances(InstanceIds=[instance])
    assert states(ec2, instance, "running") == ["pending", "running"]
    assert describe(ec2, instance)["PublicIpAddress"] not in (address, None)


def test_a_one_time_spot_instance_cannot_be_stopped(aws, ec2):
    tags = tagged("instance", "spot-instances-request")
    before = aws.account()
    instance = running(aws, ec2, InstanceMarketOptions={"MarketType": "spot"}, TagSpecifications=tags)
    refused("UnsupportedOperation", ec2.stop_instances, InstanceIds=[instance])
    (request,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert (request["State"], request["InstanceId"], request["Tags"]) == ("active", instance, RUN)
    assert describe(ec2, instance)["InstanceLifecycle"] == "spot"
    aws.fault("DescribeInstances", effect="interrupt-spot")
    describe(ec2, instance)
    assert describe(ec2, instance)["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert ec2.describe_spot_instance_requests()["SpotInstanceRequests"][0]["State"] == "closed"
    aws.assert_clean(before)


def test_a_persistent_spot_request_outlives_its_instance(aws, ec2):
    options = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "persistent"}}
    before = aws.account()
    instance = running(aws, ec2, InstanceMarketOptions=options)
    ec2.terminate_instances(InstanceIds=[instance])
    states(ec2, instance, "terminated")
    with pytest.raises(AssertionError, match="spot-request"):
        aws.assert_clean(before)
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[describe(ec2, instance)["SpotInstanceRequestId"]])
    aws.assert_clean(before)


def test_an_instance_that_dies_says_why(aws, ec2):
    instance = running(aws, ec2)
    aws.die(instance)
    assert describe(ec2, instance)["StateReason"]["Code"] == "Server.InternalError"
    ebs = {"Encrypted": True, "KmsKeyId": "alias/nobodys"}
    doomed = launch(aws, ec2, BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": ebs}])
    states(ec2, doomed, "terminated")
    assert describe(ec2, doomed)["StateReason"]["Code"] == "Client.InvalidKMSKey.InvalidState"


def test_imdsv2_and_the_shutdown_behavior_are_recorded(aws, ec2):
    instance = running(
        aws, ec2, MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        InstanceInitiatedShutdownBehavior="terminate",
    )  # fmt: skip
    assert describe(ec2, instance)["MetadataOptions"]["HttpTokens"] == "required"
    attribute = {"InstanceId": instance, "Attribute": "instanceInitiatedShutdownBehavior"}
    assert ec2.describe_instance_attribute(**attribute)["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    ec2.modify_instance_attribute(InstanceId=instance, InstanceInitiatedShutdownBehavior={"Value": "stop"})
    assert ec2.describe_instance_attribute(**attribute)["InstanceInitiatedShutdownBehavior"]["Value"] == "stop"


def test_user_data_is_in_the_journal_as_text(aws, ec2):
    launch(aws, ec2, UserData="#cloud-config\n{}\n")
    (call,) = aws.calls("RunInstances")
    assert call["parameters"]["UserData"] == "#cloud-config\n{}\n"
    assert (call["status"], call["error"], call["region"]) == (200, None, "eu-central-1")
    assert base64.b64decode(base64.b64encode(b"x")) == b"x"


# Images


def test_an_image_of_a_stopped_instance(aws, ec2):
    data = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 4, "VolumeType": "gp3", "DeleteOnTermination": True}}
    instance = stopped(aws, ec2, BlockDeviceMappings=[data])
    image = ec2.create_image(InstanceId=instance, Name="ocean-1", TagSpecifications=tagged("image", "snapshot"))[
        "ImageId"
    ]
    refused("InvalidAMIID.NotFound", ec2.describe_images, ImageIds=[image])
    (described,) = ec2.describe_images(ImageIds=[image])["Images"]
    snapshots = [it["Ebs"]["SnapshotId"] for it in described["BlockDeviceMappings"]]
    assert described["State"] == "pending"
    assert [it["Ebs"]["VolumeSize"] for it in described["BlockDeviceMappings"]] == [8, 4]
    pending = ec2.describe_snapshots(SnapshotIds=snapshots)["Snapshots"]
    assert {it["State"] for it in pending} <= {"pending", "completed"}
    assert image_state(ec2, image) == "available"
    (described,) = ec2.describe_images(ImageIds=[image])["Images"]
    assert (described["BootMode"], described["EnaSupport"], described["Public"]) == ("uefi-preferred", True, False)
    assert (described["SourceInstanceId"], described["Tags"]) == (instance, RUN)
    for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
        assert (snapshot["State"], snapshot["Progress"], snapshot["Tags"]) == ("completed", "100%", RUN)


def test_an_image_is_of_a_machine_that_runs_or_is_stopped_and_of_no_other(aws, ec2):
    instance = launch(aws, ec2)
    ask = {"InstanceId": instance, "Name": "ocean-1"}
    refused("InvalidParameterValue", ec2.create_image, **ask)
    states(ec2, instance, "running")
    ec2.stop_instances(InstanceIds=[instance])
    assert "not in state" in refused("InvalidParameterValue", ec2.create_image, **ask)
    states(ec2, instance, "stopped")
    assert ec2.create_image(**ask)["ImageId"]
    assert "already in use" in refused("InvalidAMIName.Duplicate", ec2.create_image, **ask)
    refused("InvalidAMIName.Malformed", ec2.create_image, InstanceId=instance, Name="ocean:1")
    ec2.terminate_instances(InstanceIds=[instance])
    states(ec2, instance, "terminated")
    refused("InvalidParameterValue", ec2.create_image, InstanceId=instance, Name="ocean-2")


def test_an_image_that_fails_says_why_and_leaves_its_snapshots(aws, ec2):
    instance = stopped(aws, ec2)
    aws.fault("CreateImage", effect="fail-image", reason="Snapshot failed")
    image = ec2.create_image(InstanceId=instance, Name="ocean-1", TagSpecifications=tagged("image", "snapshot"))[
        "ImageId"
    ]
    refused("InvalidAMIID.NotFound", ec2.describe_images, ImageIds=[image])
    assert image_state(ec2, image) == "pending"
    (described,) = ec2.describe_images(ImageIds=[image])["Images"]
    assert (described["State"], described["StateReason"]["Message"]) == ("failed", "Snapshot failed")
    ec2.deregister_image(ImageId=image)
    assert [it["kind"] for it in aws.ours() if it["kind"] == "snapshot"] == ["snapshot"]


def test_snapshots_outlive_their_image_and_cannot_go_before_it(aws, ec2):
    image = make_image(aws, ec2)
    (snapshot,) = [it["SnapshotId"] for it in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]]
    refused("InvalidSnapshot.InUse", ec2.delete_snapshot, SnapshotId=snapshot)
    ec2.deregister_image(ImageId=image)
    refused("InvalidAMIID.Unavailable", ec2.deregister_image, ImageId=image)
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    ec2.delete_snapshot(SnapshotId=snapshot)
    refused("InvalidSnapshot.NotFound", ec2.delete_snapshot, SnapshotId=snapshot)
    other = make_image(aws, ec2, "ocean-2")
    ec2.deregister_image(ImageId=other, DeleteAssociatedSnapshots=True)
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_an_image_is_found_by_name_and_owner_and_a_strangers_by_name_alone(ec2):
    name = [{"Name": "name", "Values": ["ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*"]}]
    found = ec2.describe_images(Filters=name)["Images"]
    assert max(found, key=lambda it: it["CreationDate"])["OwnerId"] == STRANGER
    owned = ec2.describe_images(Filters=name, Owners=[CANONICAL])["Images"]
    assert [it["Name"][-8:] for it in owned] == ["20250821"]
    deprecated = ec2.describe_images(Filters=name, Owners=[CANONICAL], IncludeDeprecated=True)["Images"]
    assert len(deprecated) == 2


def test_public_parameters_name_images_of_the_region(aws):
    ids = {debian(aws, region) for region in ("eu-central-1", "us-east-1")}
    assert len(ids) == 2
    refused("ParameterNotFound", aws.client("ssm").get_parameter, Name="/aws/service/debian/release/99/latest/amd64")


def test_sharing(aws, ec2):
    image = make_image(aws, ec2)
    share = {"ImageId": image, "Attribute": "launchPermission", "OperationType": "add"}
    ec2.modify_image_attribute(**share, UserIds=["111122223333", "444455556666"])
    granted = ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]
    assert granted == [{"UserId": "111122223333"}, {"UserId": "444455556666"}]
    organisation = "arn:aws:organizations::123456789012:organization/o-abcdefghij"
    ec2.modify_image_attribute(**share, OrganizationArns=[organisation])
    refused("InvalidAMIAttributeItemValue", ec2.modify_image_attribute, **share, UserIds=["1234"])
    refused("InvalidAMIAttributeItemValue", ec2.modify_image_attribute, **share, UserIds=["999999999999"])
    refused("InvalidParameterValue", ec2.modify_image_attribute, **share, OrganizationArns=["o-abcdefghij"])
    refused("OperationNotPermitted", ec2.modify_image_attribute, **share, UserGroups=["all"])
    ec2.disable_image_block_public_access()
    ec2.modify_image_attribute(**share, UserGroups=["all"])
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["Public"] is True


def test_an_image_under_the_aws_managed_key_cannot_be_shared(aws, ec2):
    ec2.enable_ebs_encryption_by_default()
    image = make_image(aws, ec2)
    share = {"ImageId": image, "Attribute": "launchPermission", "OperationType": "add", "UserIds": ["111122223333"]}
    refused("InvalidParameter", ec2.modify_image_attribute, **share)
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    copy = ec2.copy_image(
        SourceImageId=image, SourceRegion="eu-central-1", Name="ocean-2", Encrypted=True, KmsKeyId=key
    )["ImageId"]  # fmt: skip
    refused("InvalidAMIID.NotFound", ec2.describe_images, ImageIds=[copy])
    while image_state(ec2, copy) == "pending":
        pass
    ec2.modify_image_attribute(**share | {"ImageId": copy})


def test_copies_take_their_time_and_bring_neither_permissions_nor_tags(aws, ec2):
    image = make_image(aws, ec2, TagSpecifications=tagged("image"))
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    there = aws.client(region="us-east-1")
    ask = {"SourceImageId": image, "SourceRegion": "eu-central-1"}
    aws.settings(hidden_calls={"image": 0}, copies_at_once=2)
    first = there.copy_image(**ask, Name="a-1", ClientToken="t")["ImageId"]
    assert there.copy_image(**ask, Name="a-1", ClientToken="t")["ImageId"] == first
    second = there.copy_image(**ask, Name="a-2", CopyImageTags=True, TagSpecifications=tagged("snapshot"))["ImageId"]
    refused("ResourceLimitExceeded", there.copy_image, **ask, Name="a-3")
    described = {it["ImageId"]: it for it in there.describe_images(ImageIds=[first, second])["Images"]}
    assert described[first]["State"] == "pending"
    assert "Tags" not in described[first]
    assert described[second]["Tags"] == RUN
    assert image_state(there, first) == "available"
    assert there.describe_image_attribute(ImageId=first, Attribute="launchPermission")["LaunchPermissions"] == []
    refused("InvalidAMIName.Duplicate", there.copy_image, **ask, Name="a-1")


def test_deprecation_and_protection(aws, ec2):
    image = make_image(aws, ec2)
    ec2.enable_image_deprecation(ImageId=image, DeprecateAt=datetime.now(UTC) + timedelta(days=90))
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["DeprecationTime"]
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    refused("InvalidParameterValue", ec2.enable_image_deprecation, ImageId=image, DeprecateAt=long_ago)
    ec2.enable_image_deregistration_protection(ImageId=image)
    refused("OperationNotPermitted", ec2.deregister_image, ImageId=image)
    ec2.disable_image_deregistration_protection(ImageId=image)
    ec2.deregister_image(ImageId=image)


# What stands round them


def test_a_group_in_use_stays_until_its_instance_has_left_it(aws, ec2):
    group = ec2.create_security_group(GroupName="bake-1", Description="d")["GroupId"]
    refused("InvalidGroup.Duplicate", ec2.create_security_group, GroupName="bake-1", Description="d")
    instance = running(aws, ec2, SecurityGroupIds=[group])
    assert describe(ec2, instance)["SecurityGroups"] == [{"GroupId": group, "GroupName": "bake-1"}]
    refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
    (default,) = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    refused("CannotDelete", ec2.delete_security_group, GroupId=default["GroupId"])
    ec2.modify_instance_attribute(InstanceId=instance, Groups=[default["GroupId"]])
    ec2.delete_security_group(GroupId=group)
    assert describe(ec2, instance)["SecurityGroups"] == [{"GroupId": default["GroupId"], "GroupName": "default"}]


def test_a_group_is_free_when_its_instance_is_terminated_and_not_before(aws, ec2):
    group = ec2.create_security_group(GroupName="bake-1", Description="d")["GroupId"]
    instance = running(aws, ec2, SecurityGroupIds=[group])
    ec2.terminate_instances(InstanceIds=[instance])
    refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
    states(ec2, instance, "terminated")
    ec2.delete_security_group(GroupId=group)


def test_key_pairs(ec2):
    key = new_key_pair("x").public
    made = ec2.import_key_pair(KeyName="bake-1", PublicKeyMaterial=key.encode(), TagSpecifications=tagged("key-pair"))
    refused("InvalidKeyPair.Duplicate", ec2.import_key_pair, KeyName="bake-1", PublicKeyMaterial=key.encode())
    refused("InvalidKeyPair.Format", ec2.import_key_pair, KeyName="bake-2", PublicKeyMaterial=b"ssh-rsa nonsense")
    (pair,) = ec2.describe_key_pairs(KeyPairIds=[made["KeyPairId"]], IncludePublicKey=True)["KeyPairs"]
    assert (pair["KeyType"], pair["Tags"], pair["PublicKey"].split()[:2]) == ("ed25519", RUN, key.split()[:2])
    ec2.delete_key_pair(KeyPairId=made["KeyPairId"])
    ec2.delete_key_pair(KeyName="bake-1")
    assert ec2.describe_key_pairs()["KeyPairs"] == []


def test_addresses(aws, ec2):
    before = aws.account()
    address = ec2.allocate_address(TagSpecifications=tagged("elastic-ip"))
    instance = launch(aws, ec2)
    ask = {"AllocationId": address["AllocationId"], "InstanceId": instance}
    refused("InvalidInstanceID", ec2.associate_address, **ask)
    states(ec2, instance, "running")
    association = ec2.associate_address(**ask)["AssociationId"]
    assert describe(ec2, instance)["PublicIpAddress"] == address["PublicIp"]
    refused("InvalidIPAddress.InUse", ec2.release_address, AllocationId=address["AllocationId"])
    ec2.disassociate_address(AssociationId=association)
    ec2.associate_address(**ask)
    ec2.terminate_instances(InstanceIds=[instance])
    states(ec2, instance, "terminated")
    ec2.release_address(AllocationId=address["AllocationId"])
    aws.assert_clean(before)


def test_pages(aws, ec2):
    for number in range(7):
        ec2.create_security_group(GroupName=f"g-{number}", Description="d")
    assert len(ec2.describe_security_groups(MaxResults=5)["SecurityGroups"]) == 5
    refused("InvalidParameterValue", ec2.describe_volumes, MaxResults=4)
    refused("InvalidParameterCombination", ec2.describe_instances, MaxResults=5, InstanceIds=["i-0123456789abcdef0"])
    refused("InvalidNextToken", ec2.describe_security_groups, NextToken="x")
    aws.settings(page_size=3)
    pages = [it["SecurityGroups"] for it in ec2.get_paginator("describe_security_groups").paginate()]
    assert [len(it) for it in pages] == [3, 3, 2]
    assert len(ec2.describe_security_groups()["SecurityGroups"]) == 3


def test_our_things_are_found_by_our_tag_in_every_kind(aws, ec2):
    aws.look_alikes()
    aws.settings(hidden_calls={"instance": 0, "image": 0})
    image = ec2.create_image(
        InstanceId=running(aws, ec2), Name="ocean-1", NoReboot=True,
        TagSpecifications=tagged("image", "snapshot"),
    )["ImageId"]  # fmt: skip
    ec2.allocate_address(TagSpecifications=tagged("elastic-ip"))
    ec2.import_key_pair(
        KeyName="k", PublicKeyMaterial=new_key_pair("x").public.encode(), TagSpecifications=tagged("key-pair")
    )  # fmt: skip
    ec2.create_security_group(GroupName="g", Description="d", TagSpecifications=tagged("security-group"))
    for ours in ({"Name": "tag-key", "Values": ["bake:run"]}, {"Name": "tag:bake:run", "Values": [RUN[0]["Value"]]}):
        found = {
            "addresses": ec2.describe_addresses(Filters=[ours])["Addresses"],
            "groups": ec2.describe_security_groups(Filters=[ours])["SecurityGroups"],
            "images": ec2.describe_images(Owners=["self"], Filters=[ours])["Images"],
            "instances": ec2.describe_instances(Filters=[ours])["Reservations"],
            "interfaces": ec2.describe_network_interfaces(Filters=[ours])["NetworkInterfaces"],
            "keys": ec2.describe_key_pairs(Filters=[ours])["KeyPairs"],
            "snapshots": ec2.describe_snapshots(OwnerIds=["self"], Filters=[ours])["Snapshots"],
            "volumes": ec2.describe_volumes(Filters=[ours])["Volumes"],
        }
        assert {kind: len(it) for kind, it in found.items()} == dict.fromkeys(found, 1)
        assert found["images"][0]["ImageId"] == image
    assert len(ec2.describe_images(Owners=["self"])["Images"]) == 2


def test_filters_that_a_preflight_asks_with(aws, ec2):
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    of_vpc = {"Name": "vpc-id", "Values": [vpc["VpcId"]]}
    subnet = ec2.describe_subnets(Filters=[of_vpc])["Subnets"][0]["SubnetId"]
    of_subnet = [{"Name": "association.subnet-id", "Values": [subnet]}]
    assert ec2.describe_route_tables(Filters=of_subnet)["RouteTables"] == []
    main = [of_vpc, {"Name": "association.main", "Values": ["true"]}]
    assert len(ec2.describe_route_tables(Filters=main)["RouteTables"]) == 1
    default = [of_vpc, {"Name": "group-name", "Values": ["default"]}]
    assert len(ec2.describe_security_groups(Filters=default)["SecurityGroups"]) == 1
    assert ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["x"]}])["Images"] == []
    instance = running(aws, ec2)
    alive = [{"Name": "instance-state-name", "Values": ["pending", "running"]}, {"Name": "tag-key", "Values": ["x"]}]
    assert ec2.describe_instances(Filters=alive)["Reservations"] == []
    assert ec2.describe_instances(Filters=alive[:1])["Reservations"][0]["Instances"][0]["InstanceId"] == instance


def test_the_default_network_leads_to_the_world(ec2):
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    assert {it["MapPublicIpOnLaunch"] for it in subnets} == {True}
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"]
    assert any(it.get("GatewayId", "").startswith("igw-") for it in table["Routes"])


def test_an_account_without_a_default_network(aws, ec2):
    aws.remove_default_network()
    assert ec2.describe_vpcs()["Vpcs"] == []
    asked = {"ImageId": debian(aws), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    refused("VPCIdNotSpecified", ec2.run_instances, **asked)
    refused("VPCIdNotSpecified", ec2.create_security_group, GroupName="g", Description="d")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24", AvailabilityZone="eu-central-1b")["Subnet"][
        "SubnetId"
    ]
    instance = running(aws, ec2, SubnetId=subnet)
    described = describe(ec2, instance)
    assert "PublicIpAddress" not in described
    assert described["PrivateIpAddress"].startswith("10.7.1.")
    asked_for = {"SubnetId": subnet, "AssociatePublicIpAddress": True, "DeviceIndex": 0}
    other = running(aws, ec2, NetworkInterfaces=[asked_for])
    assert describe(ec2, other)["PublicIpAddress"].startswith("127.")
    assert describe(ec2, other)["Placement"]["AvailabilityZone"] == "eu-central-1b"


# What goes wrong on purpose


def test_a_fault_strikes_the_calls_that_it_is_for(aws, ec2):
    aws.fault("Describe*", skip=1, times=2, error="RequestLimitExceeded")
    ec2.describe_key_pairs()
    refused("RequestLimitExceeded", ec2.describe_key_pairs)
    refused("RequestLimitExceeded", ec2.describe_volumes)
    ec2.describe_key_pairs()
    assert [it["spoiled"] for it in aws.faults()] == [2]
    aws.fault("CreateSecurityGroup", where={"GroupName": "bad"}, error="SecurityGroupLimitExceeded")
    ec2.create_security_group(GroupName="good", Description="d")
    refused("SecurityGroupLimitExceeded", ec2.create_security_group, GroupName="bad", Description="d")
    assert [it["error"] for it in aws.calls("CreateSecurityGroup")] == [None, "SecurityGroupLimitExceeded"]


def test_a_lost_reply_is_a_call_that_was_done(aws, ec2):
    aws.fault("CreateSecurityGroup", lose="reply")
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        ec2.create_security_group(GroupName="bake-1", Description="d")
    refused("InvalidGroup.Duplicate", ec2.create_security_group, GroupName="bake-1", Description="d")
    aws.fault("CreateSecurityGroup", lose="request")
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        ec2.create_security_group(GroupName="bake-2", Description="d")
    assert ec2.create_security_group(GroupName="bake-2", Description="d")["GroupId"]
    assert [it.get("lost", False) for it in aws.calls("CreateSecurityGroup")] == [True, False, False, False]


def test_a_delay_and_a_proxys_page(aws, ec2):
    aws.fault("DescribeKeyPairs", delay=0.4)
    started = time.monotonic()
    ec2.describe_key_pairs()
    assert time.monotonic() - started > 0.4
    aws.fault("DescribeKeyPairs", html=502)
    with pytest.raises(Exception, match=r"502|parse"):
        ec2.describe_key_pairs()


def test_a_fault_or_setting_that_makes_no_sense_is_refused(aws):
    with pytest.raises(ValueError, match="there is no effect"):
        aws.fault("RunInstances", effect="flood")
    with pytest.raises(ValueError, match="there is no setting"):
        aws.settings(speed=3)


def test_look_alikes_are_there_and_what_is_done_to_them_is_seen(aws, ec2):
    aws.look_alikes()
    before = aws.account()
    assert aws.ours() == []
    assert {it["kind"] for it in before if it["tags"]} == {
        "address", "image", "instance", "key-pair", "network-interface", "security-group", "snapshot", "volume"
    }  # fmt: skip
    aws.assert_clean(before)
    (image,) = ec2.describe_images(Owners=["self"])["Images"]
    ec2.modify_image_attribute(ImageId=image["ImageId"], LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    with pytest.raises(AssertionError, match="were changed"):
        aws.assert_clean(before)
    ec2.deregister_image(ImageId=image["ImageId"])
    with pytest.raises(AssertionError, match="are gone"):
        aws.assert_clean(before)


def test_an_image_that_is_kept_keeps_its_snapshots(aws, ec2):
    before = aws.account()
    image = make_image(aws, ec2, TagSpecifications=tagged("image", "snapshot"))
    ec2.terminate_instances(InstanceIds=[it["id"] for it in aws.ours() if it["kind"] == "instance"])
    for it in aws.ours():
        if it["kind"] == "instance":
            states(ec2, it["id"], "terminated")
    with pytest.raises(AssertionError, match="left behind"):
        aws.assert_clean(before)
    aws.assert_clean(before, kept=[image])
