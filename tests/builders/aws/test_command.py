"""`bake` as a user runs it, with nothing but environment variables that lead it to EC2's double.

What goes wrong is one message: AWS's own code, what it means, what to do next. Nothing is left, whatever it was.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.builders.aws.fake.client import FakeAws
from tests.builders.aws.test_builder import assert_clean

Ended = subprocess.CompletedProcess[str]

BAKE = Path(sys.executable).with_name("bake")
NOWHERE = "http://127.0.0.1:1"

RECIPE = """
import os

from baker import Disk, Recipe, Share
from baker.builders.aws.spec import Aws, Volume
from provisioners import DiskMount, Files


def catch_is_there(host):
    assert host.file("/data/catch").contains("cod")


def recipe(
    types: str = "t3.micro", source: str = "debian-12", subnet: str = "", key: str = "", profile: str = "",
    keep: int = 9, share: str = "", region: str = "", public: bool = False,
):
    machine = Aws(
        source=source,
        login_user="admin",
        instance_types=tuple(types.split(",")),
        subnets=(subnet,) if subnet else (),
        root=Volume(kms_key=key or None),
        instance_profile=profile or None,
        caller_service=os.environ["REEF_CALLER_SERVICE"],
        deprecate_after_days=90,
    )
    return Recipe(
        name="reef",
        builders=(machine,),
        disks=(Disk(name="data", size_gib=1),),
        provisioners=(DiskMount(disk="data", path="/data"), Files(target="/data/catch", content="cod\\n")),
        checks=(catch_is_there,),
        share=Share(targets=(share,) if share else (), regions=(region,) if region else (), public=public),
        keep=keep,
    )
"""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A folder with a recipe, and a shell whose environment leads to the double."""

    fake: FakeAws
    folder: Path

    def bake(self, *words: str, **environment: str) -> Ended:
        """Run `bake WORDS`. A variable that is empty is not set."""
        own = {
            "BAKER_HOME": str(self.folder / "home"),
            "HOME": str(self.folder),
            "REEF_CALLER_SERVICE": self.fake.caller_address_url,
        }
        given = {name: value for name, value in (self.fake.environment | own | environment).items() if value}
        return subprocess.run(
            [str(BAKE), *words], env=given, cwd=self.folder, text=True, capture_output=True, check=False, timeout=600
        )

    def recipe(self, *words: str, **settings: object) -> Ended:
        """Run `bake WORDS reef.py` with settings of the recipe."""
        changes = (word for name, value in settings.items() for word in ("--set", f"{name}={value}"))
        return self.bake(*words, "reef.py", *changes)

    @property
    def ledger(self) -> list[Path]:
        return list((self.folder / "home" / "ledger").glob("*"))


@pytest.fixture
def desk_at(tmp_path: Path) -> Callable[[FakeAws], Desk]:
    def make(fake: FakeAws) -> Desk:
        (tmp_path / "reef.py").write_text(RECIPE)
        return Desk(fake=fake, folder=tmp_path)

    return make


def last(ended: Ended) -> str:
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


def rows(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stdout.splitlines()]


# --- with machines


@pytest.fixture
def desk(aws_with_machines: FakeAws, desk_at: Callable[[FakeAws], Desk]) -> Desk:
    return desk_at(aws_with_machines)


@pytest.mark.sandbox
@pytest.mark.xdist_group("aws-machines")
def test_the_life_of_an_image(desk: Desk) -> None:
    fake = desk.fake
    fake.look_alikes()
    before = fake.account()
    baked = desk.recipe(share="210987654321", region="us-east-1")
    first = last(baked)
    assert "the image is verified" in baked.stderr
    assert "[share] done" in baked.stderr

    (row,) = rows(desk.bake("images", "--on", "aws", "--json"))
    assert (row["id"], row["location"], row["state"], row["newest"]) == (first, "eu-central-1", "yes", True)
    listed = desk.bake("images", "--location", "all").stdout
    assert "where" in listed.splitlines()[0]
    assert f"  17 GiB  yes, newest reef  {first}\n" in listed
    (copy,) = rows(desk.bake("images", "--on", "aws", "--location", "us-east-1", "--json"))
    assert f"us-east-1     {copy['created']}" in listed
    assert copy["state"] == "yes"
    for id, region in ((first, "eu-central-1"), (copy["id"], "us-east-1")):
        described = fake.client(region=region)
        answer = described.describe_image_attribute(ImageId=id, Attribute="launchPermission")
        assert [entry["UserId"] for entry in answer["LaunchPermissions"]] == ["210987654321"]
        assert described.describe_images(ImageIds=[id])["Images"][0]["DeprecationTime"]

    verified = desk.bake("verify", "aws:reef", "--recipe", "reef.py")
    assert last(verified) == first
    assert_clean(fake, before, kept=[first, copy["id"]])

    shared = desk.bake("share", "reef", "--with", "345678901234", "--with", "999999999999", "--region", "us-west-2")
    assert shared.returncode == 4, shared.stderr
    assert "shared with 345678901234: may launch" in shared.stdout
    assert "error: image reef-" in shared.stderr
    assert "could not be shared with 2 of 3 targets" in shared.stderr
    assert "InvalidAMIAttributeItemValue" in shared.stderr
    assert "--with 999999999999 --region us-west-2" in shared.stderr
    (west,) = rows(desk.bake("images", "--on", "aws", "--location", "us-west-2", "--json"))

    second = last(desk.recipe(keep=1))
    assert [row["id"] for row in rows(desk.bake("images", "--on", "aws", "--json"))] == [second]
    assert_clean(fake, before, kept=[second, copy["id"], west["id"]])
    swept = desk.bake("sweep", "--on", "aws", "--location", "all")
    assert (swept.returncode, swept.stdout, swept.stderr) == (0, "nothing is left of dead runs\n", "")
    assert desk.ledger == []


