"""jupyter_lab.py PREFIX PORT: do with JupyterLab what a user does. Needs websocket-client (jupyter_server has it).

Starts `jupyter lab` on 127.0.0.1, asks with and without its token, computes 1+1 in a kernel over a websocket,
and shuts it down. The token is random and in the environment of the server alone, never in a command line. PORT 0
takes a free one.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import websocket  # type: ignore[import-not-found,import-untyped,unused-ignore]

START_SECONDS = 300
FIRST_REQUEST_SECONDS = 5  # whoever holds the port may never answer; then our server has ended meanwhile
REQUEST_SECONDS = 120
KERNEL_SECONDS = 240
STOP_SECONDS = 60

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Lab:
    """A server under test. `said` is the file that its output goes to."""

    def __init__(self, prefix: str, port: int, said: Path) -> None:
        self.port = port or free_port()
        self.token = secrets.token_hex(24)
        self.said = said
        command = [f"{prefix}/bin/jupyter", "lab", "--no-browser", "--ServerApp.ip=127.0.0.1"]
        command += [f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0"]
        with said.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, "JUPYTER_TOKEN": self.token},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def status_of(self, path: str, *, token: bool = True, method: str = "GET", timeout: float = REQUEST_SECONDS) -> int:
        """The HTTP status; 0 when nothing answers."""
        try:
            with self._open(path, token=token, method=method, timeout=timeout) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except (urllib.error.URLError, ConnectionError, TimeoutError, socket.timeout):  # noqa: UP041  (3.8)
            return 0

    def post(self, path: str) -> Any:
        with self._open(path, token=True, method="POST", timeout=REQUEST_SECONDS) as answer:
            return json.load(answer)

    def _open(self, path: str, *, token: bool, method: str, timeout: float) -> Any:
        headers = {"Authorization": f"token {self.token}"} if token else {}
        data = b"{}" if method == "POST" else None
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        return NO_PROXY.open(request, timeout=timeout)

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None:
            if self.status_of("/api/status", timeout=FIRST_REQUEST_SECONDS):
                return
            if time.monotonic() > deadline:
                self.fail(f"expected jupyter lab to answer within {START_SECONDS} s; it is silent")
            time.sleep(0.2)
        self.fail(f"expected jupyter lab to run on port {self.port}; it ended with {self.process.returncode}")

    def expect(self, wanted: int, path: str, *, token: bool, why: str) -> None:
        status = self.status_of(path, token=token)
        if status != wanted:
            how = "with" if token else "without"
            self.fail(f"expected {wanted} for {path} {how} the token; saw {status} ({why})")

    def compute(self, source: str) -> str:
        """The result of `source` in a new kernel, over a websocket, as the browser does it."""
        kernel, session, message_id = self.post("/api/kernels")["id"], uuid.uuid4().hex, uuid.uuid4().hex
        connection = websocket.create_connection(
            f"ws://127.0.0.1:{self.port}/api/kernels/{kernel}/channels?session_id={session}",
            header=[f"Authorization: token {self.token}"],
            timeout=KERNEL_SECONDS,
            http_no_proxy=["127.0.0.1"],
        )
        try:
            connection.send(json.dumps(execute_request(source, session, message_id)))
            return self._result_of(connection, message_id)
        finally:
            connection.close()

    def _result_of(self, connection: Any, message_id: str) -> str:
        deadline = time.monotonic() + KERNEL_SECONDS
        while time.monotonic() < deadline:
            message = json.loads(connection.recv())
            if message.get("parent_header", {}).get("msg_id") != message_id:
                continue
            if message["msg_type"] == "execute_result":
                return str(message["content"]["data"]["text/plain"])
            if message["msg_type"] == "error":
                return f"{message['content']['ename']}: {message['content']['evalue']}"
        return "nothing"

    def stop(self) -> None:
        if self.status_of("/api/shutdown", method="POST") != 200:
            self.fail("expected jupyter lab to accept a shutdown")
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.fail(f"expected jupyter lab to end within {STOP_SECONDS} s of a shutdown; it runs on")

    def kill(self) -> None:
        """Its kernels have sessions of their own; they go with the account that the check runs in."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def fail(self, complaint: str) -> None:
        last_lines = self.said.read_text(errors="replace").replace(self.token, "***").splitlines()[-10:]
        sys.exit("\n".join([complaint, "jupyter lab said:", *last_lines]))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def execute_request(source: str, session: str, message_id: str) -> dict[str, Any]:
    header = {"msg_id": message_id, "msg_type": "execute_request", "username": "", "session": session, "version": "5.3"}
    content = {"code": source, "silent": False, "store_history": False, "allow_stdin": False}
    return {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}


def main(prefix: str, port: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        lab = Lab(prefix, port, Path(temporary) / "jupyter.log")
        try:
            lab.wait_until_it_answers()
            lab.expect(403, "/api/status", token=False, why="200 would mean that anyone who reaches the port gets in")
            lab.expect(200, "/api/status", token=True, why="403 would mean that the image brings a token of its own")
            lab.expect(200, "/lab", token=True, why="the page that a user opens")
            if (result := lab.compute("1+1")) != "2":
                lab.fail(f"expected a kernel to compute 1+1 = 2; saw {result}")
            lab.stop()
        finally:
            lab.kill()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
