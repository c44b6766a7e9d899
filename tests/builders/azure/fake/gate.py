"""What every call goes through: token, api-version, route, registration, rights, faults, shape, journal. A WSGI app."""

import copy
import json
import time
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

from tests.builders.azure.fake import power, routes, tokens
from tests.builders.azure.fake.faults import Fault
from tests.builders.azure.fake.groups import check_registered
from tests.builders.azure.fake.ids import canonical, name_of, new_guid
from tests.builders.azure.fake.journal import Journal
from tests.builders.azure.fake.kinds import Answer, Call
from tests.builders.azure.fake.refusal import Refusal
from tests.builders.azure.fake.rights import require
from tests.builders.azure.fake.settings import SUBSCRIPTION
from tests.builders.azure.fake.world import world

Environ = dict[str, Any]
_SERVED_BY_OPERATIONS = ("/operations/", "/diskoperations/", "/capsoperations/", "/operationresults/")


class Gate:
    """See the module."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].rstrip("/")
        query = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", "")))
        sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        base = f"https://{environ['HTTP_HOST']}"
        route, methods = routes.find(path, method)
        path = canonical(path)
        call, id = (route.name, route.id(path)) if route else (f"{method} {path}", path)
        with world.lock:
            world.tick()
            faults = [it for it in world.faults if it.takes(call, name_of(id))]
        for fault in faults:
            time.sleep(fault.delay)
        body, answer = None, None
        if not any(it.lose == "request" for it in faults):
            with world.lock:
                world.tick()
                try:
                    body = _read(sent)
                    tokens.check(environ.get("HTTP_AUTHORIZATION"), base)
                    answer = self._answer(route, methods, method, path, query, body, base, faults)
                except Refusal as refusal:
                    answer = Answer(status=refusal.status, body=refusal.body(), headers=refusal.headers)
                _take_effect(faults)
                world.tick()
        headers = {} if answer is None else self._headers(environ, answer)
        shown = copy.deepcopy(answer.body) if answer is not None else None
        if method == "HEAD":
            shown = None
        self.journal.note(
            call=call,
            id=id,
            method=method,
            url=base + path + (f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""),
            request_headers=_request_headers(environ),
            request_body=body,
            status=answer.status if answer else None,
            response_headers=headers,
            response_body=shown,
        )
        if answer is None or any(it.lose for it in faults):
            raise ConnectionResetError("the request, or the reply, is lost")
        text = b"" if shown is None else json.dumps(shown).encode()
        start_response(f"{answer.status} X", [*headers.items(), ("Content-Length", str(len(text)))])
        return [text]

    def _answer(
        self,
        route: routes.Route | None,
        methods: set[str],
        method: str,
        path: str,
        query: dict[str, str],
        body: Any,
        base: str,
        faults: list[Fault],
    ) -> Answer:
        version = query.get("api-version")
        if not version:
            raise Refusal(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        _check_subscription(path)
        if any(it in path.lower() for it in _SERVED_BY_OPERATIONS):
            _refuse(faults)
            return _operation(path, query, base)
        if route is None:
            raise _no_route(path, methods)
        if version not in route.versions:
            raise Refusal(
                400,
                "NoRegisteredProviderFound",
                f"No registered resource provider found for API version '{version}' for type "
                f"'{route.name.partition('/')[2]}'. The supported api-versions are "
                f"'{', '.join(sorted(route.versions))}'.",
            )
        check_registered(route.namespace)
        id = route.id(path)
        scope = id.rpartition("/providers/Microsoft.Authorization/")[0] or id
        scope = scope.rpartition("/providers/Microsoft.Resources/tags/")[0] or scope
        if route.right is not None:
            require(route.right, scope)
        _refuse(faults)
        if route.shape is not None:
            route.shape(body)
        world.later_failure = next((it.later for it in faults if it.later), None)
        call = Call(
            method=method, name=route.name, id=id, version=version, query=query, body=body, base=base
        )  # fmt: skip
        try:
            answer = route.handler(call)
        finally:
            world.later_failure = None
        return _page(answer, query, base + path)

    @staticmethod
    def _headers(environ: Environ, answer: Answer) -> dict[str, str]:
        headers = {"x-ms-request-id": new_guid(), "x-ms-correlation-request-id": new_guid(), **answer.headers}
        if answer.body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        under_way = "Azure-AsyncOperation" in headers or "Location" in headers
        in_progress = isinstance(answer.body, dict) and answer.body.get("status") == "InProgress"
        if (under_way or in_progress) and world.settings.retry_after is not None:
            headers.setdefault("Retry-After", str(world.settings.retry_after))
        return headers


def _operation(path: str, query: dict[str, str], base: str) -> Answer:
    operation = world.operations.get(name_of(path))
    if operation is None:
        raise Refusal(404, "NotFound", f"The entity was not found: operation {name_of(path)}.")
    operation.polls += 1
    world.tick()
    monitor = query.get("monitor") == "true" or "/operationresults/" in path.lower()
    if not monitor:
        return Answer(status=200, body=operation.as_json())
    if operation.status == "InProgress":
        return Answer(status=202, headers=operation.headers(base, asynchronous=False, monitor=True))
    if operation.failure:
        raise Refusal(409, *operation.failure)
    output = operation.output()
    return Answer(status=200, body=output)


def _page(answer: Answer, query: dict[str, str], url: str) -> Answer:
    """A list's next items, and where those after them are."""
    size = world.settings.page_size
    if size is None or not isinstance(answer.body, dict) or not isinstance(answer.body.get("value"), list):
        return answer
    items, start = answer.body["value"], int(query.get("$skiptoken", "0"))
    answer.body["value"] = items[start : start + size]
    if start + size < len(items):
        rest = urllib.parse.urlencode(query | {"$skiptoken": str(start + size)})
        answer.body["nextLink"] = f"{url}?{rest}"
    return answer


