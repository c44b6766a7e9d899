"""Policies: what is allowed by action, by resource and by tags, and what nobody pretends to know."""

import pytest
from botocore.exceptions import ClientError

from tests.builders.aws.fake.client import ACCESS_KEY, FakeAws

RUN = [{"Key": "bake:run", "Value": "20260101t000000-abcd"}]
OTHER_KEY = "AKIABAKERFAKE0000002"
PARAMETER = "/aws/service/debian/release/12/latest/amd64"


def allow(*actions, resource="*", **condition):
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, "Condition": condition}


def tagged(*kinds):
    return [{"ResourceType": kind, "Tags": RUN} for kind in kinds]


@pytest.fixture
def ec2(aws: FakeAws):
    aws.settings(hidden_calls={"instance": 0, "image": 0})
    return aws.client()


def denied(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] in ("UnauthorizedOperation", "AccessDenied"), caught.value
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return caught.value.response["Error"]["Message"]


def test_what_is_not_allowed_is_denied_by_name(aws, ec2):
    aws.policy({"Statement": [allow("ec2:Describe*")]})
    ec2.describe_instances()
    assert "ec2:CreateSecurityGroup" in denied(ec2.create_security_group, GroupName="g", Description="d")
    denied(aws.client("ssm").get_parameter, Name=PARAMETER)
    denied(aws.client("service-quotas").list_service_quotas, ServiceCode="ec2")
    aws.client("sts").get_caller_identity()
    aws.forget_policies()
    ec2.create_security_group(GroupName="g", Description="d")


def test_a_policy_is_of_a_key(aws, ec2):
    aws.policy({"Statement": allow("ec2:Describe*")}, access_key=OTHER_KEY)
    denied(aws.client(access_key=OTHER_KEY).create_security_group, GroupName="g", Description="d")
    aws.client(access_key=ACCESS_KEY).create_security_group(GroupName="g", Description="d")


def test_a_denial_wins(aws, ec2):
    deny = {"Effect": "Deny", "Action": "ec2:DescribeInstances", "Resource": "*"}
    aws.policy({"Statement": [allow("*"), deny]})
    assert "explicit deny" in denied(ec2.describe_instances)


def test_tags_given_at_creation_need_a_permission_of_their_own(aws, ec2):
    ask = {"GroupName": "g", "Description": "d"}
    aws.policy({"Statement": [allow("ec2:CreateSecurityGroup")]})
    assert "ec2:CreateTags" in denied(ec2.create_security_group, **ask, TagSpecifications=tagged("security-group"))
    on_creation = {"StringEquals": {"ec2:CreateAction": ["CreateSecurityGroup"]}}
    aws.policy({"Statement": [allow("ec2:CreateSecurityGroup"), allow("ec2:CreateTags", **on_creation)]})
    group = ec2.create_security_group(**ask, TagSpecifications=tagged("security-group"))["GroupId"]
    denied(ec2.create_tags, Resources=[group], Tags=RUN)


def test_only_what_carries_our_tag_may_be_made_and_ended(aws, ec2):
    aws.look_alikes()
    image = aws.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    made = ["arn:aws:ec2:*:*:instance/*", "arn:aws:ec2:*:*:volume/*", "arn:aws:ec2:*:*:network-interface/*"]
    used = ["arn:aws:ec2:*::image/*", "arn:aws:ec2:*:*:subnet/*", "arn:aws:ec2:*:*:security-group/*"]
    with_tag = {"Null": {"aws:RequestTag/bake:run": "false"}}
    of_ours = {"StringLike": {"aws:ResourceTag/bake:run": "*"}}
    aws.policy(
        {
            "Statement": [
                allow("ec2:RunInstances", resource=made, **with_tag),
                allow("ec2:RunInstances", resource=used),
                allow("ec2:CreateTags", StringEquals={"ec2:CreateAction": "RunInstances"}),
                allow("ec2:TerminateInstances", resource="arn:aws:ec2:*:*:instance/*", **of_ours),
                allow("ec2:Describe*"),
            ]
        }
    )
    ask = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    assert ":volume/*" in denied(ec2.run_instances, **ask, TagSpecifications=tagged("instance", "network-interface"))
    ours = ec2.run_instances(**ask, TagSpecifications=tagged("instance", "volume", "network-interface"))
    theirs = ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["bake-ocean"]}])
    denied(ec2.terminate_instances, InstanceIds=[theirs["Reservations"][0]["Instances"][0]["InstanceId"]])
    ec2.terminate_instances(InstanceIds=[ours["Instances"][0]["InstanceId"]])


def test_a_profile_has_to_be_passed(aws, ec2):
    iam = aws.client("iam")
    trust = '{"Version": "2012-10-17", "Statement": []}'
    role = iam.create_role(RoleName="machine", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.create_instance_profile(InstanceProfileName="machine")
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="machine")
    image = aws.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    ask = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    aws.policy({"Statement": [allow("ec2:*")]})
    assert "iam:PassRole" in denied(ec2.run_instances, **ask, IamInstanceProfile={"Name": "machine"})
    passed = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    aws.policy({"Statement": [allow("ec2:*"), allow("iam:PassRole", resource=role, **passed)]})
    instance = ec2.run_instances(**ask, IamInstanceProfile={"Name": "machine"})["Instances"][0]["InstanceId"]
    (found,) = ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    assert found["InstanceId"] == instance


@pytest.mark.parametrize(
    "statement",
    [
        allow("ec2:*", DateGreaterThan={"aws:CurrentTime": "2026-01-01"}),
        allow("ec2:*", StringEquals={"ec2:Moon": "full"}),
        {"Effect": "Allow", "NotAction": "ec2:*", "Resource": "*"},
    ],
)
def test_what_is_not_evaluated_is_refused_aloud(aws, ec2, statement):
    aws.policy({"Statement": [statement]})
    with pytest.raises(ClientError, match="NotInTheFake"):
        ec2.describe_instances()


def test_a_condition_that_does_not_hold(aws, ec2):
    for condition in (
        {"StringEquals": {"aws:RequestedRegion": "us-east-1"}},
        {"ForAllValues:StringEquals": {"aws:TagKeys": ["Name"]}},
        {"StringNotLike": {"aws:RequestTag/bake:run": "2026*"}},
    ):
        aws.policy({"Statement": [allow("ec2:CreateSecurityGroup", **condition), allow("ec2:CreateTags")]})
        tags = tagged("security-group")
        denied(ec2.create_security_group, GroupName="g", Description="d", TagSpecifications=tags)
