"""Starts a machine: its key pair, group and instance, each with its undo registered before it is asked for.

Nothing is known of what a call did whose reply was lost. So each undo looks for what carries the name or the tag that
was chosen before, and each call is made so that asking twice is harmless: RunInstances by its client token, the others
by adopting what bears our tag already.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from baker.builders.aws import elastic, instances, requests
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import Answer, AwsError, explain, explaining
from baker.builders.aws.instances import LOST_MACHINE, Seen
from baker.builders.aws.requests import Instance, Placement, SourceImage
from baker.builders.aws.spec import Aws, ElasticIp
from baker.builders.aws.tags import from_tag_list, resource_name, run_of, run_tags
from baker.builders.aws.unseen import Asked
from baker.builders.aws.waiting import RUNNING, poll
from baker.cleanup import CleanupStack
from baker.errors import BakeError, BuilderError, LaunchError
from baker.events import Emit, FactRecorded, Notice
from baker.ports import Clock, RunInfo

RUNNING_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A machine to start. `role` is `bake`, or `image` for one started from an image."""

    spec: Aws
    role: str
    run: RunInfo
    source: SourceImage
    mappings: tuple[requests.Payload, ...]
    user_data: str
    public_key: str
    networks: tuple[str, ...]
    vpc: str
    placements: tuple[Placement, ...]

    @property
    def name(self) -> str:
        return resource_name(self.run, self.role)

    @property
    def tags(self) -> dict[str, str]:
        return {**self.spec.tags, **run_tags(self.run, self.role)}


