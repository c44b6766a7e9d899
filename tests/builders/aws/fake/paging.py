"""Pages of results: AWS gives MaxResults of them at once, moto everything, so that no test with moto turns a page."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores
from moto.ec2.responses import EC2Response

from tests.builders.aws.fake.refusal import Refusal
from tests.builders.aws.fake.world import world

_NOT_WITH_IDS = {
    "DescribeInstances": "InstanceIds",
    "DescribeInstanceStatus": "InstanceIds",
    "DescribeNetworkInterfaces": "NetworkInterfaceIds",
}
"""MaxResults "cannot [be] specif[ied with] this parameter" (each action's API reference)."""

_SMALLEST = 5
_LARGEST = 1000


def install(honoured: Mapping[str, frozenset[str]]) -> None:
    """Give pages to every action that botocore knows to have them."""
    loader = botocore.session.get_session().get_component("data_loader")
    for action, shape in loader.load_service_model("ec2", "paginators-1")["pagination"].items():
        if action in honoured and "NextToken" in honoured[action]:
            name = camelcase_to_underscores(action)
            setattr(EC2Response, name, _paged(action, getattr(EC2Response, name), shape["result_key"]))


def _paged(action: str, method: Callable[[EC2Response], Any], key: str) -> Callable[[EC2Response], Any]:
    def respond(response: EC2Response) -> Any:
        given = response.normalized_request.environ["aws_fake.parameters"]
        most = given.get("MaxResults")
        if most is not None:
            if not _SMALLEST <= most <= _LARGEST:
                raise Refusal(
                    "InvalidParameterValue",
                    f"Value ( {most} ) for parameter maxResults is invalid. Expecting a value between {_SMALLEST} and "
                    f"{_LARGEST}.",
                )
            if given.get(_NOT_WITH_IDS.get(action, "")):
                raise Refusal(
                    "InvalidParameterCombination",
                    f"The parameter {_NOT_WITH_IDS[action]} cannot be used with the parameter maxResults",
                )
        result = method(response)
        if not isinstance(result, ActionResult) or not isinstance(result.result, dict):
            return result
        items = list(result.result.get(key) or ())
        start = _start(given.get("NextToken"), action)
        sizes = [it for it in (most, world.settings.page_size) if it is not None]
        end = start + min(sizes) if sizes else len(items)
        page = {**result.result, key: items[start:end]}
        page["NextToken"] = _token(action, end) if end < len(items) else None
        return ActionResult(page)

    respond.__name__ = method.__name__
    return respond


def _token(action: str, start: int) -> str:
    return base64.urlsafe_b64encode(f"{action}:{start}".encode()).decode()


def _start(token: str | None, action: str) -> int:
    if token is None:
        return 0
    try:
        named, _, start = base64.urlsafe_b64decode(token).decode().partition(":")
        if named == action:
            return int(start)
    except ValueError:
        pass
    raise Refusal("InvalidNextToken", f"The token '{token}' is invalid")
