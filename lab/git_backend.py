"""Answers git over HTTP by git's own server side, `git http-backend`, as a CGI program.

Repositories are read-only: git refuses a push without an authenticated user, and nobody is one here.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRequest:
    """An HTTP request; `path` is below the folder of repositories, names of headers are lower-case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GitReply:
    status: int
    headers: Mapping[str, str]
    body: bytes


def answer(request: GitRequest, repositories: Path) -> GitReply:
    """Let git answer; 500 when it cannot even do that."""
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(repositories),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        # The lab may be served by another user than it was made by; git would refuse that repository.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(
        ["git", "http-backend"], input=request.body, env=environment, capture_output=True, check=False
    )
    head, separator, body = done.stdout.partition(b"\r\n\r\n")
    if done.returncode or not separator:
        return GitReply(status=500, headers={"Content-Type": "text/plain"}, body=done.stderr)
    headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n"))
    status = int(headers.pop("Status", "200 OK").split()[0])
    headers.pop("Content-Length", None)
    return GitReply(status=status, headers=headers, body=body)