class Launcher:
    """Makes what a machine needs, in an order that leaves nothing: what is made last is ended first."""

    def __init__(self, request: Request, cloud: Cloud, cleanup: CleanupStack, *, clock: Clock, emit: Emit) -> None:
        self._request = request
        self._cloud = cloud
        self._cleanup = cleanup
        self._clock = clock
        self._emit = emit
        self._group = ""
        self._asked_group, self._asked_instance = Asked(clock), Asked(clock)

    def launch(self) -> Seen:
        """The machine, running, with its addresses. LaunchError, or what AWS refused; then nothing is left."""
        key, group = self._key_pair(), self._security_group()
        with ThreadPoolExecutor(max_workers=2) as both:
            # The key and the group need nothing of each other; a failure of one waits for the other, so that
            # nothing is made while the clean-up is already running.
            imported, grouped = both.submit(key), both.submit(group)
            imported.result()
            self._group = grouped.result()
        seen = self._running(self._instance())
        return replace(seen, public_address=self._elastic(seen.id)) if self._wants_elastic else seen

    @property
    def _wants_elastic(self) -> bool:
        return isinstance(self._request.spec.address, ElasticIp)

    def _elastic(self, instance: str) -> str:
        request = self._request
        match request.spec.address:
            case ElasticIp(allocation_id=str(allocation)):
                return elastic.borrow(allocation, instance, self._cloud, self._cleanup)
            case _:
                return elastic.allocate(request.tags, instance, self._cloud, self._cleanup, self._clock)

    # --- each of these registers an undo, and gives what makes the thing

    def _key_pair(self) -> Callable[[], None]:
        name = self._request.name
        self._acquire("key pair", name, self._delete_key_pair, f"aws ec2 delete-key-pair --key-name {name}")

        def make() -> None:
            body = requests.import_key_pair(name, self._request.public_key, self._request.tags)
            with explaining("importing the temporary key"):
                try:
                    self._cloud.ask("import_key_pair", **body)
                except AwsError as error:
                    if error.answer is not Answer.MADE:
                        raise
                    self._adopt_key_pair(name)

        return make

    def _security_group(self) -> Callable[[], str]:
        name = self._request.name
        self._acquire(
            "security group",
            name,
            self._delete_security_group,
            f"aws ec2 delete-security-group --group-id $(aws ec2 describe-security-groups "
            f"--filters Name=group-name,Values={name} --query SecurityGroups[0].GroupId --output text)",
        )

        def make() -> str:
            with explaining("making the security group"):
                group = self._make_group(name)
                self._admit(group)
            return group

        return make

    def _instance(self) -> str:
        name = self._request.name
        self._acquire(
            "instance",
            name,
            self._terminate,
            f"aws ec2 terminate-instances --instance-ids $(aws ec2 describe-instances "
            f"--filters Name=tag:Name,Values={name} --query Reservations[].Instances[].InstanceId --output text)",
        )
        refused: list[AwsError] = []
        for attempt, placement in enumerate(self._request.placements):
            try:
                return self._run(placement, attempt)
            except AwsError as error:
                if error.answer is not Answer.ELSEWHERE:
                    raise explain(error, f"starting a machine of type {placement.instance_type}") from error
                refused.append(error)
                self._emit(Notice(level="info", text=f"no {_described(placement)}: {error.code}"))
        raise _nothing_to_be_had(refused, self._request.placements)

    def _run(self, placement: Placement, attempt: int) -> str:
        request = self._request
        wanted = Instance(
            image=request.source,
            key_name=request.name,
            group=self._group,
            user_data=request.user_data,
            mappings=request.mappings,
            tags=request.tags,
        )
        for spent in range(3):  # a token that cannot be used any more is worth another one, not for ever
            token = requests.client_token(request.run.run_id, request.role, placement, attempt * 10 + spent)
            try:
                with self._asked_instance.asking():
                    answer = self._cloud.ask_of_new(
                        "run_instances", **requests.run_instances(request.spec, wanted, placement, token)
                    )
            except AwsError as error:
                if error.answer is not Answer.SPENT:
                    raise
                continue
            (started,) = answer["Instances"]
            self._emit(FactRecorded(source="launch", name=f"instance ({request.role})", value=_described(placement)))
            return str(started["InstanceId"])
        raise LaunchError(
            "EC2 refused each client token that it was given", hint="try again: the next run has other ones"
        )

    # --- what makes, and what adopts

    def _make_group(self, name: str) -> str:
        body = requests.create_security_group(name, self._request.vpc, self._request.tags)
        try:
            with self._asked_group.asking():
                return str(self._cloud.ask("create_security_group", **body)["GroupId"])
        except AwsError as error:
            if error.answer is not Answer.MADE:
                raise
        for group in self._asked_group.found(self._groups):
            return str(group["GroupId"])
        raise BuilderError(f"a security group called {name} exists, and is not this run's")

    def _admit(self, group: str) -> None:
        if not self._request.networks:
            return
        try:
            self._cloud.ask_of_new(
                "authorize_security_group_ingress",
                **requests.authorize_ssh(group, self._request.networks, self._request.tags),
            )
        except AwsError as error:
            if error.answer is not Answer.MADE:
                raise

    def _adopt_key_pair(self, name: str) -> None:
        pairs = self._cloud.ask_of_new("describe_key_pairs", KeyNames=[name])["KeyPairs"]
        if not any(self._is_ours(pair.get("Tags")) for pair in pairs):
            raise BuilderError(f"a key pair called {name} exists, and is not this run's")

    def _is_ours(self, tags: list[dict[str, str]] | None) -> bool:
        return run_of(from_tag_list(tags)) == self._request.run.run_id

    def _groups(self) -> Iterator[dict[str, Any]]:
        filters = [{"Name": "group-name", "Values": [self._request.name]}]
        groups = self._cloud.all_of("describe_security_groups", "SecurityGroups", Filters=filters)
        return (group for group in groups if self._is_ours(group.get("Tags")))

    def _running(self, instance_id: str) -> Seen:
        """The instance once it runs and has the address that is wanted. LaunchError when it ends instead."""

        def probe() -> Seen | None:
            seen = instances.look(self._cloud, instance_id)
            if seen is None or seen.state == "pending":
                return None
            if seen.has_ended:
                raise LaunchError(
                    "the machine ended right after its launch",
                    details=(("EC2 says", seen.reason or seen.state),),
                    hint=f"EC2's reason says why (an encryption key that may not be used is one); else {LOST_MACHINE}",
                )
            wants_address = self._request.spec.address == "public"
            return None if wants_address and not seen.public_address else seen

        with explaining("waiting for the machine to run"):
            seen = poll(probe, timeout=RUNNING_SECONDS, clock=self._clock, pauses=RUNNING)
        if seen is None:
            raise LaunchError(f"the machine {instance_id} did not come to run within {RUNNING_SECONDS:.0f} s")
        return seen

    # --- undo: each finds its thing by name or tag, and is content when there is none

    def _terminate(self) -> None:
        request = self._request
        found = self._asked_instance.found(lambda: instances.of_run(self._cloud, request.run.run_id, request.role))
        terminate_all(found, self._cloud)

    def _delete_security_group(self) -> None:
        for group in self._asked_group.found(self._groups):
            self._cloud.remove("delete_security_group", GroupId=group["GroupId"])

    def _delete_key_pair(self) -> None:
        self._cloud.remove("delete_key_pair", KeyName=self._request.name)

    def _acquire(self, kind: str, name: str, undo: Callable[[], None], remove_hint: str) -> None:
        region = self._cloud.region
        self._cleanup.acquire(kind, name, region, undo=undo, remove_hint=f"{remove_hint} --region {region}")


def terminate_all(found: list[Seen], cloud: Cloud) -> None:
    """End instances of a run, and let them go from its group at once, so that it need not wait for their end."""
    for seen in found:
        if not seen.has_ended:
            _leave_group(cloud, seen)
            cloud.remove("terminate_instances", InstanceIds=[seen.id])


def _leave_group(cloud: Cloud, seen: Seen) -> None:
    """Into the VPC's default group, which admits nobody from outside. Where that is not permitted, the deletion of the
    group waits for the machine's end instead."""
    try:
        filters = [{"Name": "vpc-id", "Values": [seen.vpc]}, {"Name": "group-name", "Values": ["default"]}]
        default = cloud.ask("describe_security_groups", Filters=filters)["SecurityGroups"]
        if default:
            cloud.ask("modify_instance_attribute", InstanceId=seen.id, Groups=[default[0]["GroupId"]])
    except AwsError:
        return


def _described(placement: Placement) -> str:
    return f"{placement.instance_type} in {placement.zone}" + (", spot" if placement.spot else "")


def _nothing_to_be_had(refused: list[AwsError], placements: tuple[Placement, ...]) -> BakeError:
    if not refused:
        return LaunchError("there is no place to start a machine in", hint="name subnets in the Aws(...) of the recipe")
    tried = [(_described(place), error.code) for place, error in zip(placements, refused, strict=False)]
    return explain(refused[0], "starting a machine").with_details(*tried)
