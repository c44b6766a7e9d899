"""Starts a machine: its group, network and address, each with its undo registered before it is asked for.

Nothing is known of what a call did whose reply was lost. So each undo asks for the end of what has the name that was
chosen before, and each PUT may be made twice. A group of our own goes as a whole, which Azure does by itself once it
has accepted it; in a group of the user's each thing is removed, and no other is touched.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from baker.builders.azure import ids, removal, requests
from baker.builders.azure.calls import Body, Cloud
from baker.builders.azure.errors import Answer, AzureError, explain, explaining
from baker.builders.azure.ids import Group
from baker.builders.azure.requests import Placement, SourceImage
from baker.builders.azure.spec import Azure
from baker.builders.azure.tags import resource_name, tags_of_run
from baker.builders.azure.waiting import finish
from baker.cleanup import CleanupStack
from baker.errors import BakeError, LaunchError
from baker.events import Emit, FactRecorded, Notice
from baker.ports import Clock, RunInfo

RESOURCE_SECONDS = 300.0
MACHINE_SECONDS = 1800.0
"""Azure takes 73 seconds as a rule to make a machine, and sometimes 25 minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A machine to start. `role` is `bake`, or `image` for one started from an image; `group` is where it goes.

    `placements` are tried in their order. `refuse` looks at the machine as Azure describes it right after it accepted
    it, and raises what makes it useless.
    """

    spec: Azure
    role: str
    run: RunInfo
    location: str
    group: Group
    source: SourceImage
    disks: tuple[requests.Payload, ...]
    user_data: str
    public_key: str
    login_user: str
    networks: tuple[str, ...]
    placements: tuple[Placement, ...]
    security: str | None
    refuse: Callable[[Body], None]

    @property
    def name(self) -> str:
        return resource_name(self.run, self.role)

    @property
    def tags(self) -> dict[str, str]:
        return tags_of_run(self.run, self.role, self.spec.tags)

    def id(self, type: str) -> str:
        """Of what is made for this machine: all of it has the name of the machine."""
        return self.group.holds(type, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A machine that runs: its id, its address, and what it became. `controller` is that of its disks: SCSI or NVMe."""

    id: str
    host: str
    size: str
    spot: bool
    security: str
    controller: str


