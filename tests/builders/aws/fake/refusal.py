"""An answer of AWS that is no: a code, a message and an HTTP status, in the words of the service that is asked."""

import json
from xml.sax.saxutils import escape

REQUEST_ID = "00000000-0000-4000-8000-00000000fa4e"

_STATUS = {
    "AuthFailure": 401,
    "DryRunOperation": 412,
    "ExpiredToken": 403,
    "InsufficientInstanceCapacity": 500,
    "InternalError": 500,
    "InvalidClientTokenId": 403,
    "AccessDenied": 403,
    "NotInTheFake": 501,
    "RequestLimitExceeded": 503,
    "ServiceUnavailable": 503,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
}
"""What is not 400 (EC2 API reference, "Common client error codes" and "Server error codes")."""


class Refusal(Exception):  # noqa: N818  (it is what AWS says, not what went wrong here)
    """The call is refused; nothing was done."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code, 400)

    def body(self, service: str) -> tuple[str, bytes]:
        """Content type and body as `service` would write them."""
        if service in ("ssm", "servicequotas", "service-quotas", "kms"):
            return "application/x-amz-json-1.1", json.dumps({"__type": self.code, "message": self.message}).encode()
        code, message = escape(self.code), escape(self.message)
        if service == "ec2":
            text = (
                f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
                f"<RequestID>{REQUEST_ID}</RequestID></Response>"
            )
        else:
            text = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
                f"<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
            )
        return "text/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
