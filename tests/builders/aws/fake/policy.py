"""Identity policies, as far as a baker's go: actions, resources, and conditions on tags.

What a call needs is what the service authorization reference for EC2 lists: every resource that it names, with its
tags; every kind that it makes, with the tags that it asks for; `ec2:CreateTags` for tags given at creation; and
`iam:PassRole` for an instance profile. An operator or a condition key that is not known here is refused
aloud (NotInTheFake), so that no policy passes for one that was tried. Not evaluated: resource policies, permission
boundaries, session policies, organisations' policies, and `kms:*`, which EC2 asks for on the caller's behalf.
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from tests.builders.aws.fake.refusal import Refusal

_KINDS = {
    "i": "instance", "vol": "volume", "ami": "image", "snap": "snapshot", "sg": "security-group", "key": "key-pair",
    "eni": "network-interface", "subnet": "subnet", "vpc": "vpc", "eipalloc": "elastic-ip",
    "sir": "spot-instances-request", "rtb": "route-table", "igw": "internet-gateway", "lt": "launch-template",
}  # fmt: skip

_MAKES = {
    "AllocateAddress": ("elastic-ip",),
    "AuthorizeSecurityGroupIngress": ("security-group-rule",),
    "CopyImage": ("image", "snapshot"),
    "CreateImage": ("image", "snapshot"),
    "CreateKeyPair": ("key-pair",),
    "CreateSecurityGroup": ("security-group",),
    "CreateSnapshot": ("snapshot",),
    "CreateVolume": ("volume",),
    "ImportKeyPair": ("key-pair",),
    "RunInstances": ("instance", "volume", "network-interface"),
}

_WITHOUT_ACCOUNT = ("image", "snapshot")
_NOT_OF_RESOURCES = ("Describe", "Get", "List")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One permission that a call needs: an action on a resource, and what conditions may ask about it."""

    action: str
    resource: str
    keys: dict[str, list[str]] = field(default_factory=dict)


def check(
    document: dict[str, Any], service: str, action: str, given: dict[str, Any], *, region: str, account: str
) -> None:
    """Refusal when the policy does not allow all that the call needs."""
    for wanted in needs(service, action, given, region=region, account=account):
        statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
        fitting = [it["Effect"] for it in statements if _fits(it, wanted)]
        if "Deny" in fitting or "Allow" not in fitting:
            raise Refusal(
                "UnauthorizedOperation" if service == "ec2" else "AccessDenied",
                f"You are not authorized to perform this operation. User: arn:aws:iam::{account}:user/baker is not "
                f"authorized to perform: {wanted.action} on resource: {wanted.resource} because "
                + (
                    "of an explicit deny"
                    if "Deny" in fitting
                    else f"no identity-based policy allows the {wanted.action} action"
                ),
            )


def needs(service: str, action: str, given: dict[str, Any], *, region: str, account: str) -> list[Wanted]:
    """All permissions of a call."""
    everywhere = {"aws:RequestedRegion": [region], "ec2:Region": [region]}
    if service == "sts" and action == "GetCallerIdentity":
        return []  # "No permissions are required"
    if service == "ssm":
        names = given.get("Names") or [given.get("Name") or given.get("Path")]
        own = "" if str(names[0]).startswith("/aws/") else account
        return [
            Wanted(action=f"ssm:{action}", resource=f"arn:aws:ssm:{region}:{own}:parameter{name}", keys=everywhere)
            for name in names
        ]
    if service in ("kms", "servicequotas"):
        what = given.get("KeyId", "").rpartition("key/")[2]
        what = f"key/{what}" if service == "kms" else f"{given.get('ServiceCode')}/{given.get('QuotaCode')}"
        arn = f"arn:aws:{service}:{region}:{account}:{what}"
        return [Wanted(action=f"{service}:{action}", resource=arn, keys=everywhere)]
    if service != "ec2":
        return [Wanted(action=f"{service}:{action}", resource=given.get("RoleArn", "*"), keys=everywhere)]
    if action.startswith(_NOT_OF_RESOURCES) and action != "GetConsoleOutput":
        return [Wanted(action=f"ec2:{action}", resource="*", keys=everywhere)]
    return _needs_of_ec2(action, given, everywhere, region, account)


def _needs_of_ec2(
    action: str, given: dict[str, Any], everywhere: dict[str, list[str]], region: str, account: str
) -> list[Wanted]:
    backend: Any = ec2_backends[account][region]
    asked = {it["ResourceType"]: it.get("Tags", []) for it in given.get("TagSpecifications", [])}
    wanted = []
    for kind, id in _named(given, backend, action):
        tags = backend.tags.get(id if kind != "key-pair" else _key_id(backend, id), {})
        keys = everywhere | {f"aws:ResourceTag/{key}": [value] for key, value in tags.items()}
        keys |= {
            key.replace("aws:", "ec2:", 1): value for key, value in keys.items() if key.startswith("aws:ResourceTag/")
        }
        if kind == "image" and id in backend.amis:
            image = backend.amis[id]
            keys |= {"ec2:Owner": [image.owner_alias or image.owner_id], "ec2:Public": [str(image.public).lower()]}
        if action in ("CreateTags", "DeleteTags"):
            keys |= _request_tags(given.get("Tags", []))
        wanted.append(Wanted(action=f"ec2:{action}", resource=_arn(kind, id, region, account), keys=keys))
    made = list(_MAKES.get(action, ()))
    if given.get("InstanceMarketOptions", {}).get("MarketType") == "spot":
        made.append("spot-instances-request")
    for kind in made:
        id = given.get("KeyName", "*") if kind == "key-pair" else "*"
        keys = everywhere | _request_tags(asked.get(kind, [])) | _facts(kind, given)
        wanted.append(Wanted(action=f"ec2:{action}", resource=_arn(kind, id, region, account), keys=keys))
        if asked.get(kind):
            keys = everywhere | _request_tags(asked[kind]) | {"ec2:CreateAction": [action]}
            wanted.append(Wanted(action="ec2:CreateTags", resource=_arn(kind, id, region, account), keys=keys))
    profile = given.get("IamInstanceProfile", {})
    for it in iam_backends[account]["aws"].instance_profiles.values() if profile else ():
        if profile.get("Name") == it.name or profile.get("Arn") == it.arn:
            wanted += [
                Wanted(action="iam:PassRole", resource=role.arn, keys={"iam:PassedToService": ["ec2.amazonaws.com"]})
                for role in it.roles
            ]
    return wanted or [Wanted(action=f"ec2:{action}", resource="*", keys=everywhere)]


