"""What a request may look like: read and checked against AWS's own model of its services, which botocore carries.

moto takes any parameter and drops those that it does not know; AWS refuses them, and so does this.
"""

import re
from functools import cache
from typing import Any

from botocore.model import ListShape, Shape, StructureShape
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.utils import get_service_model
from werkzeug.datastructures import MultiDict

from tests.builders.aws.fake.refusal import Refusal

_ENVELOPE = ("Action", "Version", "DryRun")
_FILTER_NAME = re.compile(r"<li> <p> <code>([a-z0-9./-]+)(?=</code>|:)")  # as the reference lists them, in HTML


@cache
def operation(service: str, action: str) -> OperationModel | None:
    """The model of an action; None when the service has none of this name."""
    model = get_service_model(service)
    return model.operation_model(action) if action in model.operation_names else None


def parameters(model: OperationModel, form: MultiDict[str, str]) -> dict[str, Any]:
    """A form as boto3 would have been called with it: names and types as in the model.

    An empty value is none, as for AWS (Packer's amazon-ebs sends `VpcId=`), but where it says something.
    """
    parser = PROTOCOL_PARSERS[str(model.service_model.protocol)](model)
    parsed = parser.parse(
        {"values": form, "method": "POST", "headers": {}, "body": b"", "url_path": "/", "url_params": {}}
    )
    return dict(_without_empty(parsed))


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: it for name, it in value.items() if it != "" or name in ("NoDevice", "Value")}
        return {name: _without_empty(it) for name, it in kept.items()}
    return [_without_empty(it) for it in value] if isinstance(value, list) else value


def check(model: OperationModel, form: MultiDict[str, str], given: dict[str, Any]) -> None:
    """Refusal for a parameter that is unknown, missing, or out of its values."""
    shape = model.input_shape
    if shape is None:
        return
    for name in form:
        if name not in _ENVELOPE and not _knows(shape, name.split(".")):
            raise Refusal("UnknownParameter", f"The parameter {name} is not recognized")
    _check_value(shape, given, "")
    for it in given.get("Filters", ()):
        name = it.get("Name", "")
        listed = _FILTER_NAME.findall(shape.members["Filters"].documentation)
        if listed and name not in listed and not name.startswith("tag:"):
            raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")


def _knows(shape: Shape, path: list[str]) -> bool:
    if isinstance(shape, StructureShape):
        if not path:
            return False
        return any(path[0] == _wire_name(it, name) and _knows(it, path[1:]) for name, it in shape.members.items())
    if isinstance(shape, ListShape):
        return not path or (path[0].isdigit() and _knows(shape.member, path[1:]))
    return not path


def _wire_name(shape: Shape, name: str) -> str:
    """As the EC2 query protocol spells a member."""
    serialization = shape.serialization
    if "queryName" in serialization:
        return str(serialization["queryName"])
    spelled = str(serialization.get("name", name))
    return spelled[0].upper() + spelled[1:]


def _check_value(shape: Shape, value: Any, name: str) -> None:
    if isinstance(shape, StructureShape):
        for member in shape.required_members:
            if member not in value:
                raise Refusal("MissingParameter", f"The request must contain the parameter {member}")
        for member, it in value.items():
            _check_value(shape.members[member], it, member)
    elif isinstance(shape, ListShape):
        for it in value:
            _check_value(shape.member, it, name)
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        raise Refusal("InvalidParameterValue", f"Invalid value '{value}' for {name}.")
    elif shape.type_name == "integer":
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if (low is not None and value < low) or (high is not None and value > high):
            raise Refusal("InvalidParameterValue", f"Value ( {value} ) for parameter {name} is invalid.")
