"""The test's own way in: what to turn, what to spoil, what to know. JSON below /fake/, without a token."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.builders.azure.fake import audit, power, seed, tokens
from tests.builders.azure.fake.catalogue import VM_TYPE
from tests.builders.azure.fake.faults import Fault
from tests.builders.azure.fake.gate import Environ, Gate
from tests.builders.azure.fake.kinds import Answer
from tests.builders.azure.fake.wiring import start_over
from tests.builders.azure.fake.world import Grant, Resource, world

PREFIX = "/fake/"
_TOKENS = "/oauth2/v2.0/token"


class Control:
    """A WSGI application: the gate, and the token endpoint and the control beside it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.endswith(_TOKENS):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            with world.lock:
                status, told = tokens.issue(path.removesuffix(_TOKENS).strip("/"), body)
            return _json(start_response, Answer(status=status, body=told))
        if not path.startswith(PREFIX):
            return self._gate(environ, start_response)
        if path == f"{PREFIX}caller-address":  # for the builder, as a service on the internet would say it
            return _text(start_response, f"{world.settings.caller_address}\n")
        if path.startswith(f"{PREFIX}console/"):
            with world.lock:
                said = power.console(path.rpartition("/")[2].rpartition(".")[0])
            return _text(start_response, said or "", status=200 if said is not None else 404)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            with world.lock:
                world.tick()
                answer = self._do(environ["REQUEST_METHOD"], path.removeprefix(PREFIX), json.loads(body or b"null"))
                world.tick()
        except (KeyError, TypeError, ValueError) as error:
            return _text(start_response, f"{type(error).__name__}: {error}", status=400)
        return _json(start_response, Answer(status=200, body=answer))

    def _do(self, method: str, what: str, given: Any) -> Any:
        match method, what:
            case "GET", "journal":
                return self._gate.journal.calls
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
            case "POST", "grants":
                world.grants = [Grant(**{word: tuple(it) if isinstance(it, list) else it for word, it in one.items()})
                                for one in given]  # fmt: skip
            case "POST", "expired":
                world.expired_before, world.identity_gone = time.time(), True
            case "DELETE", "expired":
                world.identity_gone = False
            case "POST", "time":
                world.pass_time(given["seconds"])
            case "POST", "finish":
                world.finish()
            case "POST", "groups":
                seed.group(given["name"], given["location"], given.get("tags") or {})
            case "POST", "look-alikes":
                seed.look_alikes(**given)
            case "POST", "evict":
                power.evict(_machine(given["machine"]))
            case "POST", "die":
                power.die(_machine(given["machine"]))
            case "POST", "reset":
                start_over()
                self._gate.journal.calls.clear()
            case _:
                raise ValueError(f"there is no {method} {PREFIX}{what}")
        return None


def _machine(name: str) -> Resource:
    found = [it for it in world.of_type(VM_TYPE) if it.name == name or it.id == name]
    if len(found) != 1:
        raise ValueError(f"there are {len(found)} virtual machines called {name}")
    return found[0]


def _json(start_response: Callable[..., Any], answer: Answer) -> list[bytes]:
    text = json.dumps(answer.body).encode()
    headers = [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", str(len(text)))]
    start_response(f"{answer.status} X", headers)
    return [text]


def _text(start_response: Callable[..., Any], text: str, *, status: int = 200) -> list[bytes]:
    start_response(f"{status} X", [("Content-Type", "text/plain")])
    return [text.encode()]