def _refuse(faults: list[Fault]) -> None:
    fault = next((it for it in faults if it.error), None)
    if fault is not None:
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        raise Refusal(fault.status, str(fault.error), fault.message, headers=headers)


def _take_effect(faults: list[Fault]) -> None:
    for fault in faults:
        match fault.effect:
            case "evict":
                power.evict_all()
            case "expire-tokens":
                world.expired_before, world.identity_gone = time.time(), True
            case "kill-machines":
                power.kill_all()


def _check_subscription(path: str) -> None:
    words = path.split("/")
    if len(words) > 2 and words[1].lower() == "subscriptions" and words[2].lower() != SUBSCRIPTION:
        raise Refusal(404, "SubscriptionNotFound", f"The subscription '{words[2]}' could not be found.")


def _no_route(path: str, methods: set[str]) -> Refusal:
    if methods:
        return Refusal(
            405,
            "HttpMethodNotAllowed",
            f"The requested resource does not support this http method; it supports {', '.join(sorted(methods))}.",
            headers={"Allow": ", ".join(sorted(methods))},
        )
    _, found, words = path.rpartition("/providers/")
    namespace = words.split("/")[0]
    if found and namespace.lower() not in routes.namespaces():
        return Refusal(
            404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid, or not in this fake."
        )
    return Refusal(
        404, "InvalidResourceType", f"The resource type of {path} could not be found, or is not in this fake."
    )


def _read(sent: bytes) -> Any:
    if not sent:
        return None
    try:
        return json.loads(sent)
    except ValueError as error:
        raise Refusal(
            400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{error}'."
        ) from error


def _request_headers(environ: Environ) -> dict[str, str]:
    named = {
        name[5:].replace("_", "-").title(): str(value) for name, value in environ.items() if name.startswith("HTTP_")
    }
    if environ.get("CONTENT_TYPE"):
        named["Content-Type"] = environ["CONTENT_TYPE"]
    return named
