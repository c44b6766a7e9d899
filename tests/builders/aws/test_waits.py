"""What `make bench-aws` counts: from a journal as the double writes it, and as a table."""

from collections import Counter

from tests.bench_aws import Outcome, table
from tests.builders.aws.fake.client import FakeAws
from tests.builders.aws.waits import Waited, waits

SETTINGS = {"pending": {"seconds": 8}, "stopping": {"seconds": 16}, "image": {"seconds": 60}}


def call(action, at, status=200, **parameters):
    return {"action": action, "at": at, "seconds": 1.0, "status": status, "parameters": parameters}


def test_a_wait_is_what_was_needed_and_what_was_waited_beyond() -> None:
    journal = [
        call("RunInstances", 0, status=412, DryRun=True),
        call("RunInstances", 10),
        call("DescribeInstances", 12, InstanceIds=["i-1"]),
        call("DescribeInstances", 18.5, InstanceIds=["i-1"]),
        call("DescribeInstances", 22, InstanceIds=["i-1"]),
        call("StopInstances", 30, InstanceIds=["i-1"]),
        call("DescribeInstances", 50, InstanceIds=["i-1"]),
        call("CreateImage", 60, InstanceId="i-1"),
        call("DescribeInstances", 125, InstanceIds=["i-1"]),
        call("DescribeImages", 126, status=400, ImageIds=["ami-1"]),
        call("DescribeImages", 131, ImageIds=["ami-1"]),
        call("TerminateInstances", 140, InstanceIds=["i-1"]),
        call("DeleteKeyPair", 141),
    ]
    assert waits(journal, SETTINGS) == (
        Waited(what="running", needed=8, beyond=4),
        Waited(what="stopped", needed=16, beyond=4),
        Waited(what="image", needed=60, beyond=11),
        Waited(what="terminated", needed=0, beyond=0),
    )


def test_all_waiting_for_the_end_of_a_machine_is_beyond() -> None:
    journal = [
        call("TerminateInstances", 0, InstanceIds=["i-1"]),
        call("DescribeInstances", 5, InstanceIds=["i-1"]),
        call("DescribeInstances", 20, InstanceIds=["i-1"]),
        call("DeleteSecurityGroup", 22),
        call("DescribeInstances", 30, InstanceIds=["i-1"]),
    ]
    assert [it.beyond for it in waits(journal, SETTINGS)] == [20]


def test_the_double_s_journal_is_read(aws: FakeAws) -> None:
    settings = aws.settings(pending={"seconds": 0, "polls": 0}, hidden_calls={"instance": 0})
    ec2 = aws.client()
    images = ec2.describe_images(Owners=["136693071363"], Filters=[{"Name": "architecture", "Values": ["x86_64"]}])
    image = images["Images"][0]["ImageId"]
    started = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][0]
    ec2.describe_instances(InstanceIds=[started["InstanceId"]])
    ec2.terminate_instances(InstanceIds=[started["InstanceId"]])
    ec2.describe_instances(InstanceIds=[started["InstanceId"]])
    running, terminated = waits(aws.calls(), settings)
    assert (running.what, terminated.what) == ("running", "terminated")
    assert running.beyond > 0
    assert terminated.beyond > 0


def test_the_table_has_each_number_under_its_name() -> None:
    found = (Waited(what="running", needed=8.0, beyond=1.5), Waited(what="image", needed=60.0, beyond=2.5))
    outcome = Outcome(name="somebody", wall=80.0, waits=found, calls=Counter(RunInstances=2, CreateImage=1))
    lines = table([outcome]).splitlines()
    assert lines[2].split() == ["somebody", "80.0", "68.0", "4.0", "8.0", "3"]
    assert lines[4].split() == ["somebody", "running", "1.5", "image", "2.5"]
    assert [line.split() for line in lines[6:]] == [["CreateImage", "1"], ["RunInstances", "2"]]
