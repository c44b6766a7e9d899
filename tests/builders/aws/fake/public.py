"""What AWS offers to everybody: images of Canonical, Debian and Amazon, the parameters that name them, quotas.

A stranger's image with a name as Canonical's, and newer, is among them: whoever looks for an image by its name alone,
without an owner, gets that one.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from tests.builders.aws.fake.images import Image
from tests.builders.aws.fake.refusal import Refusal
from tests.builders.aws.fake.settings import ACCOUNT
from tests.builders.aws.fake.world import Call, world

CANONICAL, DEBIAN, AMAZON, STRANGER = "099720109477", "136693071363", "137112412989", "666666666666"

_OFFERED = (
    (CANONICAL, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-{}", "x86_64", ("20250610", "20250821")),
    (CANONICAL, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-{}", "arm64", ("20250821",)),
    (CANONICAL, "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-{}", "x86_64", ("20250815",)),
    (DEBIAN, "debian-12-amd64-{}", "x86_64", ("20250703-2162", "20250814-2204")),
    (DEBIAN, "debian-12-arm64-{}", "arm64", ("20250814-2204",)),
    (DEBIAN, "debian-13-amd64-{}", "x86_64", ("20250814-2205",)),
    (AMAZON, "al2023-ami-2023.8.{}-kernel-6.1-x86_64", "x86_64", ("20250818.0",)),
    (STRANGER, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-{}", "x86_64", ("20991231",)),
)

_DEFAULT_USERS = {CANONICAL: "ubuntu", DEBIAN: "admin", AMAZON: "ec2-user", STRANGER: "ubuntu"}

_PARAMETERS = {
    "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id": _OFFERED[0],
    "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id": _OFFERED[1],
    "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id": _OFFERED[2],
    "/aws/service/debian/release/12/latest/amd64": _OFFERED[3],
    "/aws/service/debian/release/12/latest/arm64": _OFFERED[4],
    "/aws/service/debian/release/13/latest/amd64": _OFFERED[5],
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64": _OFFERED[6],
}
"""The newest of each."""

_QUOTAS = {
    "L-1216C47A": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    "L-34B43A08": "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
}


def image_id(region: str, owner: str, name: str) -> str:
    """The same in every fake."""
    return "ami-" + hashlib.sha256(f"{region} {owner} {name}".encode()).hexdigest()[:17]


def load_images(backend: Any) -> None:
    """In place of moto's, at a backend's birth."""
    for owner, pattern, architecture, dates in _OFFERED:
        for date in dates:
            name = pattern.format(date)
            id = image_id(backend.region_name, owner, name)
            day = date.replace(".", "")[:8]
            root = "/dev/xvda" if owner in (DEBIAN, AMAZON) else "/dev/sda1"
            backend.amis[id] = Image(
                backend,
                id=id,
                name=name,
                owner=owner,
                state="available",
                architecture=architecture,
                boot_mode="uefi" if architecture == "arm64" else "uefi-preferred",
                default_user=_DEFAULT_USERS[owner],
                creation_date=datetime.strptime(day, "%Y%m%d"),
                owner_alias="amazon" if owner in (CANONICAL, AMAZON) else None,
                image_owner_alias="amazon" if owner in (CANONICAL, AMAZON) else None,
                imds_support="v2.0" if owner == AMAZON else None,
                root_device_name=root,
                launch_permissions=[{"Group": "all"}],
                deprecation_time="2025-12-31T00:00:00.000Z" if date != dates[-1] else None,
                block_device_mappings=[
                    {
                        "DeviceName": root,
                        "Ebs": {
                            "SnapshotId": "snap-" + id[4:],
                            "VolumeSize": 8,
                            "VolumeType": "gp3",
                            "Iops": 3000,
                            "Throughput": 125,
                            "DeleteOnTermination": True,
                            "Encrypted": False,
                        },
                    }
                ],
            )


def get_ebs_default_kms_key_id(call: Call) -> Any:
    return {"KmsKeyId": call.backend.default_kms_key_id or "alias/aws/ebs"}


def answer_ssm(action: str, region: str, given: dict[str, Any]) -> dict[str, Any] | None:
    """A public parameter; None: none that is asked for here."""
    if action == "GetParameter" and given.get("Name", "").startswith("/aws/service/"):
        return {"Parameter": _parameter(region, given["Name"])}
    if action == "GetParameters" and all(it.startswith("/aws/service/") for it in given.get("Names", [])):
        known = [it for it in given["Names"] if it in _PARAMETERS]
        invalid = [it for it in given["Names"] if it not in _PARAMETERS]
        return {"Parameters": [_parameter(region, it) for it in known], "InvalidParameters": invalid}
    if action == "GetParametersByPath" and given.get("Path", "").startswith("/aws/service/"):
        path = given["Path"].rstrip("/") + "/"
        return {"Parameters": [_parameter(region, it) for it in sorted(_PARAMETERS) if it.startswith(path)]}
    return None


def answer_quotas(action: str, given: dict[str, Any]) -> dict[str, Any]:
    """Service Quotas of EC2. Refusal."""
    if given.get("ServiceCode") != "ec2":
        raise Refusal("NotInTheFake", f"quotas of {given.get('ServiceCode')}")
    if action == "ListServiceQuotas":
        return {"Quotas": [_quota(it) for it in _QUOTAS]}
    if action not in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
        raise Refusal("NotInTheFake", f"{action} of Service Quotas")
    if given["QuotaCode"] not in _QUOTAS:
        raise Refusal("NoSuchResourceException", "The request failed because the specified quota does not exist.")
    return {"Quota": _quota(given["QuotaCode"])}


def _parameter(region: str, name: str) -> dict[str, Any]:
    if name not in _PARAMETERS:
        raise Refusal("ParameterNotFound", f"Parameter {name} not found.")
    owner, pattern, _, dates = _PARAMETERS[name]
    return {
        "Name": name,
        "Type": "String",
        "Value": image_id(region, owner, pattern.format(dates[-1])),
        "Version": 1,
        "LastModifiedDate": datetime.now(UTC).timestamp(),
        "ARN": f"arn:aws:ssm:{region}::parameter{name}",
        "DataType": "aws:ec2:image",
    }


def _quota(code: str) -> dict[str, Any]:
    return {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:aws:servicequotas:eu-central-1:{ACCOUNT}:ec2/{code}",
        "QuotaCode": code,
        "QuotaName": _QUOTAS[code],
        "Value": world.settings.quotas[code],
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def as_json(answer: dict[str, Any]) -> bytes:
    """A body."""
    return json.dumps(answer).encode()
