"""What AWS can answer instead of what was asked for, class by class, and to which calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

FOR_EVER = 1 << 30

REFUSED, OUT_OF_REACH, RECIPE = 4, 5, 2
"""Exit codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """`how` is what the fake is told (`fake.faults.Fault`); `then` is what becomes of the next try. `actions` are
    patterns of the calls that can answer so.

    A transient one costs nothing but time. Any other may end the act, with one of `exit_codes` and an error that says
    `says`.
    """

    name: str
    how: Mapping[str, Any]
    then: Mapping[str, Any] | None = None
    actions: tuple[str, ...] = ("*",)
    is_transient: bool = False
    exit_codes: tuple[int, ...] = (REFUSED,)
    says: str = ""

    def fits(self, action: str) -> bool:
        return any(fnmatchcase(action, pattern) for pattern in self.actions)

    def faults(self, action: str, number: int) -> list[dict[str, Any]]:
        """For the fake: so that call `number` (from 0) of those to come fails."""
        first = {"action": action, "skip": number, **self.how}
        return [first, *([{"action": action, "skip": number + 1, **self.then}] if self.then else [])]

    def __str__(self) -> str:
        return self.name


def _once(name: str, *actions: str, times: int = 1, **how: Any) -> Failure:
    return Failure(name=name, actions=actions or ("*",), how={"times": times, **how}, is_transient=True)


def _for_ever(name: str, *actions: str, says: str = "", codes: tuple[int, ...] = (REFUSED,), **how: Any) -> Failure:
    how = {"times": FOR_EVER, **how}
    return Failure(name=name, actions=actions or ("*",), how=how, exit_codes=codes, says=says or how.get("error", ""))


DENIED = _for_ever("denied", error="UnauthorizedOperation")

SAMPLE = (
    Failure(
        name="throttled, then its reply is lost", is_transient=True,
        how={"error": "RequestLimitExceeded"}, then={"lose": "reply"},
    ),
    DENIED,
)  # fmt: skip
"""With these each call fails in every run of the tests."""

_LAUNCHED = ("DescribeInstances", "ModifyInstanceAttribute", "StopInstances", "CreateImage", "AssociateAddress")

SPECIFIC = (
    _once("no capacity there", "RunInstances", error="InsufficientInstanceCapacity"),
    _for_ever("no capacity", "RunInstances", error="InsufficientInstanceCapacity"),
    _for_ever("quota of processors", "RunInstances", error="VcpuLimitExceeded"),
    _for_ever("quota of addresses", "AllocateAddress", error="AddressLimitExceeded"),
    _for_ever("quota of groups", "CreateSecurityGroup", error="SecurityGroupLimitExceeded"),
    _for_ever("quota of snapshots", "CreateImage", "CopyImage", error="SnapshotLimitExceeded"),
    _once("too many copies at once", "CopyImage", error="ResourceLimitExceeded", times=2),
    _once("instance not known yet", *_LAUNCHED, error="InvalidInstanceID.NotFound", times=2),
    _once("instance still pending", "AssociateAddress", error="InvalidInstanceID", times=2),
    _once(
        "group not known yet", "RunInstances", "AuthorizeSecurityGroupIngress",
        error="InvalidGroup.NotFound", times=2,
    ),
    _once("key not known yet", "RunInstances", error="InvalidKeyPair.NotFound", times=2),
    _once(
        "image not known yet", "EnableImageDeprecation", "DeleteTags", "ModifyImageAttribute",
        error="InvalidAMIID.NotFound", times=2,
    ),
    _once("snapshot not known yet", "DeleteTags", "ModifySnapshotAttribute", error="InvalidSnapshot.NotFound", times=2),
    _once("address not known yet", "AssociateAddress", error="InvalidAllocationID.NotFound", times=2),
    _once("not stopped yet", "CreateImage", error="IncorrectInstanceState", times=2),
    _once("not in a state", "CreateImage", error="InvalidParameterValue", times=2,
          message="Instance is not in state 'running' or 'stopped'"),
    _once("group in use", "DeleteSecurityGroup", error="DependencyViolation", times=2),
    _for_ever("group in use for ever", "DeleteSecurityGroup", says="in use", error="DependencyViolation"),
    _once("snapshot in use", "DeleteSnapshot", error="InvalidSnapshot.InUse", times=2),
    _for_ever("snapshot in use for ever", "DeleteSnapshot", error="InvalidSnapshot.InUse"),
    _once("volume in use", "DeleteVolume", error="VolumeInUse", times=2),
    _once("address in use", "ReleaseAddress", error="InvalidIPAddress.InUse", times=2),
    _once("instance between two states", "TerminateInstances", error="IncorrectInstanceState", times=2),
    _for_ever("instance protected", "TerminateInstances", error="OperationNotPermitted"),
)  # fmt: skip
"""What only some calls answer: few rows."""

GENERAL = (
    _once("throttled once", error="RequestLimitExceeded"),
    _once("reply lost", lose="reply"),
    _once("throttled thrice", error="RequestLimitExceeded", times=3),
    _for_ever("throttled for ever", error="RequestLimitExceeded"),
    _once("fault of AWS", error="InternalError"),
    _for_ever("fault of AWS for ever", error="InternalError"),
    _once("request lost", lose="request"),
    _for_ever("request lost for ever", lose="request", codes=(OUT_OF_REACH, REFUSED), says="cannot be reached"),
    _for_ever("reply lost for ever", lose="reply", codes=(OUT_OF_REACH, REFUSED), says="cannot be reached"),
    _once("a proxy's page", html=502),
    _for_ever("a proxy's page for ever", html=502, codes=(OUT_OF_REACH, REFUSED), says="cannot be reached"),
    Failure(name="credentials expire", how={"effect": "expire-credentials"}, says="RequestExpired"),
)

DEATHS = (
    Failure(name="the machine dies", how={"effect": "kill-instances"}),
    Failure(name="the machine is taken back", how={"effect": "interrupt-spot"}),
)
"""What ends a machine between two calls."""

ALL = (*SAMPLE, *SPECIFIC, *GENERAL)
"""But for deaths."""
