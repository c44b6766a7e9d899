"""The names of moto that the fake replaces or goes by: none is promised by moto, so a new version is looked at here."""

import inspect
from importlib import import_module

import pytest

NAMES = (
    "moto.core.base_backend:BackendDict",
    "moto.core.parse:PROTOCOL_PARSERS",
    "moto.core.responses:ActionResult",
    "moto.core.utils:get_service_model",
    "moto.ec2.models.amis:AmiBackend._load_amis",
    "moto.ec2.models.elastic_block_store:Snapshot",
    "moto.ec2.models.elastic_network_interfaces:random_public_ip",
    "moto.ec2.models.instances:Instance.teardown_defaults",
    "moto.ec2.models.instances:InstanceBackend.run_instances",
    "moto.ec2.models:EC2Backend",
    "moto.ec2.responses:EC2Response",
    "moto.ec2.utils:filter_dict_attribute_mapping",
    "moto.ec2.utils:generic_filter",
    "moto.iam.models:iam_backends",
    "moto.kms.models:kms_backends",
    "moto.moto_api._internal.models:moto_api_backend.reset",
    "moto.moto_server.werkzeug_app:DomainDispatcherApplication",
    "moto.sts.models:STSBackend.get_assumed_role_from_access_key",
)


@pytest.mark.parametrize("name", NAMES)
def test_moto_still_has(name):
    module, _, path = name.partition(":")
    found = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)


def test_an_instance_is_still_made_of_what_the_fake_gives():
    from moto.ec2.models.instances import Instance

    source = inspect.getsource(Instance.__init__)
    for name in ("nics", "client_token", "metadata_options", "instance_initiated_shutdown_behavior", "lifecycle"):
        assert f'kwargs.get("{name}"' in source
