"""An answer of Azure Resource Manager that is no: an HTTP status, a code and a message."""

from typing import Any


class Refusal(Exception):  # noqa: N818  (it is what Azure says, not what went wrong here)
    """The call is refused; nothing was done."""

    def __init__(self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """As every service below ARM writes it."""
        return {"error": {"code": self.code, "message": self.message}}


def not_found(id: str) -> Refusal:
    """A resource that is not there, in its group that is."""
    group = id.split("/")[4]
    what = "/".join(id.split("/")[6:])
    return Refusal(
        404,
        "ResourceNotFound",
        f"The Resource '{what}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def invalid(parameter: str, message: str) -> Refusal:
    """A value that will not do."""
    return Refusal(400, "InvalidParameter", f"{message} (parameter {parameter})")


def not_allowed(message: str) -> Refusal:
    """A state in which this cannot be done."""
    return Refusal(409, "OperationNotAllowed", message)
