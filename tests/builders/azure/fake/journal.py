"""Every request and response, one JSON object a line, without the tokens: to be held against a specification."""

import json
from pathlib import Path
from typing import Any

_LEFT_OUT = {"authorization", "www-authenticate"}


class Journal:
    """A file that is written to, and the same in memory for a test, by the names of the calls."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.calls: list[dict[str, Any]] = []

    def note(
        self,
        *,
        call: str,
        id: str,
        method: str,
        url: str,
        request_headers: dict[str, str],
        request_body: Any,
        status: int | None,
        response_headers: dict[str, str],
        response_body: Any,
    ) -> None:
        """`status` None: the request was lost, and nothing was answered."""
        line = {
            "method": method,
            "url": url,
            "request_headers": _told(request_headers),
            "request_body": request_body,
            "status": status,
            "response_headers": _told(response_headers),
            "response_body": response_body,
        }
        with self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        error = response_body.get("error") if isinstance(response_body, dict) else None
        self.calls.append(
            {
                "call": call,
                "id": id,
                "body": request_body,
                "status": status,
                "error": error.get("code") if isinstance(error, dict) else None,
            }
        )


def _told(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _LEFT_OUT}
