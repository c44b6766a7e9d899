"""The machines behind the API: who may log in, what an image holds, and how they end."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from baker.clock import SystemClock
from baker.errors import ConnectionLostError
from baker.keys import new_key_pair
from baker.ports import Address
from baker.testing.sandbox import Sandbox
from baker.wait import wait_until
from provisioners import DiskMount
from tests.builders.aws.fake import loop
from tests.builders.aws.fake.client import FakeAws

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("aws-machines")]

USER_KEY, HOST_KEY = new_key_pair("user"), new_key_pair("host")
PARAMETER = "/aws/service/debian/release/12/latest/amd64"


def user_data(user="builder", host_name="reef", key=USER_KEY, **more):
    """As the baker writes it."""
    configuration = {
        "hostname": host_name,
        "users": [{"name": user, "sudo": "ALL=(ALL) NOPASSWD:ALL", "ssh_authorized_keys": [key.public]}],
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": HOST_KEY.private, "ed25519_public": HOST_KEY.public},
        **more,
    }
    return "#cloud-config\n" + json.dumps(configuration)


class Ec2:
    """What the tests below do again and again."""

    def __init__(self, aws: FakeAws) -> None:
        self.client = aws.client()
        self.image = aws.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"]
        aws.settings(hidden_calls={"instance": 0, "image": 0})

    def group(self, *cidrs):
        group = self.client.create_security_group(GroupName=f"g-{time.monotonic_ns()}", Description="d")["GroupId"]
        for cidr in cidrs:
            self.admit(group, cidr)
        return group

    def admit(self, group, cidr):
        ranges = [{"CidrIp": cidr}]
        rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ranges}
        self.client.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])

    def launch(self, group=None, image=None, data=None, **more):
        asked = {
            "ImageId": image or self.image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1,
            "SecurityGroupIds": [group or self.group("127.0.0.1/32")], "UserData": data or user_data(),
        }  # fmt: skip
        instance = self.client.run_instances(**(asked | more))["Instances"][0]["InstanceId"]
        self.wait(instance, "running")
        return instance

    def describe(self, instance):
        return self.client.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]

    def wait(self, instance, state):
        def reached():
            return self.describe(instance)["State"]["Name"] == state or None

        assert wait_until(reached, timeout=30, clock=SystemClock()), self.describe(instance)

    def make_image(self, instance, name="ocean-1", **more):
        image = self.client.create_image(InstanceId=instance, Name=name, **more)["ImageId"]

        def available():
            return self.client.describe_images(ImageIds=[image])["Images"][0]["State"] == "available" or None

        assert wait_until(available, timeout=30, clock=SystemClock())
        return image

    def disk(self, instance, device):
        """Where a volume of its is found on the machine."""
        volumes = {it["DeviceName"]: it["Ebs"]["VolumeId"] for it in self.describe(instance)["BlockDeviceMappings"]}
        return f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volumes[device].replace('-', '')}"

    def machine(self, instance, user="builder", key=USER_KEY):
        """To log in to."""
        host = self.describe(instance)["PublicIpAddress"]
        return Reachable(Address(host=host, port=22, user=user, key=key, host_key=HOST_KEY.public))


class Reachable(Sandbox):
    """A machine of which nothing is known but its address."""

    def __init__(self, address):
        super().__init__(id=address.host, address=address, _root=None)

    def with_disks(self, **disks):
        self.disks = disks
        return self

    def check_alive(self):
        """Nobody knows."""

    def diagnose(self):
        return ""


@pytest.fixture
def ec2(aws_with_machines):
    return Ec2(aws_with_machines)


def greeting(host, seconds=1.0):
    """What an SSH server says first; empty when it says nothing."""
    with contextlib.suppress(OSError), socket.create_connection((host, 22), timeout=seconds) as connection:
        return connection.recv(64)
    return b""


def test_user_data_says_who_may_log_in_and_who_it_is(ec2, make_remote):
    data = user_data(bootcmd=[["/bin/sh", "-c", "echo it\\'s booted >>/var/boots"]])
    remote = make_remote(ec2.machine(ec2.launch(data=data)))
    assert remote.run("hostname; id -un; sudo id -un; cat /var/boots").stdout.split() == [
        "reef", "builder", "root", "it's", "booted"
    ]  # fmt: skip


def test_the_key_pairs_key_is_the_default_users(ec2, make_remote):
    ec2.client.import_key_pair(KeyName="bake-1", PublicKeyMaterial=USER_KEY.public.encode())
    keys = {"ed25519_private": HOST_KEY.private, "ed25519_public": HOST_KEY.public}
    data = "#cloud-config\n" + json.dumps({"ssh_keys": keys})
    instance = ec2.launch(data=data, KeyName="bake-1")
    assert make_remote(ec2.machine(instance, "admin")).run("hostname").stdout.startswith("ip-172-31-")


def test_an_image_holds_what_was_on_the_disk_and_a_launch_of_it_starts_there(ec2, make_remote):
    instance = ec2.launch()
    remote = make_remote(ec2.machine(instance))
    remote.run("echo first >/srv/mark; rm -r /usr/share/doc; userdel -rf baker", sudo=True)
    ec2.client.stop_instances(InstanceIds=[instance])
    with pytest.raises(ConnectionLostError):
        remote.run("true")
    ec2.wait(instance, "stopped")
    image = ec2.make_image(instance)
    ec2.client.start_instances(InstanceIds=[instance])
    ec2.wait(instance, "running")
    make_remote(ec2.machine(instance)).run("echo second >/srv/mark", sudo=True)
    ec2.client.terminate_instances(InstanceIds=[instance])
    other_key = new_key_pair("other")
    other = ec2.launch(image=image, data=user_data("eve", "atoll", other_key))
    remote = make_remote(ec2.machine(other, "eve", other_key))
    told = remote.run("cat /srv/mark; hostname; ls /usr/share/doc 2>&1 | grep -c cannot; id -un builder").stdout
    assert told.split() == ["first", "atoll", "1", "builder"]


def test_an_image_of_a_running_machine(ec2, make_remote):
    instance = ec2.launch()
    remote = make_remote(ec2.machine(instance))
    boot = "cat /proc/sys/kernel/random/boot_id"
    remote.run("echo live >/srv/mark", sudo=True)
    before = remote.run(boot).stdout
    quick = ec2.make_image(instance, "quick", NoReboot=True)
    assert remote.run(boot).stdout == before
    ec2.make_image(instance, "slow")
    assert make_remote(ec2.machine(instance)).run(boot).stdout != before
    remote = make_remote(ec2.machine(ec2.launch(image=quick)))
    assert remote.run("cat /srv/mark").stdout == "live\n"


@pytest.mark.skipif(not loop.available(), reason="this host has no loop devices")
def test_a_data_volume_is_a_disk_and_is_in_the_image(ec2, make_remote):
    data = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 2, "VolumeType": "gp3", "DeleteOnTermination": True}}
    instance = ec2.launch(BlockDeviceMappings=[data])
    remote = make_remote(ec2.machine(instance).with_disks(data=ec2.disk(instance, "/dev/sdf")))
    DiskMount(disk="data", path="/data").apply(remote)
    remote.run("echo first >/data/mark; stat -f -c %T /data; lsblk --noheadings --output SIZE", sudo=True)
    remote.reboot(timeout=60)
    assert remote.run("cat /data/mark").stdout == "first\n"
    ec2.client.stop_instances(InstanceIds=[instance])
    ec2.wait(instance, "stopped")
    image = ec2.make_image(instance)
    ec2.client.terminate_instances(InstanceIds=[instance])
    other = ec2.launch(image=image)
    remote = make_remote(ec2.machine(other).with_disks(data=ec2.disk(other, "/dev/sdf")))
    assert remote.run("cat /data/mark; findmnt --noheadings --output FSTYPE /data").stdout.split() == ["first", "ext4"]
    DiskMount(disk="data", path="/data").apply(remote)
    with pytest.raises(ConnectionLostError):
        remote.run("echo second >/data/mark; poweroff; sleep 60", sudo=True)
    ec2.wait(other, "stopped")


@pytest.mark.parametrize(("behavior", "state"), [("terminate", "terminated"), ("stop", "stopped")])
def test_a_poweroff_inside_is_seen(ec2, make_remote, behavior, state):
    instance = ec2.launch(InstanceInitiatedShutdownBehavior=behavior)
    with pytest.raises(ConnectionLostError):
        make_remote(ec2.machine(instance)).run("echo kept >/srv/mark; poweroff; sleep 60", sudo=True)
    ec2.wait(instance, state)
    described = ec2.describe(instance)
    assert described["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    if state == "stopped":
        ec2.client.start_instances(InstanceIds=[instance])
        ec2.wait(instance, "running")
        assert make_remote(ec2.machine(instance)).run("cat /srv/mark").stdout == "kept\n"


def test_a_reboot_is_no_end(ec2, make_remote):
    instance = ec2.launch()
    remote = make_remote(ec2.machine(instance))
    remote.reboot(timeout=60)
    ec2.client.reboot_instances(InstanceIds=[instance])
    make_remote(ec2.machine(instance)).run("true")
    assert ec2.describe(instance)["State"]["Name"] == "running"


def test_a_group_decides_who_gets_through(ec2):
    group = ec2.group("192.0.2.7/32")
    instance = ec2.launch(group)
    host = ec2.describe(instance)["PublicIpAddress"]
    assert greeting(host) == b""
    ec2.admit(group, "127.0.0.0/8")
    assert wait_until(lambda: greeting(host) or None, timeout=30, clock=SystemClock()).startswith(b"SSH-2.0")
    ec2.client.modify_instance_attribute(InstanceId=instance, Groups=[ec2.group()])
    assert greeting(host) == b""


def test_every_instance_has_an_address_of_its_own_and_it_goes_with_it(ec2):
    first, second = ec2.launch(), ec2.launch()
    hosts = [ec2.describe(it)["PublicIpAddress"] for it in (first, second)]
    for host in hosts:
        assert wait_until(lambda host=host: greeting(host) or None, timeout=30, clock=SystemClock())
    ec2.client.terminate_instances(InstanceIds=[first])
    assert wait_until(lambda: not greeting(hosts[0]) or None, timeout=30, clock=SystemClock())
    ec2.wait(first, "terminated")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((hosts[0], 22), timeout=5)
    assert greeting(hosts[1])


def test_an_elastic_address_leads_to_the_machine(ec2):
    instance = ec2.launch()
    before = ec2.describe(instance)["PublicIpAddress"]
    address = ec2.client.allocate_address()
    ec2.client.associate_address(AllocationId=address["AllocationId"], InstanceId=instance)
    assert wait_until(lambda: greeting(address["PublicIp"]) or None, timeout=30, clock=SystemClock())
    assert greeting(before) == b""


def test_a_private_address_is_reached_where_its_network_is_loopback(ec2):
    vpc = ec2.client.create_vpc(CidrBlock="127.13.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.client.create_subnet(VpcId=vpc, CidrBlock="127.13.7.0/24")["Subnet"]["SubnetId"]
    group = ec2.client.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    ec2.admit(group, "127.0.0.0/8")
    described = ec2.describe(ec2.launch(group, SubnetId=subnet))
    assert "PublicIpAddress" not in described
    host = described["PrivateIpAddress"]
    assert wait_until(lambda: greeting(host) or None, timeout=30, clock=SystemClock())


def test_an_instance_that_dies_takes_its_machine_with_it(ec2, aws_with_machines, make_remote):
    instance = ec2.launch()
    remote = make_remote(ec2.machine(instance))
    remote.run("true")
    aws_with_machines.die(instance)
    with pytest.raises(ConnectionLostError):
        remote.run("true")


def test_the_console_tells_what_the_machine_said(ec2):
    instance = ec2.launch(data=user_data(bootcmd=["echo complaint >&2"]))

    def said():
        output = ec2.client.get_console_output(InstanceId=instance, Latest=True)["Output"]
        return output if "complaint" in output else None

    assert wait_until(said, timeout=30, clock=SystemClock())


def test_terminating_at_once_leaves_no_machine(ec2, aws_with_machines):
    before = aws_with_machines.account()
    instance = ec2.client.run_instances(ImageId=ec2.image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    instance = instance["Instances"][0]["InstanceId"]
    ec2.client.terminate_instances(InstanceIds=[instance])
    ec2.wait(instance, "terminated")
    aws_with_machines.assert_clean(before)


def processes_with(text):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in path.read_bytes():
                found.append(int(path.parts[2]))
    return found


def test_a_fake_that_is_killed_takes_everything_with_it(tmp_path, sandbox_root):
    mounts = Path("/proc/self/mountinfo").read_text()
    with FakeAws.start(tmp_path, machines="sandbox", tree=sandbox_root) as fake:
        ec2 = Ec2(fake)
        host = ec2.describe(ec2.launch())["PublicIpAddress"]
        assert wait_until(lambda: greeting(host) or None, timeout=30, clock=SystemClock())
        (server,) = processes_with("tests.builders.aws.fake.server\0--journal\0" + str(tmp_path))
        listed = subprocess.run(["pgrep", "-P", str(server)], capture_output=True, text=True, check=True)
        children = listed.stdout.split()
        assert children
        os.kill(server, signal.SIGKILL)
        assert wait_until(lambda: not processes_with(str(tmp_path)) or None, timeout=30, clock=SystemClock())
        for child in children:
            assert wait_until(
                lambda child=child: not Path(f"/proc/{child}").exists() or None, timeout=30, clock=SystemClock()
            )
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, 22), timeout=5)
        with pytest.raises(EndpointConnectionError):
            ec2.client.describe_instances()
    assert Path("/proc/self/mountinfo").read_text() == mounts
