"""The real SDK before the fake: the real clients, the real credential, and what a caller does again and again."""

from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

from baker.keys import new_key_pair
from tests.builders.azure.fake.client import FakeAzure
from tests.builders.azure.fake.settings import LOCATION, SUBSCRIPTION

NETWORK_VERSION = "2024-05-01"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/reef"
UBUNTU = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
GEN1 = {"publisher": "Debian", "offer": "debian-12", "sku": "12", "version": "latest"}
GALLERY = f"{GROUP}/providers/Microsoft.Compute/galleries/ours"
RUN = {"bake:run": "20260101t000000-abcd"}
KEY = new_key_pair("user")


class Azure:
    """Both clients. The environment must lead to the fake (fixture `as_caller`)."""

    def __init__(self, fake: FakeAzure) -> None:
        self.fake = fake
        options: dict[str, Any] = {
            "base_url": fake.url,
            "credential_scopes": [f"{fake.url}/.default"],
            "polling_interval": 0.02,
            "retry_total": 0,
        }
        credential = DefaultAzureCredential()
        self.compute: Any = ComputeManagementClient(credential, SUBSCRIPTION, **options)
        self.resource: Any = ResourceManagementClient(credential, SUBSCRIPTION, **options)

    def put(self, type: str, name: str, properties: dict[str, Any], **more: Any) -> str:
        """A resource of the network, made; its id."""
        id = f"{GROUP}/providers/{type}/{name}"
        body = {"location": LOCATION, "tags": RUN, "properties": properties, **more}
        self.resource.resources.begin_create_or_update_by_id(id, body, api_version=NETWORK_VERSION).result()
        return id

    def group(self) -> str:
        """A group of ours."""
        self.resource.resource_groups.create_or_update("reef", {"location": LOCATION, "tags": RUN})
        return GROUP

    def card(self, *, name: str = "reef", admitted: str | None = "127.0.0.1/32", public: bool = True) -> str:
        """A network interface, with all that it stands on; its id."""
        space = {"addressPrefixes": ["10.77.0.0/24"]}
        subnet = {"name": "bake", "properties": {"addressPrefix": "10.77.0.0/24"}}
        net = self.put("Microsoft.Network/virtualNetworks", name, {"addressSpace": space, "subnets": [subnet]})
        rules = self.put("Microsoft.Network/networkSecurityGroups", name, {"securityRules": rules_for(admitted)})
        place: dict[str, Any] = {"subnet": {"id": f"{net}/subnets/bake"}, "primary": True}
        if public:
            given = {"publicIPAllocationMethod": "Static"}
            address = self.put("Microsoft.Network/publicIPAddresses", name, given, sku={"name": "Standard"})
            place["publicIPAddress"] = {"id": address, "properties": {"deleteOption": "Delete"}}
        configuration = {"name": "bake", "properties": place}
        given_card = {"ipConfigurations": [configuration], "networkSecurityGroup": {"id": rules}}
        return self.put("Microsoft.Network/networkInterfaces", name, given_card)

    def vm(self, *, name: str = "reef", card: str | None = None, **changes: Any) -> str:
        """A running virtual machine; its id."""
        self.begin_vm(name=name, card=card, **changes).result()
        return f"{GROUP}/providers/Microsoft.Compute/virtualMachines/{name}"

    def begin_vm(self, *, name: str = "reef", card: str | None = None, **changes: Any) -> Any:
        """The poller of a virtual machine's creation."""
        body = vm_body(card or self.card(name=name), name, **changes)
        return self.compute.virtual_machines.begin_create_or_update("reef", name, body)

    def captured(self, *, name: str = "reef", **changes: Any) -> str:
        """A virtual machine that is deallocated and generalized; its id."""
        id = self.vm(name=name, **changes)
        self.compute.virtual_machines.begin_deallocate("reef", name).result()
        self.compute.virtual_machines.generalize("reef", name)
        return id

    def image(self, name: str, machine: str, generation: str = "V2") -> Any:
        """A managed image."""
        body = {
            "location": LOCATION,
            "tags": RUN,
            "properties": {"hyperVGeneration": generation, "sourceVirtualMachine": {"id": machine}},
        }
        return self.compute.images.begin_create_or_update("reef", name, body).result()

    def definition(
        self, name: str = "reef", *, generation: str = "V2", security: str | None = None, **more: Any
    ) -> None:
        """A gallery with a definition."""
        self.compute.galleries.begin_create_or_update("reef", "ours", {"location": LOCATION, "properties": {}}).result()
        properties: dict[str, Any] = {
            "osType": "Linux",
            "osState": "Generalized",
            "hyperVGeneration": generation,
            "identifier": {"publisher": "lab", "offer": "ocean", "sku": name},
            **more,
        }
        if security:
            properties["features"] = [{"name": "SecurityType", "value": security}]
        body = {"location": LOCATION, "properties": properties}
        self.compute.gallery_images.begin_create_or_update("reef", "ours", name, body).result()

    def begin_version(self, source: str, version: str = "1.0.0", *regions: str, **more: Any) -> Any:
        """The poller of a version's creation."""
        word = "virtualMachineId" if "/virtualMachines/" in source else "id"
        targets = [{"name": it} for it in regions or (LOCATION,)]
        body = {
            "location": LOCATION,
            "tags": RUN,
            "properties": {
                "publishingProfile": {"targetRegions": targets},
                "storageProfile": {"source": {word: source}},
                **more,
            },
        }
        return self.compute.gallery_image_versions.begin_create_or_update("reef", "ours", "reef", version, body)

    def power(self, name: str = "reef") -> str:
        """What the instance view says."""
        view = self.compute.virtual_machines.instance_view("reef", name)
        (code,) = [it.code for it in view.statuses if it.code.startswith("PowerState/")]
        return str(code).partition("/")[2]


def rules_for(admitted: str | None) -> list[dict[str, Any]]:
    """SSH for one network, or for nobody."""
    if admitted is None:
        return []
    rule = {
        "priority": 100,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourceAddressPrefix": admitted,
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "22",
    }
    return [{"name": "ssh", "properties": rule}]


def vm_body(card: str, name: str, **changes: Any) -> dict[str, Any]:
    """As the baker asks for a machine. `changes`: `size`, `image`, `data`, `custom_data`, and properties."""
    ssh = {"publicKeys": [{"path": "/home/builder/.ssh/authorized_keys", "keyData": changes.pop("key", KEY).public}]}
    disk = {
        "name": f"{name}-os",
        "createOption": "FromImage",
        "deleteOption": "Delete",
        "managedDisk": {"storageAccountType": "StandardSSD_LRS"},
    }
    account: dict[str, Any] = {
        "computerName": name,
        "adminUsername": "builder",
        "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": ssh},
    }
    if "custom_data" in changes:
        account["customData"] = changes.pop("custom_data")
    properties = {
        "hardwareProfile": {"vmSize": changes.pop("size", "Standard_D2s_v5")},
        "storageProfile": {
            "imageReference": changes.pop("image", UBUNTU),
            "osDisk": disk,
            "dataDisks": changes.pop("data", []),
        },
        "osProfile": account,
        "networkProfile": {"networkInterfaces": [{"id": card, "properties": {"deleteOption": "Delete"}}]},
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
        **changes,
    }
    return {"location": LOCATION, "tags": RUN, "properties": properties}


def refused(code: str, call: Callable[..., Any], *given: Any, **named: Any) -> str:
    """The message of a refusal with this code."""
    with pytest.raises(HttpResponseError) as caught:
        call(*given, **named)
    told = caught.value.error
    assert told is not None
    assert told.code == code, caught.value
    return str(told.message)