@pytest.mark.sandbox
@pytest.mark.xdist_group("aws-machines")
def test_the_network_goes_away_in_the_middle_and_comes_back(desk: Desk) -> None:
    before = desk.fake.account()
    desk.fake.fault("StopInstances", lose="request", times=8)  # as often as it is tried
    ended = desk.recipe()
    refused(ended, "AWS cannot be reached while stopping the machine", "stop_instances")
    assert_clean(desk.fake, before)
    assert desk.ledger == []


@pytest.mark.sandbox
@pytest.mark.xdist_group("aws-machines")
def test_what_no_dry_run_can_ask_is_refused_when_it_is_needed_and_nothing_stays(desk: Desk) -> None:
    before = desk.fake.account()
    desk.fake.policy(policy("ec2:CreateImage"))
    ended = desk.recipe()
    refused(ended, "UnauthorizedOperation", "ec2:CreateImage")
    assert_clean(desk.fake, before)


# --- bad input, which is found before there is a machine


def policy(*denied: str) -> dict[str, Any]:
    statements = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    statements += [{"Effect": "Deny", "Action": action, "Resource": "*"} for action in denied]
    return {"Version": "2012-10-17", "Statement": statements}


def refused(ended: Ended, *words: str, code: int = 4) -> None:
    """One message with these words and a hint, and nothing for a script to take for an image."""
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ended.stderr
    assert "\nhint: " in ended.stderr
    message = ended.stderr[ended.stderr.index("error: ") :]
    for word in words:
        assert word in message, message


@dataclass(frozen=True, kw_only=True)
class Bad:
    """Something that is wrong, and what is to be read of it. `act` does it to the account."""

    says: tuple[str, ...]
    hint: str
    settings: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    act: Callable[[FakeAws], object] = lambda _: None


