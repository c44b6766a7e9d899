"""Puts the fake's actions into moto's EC2, in place of moto's own or beside them.

The names of moto that are used here are no public interface of it; `test_moto_names.py` says which, and fails when a
version of moto has others.
"""

from collections.abc import Callable
from typing import Any

import moto.ec2.models.amis
import moto.ec2.models.elastic_network_interfaces
import moto.ec2.models.instances
import moto.ec2.utils
from botocore import xform_name
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import camelcase_to_underscores
from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import AmiBackend
from moto.ec2.responses import EC2Response

from tests.builders.aws.fake import images, instances, paging, public, resources, seed
from tests.builders.aws.fake.instance import FakeInstance
from tests.builders.aws.fake.world import Call, world

Handler = Callable[[Call], Any]

OURS: dict[str, tuple[Handler, str]] = {
    "AllocateAddress": (resources.allocate_address, "Domain TagSpecifications"),
    "AssociateAddress": (
        resources.associate_address, "AllocationId InstanceId NetworkInterfaceId AllowReassociation"
    ),
    "CancelSpotInstanceRequests": (instances.cancel_spot_instance_requests, "SpotInstanceRequestIds"),
    "CopyImage": (
        images.copy_image,
        "ClientToken CopyImageTags Description Encrypted KmsKeyId Name SourceImageId SourceRegion TagSpecifications",
    ),
    "CreateImage": (
        images.create_image, "BlockDeviceMappings Description InstanceId Name NoReboot TagSpecifications"
    ),
    "CreateKeyPair": (resources.create_key_pair, "KeyName KeyType KeyFormat TagSpecifications"),
    "CreateSecurityGroup": (resources.create_security_group, "Description GroupName VpcId TagSpecifications"),
    "CreateSnapshot": (resources.create_snapshot, "Description VolumeId TagSpecifications"),
    "CreateSubnet": (resources.create_subnet, "AvailabilityZone CidrBlock TagSpecifications VpcId"),
    "CreateTags": (resources.create_tags, "Resources Tags"),
    "DeleteKeyPair": (resources.delete_key_pair, "KeyName KeyPairId"),
    "DeleteSecurityGroup": (resources.delete_security_group, "GroupId GroupName"),
    "DeleteSnapshot": (images.delete_snapshot, "SnapshotId"),
    "DeleteTags": (resources.delete_tags, "Resources Tags"),
    "DeregisterImage": (images.deregister_image, "ImageId DeleteAssociatedSnapshots"),
    "DescribeAddresses": (resources.describe_addresses, "AllocationIds Filters PublicIps"),
    "DescribeImageAttribute": (images.describe_image_attribute, "Attribute ImageId"),
    "DescribeImages": (
        images.describe_images,
        "ExecutableUsers Filters ImageIds IncludeDeprecated IncludeDisabled MaxResults NextToken Owners",
    ),
    "DescribeInstances": (instances.describe_instances, "Filters InstanceIds MaxResults NextToken"),
    "DescribeInstanceStatus": (
        instances.describe_instance_status, "Filters IncludeAllInstances InstanceIds MaxResults NextToken"
    ),
    "DescribeKeyPairs": (resources.describe_key_pairs, "Filters IncludePublicKey KeyNames KeyPairIds"),
    "DescribeRegions": (resources.describe_regions, "AllRegions Filters RegionNames"),
    "DescribeSnapshots": (images.describe_snapshots, "Filters MaxResults NextToken OwnerIds SnapshotIds"),
    "DescribeSpotInstanceRequests": (
        instances.describe_spot_instance_requests, "Filters MaxResults NextToken SpotInstanceRequestIds"
    ),
    "DisableImage": (images.disable_image, "ImageId"),
    "DisableImageBlockPublicAccess": (images.disable_image_block_public_access, ""),
    "DisableImageDeprecation": (images.disable_image_deprecation, "ImageId"),
    "DisableImageDeregistrationProtection": (images.disable_image_deregistration_protection, "ImageId"),
    "DisassociateAddress": (resources.disassociate_address, "AssociationId"),
    "EnableImage": (images.enable_image, "ImageId"),
    "EnableImageBlockPublicAccess": (images.enable_image_block_public_access, "ImageBlockPublicAccessState"),
    "EnableImageDeprecation": (images.enable_image_deprecation, "DeprecateAt ImageId"),
    "EnableImageDeregistrationProtection": (images.enable_image_deregistration_protection, "ImageId WithCooldown"),
    "GetConsoleOutput": (instances.get_console_output, "InstanceId Latest"),
    "GetEbsDefaultKmsKeyId": (public.get_ebs_default_kms_key_id, ""),
    "GetImageBlockPublicAccessState": (images.get_image_block_public_access_state, ""),
    "ImportKeyPair": (resources.import_key_pair, "KeyName PublicKeyMaterial TagSpecifications"),
    "ModifyImageAttribute": (
        images.modify_image_attribute,
        "Attribute Description ImageId ImdsSupport LaunchPermission OperationType OrganizationArns "
        "OrganizationalUnitArns UserGroups UserIds Value",
    ),
    "ModifyInstanceAttribute": (
        instances.modify_instance_attribute,
        "BlockDeviceMappings DisableApiStop DisableApiTermination EnaSupport Groups "
        "InstanceId InstanceInitiatedShutdownBehavior InstanceType SourceDestCheck",
    ),
    "ModifyNetworkInterfaceAttribute": (
        resources.modify_network_interface_attribute, "Groups NetworkInterfaceId"
    ),
    "ModifySnapshotAttribute": (
        images.modify_snapshot_attribute,
        "Attribute CreateVolumePermission GroupNames OperationType SnapshotId UserIds",
    ),
    "RebootInstances": (instances.reboot_instances, "InstanceIds"),
    "ReleaseAddress": (resources.release_address, "AllocationId"),
    "ResetImageAttribute": (images.reset_image_attribute, "Attribute ImageId"),
    "RunInstances": (
        instances.run_instances,
        "BlockDeviceMappings ClientToken DisableApiStop DisableApiTermination EbsOptimized IamInstanceProfile ImageId "
        "InstanceInitiatedShutdownBehavior InstanceMarketOptions InstanceType KeyName MaxCount MetadataOptions "
        "MinCount Monitoring NetworkInterfaces Placement SecurityGroupIds SecurityGroups SubnetId TagSpecifications "
        "UserData",
    ),
    "StartInstances": (instances.start_instances, "InstanceIds"),
    "StopInstances": (instances.stop_instances, "Force InstanceIds"),
    "TerminateInstances": (instances.terminate_instances, "Force InstanceIds SkipOsShutdown"),
}  # fmt: skip
"""Actions that are the fake's own: what does them, and the parameters that mean something to it."""

