"""What a user does with the AWS builder, act by act, each with all that it needs in the account: for tables of faults.

An act is prepared while nothing is wrong, and then done with whatever the test has spoiled. Nobody waits: the clock is
moved on by whoever sleeps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baker.artifact import Artifact
from baker.builders.aws.builder import AwsBuilder
from baker.builders.aws.calls import Cloud
from baker.builders.aws.images import launch_labels
from baker.builders.aws.spec import Aws, ElasticIp
from baker.builders.aws.tags import label_tags, run_tags, specification, tag_list
from baker.clock import SystemClock
from baker.errors import BakeError, BuilderError, CaptureError
from baker.events import Event
from baker.keys import new_key_pair
from baker.ledger import Ledger
from baker.plan import make_plan
from baker.ports import Clock, RunInfo
from baker.recipe import Disk, Recipe, Share
from baker.share import share_image
from baker.sweep import look, remove
from tests.builders.aws.failures import FOR_EVER
from tests.builders.aws.fake.client import REGION, FakeAws

DISKS = (Disk(name="data", size_gib=3),)
COLLEAGUE, ELSEWHERE = "210987654321", "us-east-1"


class ImpatientClock(SystemClock):
    """On which time passes as somebody sleeps, and so nobody waits."""

    def __init__(self) -> None:
        self._slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        self._slept += seconds


class SharedClouds:
    """`AwsBuilder.cloud_in` for many bakes: boto3 takes a fifth of a second to make a client of EC2."""

    def __init__(self) -> None:
        self._clouds: dict[str, Cloud] = {}

    def __call__(self, region: str | None, clock: Clock) -> Cloud:
        name = region or REGION
        if name not in self._clouds:
            self._clouds[name] = _Shared(name, clock, self)
        return self._clouds[name]


class _Shared(Cloud):
    def __init__(self, region: str, clock: Clock, clouds: SharedClouds) -> None:
        super().__init__(region, clock)
        self._clouds = clouds

    def in_region(self, region: str) -> Cloud:
        return self._clouds(region, self._clock)


@dataclass(kw_only=True)
class Scene:
    """Where an act takes place. `image` is one that was baked before, when the act needs any."""

    ec2: FakeAws
    client: Any
    """boto3's, for what is to be there before."""
    builder: AwsBuilder
    run: RunInfo
    folder: Path
    told: list[Event] = field(default_factory=list)
    image: Artifact | None = None
    address: str = ""

    def spec(self, **changes: Any) -> Aws:
        values: dict[str, Any] = {
            "source": "debian-12",
            "instance_types": ("t3.micro", "t3.small"),
            "caller_service": self.ec2.caller_address_url,
        }
        return Aws(**(values | changes))

    @property
    def labels(self) -> dict[str, str]:
        return {"recipe": "reef", "fingerprint": "f", "run": self.run.run_id, "verified": "no"}

    @property
    def baked(self) -> Artifact:
        assert self.image is not None
        return self.image


