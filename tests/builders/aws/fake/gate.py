"""Stands before moto: every call comes through here, is written down, may be spoiled, and must be in order.

The order is that of AWS as far as it can be seen from outside: who is calling, may it call as often, is what it says
well-formed, may it do that, and then does it make sense.
"""

import base64
import contextlib
import io
import json
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sts.models import sts_backends
from werkzeug.datastructures import MultiDict

from tests.builders.aws.fake import policy, public, shapes
from tests.builders.aws.fake.faults import Fault
from tests.builders.aws.fake.install import HONOURED, OURS
from tests.builders.aws.fake.instance import INTERRUPTED
from tests.builders.aws.fake.refusal import Refusal
from tests.builders.aws.fake.settings import ACCOUNT, REGION_NOT_OPTED_IN, REGIONS
from tests.builders.aws.fake.world import Call, world

ACCESS_KEYS = ("AKIABAKERFAKE0000001", "AKIABAKERFAKE0000002")
"""The account's own; besides them, what IAM and STS gave out."""

_MODELS = {"ec2": "ec2", "sts": "sts", "iam": "iam", "ssm": "ssm", "kms": "kms", "servicequotas": "service-quotas"}
_SCOPE = re.compile(r"Credential=(?P<key>[A-Z0-9]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_CODE = re.compile(r"<Code>([^<]+)</Code>|\"__type\": ?\"([^\"]+)\"")

Environ = dict[str, Any]


@dataclass(kw_only=True)
class Request:
    """A call of any service's API."""

    service: str
    action: str
    region: str
    access_key: str | None
    form: MultiDict[str, str]
    given: dict[str, Any]


class Gate:
    """A WSGI application: moto's, behind the gate."""

    def __init__(self, journal: Path) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._journal = journal.open("a", encoding="utf-8")
        self._journal_lock = threading.Lock()
        self._number = 0

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        started = time.time()
        request = _read(environ, body)
        with world.lock:
            faults = [it for it in world.faults if it.takes(request.action, request.given)]
        for fault in faults:
            time.sleep(fault.delay)
        lost = any(it.lose for it in faults)
        if any(it.lose == "request" for it in faults):
            self._note(request, started, status=0, error="(request lost)")
            raise ConnectionResetError("the request is lost")
        page = next((it for it in faults if it.html), None)
        if page is not None:
            status, kind, answer = page.html or 502, "text/html", b"<html><body>Bad Gateway</body></html>"
        else:
            status, kind, answer = self._answer(environ, body, request, faults)
        error = _error_code(status, answer)
        self._note(request, started, status=status, error=error, lost=lost)
        if lost:
            raise ConnectionResetError("the reply is lost")
        start_response(
            f"{status} {'OK' if status < 400 else 'NO'}", [("Content-Type", kind), ("Content-Length", str(len(answer)))]
        )
        return [answer]

    def journal(self) -> list[dict[str, Any]]:
        """All calls so far."""
        with self._journal_lock:
            self._journal.flush()
            return [json.loads(line) for line in Path(self._journal.name).read_text().splitlines()]

    def forget(self) -> None:
        """Begin the journal anew."""
        with self._journal_lock:
            self._journal.truncate(0)
            self._number = 0

    def _answer(self, environ: Environ, body: bytes, request: Request, faults: list[Fault]) -> tuple[int, str, bytes]:
        try:
            spoiling = next((it for it in faults if it.error), None)
            if spoiling is not None:
                raise Refusal(spoiling.error or "", spoiling.message, spoiling.status)
            _check_caller(request)
            _check_form(request)
            with world.lock:
                return self._act(environ, body, request, faults)
        except Refusal as refusal:
            return refusal.status, *refusal.body(request.service)
        except NotImplementedError as error:
            refusal = Refusal("NotInTheFake", f"{request.action}: moto cannot do that: {error}")
            return refusal.status, *refusal.body(request.service)
        except Exception as error:  # noqa: BLE001  (a bug of the fake; 501, so that no client tries again)
            traceback.print_exc()
            refusal = Refusal("FakeIsBroken", f"{type(error).__name__}: {error}", status=501)
            return refusal.status, *refusal.body(request.service)

    def _act(self, environ: Environ, body: bytes, request: Request, faults: list[Fault]) -> tuple[int, str, bytes]:
        world.tick()
        document = world.policies.get(request.access_key or "") or world.policies.get("*")
        if document is not None:
            policy.check(
                document, request.service, request.action, request.given, region=request.region, account=ACCOUNT
            )
        if request.service == "ec2":
            dry = request.given.get("DryRun")
            if dry and request.action not in OURS:
                raise Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
            world.check_seen(_as_call(request))
        for fault in faults:
            if fault.effect == "fail-image":
                world.fail_next_image = fault.reason or "Internal error"
        answer = self._ask(environ, body, request)
        for fault in faults:
            _strike(fault, request)
        world.tick()
        return answer

    def _ask(self, environ: Environ, body: bytes, request: Request) -> tuple[int, str, bytes]:
        own = None
        if request.service == "ssm":
            own = public.answer_ssm(request.action, request.region, request.given)
        elif request.service == "servicequotas":
            own = public.answer_quotas(request.action, request.given)
        if own is not None:
            return 200, "application/x-amz-json-1.1", public.as_json(own)
        status, headers = "", [("Content-Type", "text/xml")]

        def start(given_status: str, given_headers: list[tuple[str, str]], _info: Any = None) -> None:
            nonlocal status, headers
            status, headers = given_status, given_headers

        inner = {**environ, "wsgi.input": io.BytesIO(body), "aws_fake.parameters": request.given}
        answer = b"".join(self._moto(inner, start))
        code = _error_code(int(status[:3]), answer)
        number = Refusal(code, "").status if code else int(status[:3])
        return number, dict(headers).get("Content-Type", "text/xml"), answer

    def _note(self, request: Request, started: float, **how: Any) -> None:
        with self._journal_lock:
            self._number += 1
            entry = {
                "number": self._number,
                "at": round(started, 3),
                "seconds": round(time.time() - started, 3),
                "service": request.service,
                "region": request.region,
                "action": request.action,
                "parameters": _readable(request.given),
                "access_key": request.access_key,
                **how,
            }
            self._journal.write(json.dumps(entry) + "\n")


