"""The Azure builder: temporary machines in a subscription of the user's, and the images made of them.

This module is the lifetimes: each context here owns all that it makes, and leaves nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from baker.artifact import Artifact, Leftover, ShareResult
from baker.builders.admission import admitted_networks
from baker.builders.azure import checking, ids, images, leftovers, preflight, requests, sharing, targets
from baker.builders.azure.calls import Body, Cloud
from baker.builders.azure.capture import Captor, Capturing, definition_problem, version_id
from baker.builders.azure.errors import explaining
from baker.builders.azure.launch import Launcher, Request, Started, security_of
from baker.builders.azure.machine import AzureMachine, Launched, device_of
from baker.builders.azure.requests import SSH_PORT, Definition, Placement, SourceImage
from baker.builders.azure.source import find_source
from baker.builders.azure.spec import Azure
from baker.builders.azure.tags import resource_name, tags_of_run
from baker.builders.user_data import user_data
from baker.cleanup import CleanupStack
from baker.clock import SystemClock
from baker.errors import BakeError, BuilderError, LaunchError
from baker.events import Emit, FactRecorded, Notice
from baker.keys import new_key_pair
from baker.plan import Plan
from baker.ports import Address, Clock, Problem, RunInfo, Uploader
from baker.recipe import Disk, Share

LEGACY = (
    "a managed image serves this subscription and region alone, and Microsoft calls it legacy: "
    "gallery=Gallery(...) makes a version of a gallery, which can be shared and replicated"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What sets a machine from a source image apart from one that is started from an image of ours.

    `role` is `bake` or `image`; `luns` are the numbers of the recipe's disks; `disks` are all data disks, as requests.
    """

    role: str
    location: str
    source: SourceImage
    luns: dict[str, int]
    disks: tuple[requests.Payload, ...]
    security: str | None
    refuse: Callable[[Body], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureBuilder:
    """Machines in Azure. The fields are for tests; a bake uses them as they are."""

    kind: ClassVar[str] = "azure"
    modules: ClassVar[tuple[str, ...]] = ("azure.identity", "azure.mgmt.compute", "azure.mgmt.resource.resources")
    baking_host: ClassVar[str | None] = None
    """A machine out there cannot reach the baking host."""

    cloud_in: Callable[[str | None, str | None, Clock], Cloud] = Cloud
    clock: Clock = field(default_factory=SystemClock)

    _ready: dict[tuple[str | None, str | None], Cloud] = field(default_factory=dict, compare=False, repr=False)

    def prepare(self, spec: Azure) -> None:
        """Load the SDK and get a token, beside other work. What is wrong is told to who asks next."""
        cloud = self.cloud_in(spec.subscription, spec.cloud, self.clock)
        self._ready[spec.subscription, spec.cloud] = cloud  # at once: who asks meanwhile waits for this one
        with suppress(BakeError):
            cloud.prepare()

    def check(self, spec: Azure) -> tuple[Problem, ...]:
        """What is wrong with the spec itself."""
        return tuple(checking.spec_problems(spec))

    def preflight(self, plan: Plan, *, until: float) -> tuple[Problem, ...]:  # noqa: ARG002  (tokens are renewed)
        """What the account, the region or the gallery would refuse. Creates nothing."""
        spec = _azure_spec(plan.spec)
        alone = () if spec.gallery else targets.managed_image_problems(plan.recipe.share)
        if problems := (*checking.disk_problems(plan.disks), *alone):
            return problems
        cloud = self._cloud(spec)
        cloud.prepare()
        with explaining("looking at the subscription"):
            target = preflight.find_target(spec, cloud)
            problems = (*target.problems, *preflight.place_problems(spec, target.location, cloud))
        if problems:
            return problems
        source = find_source(spec.source, target.location, cloud)
        wanted = _definition(spec, source, plan.recipe.name, spec.security or _likely_security(source))
        with explaining("looking at what the subscription has"):
            return (
                *preflight.size_problems(spec, source, target.location, cloud, disks=plan.disks),
                *preflight.definition_problems(spec, wanted, cloud),
                *preflight.permission_problems(spec, cloud),
            )

    @contextmanager
    def machine(self, spec: Azure, disks: tuple[Disk, ...], run: RunInfo, emit: Emit) -> Iterator[AzureMachine]:
        """A machine from the source image, with empty disks. Entering returns once it runs and has its address."""
        cloud = self._cloud(spec)
        with explaining("looking at where the image goes"):
            location = preflight.find_target(spec, cloud).location
        source = find_source(spec.source, location, cloud)
        emit(FactRecorded(source="launch", name="source image", value=source.name))
        if spec.image_group:
            emit(Notice(level="info", text=LEGACY))
        luns, name = requests.luns_for(disks, source), resource_name(run, "bake")
        wanted = Wanted(
            role="bake",
            location=location,
            source=source,
            luns=luns,
            disks=(
                *requests.image_disks(name, source.luns, spec.data_storage),
                *requests.data_disks(name, disks, luns, spec.data_storage),
            ),
            security=spec.security,
            refuse=lambda machine: _refuse_useless(machine, spec, source, run, cloud),
        )
        with CleanupStack(emit, self.clock) as cleanup:
            yield self._launched(
                spec, wanted, run, gib=_gib(spec, source, disks), cloud=cloud, cleanup=cleanup, emit=emit
            )

    @contextmanager
    def launch_image(
        self, artifact: Artifact, run: RunInfo, emit: Emit, *, spec: Azure | None = None
    ) -> Iterator[AzureMachine]:
        """A machine from an image, with all its disks under their names, a new key, another host name."""
        cloud = self._cloud_of(artifact)
        spec = replace(spec or _spec_for(artifact), source=artifact.id)
        source = find_source(artifact.id, artifact.location, cloud)
        is_trusted = artifact.labels.get(images.SECURITY) == "TrustedLaunch"
        wanted = Wanted(
            role="image",
            location=artifact.location,
            source=source,
            luns=images.luns_of(artifact.labels),
            disks=requests.image_disks(resource_name(run, "image"), source.luns, spec.data_storage),
            security="TrustedLaunch" if is_trusted else spec.security,
            refuse=lambda _machine: None,
        )
        with CleanupStack(emit, self.clock) as cleanup:
            yield self._launched(spec, wanted, run, gib=0, cloud=cloud, cleanup=cleanup, emit=emit)

    def images(self, location: str | None = None) -> tuple[Artifact, ...]:
        """The images that bakes made in a subscription (None: the environment's; "all": every one), newest last."""
        found = [it for cloud in self._clouds(location) for it in images.find_images(cloud)]
        return tuple(sorted(found, key=lambda artifact: artifact.age))

    def resolve(self, reference: str) -> Artifact:
        """The image of that id or name, or the newest verified one of that recipe."""
        id = ids.parse(reference)
        return images.resolve(reference, self.cloud_in(id.subscription if id else None, None, self.clock))

    def digest(self, artifact: Artifact) -> str:
        """What identifies the image's content, now: neither kind can be changed, only replaced."""
        return images.content_of(images.describe(artifact.id, self._cloud_of(artifact)))

    def keep_manifest(self, artifact: Artifact, manifest: str) -> None:
        """Nothing: an image in Azure holds disks and tags, and the manifest is larger than a tag."""

    def set_labels(self, artifact: Artifact, labels: dict[str, str]) -> Artifact:
        """Write labels as tags."""
        images.set_labels(artifact, labels, self._cloud_of(artifact), clock=self.clock)
        return replace(artifact, labels={**artifact.labels, **labels})

    def mark_newest(self, artifact: Artifact) -> None:
        """Let a gallery's "latest" mean this version. What a recipe's name means is found by tags."""
        images.mark_newest(artifact, self._cloud_of(artifact), clock=self.clock)

    def delete(self, artifact: Artifact) -> None:
        """Remove an image with all that belongs to it alone."""
        images.delete_image(artifact, self._cloud_of(artifact), clock=self.clock)

    def check_share(self, share: Share) -> tuple[Problem, ...]:
        """What in a share list cannot be meant; asks nobody."""
        return tuple(targets.share_problems(share))

    def share(
        self,
        artifact: Artifact,
        share: Share,
        *,
        upload: Uploader,  # noqa: ARG002  (Azure moves nothing through the baking host)
        emit: Emit,
    ) -> tuple[ShareResult, ...]:
        """Let others start machines from the image, and replicate it to regions."""
        return sharing.share_image(artifact, share, self._cloud_of(artifact), clock=self.clock, emit=emit)

    def leftovers(self, location: str | None) -> Iterable[Leftover]:
        """All temporary things with our tag in a subscription (None: the environment's; "all": every one)."""
        for cloud in self._clouds(location):
            yield from leftovers.find_leftovers(cloud)

    def destroy(self, leftover: Leftover) -> None:
        """Remove one of `leftovers`, when it still bears our tag; of a group, see that Azure has begun."""
        (cloud,) = self._clouds(leftover.location)
        leftovers.remove_leftover(leftover, cloud, clock=self.clock)

    def _launched(
        self, spec: Azure, wanted: Wanted, run: RunInfo, *, gib: int, cloud: Cloud, cleanup: CleanupStack, emit: Emit
    ) -> AzureMachine:
        name = resource_name(run, wanted.role)
        user_key, host_key = new_key_pair(f"{name} login"), new_key_pair(f"{name} host")
        request = Request(
            spec=spec,
            role=wanted.role,
            run=run,
            location=wanted.location,
            group=cloud.group(spec.resource_group or name),
            source=wanted.source,
            disks=wanted.disks,
            user_data=user_data(host_key, host_name=name, expires=run.expires),
            public_key=user_key.public,
            login_user=spec.login_user,
            networks=admitted_networks(spec.admit, spec.caller_service),
            placements=tuple(_placements(spec)),
            security=wanted.security,
            refuse=wanted.refuse,
        )
        started = Launcher(request, cloud, cleanup, clock=self.clock, emit=emit).launch()
        launched = Launched(
            started=started,
            address=Address(
                host=started.host, port=SSH_PORT, user=spec.login_user, key=user_key, host_key=host_key.public
            ),
            disks={disk: device_of(lun, started.controller) for disk, lun in wanted.luns.items()},
            whole=started.id if spec.resource_group else request.group.id,
        )
        captor = Captor(_capturing(spec, wanted, run, started, gib), cloud, clock=self.clock, emit=emit)
        return AzureMachine(launched, cloud, captor, clock=self.clock)

    def _cloud(self, spec: Azure) -> Cloud:
        ready = self._ready.get((spec.subscription, spec.cloud))
        return ready or self.cloud_in(spec.subscription, spec.cloud, self.clock)

    def _cloud_of(self, artifact: Artifact) -> Cloud:
        id = ids.parse(artifact.id)
        if id is None:
            raise BuilderError(f"{artifact.id} is no id of an image", hint="`bake images --on azure` lists them")
        return self.cloud_in(id.subscription, artifact.labels.get(images.CLOUD), self.clock)

    def _clouds(self, location: str | None) -> tuple[Cloud, ...]:
        """`location` is a subscription, with the name or address of its cloud before it where a recipe names one."""
        if location is None or location == leftovers.ALL:
            here = self.cloud_in(None, None, self.clock)
            if location is None:
                return (here,)
            return tuple(here.in_subscription(subscription) for subscription in leftovers.subscriptions(here))
        cloud, _, subscription = location.rpartition("/")
        if not leftovers.SUBSCRIPTION.fullmatch(subscription):
            raise BuilderError(f"{location!r} is no subscription", hint="an id, as `az account list` shows it, or all")
        return (self.cloud_in(subscription, cloud or None, self.clock),)


def _azure_spec(spec: object) -> Azure:
    if not isinstance(spec, Azure):
        raise TypeError(f"a plan for {spec} was handed to the azure builder")
    return spec


def _spec_for(artifact: Artifact) -> Azure:
    """Where nobody says on what an image shall run: on what it was baked on."""
    size = artifact.labels.get(images.SIZE)
    return Azure(sizes=(size,)) if size else Azure()


def _placements(spec: Azure) -> Iterator[Placement]:
    """All that is tried, the wanted first: spot machines of all sizes, then others."""
    markets = {"never": (False,), "prefer": (True, False), "only": (True,)}[spec.spot]
    for spot in markets:
        for size in spec.sizes:
            yield Placement(size=size, spot=spot)


def _likely_security(source: SourceImage) -> Literal["TrustedLaunch", "Standard"]:
    """What Azure makes a machine of this source by itself, as far as that can be known before it is there."""
    return "TrustedLaunch" if source.generation == "V2" else "Standard"


def _refuse_useless(machine: Body, spec: Azure, source: SourceImage, run: RunInfo, cloud: Cloud) -> None:
    """LaunchError for a machine of which the wanted image cannot be made: said before an hour of provisioning."""
    security = security_of(machine)
    if spec.image_group and security == "TrustedLaunch":
        raise LaunchError(
            "Azure made a machine with Trusted Launch, and no managed image can be made of one",
            hint="there are three ways out: a source image of generation 1 (of Ubuntu the sku server-gen1); "
            'security="Standard" (some subscriptions must register the feature UseStandardSecurityType first); or '
            "gallery=Gallery(...) in place of image_group",
        )
    if spec.gallery:
        wanted = _definition(spec, source, run.recipe, "TrustedLaunch" if security == "TrustedLaunch" else "Standard")
        found = cloud.find(ids.parent(version_id(spec.gallery, cloud, run)))
        if found and (problem := definition_problem(found, wanted)):
            raise LaunchError(
                f"the machine does not go into the gallery's definition {wanted.name}: {problem}",
                hint="name another definition in the Gallery(...), or another security type",
            )


def _definition(
    spec: Azure, source: SourceImage, recipe: str, security: Literal["TrustedLaunch", "Standard"]
) -> Definition:
    return Definition(
        name=(spec.gallery.definition if spec.gallery else None) or recipe,
        recipe=recipe,
        generation=source.generation,
        architecture=source.architecture,
        security=security,
        features=source.features or {},
        plan=source.plan,
    )


def _capturing(spec: Azure, wanted: Wanted, run: RunInfo, started: Started, gib: int) -> Capturing:
    labels = images.launch_labels(wanted.luns, spec.login_user, started.size, started.security)
    security: Literal["TrustedLaunch", "Standard"] = (
        "TrustedLaunch" if started.security == "TrustedLaunch" else "Standard"
    )
    return Capturing(
        spec=spec,
        run=run,
        tags=tags_of_run(run, "bake", spec.tags),
        labels=labels | ({images.CLOUD: spec.cloud} if spec.cloud else {}),
        location=wanted.location,
        definition=_definition(spec, wanted.source, run.recipe, security),
        gib=gib,
    )


def _gib(spec: Azure, source: SourceImage, disks: tuple[Disk, ...]) -> int:
    return (spec.root_gib or source.root_gib) + sum(disk.size_gib for disk in disks)