def nothing(_scene: Scene) -> None:
    """Needs nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Act:
    """`do` gives the ids of the images that it made. `spoiled` is what goes wrong in it anyway: it ends with
    `ends_with` then.

    `removes`: the image is to go. `stays_in`: regions in which a finished image may be though the act failed.
    `says_what_is_left`: its error is about what it was to remove. `is_brief`: it names a problem, not AWS's words.
    """

    name: str
    do: Callable[[Scene], tuple[str, ...]]
    prepare: Callable[[Scene], None] = nothing
    spoiled: tuple[Mapping[str, Any], ...] = ()
    ends_with: type[BakeError] | None = None
    removes: bool = False
    stays_in: tuple[str, ...] = ()
    says_what_is_left: bool = False
    is_brief: bool = False

    def __str__(self) -> str:
        return self.name


# --- what is done


def _bake(scene: Scene, **changes: Any) -> tuple[str, ...]:
    with scene.builder.machine(scene.spec(**changes), DISKS, scene.run, scene.told.append) as machine:
        return (machine.capture(scene.run.image_name, scene.labels).id,)


def bake(scene: Scene) -> tuple[str, ...]:
    return _bake(scene, deprecate_after_days=30)


def bake_on_spot(scene: Scene) -> tuple[str, ...]:
    return _bake(scene, spot="only")


def start_after_no_spot(scene: Scene) -> tuple[str, ...]:
    return _start(scene, spot="prefer", instance_types=("t3.micro",))


def start_at_an_elastic_address(scene: Scene) -> tuple[str, ...]:
    return _start(scene, address=ElasticIp())


def start_at_the_users_address(scene: Scene) -> tuple[str, ...]:
    return _start(scene, address=ElasticIp(allocation_id=scene.address))


def _start(scene: Scene, **changes: Any) -> tuple[str, ...]:
    with scene.builder.machine(scene.spec(**changes), (), scene.run, scene.told.append) as machine:
        assert machine.address.host
    return ()


def start_the_image(scene: Scene) -> tuple[str, ...]:
    with scene.builder.launch_image(scene.baked, scene.run, scene.told.append, spec=scene.spec()) as machine:
        assert machine.address.host
    return ()


def share(scene: Scene) -> tuple[str, ...]:
    """With an account, which may also copy it, and with a region."""
    wanted = Share(targets=(COLLEAGUE,), regions=(ELSEWHERE,), copyable=True)
    share_image(scene.builder, scene.baked, wanted, upload=None, emit=scene.told.append)  # type: ignore[arg-type]
    return tuple(image.id for image in scene.builder.images(ELSEWHERE))


def label(scene: Scene) -> tuple[str, ...]:
    assert scene.builder.set_labels(scene.baked, {"verified": "yes"}).verified
    return ()


def delete(scene: Scene) -> tuple[str, ...]:
    scene.builder.delete(scene.baked)
    return ()


def list_everywhere(scene: Scene) -> tuple[str, ...]:
    assert scene.baked.id in [image.id for image in scene.builder.images("all")]
    assert scene.builder.resolve(scene.baked.name).id == scene.baked.id
    return ()


def preflight(scene: Scene) -> tuple[str, ...]:
    spec = scene.spec(spot="prefer")
    recipe = Recipe(name="reef", builders=(spec,), disks=DISKS, share=Share(targets=(COLLEAGUE,), public=True))
    problems = scene.builder.preflight(make_plan(recipe, spec), until=scene.run.expires)
    if problems:
        raise BuilderError(problems[0].summary, hint=problems[0].hint)
    return ()


def sweep(scene: Scene) -> tuple[str, ...]:
    """What `bake sweep --yes` does, where the ledger is lost."""
    ledger = Ledger(folder=lambda: scene.folder, clock=SystemClock())
    found = look(ledger, ["aws"], lambda _kind: scene.builder, location=None, clock=SystemClock())
    for _, refusal in found.unasked:
        raise refusal
    assert not found.spared
    for removal in list(remove(found, ledger, lambda _kind: scene.builder)):
        if removal.error:
            raise removal.error
    return ()


# --- what has to be there


def an_image(scene: Scene) -> None:
    """As an earlier bake made it, verified."""
    image = scene.client.copy_image(
        Name="reef-20260101t000000-aaaaaaaa", SourceRegion=REGION,
        SourceImageId=_source_of(scene),
        TagSpecifications=specification(
            ("image", "snapshot"), label_tags(scene.labels | launch_labels({}, "admin", "t3.micro"))
        ),
    )["ImageId"]  # fmt: skip
    _await_image(scene.client, image)
    (found,) = (it for it in scene.builder.images(None) if it.id == image)
    digest = scene.builder.digest(found)
    scene.client.create_tags(Resources=[image], Tags=tag_list(label_tags({"verified": digest})))
    (scene.image,) = (it for it in scene.builder.images(None) if it.id == image)


def an_address(scene: Scene) -> None:
    scene.address = scene.client.allocate_address(Domain="vpc")["AllocationId"]


def a_dead_run(scene: Scene) -> None:
    """One of each kind of thing, of a bake that was killed long ago."""
    client, run = scene.client, scene.run
    tags = run_tags(run, "bake") | {"bake:expires": "2026-01-01T00:00:00Z"}
    name = tags["Name"]

    def tagged(*kinds: str) -> list[dict[str, Any]]:
        return specification(kinds, tags)

    public = new_key_pair(name).public.encode()
    client.import_key_pair(KeyName=name, PublicKeyMaterial=public, TagSpecifications=tagged("key-pair"))
    group = client.create_security_group(
        GroupName=name, Description="SSH", TagSpecifications=tagged("security-group")
    )["GroupId"]  # fmt: skip
    (instance,) = client.run_instances(
        ImageId=_source_of(scene), InstanceType="t3.micro", MinCount=1, MaxCount=1, KeyName=name,
        SecurityGroupIds=[group], InstanceMarketOptions={"MarketType": "spot"},
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": False}}],
        TagSpecifications=tagged("instance", "volume", "network-interface", "spot-instances-request"),
    )["Instances"]  # fmt: skip
    address = client.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip"))["AllocationId"]
    _await_running(client, instance["InstanceId"])
    client.associate_address(AllocationId=address, InstanceId=instance["InstanceId"])
    image = client.create_image(
        InstanceId=instance["InstanceId"], Name=run.image_name, NoReboot=True,
        TagSpecifications=tagged("image", "snapshot"),
    )["ImageId"]  # fmt: skip
    _await_image(client, image)


def _await_running(client: Any, instance: str) -> None:
    for _ in range(10):
        found = [it for reservation in client.describe_instances()["Reservations"] for it in reservation["Instances"]]
        if (instance, "running") in [(it["InstanceId"], it["State"]["Name"]) for it in found]:
            return
    raise AssertionError(f"{instance} never runs")


def _await_image(client: Any, image: str) -> None:
    for _ in range(10):
        found = {it["ImageId"]: it["State"] for it in client.describe_images(Owners=["self"])["Images"]}
        if found.get(image) == "available":
            return
    raise AssertionError(f"{image} never comes to be")


def _source_of(scene: Scene) -> str:
    (source, *_) = scene.client.describe_images(Owners=["136693071363"])["Images"]
    return str(source["ImageId"])


ACTS = (
    Act(name="bake", do=bake),
    Act(name="bake on spot", do=bake_on_spot),
    Act(
        name="bake, the image fails", do=bake, ends_with=CaptureError,
        spoiled=({"action": "CreateImage", "effect": "fail-image"},),
    ),
    Act(name="no spot, on demand", do=start_after_no_spot, spoiled=(
        {"action": "RunInstances", "error": "InsufficientInstanceCapacity", "times": FOR_EVER,
         "where": {"InstanceMarketOptions.MarketType": "spot"}},
    )),
    Act(name="elastic address", do=start_at_an_elastic_address),
    Act(name="the user's address", do=start_at_the_users_address, prepare=an_address),
    Act(name="start the image", do=start_the_image, prepare=an_image),
    Act(name="share", do=share, prepare=an_image, stays_in=(ELSEWHERE,)),
    Act(
        name="share, the copy fails", do=share, prepare=an_image, ends_with=BuilderError, stays_in=(ELSEWHERE,),
        spoiled=({"action": "CopyImage", "effect": "fail-image"},),
    ),
    Act(name="label", do=label, prepare=an_image),
    Act(name="delete", do=delete, prepare=an_image, removes=True, says_what_is_left=True),
    Act(name="list everywhere", do=list_everywhere, prepare=an_image),
    Act(name="preflight", do=preflight, is_brief=True),
    Act(name="sweep", do=sweep, prepare=a_dead_run, removes=True, says_what_is_left=True),
)  # fmt: skip