MOTOS: dict[str, str] = {
    "AssociateIamInstanceProfile": "IamInstanceProfile InstanceId",
    "AttachVolume": "Device InstanceId VolumeId",
    "AuthorizeSecurityGroupEgress": "GroupId IpPermissions TagSpecifications",
    "AuthorizeSecurityGroupIngress": (
        "CidrIp FromPort GroupId GroupName IpPermissions IpProtocol TagSpecifications ToPort"
    ),
    "CreateVolume": "AvailabilityZone Encrypted Iops KmsKeyId Size SnapshotId TagSpecifications Throughput VolumeType",
    "DeleteNetworkInterface": "NetworkInterfaceId",
    "DeleteVolume": "VolumeId",
    "DescribeAccountAttributes": "AttributeNames",
    "DescribeAvailabilityZones": "Filters ZoneIds ZoneNames",
    "DescribeIamInstanceProfileAssociations": "AssociationIds Filters",
    "DescribeInstanceAttribute": "Attribute InstanceId",
    "DescribeInstanceTypeOfferings": "Filters LocationType MaxResults NextToken",
    "DescribeInstanceTypes": "Filters InstanceTypes MaxResults NextToken",
    "DescribeInternetGateways": "Filters InternetGatewayIds MaxResults NextToken",
    "DescribeLaunchTemplateVersions": "LaunchTemplateId LaunchTemplateName MaxResults NextToken Versions",
    "DescribeLaunchTemplates": "Filters LaunchTemplateIds LaunchTemplateNames MaxResults NextToken",
    "DescribeNatGateways": "Filter NatGatewayIds MaxResults NextToken",
    "DescribeNetworkInterfaces": "Filters MaxResults NetworkInterfaceIds NextToken",
    "DescribeRouteTables": "Filters MaxResults NextToken RouteTableIds",
    "DescribeSecurityGroupRules": "Filters MaxResults NextToken SecurityGroupRuleIds",
    "DescribeSecurityGroups": "Filters GroupIds GroupNames MaxResults NextToken",
    "DescribeSnapshotAttribute": "Attribute SnapshotId",
    "DescribeSpotPriceHistory": "AvailabilityZone Filters InstanceTypes MaxResults NextToken ProductDescriptions",
    "DescribeSubnets": "Filters MaxResults NextToken SubnetIds",
    "DescribeTags": "Filters MaxResults NextToken",
    "DescribeVolumes": "Filters MaxResults NextToken VolumeIds",
    "DescribeVpcs": "Filters MaxResults NextToken VpcIds",
    "DetachVolume": "Device Force InstanceId VolumeId",
    "DisableEbsEncryptionByDefault": "",
    "DisassociateIamInstanceProfile": "AssociationId",
    "EnableEbsEncryptionByDefault": "",
    "GetEbsEncryptionByDefault": "",
    "ModifyEbsDefaultKmsKeyId": "KmsKeyId",
    "RevokeSecurityGroupEgress": "GroupId IpPermissions SecurityGroupRuleIds",
    "RevokeSecurityGroupIngress": (
        "CidrIp FromPort GroupId GroupName IpPermissions IpProtocol SecurityGroupRuleIds ToPort"
    ),
    # What a test needs to set the scene with.
    "AttachInternetGateway": "InternetGatewayId VpcId",
    "CreateInternetGateway": "TagSpecifications",
    "CreateLaunchTemplate": "ClientToken LaunchTemplateData LaunchTemplateName TagSpecifications",
    "CreateNetworkInterface": "ClientToken Description Groups SubnetId TagSpecifications",
    "CreateRoute": "DestinationCidrBlock GatewayId NatGatewayId RouteTableId",
    "CreateVpc": "CidrBlock TagSpecifications",
    "DeleteSubnet": "SubnetId",
    "DeleteVpc": "VpcId",
    "ModifySubnetAttribute": "MapPublicIpOnLaunch SubnetId",
}
"""Actions that moto does well enough, with the parameters that mean something to it."""