def _as_call(request: Request) -> Call:
    return Call(action=request.action, parameters=request.given, region=request.region, account=ACCOUNT)


def _read(environ: Environ, body: bytes) -> Request:
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    form: MultiDict[str, str] = MultiDict()
    given: dict[str, Any] = {}
    if target:
        action = target.rpartition(".")[2]
        given = json.loads(body or b"{}")
    else:
        form = MultiDict(parse_qsl(body.decode(), keep_blank_values=True))
        action = form.get("Action", "")
    service = scope["service"] if scope else "sts"
    model = shapes.operation(_MODELS[service], action) if service in _MODELS else None
    if model is not None and not target:
        given = shapes.parameters(model, form)
        if form.get("DryRun") == "true":
            given["DryRun"] = True
    return Request(
        service=service,
        action=action,
        region=scope["region"] if scope else "us-east-1",
        access_key=scope["key"] if scope else None,
        form=form,
        given=given,
    )


def _check_caller(request: Request) -> None:
    ec2 = request.service == "ec2"
    if request.access_key is None:
        if request.action == "AssumeRoleWithWebIdentity":
            return
        raise Refusal("MissingAuthenticationToken", "Request is missing Authentication Token", status=403)
    if request.access_key in world.expired:
        if ec2:
            raise Refusal("RequestExpired", "Request has expired.")
        raise Refusal("ExpiredToken", "The security token included in the request is expired")
    if request.access_key not in ACCESS_KEYS and not _given_out(request.access_key):
        if ec2:
            raise Refusal("AuthFailure", "AWS was not able to validate the provided access credentials")
        raise Refusal("InvalidClientTokenId", "The security token included in the request is invalid.")
    if ec2 and request.region == REGION_NOT_OPTED_IN:
        raise Refusal("OptInRequired", "You are not subscribed to this service.", status=401)
    if ec2 and request.region not in REGIONS:
        raise Refusal("AuthFailure", "Credential should be scoped to a valid region.")


def _given_out(access_key: str) -> bool:
    if sts_backends[ACCOUNT]["aws"].get_assumed_role_from_access_key(access_key):
        return True
    return access_key in iam_backends[ACCOUNT]["aws"].access_keys


def _check_form(request: Request) -> None:
    if request.service not in _MODELS:
        raise Refusal("NotInTheFake", f"the service {request.service}")
    model = shapes.operation(_MODELS[request.service], request.action)
    if model is None:
        raise Refusal("InvalidAction", f"The action {request.action} is not valid for this web service.")
    if request.service != "ec2":
        return
    if request.action not in HONOURED:
        raise Refusal("NotInTheFake", f"the action {request.action}")
    shapes.check(model, request.form, request.given)
    unknown = set(request.given) - HONOURED[request.action]
    if unknown:
        raise Refusal("NotInTheFake", f"{', '.join(sorted(unknown))} of {request.action}")


def _strike(fault: Fault, request: Request) -> None:
    if fault.effect == "expire-credentials" and request.access_key:
        world.expired.add(request.access_key)
    for instance in world.instances():
        if instance.state not in ("pending", "running", "stopping"):
            continue
        if fault.effect == "kill-instances" and "bake:run" in instance.ec2_backend.tags.get(instance.id, {}):
            reason = fault.reason or "Server.InternalError"
            instance.die(reason, f"{reason}: internal error")
        elif fault.effect == "interrupt-spot" and instance.spot_request is not None:
            instance.die(*INTERRUPTED)


def _error_code(status: int, answer: bytes) -> str | None:
    if status < 400:
        return None
    found = _CODE.search(answer.decode("utf-8", "replace"))
    return (found[1] or found[2]) if found else f"HTTP {status}"


def _readable(value: Any) -> Any:
    """Parameters for a person, and for golden files: user data and keys as text."""
    if isinstance(value, dict):
        return {name: _user_data(it) if name == "UserData" else _readable(it) for name, it in value.items()}
    if isinstance(value, (list, tuple)):
        return [_readable(it) for it in value]
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _user_data(value: Any) -> str:
    with contextlib.suppress(ValueError):
        return base64.b64decode(value).decode()
    return str(value)
