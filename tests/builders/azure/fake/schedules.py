"""Schedules that switch a virtual machine off at a time of day."""

from datetime import UTC, datetime, timedelta

from tests.builders.azure.fake.ids import key, name_of
from tests.builders.azure.fake.kinds import Call, Json, Kind
from tests.builders.azure.fake.power import switch_off
from tests.builders.azure.fake.refusal import Refusal
from tests.builders.azure.fake.world import Resource, world

_PREFIX = "shutdown-computevm-"


class Schedules(Kind):
    """There at once; of one machine each, whose name is in theirs."""

    type = "Microsoft.DevTestLab/schedules"
    style = None

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        given = body.get("properties") or {}
        machine = world.find(str(given.get("targetResourceId")))
        if machine is None or machine.type != "Microsoft.Compute/virtualMachines":
            raise Refusal(400, "InvalidScheduleTarget", f"The target {given.get('targetResourceId')} is no machine.")
        if given.get("taskType") != "ComputeVmShutdownTask":
            raise Refusal(400, "InvalidTaskType", f"The task type {given.get('taskType')} is not known.")
        if key(name_of(call.id)) != key(_PREFIX + machine.name):
            raise Refusal(
                400, "InvalidScheduleName", f"A schedule of {machine.name} is called {_PREFIX}{machine.name}."
            )
        if given.get("timeZoneId") != "UTC":
            raise Refusal(400, "InvalidTimeZone", f"The fake's clock knows UTC alone, not {given.get('timeZoneId')}.")
        try:
            datetime.strptime((given.get("dailyRecurrence") or {}).get("time", ""), "%H%M")
        except ValueError as error:
            raise Refusal(400, "InvalidScheduleTime", f"The time is not HHMM: {error}") from error

    def complete(self, call: Call, resource: Resource) -> None:
        resource.properties.setdefault("status", "Enabled")
        resource.facts["since"] = world.now()


SCHEDULES = Schedules()


def switch_off_what_is_due() -> None:
    """Deallocate the machines whose time has come."""
    for schedule in world.of_type(Schedules.type):
        if schedule.properties["status"] != "Enabled":
            continue
        if world.now() >= _next(schedule.facts["since"], schedule.properties["dailyRecurrence"]["time"]):
            schedule.facts["since"] = world.now()
            machine = world.find(schedule.properties["targetResourceId"])
            if machine is not None and machine.facts["power"] not in ("deallocated", "deallocating"):
                switch_off(machine)


def _next(since: float, time: str) -> float:
    """The first moment after `since` that is at `time` by the clock."""
    begun = datetime.fromtimestamp(since, UTC)
    due = begun.replace(hour=int(time[:2]), minute=int(time[2:]), second=0, microsecond=0)
    return (due if due > begun else due + timedelta(days=1)).timestamp()
