"""The SDK itself: its clients, its credential, its exceptions. Loaded when a builder begins to work, in half a second.

Its methods answer with plain data, as it came over the wire, and leave waiting to others: an operation that Azure has
accepted comes back at once.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from baker.builders.azure.endpoints import Endpoints
from baker.builders.azure.errors import AzureError, LostReplyError
from baker.builders.azure.operations import Operation, deepest
from baker.errors import NoAccountError

CONNECT_SECONDS, READ_SECONDS = 10, 60

_CREDENTIAL_HINT = (
    "log in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or "
    "AZURE_FEDERATED_TOKEN_FILE)"
)

_NOT_SET_UP = re.compile(r"unavailable|not found on path|is not installed|could not be found|requires the '|^Attempted")
"""What the SDK says of each place that holds no credentials: of interest is the one that does, if any."""


class _Accepted:
    """The SDK's polling method that does not poll: it keeps the first answer."""

    def __init__(self) -> None:
        self.response: Any = None

    def initialize(self, client: Any, initial_response: Any, deserialization_callback: Any) -> None:  # noqa: ARG002
        self.response = initial_response.http_response

    def finished(self) -> bool:
        return True


class Sdk:
    """Clients for one subscription. ModuleNotFoundError when the SDK is not installed."""

    def __init__(self, endpoints: Endpoints, subscription: str) -> None:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415  (half a second, and an extra)
        from azure.mgmt.compute import ComputeManagementClient  # noqa: PLC0415
        from azure.mgmt.resource.resources import ResourceManagementClient  # noqa: PLC0415

        # It tells at length of each place that holds no credentials, on its way to the one that does.
        logging.getLogger("azure").setLevel(logging.CRITICAL)
        self._endpoints = endpoints
        with refused("get a token"):
            own = {"authority": endpoints.authority} if endpoints.authority else {}
            self._credential = DefaultAzureCredential(**own)
        settings: dict[str, Any] = {
            "base_url": endpoints.manager,
            "credential_scopes": [endpoints.scope],
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
        }
        self.resources: Any = ResourceManagementClient(
            self._credential, subscription or "none", policies=self._policies(), **settings
        )
        self.compute: Any = ComputeManagementClient(
            self._credential, subscription or "none", policies=self._policies(), **settings
        )

    def token(self) -> None:
        """Get a token now. NoAccountError without credentials."""
        with refused("get a token"):
            self._credential.get_token(self._endpoints.scope)

    def get(self, id: str, version: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """A resource, or a resource group where there is no `version`."""
        if not version:
            return dict(self.call(self.resources.resource_groups.get, _group_name(id)))
        get = self.resources.resources.get_by_id
        return dict(self.call(get, id.lstrip("/"), api_version=version, params=dict(parameters)))

    def put(self, id: str, version: str, body: Mapping[str, Any]) -> Operation:
        if not version:
            self.call(self.resources.resource_groups.create_or_update, _group_name(id), dict(body))
            return Operation()
        begin = self.resources.resources.begin_create_or_update_by_id
        return self.begin(begin, id.lstrip("/"), dict(body), api_version=version, resource=id)

    def delete(self, id: str, version: str) -> Operation:
        if not version:
            return self.begin(self.resources.resource_groups.begin_delete, _group_name(id))
        return self.begin(self.resources.resources.begin_delete_by_id, id.lstrip("/"), api_version=version)

    def call(self, operation: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """What an operation of the SDK that answers at once is answered, as it came."""
        return operation(*given, cls=_as_it_came, **named)

    def begin(self, operation: Callable[..., Any], *given: Any, resource: str = "", **named: Any) -> Operation:
        """Begin a long operation. `resource` is the id of what says how far it is when nothing else does."""
        accepted = _Accepted()
        operation(*given, polling=accepted, **named)
        response = accepted.response
        return Operation.started(response.status_code, response.headers, _json(response), resource)

    def pages(self, operation: Callable[..., Any], *given: Any, **named: Any) -> list[dict[str, Any]]:
        """All entries of a list, in all its pages."""
        return [entry.as_dict() for entry in operation(*given, **named)]

    def listed(self, path: str, version: str) -> list[dict[str, Any]]:
        """All entries of a list that no operation of the SDK covers."""
        found: list[dict[str, Any]] = []
        url = f"{self._endpoints.manager}{path}?{urlencode({'api-version': version})}"
        while url:
            _, page = self._sent(url)
            found += page.get("value", ())
            url = page.get("nextLink") or ""
        return found

    def poll(self, operation: Operation) -> tuple[bool, Mapping[str, Any]]:
        """Whether an operation has ended, and what it says."""
        return operation.ended_with(*self._sent(operation.status_url or operation.location_url))

    def text(self, url: str) -> str:
        """What lies at an address that carries its own permission; no token is sent there."""
        from azure.core import PipelineClient  # noqa: PLC0415
        from azure.core.rest import HttpRequest  # noqa: PLC0415

        made: Any = PipelineClient(base_url=url, policies=[])
        with made as client:
            response = client.send_request(HttpRequest("GET", url), connection_timeout=5, read_timeout=15)
            response.raise_for_status()
            return str(response.text())

    def _sent(self, url: str) -> tuple[int, dict[str, Any]]:
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415
        from azure.core.rest import HttpRequest  # noqa: PLC0415

        response = self.resources.send_request(HttpRequest("GET", url))
        if response.status_code >= 400:
            raise HttpResponseError(response=response)
        return response.status_code, _json(response)

    def _policies(self) -> list[Any]:
        """What each request passes: the SDK's own list, without its retries and its registering of providers."""
        from azure.core.pipeline import policies  # noqa: PLC0415
        from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy  # noqa: PLC0415

        return [
            policies.RequestIdPolicy(),
            policies.HeadersPolicy(),
            policies.UserAgentPolicy("image-baker"),
            policies.ProxyPolicy(),
            policies.ContentDecodePolicy(),
            ARMChallengeAuthenticationPolicy(self._credential, self._endpoints.scope),
        ]


@contextmanager
def refused(action: str) -> Iterator[None]:
    """The SDK's exceptions turned into ours: at this border, and nowhere else."""
    from azure.core import exceptions  # noqa: PLC0415

    unanswered = (exceptions.ServiceRequestError, exceptions.ServiceResponseError, exceptions.IncompleteReadError)
    try:
        yield
    except exceptions.HttpResponseError as error:
        if error.response is None and isinstance(error, exceptions.ClientAuthenticationError):
            raise _no_credentials(error) from error
        if error.response is None or isinstance(error, exceptions.DecodeError):
            raise LostReplyError(action, type(error).__name__, str(error.message)) from error
        raise _as_azure_error(action, error.response) from error
    except unanswered as error:
        raise LostReplyError(action, type(error).__name__, str(error.message)) from error
    except (exceptions.AzureError, ValueError) as error:
        raise _no_credentials(error) from error


def _no_credentials(error: Exception) -> NoAccountError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("Visit ") and not _NOT_SET_UP.search(line)] or lines[:1]
    return NoAccountError(
        "no Azure credentials are found, or Azure does not accept them",
        details=[("the SDK says", "\n".join(said[:6]))],
        hint=_CREDENTIAL_HINT,
    )


def _as_azure_error(action: str, response: Any) -> AzureError:
    body = _json(response)
    code, message = deepest(body.get("error") or body)
    seconds = str(response.headers.get("Retry-After", ""))
    return AzureError(
        action,
        code or str(response.status_code),
        message or str(response.reason),
        int(response.status_code),
        retry_after=float(seconds) if seconds.isdecimal() else None,
    )


def _as_it_came(pipeline_response: Any, deserialized: Any, headers: Any) -> Any:  # noqa: ARG001
    return pipeline_response.http_response.json()


def _json(response: Any) -> dict[str, Any]:
    """The body of an answer; empty where it has none, or none that is an object."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _group_name(id: str) -> str:
    return id.rsplit("/", 1)[-1]