HONOURED: dict[str, frozenset[str]] = {
    action: frozenset((*parameters.split(), "DryRun"))
    for action, parameters in (*((it, known) for it, (_, known) in OURS.items()), *MOTOS.items())
}


def install() -> None:
    """Once a process, before the first backend is made."""
    moto.ec2.models.instances.Instance = FakeInstance  # type: ignore[misc]
    moto.ec2.models.elastic_network_interfaces.random_public_ip = world.addresses.next
    moto.ec2.utils.filter_dict_attribute_mapping.update(
        {
            "client-token": "client_token",
            "instance-lifecycle": "instance_lifecycle",
            "spot-instance-request-id": "spot_instance_request_id",
        }
    )
    AmiBackend._load_amis = public.load_images  # type: ignore[method-assign]
    _after_backend_init(seed.furnish)
    for action, (handler, _) in OURS.items():
        setattr(EC2Response, camelcase_to_underscores(action), _method(action, handler))
    paging.install(HONOURED)


def _method(action: str, handler: Handler) -> Callable[[EC2Response], ActionResult]:
    def respond(response: EC2Response) -> ActionResult:
        call = Call(
            action=action,
            parameters=response.normalized_request.environ["aws_fake.parameters"],
            region=response.region,
            account=response.current_account,
        )
        result = handler(call)
        return EmptyResult() if result is None else ActionResult(result)

    respond.__name__ = xform_name(action)
    return respond


def _after_backend_init(furnish: Callable[[EC2Backend], None]) -> None:
    init = EC2Backend.__init__

    def initialize(self: EC2Backend, region_name: str, account_id: str) -> None:
        init(self, region_name, account_id)
        furnish(self)

    EC2Backend.__init__ = initialize  # type: ignore[method-assign]
