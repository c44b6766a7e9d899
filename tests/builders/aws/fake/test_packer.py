"""Somebody else's client, which needs of EC2 what we did not think of: Packer's amazon-ebs, unchanged, bakes here."""

import json
import subprocess

import pytest

from tests.builders.aws.fake.client import ACCESS_KEY, REGION, SECRET_KEY

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("aws-machines")]


def template(url):
    return {
        "builders": [
            {
                "type": "amazon-ebs",
                "region": REGION,
                "custom_endpoint_ec2": url,
                "skip_region_validation": True,
                "skip_metadata_api_check": True,
                "access_key": ACCESS_KEY,
                "secret_key": SECRET_KEY,
                "ami_name": "ocean-{{timestamp}}",
                "instance_type": "t3.micro",
                "ssh_username": "admin",
                "source_ami_filter": {
                    "filters": {"name": "debian-12-amd64-*"},
                    "owners": ["136693071363"],
                    "most_recent": True,
                },
                "temporary_security_group_source_cidrs": ["127.0.0.1/32"],
                "aws_polling": {"delay_seconds": 1},
                "run_tags": {"bake:run": "packers"},
                "tags": {"bake:run": "packers"},
            }
        ],
        "provisioners": [{"type": "shell", "inline": ["echo done by packer"]}],
    }


def test_packer_bakes_and_leaves_its_image_alone(aws_with_machines, tmp_path):
    before = aws_with_machines.account()
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template(aws_with_machines.url)))
    ended = subprocess.run(
        ["packer", "build", "-color=false", str(file)],
        env={**aws_with_machines.environment, "CHECKPOINT_DISABLE": "1", "PACKER_CONFIG_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    assert "done by packer" in ended.stdout
    (image,) = [it["id"] for it in aws_with_machines.ours() if it["kind"] == "image"]
    aws_with_machines.assert_clean(before, kept=[image])
