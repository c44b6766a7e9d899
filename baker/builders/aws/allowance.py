"""What the account lets a bake have: processors within its quotas, keys to encrypt with, and images to share."""

from collections.abc import Iterator, Mapping
from typing import Any

from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import AwsError
from baker.builders.aws.spec import Aws
from baker.ports import Problem
from baker.recipe import Share

_STANDARD = "acdhimrtz"
"""The families of the quotas below, by their first letter: https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
Others have quotas of their own, whose codes nobody here has seen; EC2 itself says when they are used up."""

_ON_DEMAND = ("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances")
_SPOT = ("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests")


def instance_type(name: str, cloud: Cloud) -> Mapping[str, Any] | None:
    try:
        found = cloud.ask("describe_instance_types", InstanceTypes=[name])["InstanceTypes"]
    except AwsError as error:
        if error.code in ("InvalidInstanceType", "InvalidInstanceType.NotFound", "InvalidParameterValue"):
            return None
        raise
    return dict(found[0]) if found else None


def quota_problems(spec: Aws, cloud: Cloud) -> Iterator[Problem]:
    """Whether any of the wanted types fits into what is left of the quota of processors. Who may not ask learns it at
    the launch."""
    if not all(name[0] in _STANDARD for name in spec.instance_types):
        return
    needs = {name: _processors(kind) for name in spec.instance_types if (kind := instance_type(name, cloud))}
    if not needs:
        return
    smallest = min(needs, key=lambda name: needs[name])
    refusals = [
        problem
        for spot in {"never": (False,), "prefer": (True, False), "only": (True,)}[spec.spot]
        if (problem := _quota_problem(smallest, needs[smallest], cloud, spot=spot))
    ]
    if len(refusals) == (2 if spec.spot == "prefer" else 1):
        yield refusals[-1]


def _quota_problem(name: str, processors: int, cloud: Cloud, *, spot: bool) -> Problem | None:
    code, title = _SPOT if spot else _ON_DEMAND
    try:
        answer = cloud.ask("get_service_quota", "service-quotas", ServiceCode="ec2", QuotaCode=code)
    except AwsError as error:
        if "Denied" in error.code or "NotAuthorized" in error.code:
            return None
        raise
    limit, used = int(answer["Quota"]["Value"]), _in_use(cloud, spot=spot)
    if used + processors <= limit:
        return None
    return Problem(
        summary=f"the quota of {'spot' if spot else 'on-demand'} processors in {cloud.region} is {limit}, "
        f"{used} are in use, and {name} needs {processors} (VcpuLimitExceeded)",
        hint=f'end other machines, or ask for more in the console under Service Quotas, EC2: "{title}" ({code})',
    )


def _in_use(cloud: Cloud, *, spot: bool) -> int:
    """Processors of the machines that run now and count for the quota."""
    filters = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    reservations = cloud.all_of("describe_instances", "Reservations", Filters=filters)
    names = [
        str(instance["InstanceType"])
        for reservation in reservations
        for instance in reservation["Instances"]
        if (instance.get("InstanceLifecycle") == "spot") == spot and instance["InstanceType"][0] in _STANDARD
    ]
    each = {name: _processors(instance_type(name, cloud) or {}) for name in set(names)}
    return sum(each[name] for name in names)


def _processors(kind: Mapping[str, Any]) -> int:
    return int(kind.get("VCpuInfo", {}).get("DefaultVCpus", 0))


def key_problems(spec: Aws, cloud: Cloud) -> Iterator[Problem]:
    """Whether the keys that the volumes name are there: EC2 ends a machine whose key it cannot use, with no error."""
    for key in sorted({volume.kms_key for volume in (spec.root, spec.data) if volume.kms_key}):
        state = _key(key, cloud).get("KeyState")
        if state != "Enabled":
            yield Problem(
                summary=f"the encryption key {key} is {str(state).lower()}", hint="enable it, or name another kms_key"
            )


def sharing_problems(spec: Aws, share: Share, cloud: Cloud) -> Iterator[Problem]:
    """An image encrypted with AWS's own key can be shared with nobody, and the account may encrypt by default, in each
    region as it likes."""
    if not share.targets and not share.public:
        return
    yield from _at_home(spec, share, cloud)
    for region in share.regions:
        if region != cloud.region:
            yield from _elsewhere(spec, share, cloud.in_region(region))


def _at_home(spec: Aws, share: Share, cloud: Cloud) -> Iterator[Problem]:
    volumes = (spec.root, spec.data)
    by_default = any(volume.encrypted is None and not volume.kms_key for volume in volumes)
    keyless = any(volume.encrypted and not volume.kms_key for volume in volumes)
    if by_default and _encrypts_by_default(cloud):
        keyless = True
    if (keyless and _default_key_is_aws_s(cloud)) or any(
        _key(volume.kms_key, cloud).get("KeyManager") == "AWS" for volume in volumes if volume.kms_key
    ):
        yield Problem(
            summary="the image would be encrypted with AWS's own key, and could not be shared with another account",
            hint="give the volumes a key of yours: Aws(root=Volume(kms_key=...), data=Volume(kms_key=...))",
        )
    elif share.public and (keyless or any(volume.kms_key for volume in volumes)):
        yield Problem(
            summary="the image would be encrypted, and an encrypted image cannot be public",
            hint="Aws(root=Volume(encrypted=False), data=Volume(encrypted=False)), where the account permits it",
        )
    yield from _blocked(share, cloud)


def _elsewhere(spec: Aws, share: Share, cloud: Cloud) -> Iterator[Problem]:
    """A copy is encrypted with the default key of its region when the original is encrypted, or the region says so."""
    encrypted = any(volume.encrypted or volume.kms_key for volume in (spec.root, spec.data))
    if (encrypted or _encrypts_by_default(cloud)) and _default_key_is_aws_s(cloud):
        yield Problem(
            summary=f"the copy in {cloud.region} would be encrypted with AWS's own key, and could not be shared there",
            hint=f"`aws ec2 modify-ebs-default-kms-key-id --region {cloud.region} --kms-key-id ...` names one of yours",
        )
    yield from _blocked(share, cloud)


def _blocked(share: Share, cloud: Cloud) -> Iterator[Problem]:
    if not share.public:
        return
    state = cloud.ask("get_image_block_public_access_state").get("ImageBlockPublicAccessState")
    if state != "unblocked":
        yield Problem(
            summary=f"this account blocks public images in {cloud.region}",
            hint=f"`aws ec2 disable-image-block-public-access --region {cloud.region}`, "
            "if the image shall really be public",
        )


def _encrypts_by_default(cloud: Cloud) -> bool:
    return bool(cloud.ask("get_ebs_encryption_by_default").get("EbsEncryptionByDefault"))


def _default_key_is_aws_s(cloud: Cloud) -> bool:
    key = str(cloud.ask("get_ebs_default_kms_key_id").get("KmsKeyId", ""))
    return key.endswith("alias/aws/ebs") or not key


def _key(key: str, cloud: Cloud) -> dict[str, Any]:
    return dict(cloud.ask("describe_key", "kms", KeyId=key)["KeyMetadata"])
