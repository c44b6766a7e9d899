"""The test's own way in: what to turn, what to spoil, what to know. JSON over HTTP, below /fake/."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.builders.aws.fake import audit, seed
from tests.builders.aws.fake.faults import Fault
from tests.builders.aws.fake.gate import Environ, Gate
from tests.builders.aws.fake.instance import INTERRUPTED
from tests.builders.aws.fake.wiring import start_over
from tests.builders.aws.fake.world import world

PREFIX = "/fake/"


class Control:
    """A WSGI application: the gate, and the control beside it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self._gate(environ, start_response)
        if path == f"{PREFIX}caller-address":  # for the builder, as a service on the internet would say it
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [f"{world.settings.caller_address}\n".encode()]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            with world.lock:
                world.tick()
                answer = self._do(environ["REQUEST_METHOD"], path.removeprefix(PREFIX), json.loads(body or b"null"))
                world.tick()
        except (KeyError, TypeError, ValueError) as error:
            start_response("400 NO", [("Content-Type", "text/plain")])
            return [f"{type(error).__name__}: {error}".encode()]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def _do(self, method: str, what: str, given: Any) -> Any:
        match method, what:
            case "GET", "journal":
                return self._gate.journal()
            case "GET", "account":
                return audit.inventory()
            case "GET", "settings":
                return world.settings.as_json()
            case "POST", "settings":
                world.settings.change(given)
            case "GET", "faults":
                return [it.as_json() for it in world.faults]
            case "POST", "faults":
                world.faults.append(Fault(**given))
            case "DELETE", "faults":
                world.faults.clear()
            case "POST", "policies":
                world.policies[given["access_key"]] = given["document"]
            case "DELETE", "policies":
                world.policies.clear()
            case "POST", "expired":
                world.expired.add(given["access_key"])
            case "DELETE", "expired":
                world.expired.clear()
            case "POST", "no-default-network":
                seed.remove_default_network(**given)
            case "POST", "look-alikes":
                seed.look_alikes(**given)
            case "POST", "reset":
                start_over()
                self._gate.forget()
            case "POST", "die":
                reason = given.get("reason", "Server.InternalError")
                text = INTERRUPTED[1] if reason == INTERRUPTED[0] else f"{reason}: internal error"
                _instance(given["instance"]).die(reason, text)
            case _:
                raise ValueError(f"there is no {method} {PREFIX}{what}")
        return None


def _instance(id: str) -> Any:
    return next(it for it in world.instances() if it.id == id)