def _named(given: dict[str, Any], backend: Any, action: str) -> list[tuple[str, str]]:
    """The resources that the parameters name: (kind, id)."""
    found: list[tuple[str, str]] = []

    def look(value: Any) -> None:
        if isinstance(value, str) and value.partition("-")[0] in _KINDS and "-" in value:
            found.append((_KINDS[value.partition("-")[0]], value))
        elif isinstance(value, dict):
            for name, it in value.items():
                if name not in (
                    "TagSpecifications",
                    "Tags",
                    "UserData",
                    "ClientToken",
                    "KeyName",
                    "GroupName",
                    "Name",
                    "Description",
                ):
                    look(it)
        elif isinstance(value, list):
            for it in value:
                look(it)

    look(given)
    if action == "DisassociateAddress":
        found += [
            ("elastic-ip", it.allocation_id)
            for it in backend.addresses
            if it.association_id == given.get("AssociationId")
        ]
    if given.get("KeyName") and "key-pair" not in _MAKES.get(action, ()):
        found.append(("key-pair", given["KeyName"]))
    if action == "RunInstances" and not any(kind == "subnet" for kind, _ in found):
        subnets = backend.get_default_subnets() if backend.get_default_vpc() else {}
        zone = given.get("Placement", {}).get("AvailabilityZone", min(subnets, default=""))
        found += [("subnet", subnets[zone].id)] if zone in subnets else []
    return list(dict.fromkeys(found))


def _key_id(backend: Any, name: str) -> str:
    return backend.key_pairs[name].id if name in backend.key_pairs else name


def _arn(kind: str, id: str, region: str, account: str) -> str:
    return f"arn:aws:ec2:{region}:{'' if kind in _WITHOUT_ACCOUNT else account}:{kind}/{id}"


def _request_tags(tags: list[dict[str, str]]) -> dict[str, list[str]]:
    keys = {f"aws:RequestTag/{it['Key']}": [it.get("Value", "")] for it in tags}
    return keys | ({"aws:TagKeys": [it["Key"] for it in tags]} if tags else {})


def _facts(kind: str, given: dict[str, Any]) -> dict[str, list[str]]:
    if kind != "instance":
        return {}
    metadata = given.get("MetadataOptions", {})
    return {
        "ec2:InstanceType": [given.get("InstanceType", "")],
        "ec2:MetadataHttpTokens": [metadata.get("HttpTokens", "optional")],
        "ec2:InstanceMarketType": [given.get("InstanceMarketOptions", {}).get("MarketType", "on-demand")],
    }


def _fits(statement: dict[str, Any], wanted: Wanted) -> bool:
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown:
        raise Refusal("NotInTheFake", f"{', '.join(sorted(unknown))} of a policy statement")
    actions, resources = _list(statement["Action"]), _list(statement["Resource"])
    if not any(fnmatchcase(wanted.action.lower(), it.lower()) for it in actions):
        return False
    if not any(fnmatchcase(wanted.resource, it) for it in resources):
        return False
    conditions = statement.get("Condition", {})
    return all(
        _holds(it, key, _list(values), wanted) for it, keys in conditions.items() for key, values in keys.items()
    )


def _holds(operator: str, key: str, values: list[str], wanted: Wanted) -> bool:
    known = ("aws:RequestTag/", "aws:ResourceTag/", "ec2:ResourceTag/")
    plain = (
        "aws:RequestedRegion", "aws:TagKeys", "ec2:CreateAction", "ec2:InstanceMarketType", "ec2:InstanceType",
        "ec2:MetadataHttpTokens", "ec2:Owner", "ec2:Public", "ec2:Region", "iam:PassedToService",
    )  # fmt: skip
    if key not in plain and not key.startswith(known):
        raise Refusal("NotInTheFake", f"the condition key {key}")
    have = wanted.keys.get(key)
    if operator == "Null":
        return (have is None) == (values == ["true"])
    if operator.endswith("IfExists"):
        if have is None:
            return True
        operator = operator.removesuffix("IfExists")
    quantifier, _, comparison = operator.rpartition(":")
    tests = {
        "StringEquals": lambda one: one in values,
        "StringLike": lambda one: any(fnmatchcase(one, it) for it in values),
        "StringNotEquals": lambda one: one not in values,
        "StringNotLike": lambda one: not any(fnmatchcase(one, it) for it in values),
        "Bool": lambda one: one in values,
    }
    if comparison not in tests or quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise Refusal("NotInTheFake", f"the condition operator {operator}")
    if quantifier == "ForAllValues":
        return all(tests[comparison](it) for it in have or ())
    if have is None:
        return comparison.startswith("StringNot")
    return any(tests[comparison](it) for it in have)


def _list(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(it).lower() if isinstance(it, bool) else str(it) for it in values]
