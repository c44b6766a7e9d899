"""Instances as EC2 describes them: found by our tags, their state, what they said."""

import base64
from dataclasses import dataclass
from typing import Any

from baker.builders.aws import tags
from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import AwsError

LOST_MACHINE = 'bake again; where spot machines are taken back too often, set spot="never" in the Aws(...)'
"""What to do when AWS has ended a machine."""

ENDED = ("shutting-down", "terminated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An instance at one moment. `volumes` maps device names to volume ids."""

    id: str
    state: str
    reason: str
    public_address: str | None
    private_address: str | None
    zone: str
    type: str
    spot: bool
    volumes: dict[str, str]
    interface: str | None
    vpc: str | None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


def of_run(cloud: Cloud, run_id: str, role: str) -> list[Seen]:
    """All instances that a run made in a role, whatever their state: EC2 shows those that have ended for an hour."""
    filters = [{"Name": f"tag:{tags.RUN}", "Values": [run_id]}, {"Name": f"tag:{tags.ROLE}", "Values": [role]}]
    found = cloud.all_of("describe_instances", "Reservations", Filters=filters)
    return [seen(instance) for reservation in found for instance in reservation["Instances"]]


def look(cloud: Cloud, instance_id: str) -> Seen | None:
    """The instance now; None while EC2 does not know yet what it has just made, or not any more."""
    try:
        reservations = cloud.ask("describe_instances", InstanceIds=[instance_id])["Reservations"]
    except AwsError as error:
        if error.code == "InvalidInstanceID.NotFound":
            return None
        raise
    instances = [instance for reservation in reservations for instance in reservation["Instances"]]
    return seen(instances[0]) if instances else None


def console(cloud: Cloud, instance_id: str) -> str:
    """What the machine printed last, as far as EC2 has it; empty when it has nothing. Nitro tells the newest."""
    for newest in (True, False):
        try:
            output = cloud.ask("get_console_output", InstanceId=instance_id, Latest=newest).get("Output", "")
        except AwsError as error:
            if error.code in ("UnsupportedOperation", "InvalidParameterCombination"):
                continue
            return f"(the console cannot be read: {error.code})"
        return _text(output)
    return ""


def seen(instance: dict[str, Any]) -> Seen:
    """From EC2's own description."""
    interfaces = instance.get("NetworkInterfaces") or [{}]
    return Seen(
        id=instance["InstanceId"],
        state=instance["State"]["Name"],
        reason=_reason(instance),
        public_address=instance.get("PublicIpAddress") or None,
        private_address=instance.get("PrivateIpAddress") or None,
        zone=instance.get("Placement", {}).get("AvailabilityZone", ""),
        type=instance.get("InstanceType", ""),
        spot=instance.get("InstanceLifecycle") == "spot",
        volumes={
            mapping["DeviceName"]: mapping["Ebs"]["VolumeId"]
            for mapping in instance.get("BlockDeviceMappings", ())
            if "Ebs" in mapping
        },
        interface=interfaces[0].get("NetworkInterfaceId"),
        vpc=instance.get("VpcId"),
    )


def _reason(instance: dict[str, Any]) -> str:
    reason = instance.get("StateReason") or {}
    said = reason.get("Message") or instance.get("StateTransitionReason") or ""
    code = reason.get("Code", "")
    return f"{code}: {said}" if code and code not in said else str(said)


def _text(output: str) -> str:
    """botocore decodes base64 for most calls, but not everywhere; what is no base64 is text already."""
    try:
        return base64.b64decode(output, validate=True).decode(errors="replace")
    except ValueError:
        return output
