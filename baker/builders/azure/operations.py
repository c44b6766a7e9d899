"""What Azure has accepted and still works on, and how it is known that it has ended.

Azure-AsyncOperation   a place that says InProgress, Succeeded, Failed or Canceled; a failure is an answer of 200
Location               a place that answers 202 until the end
neither                the resource itself says what becomes of it (`properties.provisioningState`)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baker.builders.azure.errors import AzureError

_SUCCEEDED = ("succeeded", "ready")
_FAILED = ("failed", "canceled", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something under way. One of `status_url`, `location_url` and `id` says where to look; none when it has ended."""

    status_url: str = ""
    location_url: str = ""
    id: str = ""

    @classmethod
    def of_resource(cls, id: str) -> "Operation":
        """When all that is known is the resource."""
        return cls(id=id)

    @classmethod
    def started(cls, status: int, headers: Mapping[str, str], body: Mapping[str, Any], id: str) -> "Operation":
        """From the first answer. AzureError when that says that it failed already."""
        if status_url := headers.get("Azure-AsyncOperation"):
            return cls(status_url=status_url)
        if status == 202 and (location := headers.get("Location")):
            return cls(location_url=location)
        done = cls(id=id)
        return cls() if done.ended_by(body)[0] else done

    @property
    def has_ended(self) -> bool:
        return not (self.status_url or self.location_url or self.id)

    def ended_by(self, resource: Mapping[str, Any]) -> tuple[bool, Mapping[str, Any]]:
        """Whether a resource says that it has ended, and what it says. AzureError when it failed."""
        state = str((resource.get("properties") or {}).get("provisioningState") or "Succeeded")
        return _judged(state, resource, {"code": state, "message": "Azure says no more"}), resource

    def ended_with(self, status: int, answer: Mapping[str, Any]) -> tuple[bool, Mapping[str, Any]]:
        """Whether the place that was asked says that it has ended, and what it says. AzureError when it failed."""
        if status == 202:
            return False, answer
        if self.location_url:
            return True, answer
        return _judged(str(answer.get("status", "Succeeded")), answer, answer.get("error") or {}), answer


def _judged(state: str, answer: Mapping[str, Any], error: Mapping[str, Any]) -> bool:
    if state.lower() in _FAILED:
        code, message = deepest(error)
        raise AzureError("wait for the end", code or state, message or str(answer)[:500], 200)
    return state.lower() in _SUCCEEDED


def deepest(error: Mapping[str, Any]) -> tuple[str, str]:
    """Code and message of an error. Where its own code only says that something in it failed, those of that."""
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    inner = next((it for it in error.get("details") or () if it.get("code")), None)
    if inner is not None and code in (
        "",
        "DeploymentFailed",
        "ResourceDeploymentFailure",
        "VMExtensionProvisioningError",
    ):
        return deepest(inner)
    return code, message