NO_KEYS = (("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""))

BAD = {
    "region": Bad(
        environment=(("AWS_DEFAULT_REGION", "eu-centrl-1"),),
        says=("AWS has no region eu-centrl-1",),
        hint="did you mean eu-central-1?",
    ),
    "no region": Bad(environment=(("AWS_DEFAULT_REGION", ""),), says=("no region is named",), hint="AWS_REGION"),
    "type": Bad(
        settings=(("types", "t9.huge"),),
        says=("there is no instance type t9.huge in eu-central-1", "InvalidInstanceType"),
        hint="instance_types",
    ),
    "image": Bad(
        settings=(("source", "ami-0123456789abcdef0"),),
        says=("there is no such image in this region", "InvalidAMIID.NotFound"),
        hint="image ids differ from region to region",
    ),
    "key": Bad(
        settings=(("key", "alias/reef"),),
        says=("the encryption key cannot be used", "NotFoundException"),
        hint="kms_key",
    ),
    "profile": Bad(
        settings=(("profile", "reef-role"),),
        says=("there is no instance profile reef-role", "InvalidParameterValue"),
        hint="list-instance-profiles",
    ),
    "subnet": Bad(
        settings=(("subnet", "subnet-0123456789abcdef0"),),
        says=("the network does not exist", "InvalidSubnetID.NotFound"),
        hint="subnets",
    ),
    "no default network": Bad(
        act=lambda aws: aws.remove_default_network(),
        says=("region eu-central-1 has no default VPC",),
        hint="subnets=",
    ),
    "missing credentials": Bad(environment=NO_KEYS, says=("no AWS credentials are found",), hint="AWS_PROFILE"),
    "wrong credentials": Bad(
        environment=(("AWS_ACCESS_KEY_ID", "AKIANOBODYSKEY000000"),),
        says=("AWS does not accept the credentials", "InvalidClientTokenId"),
        hint="aws sts get-caller-identity",
    ),
    "expired credentials": Bad(
        act=lambda aws: aws.expire(), says=("the credentials have expired", "ExpiredToken"), hint="log in again"
    ),
    "unknown profile of the user": Bad(
        environment=(("AWS_PROFILE", "ocaen"),), says=("ProfileNotFound", "ocaen"), hint="AWS_PROFILE"
    ),
    "denied action": Bad(
        act=lambda aws: aws.policy(policy("ec2:RunInstances")),
        says=("the account that bakes may not ec2:RunInstances", "UnauthorizedOperation"),
        hint="policies",
    ),
    "quota": Bad(
        act=lambda aws: aws.settings(quotas={"L-1216C47A": 1}),
        says=("the quota of on-demand processors in eu-central-1 is 1", "VcpuLimitExceeded"),
        hint="L-1216C47A",
    ),
    "no capacity": Bad(
        act=lambda aws: aws.settings(shortages=[{}]),
        says=("no machine of the wanted kind can be had now", "InsufficientInstanceCapacity", "t3.micro in"),
        hint="name more instance_types",
    ),
    "an image of the account's default encryption for others": Bad(
        settings=(("share", "210987654321"),),
        act=lambda aws: aws.client().enable_ebs_encryption_by_default(),
        says=("the image would be encrypted with AWS's own key",),
        hint="kms_key",
    ),
    "nobody answers": Bad(
        environment=(("AWS_ENDPOINT_URL", NOWHERE),),
        says=("AWS cannot be reached", "EndpointConnectionError"),
        hint="look at the network",
    ),
    "no endpoint": Bad(
        environment=(("AWS_ENDPOINT_URL", "localhost"),),
        says=("the AWS SDK cannot be used as it is set up", "Invalid endpoint: localhost"),
        hint="AWS_ENDPOINT_URL",
    ),
    "the network goes away at the launch": Bad(
        act=lambda aws: aws.fault("AuthorizeSecurityGroupIngress", lose="request", times=8),
        says=("AWS cannot be reached while making the security group", "authorize_security_group_ingress"),
        hint="bake sweep --on aws",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_and_leaves_nothing(
    aws: FakeAws, desk_at: Callable[[FakeAws], Desk], name: str
) -> None:
    bad, desk = BAD[name], desk_at(aws)
    bad.act(aws)
    before = aws.account()
    changes = [word for setting in bad.settings for word in ("--set", "=".join(setting))]
    ended = desk.bake("reef.py", *changes, **dict(bad.environment))
    aws.renew()
    refused(ended, *bad.says)
    assert bad.hint in ended.stderr[ended.stderr.index("\nhint: ") :]
    assert_clean(aws, before)
    assert desk.ledger == []


@pytest.mark.parametrize(
    ("words", "settings", "says"),
    [
        ((), {"share": "12345"}, "an image in EC2 cannot be shared with '12345'"),
        ((), {"region": "nowhere"}, "'nowhere' is no region"),
        ((), {"source": "debian-21"}, "did you mean debian-"),
        ((), {"public": "yes"}, "the recipe makes its image public"),
        (("--no-verify",), {"share": "210987654321"}, "an image that is not verified is not shared"),
    ],
)
def test_what_can_be_seen_without_asking_is_asked_nobody(
    aws: FakeAws, desk_at: Callable[[FakeAws], Desk], words: Iterable[str], settings: dict[str, object], says: str
) -> None:
    ended = desk_at(aws).recipe(*words, **settings)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr
    assert aws.calls() == []


def test_a_public_recipe_needs_the_word_and_an_account_that_permits_it(
    aws: FakeAws, desk_at: Callable[[FakeAws], Desk]
) -> None:
    refused(
        desk_at(aws).recipe("--yes-public", public="yes"),
        "this account blocks public images in eu-central-1",
        "disable-image-block-public-access",
    )


def test_a_live_plan_tells_all_and_makes_nothing(aws: FakeAws, desk_at: Callable[[FakeAws], Desk]) -> None:
    desk, before = desk_at(aws), aws.account()
    fine = desk.recipe("plan", "--live")
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout.endswith("nothing is in the way of a bake now\n")
    bad = desk.recipe("plan", "--live", types="t9.huge", subnet="subnet-0123456789abcdef0", key="alias/reef")
    assert bad.returncode == 4
    assert "builder      aws" in bad.stdout
    errors = [line for line in bad.stderr.splitlines() if line.startswith("error: ")]
    assert [any(code in line for line in errors) for code in ("InvalidInstanceType", "InvalidSubnetID", "NotFound")]
    assert len(errors) == 3
    assert bad.stderr.count("hint: ") == 3
    assert aws.account() == before


def test_images_and_leftovers_of_an_account_that_cannot_be_asked(
    aws: FakeAws, desk_at: Callable[[FakeAws], Desk]
) -> None:
    desk = desk_at(aws)
    for words in (["images", "--on", "aws"], ["sweep", "--on", "aws"], ["share", "aws:reef", "--with", "210987654321"]):
        refused(desk.bake(*words, **dict(NO_KEYS)), "no AWS credentials are found")
    for words in (["images"], ["sweep"]):  # whoever has no account need not hear of it
        ended = desk.bake(*words, **dict(NO_KEYS))
        assert (ended.returncode, "AWS" in ended.stderr) == (0, False)
    refused(desk.bake("images", "--location", "eu-west-1"), "--location eu-west-1 needs --on BUILDER", code=2)
    refused(desk.bake("share", "aws:reef", "--with", "210987654321"), "there is no image reef of ours in eu-central-1")
