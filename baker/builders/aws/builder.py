"""The EC2 builder: temporary machines in an account of the user's, and the images made of them.

This module is the lifetimes: each context here owns all that it makes, and leaves nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import ClassVar

from baker.artifact import Artifact, Leftover, ShareResult
from baker.builders.aws import conditions, images, leftovers, network, preflight, requests, sharing
from baker.builders.aws.calls import Cloud
from baker.builders.aws.capture import Captor, Capturing
from baker.builders.aws.errors import AwsError, explaining
from baker.builders.aws.instances import Seen
from baker.builders.aws.launch import Launcher, Request
from baker.builders.aws.machine import AwsMachine, Launched
from baker.builders.aws.proxy import proxy_command
from baker.builders.aws.regions import all_regions, in_each
from baker.builders.aws.requests import SourceImage
from baker.builders.aws.source import find_source, known_login_user
from baker.builders.aws.spec import Aws
from baker.builders.aws.tags import resource_name, run_tags
from baker.builders.user_data import user_data
from baker.cleanup import CleanupStack
from baker.clock import SystemClock
from baker.errors import BakeError, LaunchError
from baker.events import Emit, FactRecorded
from baker.keys import new_key_pair
from baker.plan import Plan
from baker.ports import Address, Clock, Problem, RunInfo, Uploader
from baker.recipe import Disk, Share
from baker.refusal import refuse

SSH_PORT = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What sets a machine from a source image apart from one that is started from an image of ours.

    `role` is `bake` or `image`; `devices` maps the recipe's disks to device names.
    """

    role: str
    source: SourceImage
    mappings: tuple[requests.Payload, ...]
    devices: Mapping[str, str]
    login_user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsBuilder:
    """Machines in EC2. The fields are for tests; a bake uses them as they are."""

    kind: ClassVar[str] = "aws"
    modules: ClassVar[tuple[str, ...]] = ("boto3",)
    baking_host: ClassVar[str | None] = None
    """A machine out there cannot reach the baking host."""

    cloud_in: Callable[[str | None, Clock], Cloud] = Cloud
    clock: Clock = field(default_factory=SystemClock)

    _ready: dict[str | None, Cloud] = field(default_factory=dict, compare=False, repr=False)

    def prepare(self, spec: Aws) -> None:
        """Load the SDK and make the client of EC2, beside other work. What is wrong is told to who asks next."""
        cloud = self.cloud_in(spec.region, self.clock)
        self._ready[spec.region] = cloud  # at once: who asks meanwhile waits for this one, and makes no other
        with suppress(BakeError, AwsError):
            self._ready[cloud.region] = cloud
            cloud.prepare()

    def check(self, spec: Aws) -> tuple[Problem, ...]:
        """What is wrong with the spec itself."""
        return tuple(conditions.spec_problems(spec))

    def preflight(self, plan: Plan, *, until: float) -> tuple[Problem, ...]:
        """What the account, the region or the network would refuse. Creates nothing."""
        spec = _aws_spec(plan.spec)
        cloud = self._cloud(spec.region)
        return (
            *conditions.disk_problems(plan.disks),
            *preflight.account_problems(spec, plan, cloud, until=until, clock=self.clock),
        )

    @contextmanager
    def machine(self, spec: Aws, disks: tuple[Disk, ...], run: RunInfo, emit: Emit) -> Iterator[AwsMachine]:
        """A machine from the source image, with empty volumes. Entering returns once it runs and has its address."""
        cloud = self._cloud(spec.region)
        source = find_source(spec, cloud)
        with explaining("looking for an image of this name"):
            refuse(preflight.name_problems(run.image_name, cloud))
        emit(FactRecorded(source="launch", name="source image", value=f"{source.id} {source.name}".strip()))
        data = requests.data_mappings(source, disks, spec.data)
        wanted = Wanted(
            role="bake",
            source=source,
            mappings=(requests.root_mapping(source, spec), *data),
            devices={disk.name: mapping["DeviceName"] for disk, mapping in zip(disks, data, strict=False)},
            login_user=known_login_user(spec),
        )
        with CleanupStack(emit, self.clock) as cleanup:
            yield self._launched(spec, wanted, run, cloud=cloud, cleanup=cleanup, emit=emit)

    @contextmanager
    def launch_image(
        self, artifact: Artifact, run: RunInfo, emit: Emit, *, spec: Aws | None = None
    ) -> Iterator[AwsMachine]:
        """A machine from an image, with all its volumes under their names, a new key, another host name."""
        cloud = self._cloud(artifact.location)
        spec = replace(spec or _spec_for(artifact), source=artifact.id, region=artifact.location)
        wanted = Wanted(
            role="image",
            source=find_source(spec, cloud),
            mappings=(),  # the image brings them
            devices=images.devices_of(artifact.labels),
            login_user=artifact.labels.get(images.LOGIN_USER) or known_login_user(spec),
        )
        with CleanupStack(emit, self.clock) as cleanup:
            yield self._launched(spec, wanted, run, cloud=cloud, cleanup=cleanup, emit=emit)

    def images(self, location: str | None = None) -> Iterator[Artifact]:
        """The images that bakes made in a region (None: the environment's; "all": every one), newest last."""
        found: list[Artifact] = []
        refusal: BakeError | None = None
        try:
            for artifact in in_each(self._clouds(location), images.find_images):
                found.append(artifact)  # what came before a refusal counts
        except BakeError as error:
            refusal = error
        yield from sorted(found, key=lambda artifact: (artifact.created, artifact.name))
        if refusal is not None:
            raise refusal

    def resolve(self, reference: str) -> Artifact:
        """The image of that id or name, or the newest verified one of that recipe; `REGION/...` names the region."""
        region, _, name = reference.rpartition("/")
        return images.resolve(name, self._cloud(region or None))

    def digest(self, artifact: Artifact) -> str:
        """What the image is made of, now: its id and those of its snapshots, none of which can be changed."""
        return images.content_of(images.describe(artifact.id, self._cloud_of(artifact)))

    def keep_manifest(self, artifact: Artifact, manifest: str) -> None:
        """Nothing: an image in EC2 holds disks and tags, and the manifest is larger than a tag."""

    def set_labels(self, artifact: Artifact, labels: Mapping[str, str]) -> Artifact:
        """Write labels as tags, on the image and its snapshots."""
        images.set_labels(artifact.id, labels, self._cloud_of(artifact))
        return replace(artifact, labels={**artifact.labels, **labels})

    def mark_newest(self, artifact: Artifact) -> None:
        """Nothing: the newest verified image of a recipe is found by its tags."""

    def delete(self, artifact: Artifact) -> None:
        """Remove an image and its snapshots."""
        cloud = self._cloud_of(artifact)
        with explaining(f"deleting image {artifact.id}"):
            images.retire_image(cloud, images.describe(artifact.id, cloud), self.clock.now())

    def check_share(self, share: Share) -> tuple[Problem, ...]:
        """What in a share list cannot be meant; asks nobody."""
        return tuple(sharing.share_problems(share))

    def share(
        self,
        artifact: Artifact,
        share: Share,
        *,
        upload: Uploader,  # noqa: ARG002  (EC2 moves nothing through the baking host)
        emit: Emit,
    ) -> tuple[ShareResult, ...]:
        """Let accounts, organisations and units launch the image, and copy it to regions."""
        return sharing.share_image(artifact, share, self._cloud_of(artifact), clock=self.clock, emit=emit)

    def leftovers(self, location: str | None) -> Iterable[Leftover]:
        """All temporary things with our tag in a region (None: the environment's; "all": every one)."""
        yield from in_each(self._clouds(location), leftovers.find_leftovers)

    def destroy(self, leftover: Leftover) -> None:
        """Remove one of `leftovers`, when it still bears our tag."""
        leftovers.remove_leftover(leftover, self._cloud(leftover.location), clock=self.clock)

    def _launched(
        self, spec: Aws, wanted: Wanted, run: RunInfo, *, cloud: Cloud, cleanup: CleanupStack, emit: Emit
    ) -> AwsMachine:
        name = resource_name(run, wanted.role)
        user_key, host_key = new_key_pair(f"{name} login"), new_key_pair(f"{name} host")
        with explaining("looking at the network"):
            found = network.subnets(spec, cloud)
        request = Request(
            spec=spec,
            role=wanted.role,
            run=run,
            source=wanted.source,
            mappings=wanted.mappings,
            user_data=user_data(host_key, host_name=name, expires=run.expires),
            public_key=user_key.public,
            networks=network.admitted(spec),
            vpc=str(found[0]["VpcId"]),
            placements=tuple(network.placements(spec, found)),
        )
        seen = Launcher(request, cloud, cleanup, clock=self.clock, emit=emit).launch()
        launched = Launched(
            seen=seen,
            address=Address(
                host=_host(spec, seen),
                port=SSH_PORT,
                user=wanted.login_user,
                key=user_key,
                host_key=host_key.public,
                proxy_command=proxy_command(spec.proxy_command, _facts(spec, seen, cloud.region)),
            ),
            disks={disk: seen.volumes[device] for disk, device in wanted.devices.items()},
            run_id=run.run_id,
            role=wanted.role,
        )
        capturing = Capturing(
            run=run,
            tags={**spec.tags, **run_tags(run, "bake")},
            labels=images.launch_labels(wanted.devices, wanted.login_user, seen.type),
            gib=sum(int(mapping["Ebs"]["VolumeSize"]) for mapping in wanted.mappings if "Ebs" in mapping),
            timeout_seconds=spec.capture_timeout_seconds,
            deprecate_after_days=spec.deprecate_after_days,
        )
        return AwsMachine(launched, cloud, Captor(capturing, cloud, clock=self.clock, emit=emit), clock=self.clock)

    def _clouds(self, location: str | None) -> tuple[Cloud, ...]:
        here = self._cloud(None if location == "all" else location)
        return tuple(here.in_region(region) for region in all_regions(here)) if location == "all" else (here,)

    def _cloud(self, region: str | None) -> Cloud:
        return self._ready.get(region) or self.cloud_in(region, self.clock)

    def _cloud_of(self, artifact: Artifact) -> Cloud:
        return self._cloud(artifact.location)


def _aws_spec(spec: object) -> Aws:
    if not isinstance(spec, Aws):
        raise TypeError(f"a plan for {spec} was handed to the aws builder")
    return spec


def _spec_for(artifact: Artifact) -> Aws:
    """Where nobody says on what an image shall run: on what it was baked on."""
    kind = artifact.labels.get(images.INSTANCE_TYPE)
    return Aws(instance_types=(kind,)) if kind else Aws()


def _facts(spec: Aws, seen: Seen, region: str) -> dict[str, str]:
    """What a proxy command may have to know, by the names of its placeholders."""
    return {"host": _host(spec, seen), "port": str(SSH_PORT), "instance": seen.id, "region": region}


def _host(spec: Aws, seen: Seen) -> str:
    """The address by which the machine is reached."""
    address = seen.private_address if spec.address == "private" else seen.public_address
    if address is None:
        raise LaunchError(
            f"the machine {seen.id} has no {spec.address} address",
            hint="its subnet may not give any: see address and subnets of Aws(...)",
        )
    return address