class Launcher:
    """Makes what a machine needs, in an order that leaves nothing: what is made last is ended first."""

    def __init__(self, request: Request, cloud: Cloud, cleanup: CleanupStack, *, clock: Clock, emit: Emit) -> None:
        self._request = request
        self._cloud = cloud
        self._cleanup = cleanup
        self._clock = clock
        self._emit = emit

    def launch(self) -> Started:
        """The machine, running, with its address. LaunchError, or what Azure refused; then nothing is left."""
        request = self._request
        self._group()
        parts = [(ids.SECURITY_GROUP, requests.security_group(request.location, request.networks, request.tags))]
        if not request.spec.subnet:
            parts.append((ids.NETWORK, requests.network(request.location, request.tags)))
        if self._is_public:
            parts.append((ids.ADDRESS, self._address_body))
        for type, _ in parts:
            self._acquire(type)
        with ThreadPoolExecutor(max_workers=len(parts)) as together:
            # They need nothing of each other; a failure of one waits for the others, so that nothing is made while the
            # clean-up is already running.
            for made in [together.submit(self._make, type, body) for type, body in parts]:
                made.result()
        self._acquire(ids.INTERFACE)
        self._make(ids.INTERFACE, self._interface_body)
        self._acquire_machine()
        machine, placement = self._machine()
        return Started(
            id=request.id(ids.VM),
            host=self._host(),
            size=placement.size,
            spot=placement.spot,
            security=security_of(machine),
            controller=str(machine["properties"]["storageProfile"].get("diskControllerType") or "SCSI"),
        )

    @property
    def _is_public(self) -> bool:
        return self._request.spec.address == "public"

    @property
    def _address_body(self) -> requests.Payload:
        return requests.public_address(self._request.location, self._request.tags)

    @property
    def _interface_body(self) -> requests.Payload:
        request = self._request
        return requests.interface(
            request.location,
            request.tags,
            subnet=request.spec.subnet or f"{request.id(ids.NETWORK)}/subnets/{requests.SUBNET_NAME}",
            security_group=request.id(ids.SECURITY_GROUP),
            address=request.id(ids.ADDRESS) if self._is_public else None,
        )

    # --- each of these registers an undo before anything is asked for

    def _group(self) -> None:
        request = self._request
        if request.spec.resource_group:
            return
        self._cleanup.acquire(
            "resource group",
            request.group.name,
            self._cloud.place,
            undo=lambda: removal.remove_group(
                request.group.id, request.run.run_id, self._cloud, clock=self._clock, wait=request.run.wait_cleanup
            ),
            remove_hint=removal.hint(request.group.id),
        )
        with explaining("making the resource group"):
            self._cloud.put(request.group.id, requests.resource_group(request.location, request.tags))

    def _acquire(self, type: str) -> None:
        """In a group of our own nothing needs an undo: it goes with the group, whose undo is registered."""
        if not self._request.spec.resource_group:
            return
        id = self._request.id(type)
        run_id = self._request.run.run_id
        self._cleanup.acquire(
            removal.KINDS[type],
            id,
            self._cloud.place,
            undo=lambda: removal.remove(id, run_id, self._cloud, clock=self._clock),
            remove_hint=removal.hint(id),
        )

    def _acquire_machine(self) -> None:
        """In the order of their making, which is the reverse of that of their end: disks go after the machine."""
        request = self._request
        if not request.spec.resource_group:
            return
        names = [requests.root_disk_name(request.name), *(disk["name"] for disk in request.disks)]
        for id in (*(request.group.holds(ids.DISK, name) for name in names), request.id(ids.VM), self._schedule_id):
            kind = removal.KINDS[_type_of(id)]
            self._cleanup.acquire(
                kind,
                id,
                self._cloud.place,
                undo=lambda id=id: removal.remove(id, request.run.run_id, self._cloud, clock=self._clock),  # type: ignore[misc]
                remove_hint=removal.hint(id),
            )

    # --- what makes

    def _make(self, type: str, body: requests.Payload) -> None:
        with explaining(f"making the {removal.KINDS[type]}"):
            finish(
                self._cloud,
                self._cloud.put(self._request.id(type), body),
                timeout=RESOURCE_SECONDS,
                clock=self._clock,
            )

    def _machine(self) -> tuple[Body, Placement]:
        """The machine, tried in each placement until there is one."""
        refused: list[tuple[Placement, AzureError]] = []
        for placement in self._request.placements:
            try:
                if refused:
                    self._clear_the_way()
                return self._start(placement), placement
            except AzureError as error:
                if error.answer is not Answer.ELSEWHERE:
                    raise explain(error, f"starting a machine of size {placement.size}") from error
                refused.append((placement, error))
                self._emit(Notice(level="info", text=f"no {_described(placement)}: {error.code}"))
        raise _nothing_to_be_had(refused)

    def _start(self, placement: Placement) -> Body:
        request = self._request
        wanted = requests.Machine(
            name=request.name,
            source=request.source,
            disks=request.disks,
            login_user=request.login_user,
            public_key=request.public_key,
            user_data=request.user_data,
            interface=request.id(ids.INTERFACE),
            location=request.location,
            tags=request.tags,
            security=request.security,
        )
        id = request.id(ids.VM)
        started = self._cloud.put(id, requests.virtual_machine(request.spec, wanted, placement))
        request.refuse(self._cloud.get(id))  # an hour of provisioning earlier than Azure would say it
        self._arm(id)
        finish(self._cloud, started, timeout=MACHINE_SECONDS, clock=self._clock)
        self._emit(FactRecorded(source="launch", name=f"machine ({request.role})", value=_described(placement)))
        return self._cloud.get(id)

    def _clear_the_way(self) -> None:
        """A machine that failed to start is there all the same, and takes its interface and address with it."""
        finish(self._cloud, self._cloud.delete(self._request.id(ids.VM)), timeout=MACHINE_SECONDS, clock=self._clock)
        if self._is_public:
            self._make(ids.ADDRESS, self._address_body)
        self._make(ids.INTERFACE, self._interface_body)

    @property
    def _schedule_id(self) -> str:
        return self._request.group.holds(ids.SCHEDULE, f"shutdown-computevm-{self._request.name}")

    def _arm(self, machine: str) -> None:
        """Have Azure end the machine itself when its time is over: a machine that switches itself off still costs."""
        request = self._request
        schedule = requests.shutdown_schedule(
            request.location, machine, request.run.expires, self._clock.now(), request.tags
        )
        if schedule is None:
            text = (
                "Azure switches machines off by the time of the day: it will not end this one by itself, as its "
                "--timeout is more than a day; `bake sweep --on azure --yes` does"
            )
            self._emit(Notice(level="warning", text=text))
            return
        with explaining("arming Azure's own shutdown of the machine"):
            finish(
                self._cloud,
                self._cloud.put(self._schedule_id, schedule),
                timeout=RESOURCE_SECONDS,
                clock=self._clock,
            )

    def _host(self) -> str:
        request = self._request
        with explaining("looking up the machine's address"):
            if self._is_public:
                address = self._cloud.get(request.id(ids.ADDRESS))["properties"].get("ipAddress")
            else:
                (only,) = self._cloud.get(request.id(ids.INTERFACE))["properties"]["ipConfigurations"]
                address = only["properties"].get("privateIPAddress")
        if not address:
            raise LaunchError(f"the machine has no {request.spec.address} address", hint="look at its network")
        return str(address)


def security_of(machine: Body) -> str:
    """The security type of a machine, as Azure describes it; where it says nothing, it is Standard."""
    profile: Any = machine["properties"].get("securityProfile") or {}
    return str(profile.get("securityType") or "Standard")


def _type_of(id: str) -> str:
    parsed = ids.parse(id)
    return parsed.type if parsed else ""


def _described(placement: Placement) -> str:
    return placement.size + (", spot" if placement.spot else "")


def _nothing_to_be_had(refused: list[tuple[Placement, AzureError]]) -> BakeError:
    if not refused:
        return LaunchError(
            "there is no size to start a machine with", hint="name sizes in the Azure(...) of the recipe"
        )
    tried = [(_described(place), f"{error.code}: {error.message}") for place, error in refused]
    return explain(refused[-1][1], "starting a machine").with_details(*tried)
