"""What is in the subscription before anybody bakes: on demand, other people's things that look like ours."""

from typing import Any

from baker.keys import new_key_pair
from tests.builders.aws.fake.machines import NoMachines
from tests.builders.azure.fake.disks import DISKS
from tests.builders.azure.fake.galleries import DEFINITIONS, GALLERIES, VERSIONS
from tests.builders.azure.fake.ids import key
from tests.builders.azure.fake.images import IMAGES
from tests.builders.azure.fake.kinds import Call, Kind
from tests.builders.azure.fake.network import INTERFACES, PUBLIC_ADDRESSES, SECURITY_GROUPS, VIRTUAL_NETWORKS
from tests.builders.azure.fake.settings import LOCATION, SUBSCRIPTION, Pace
from tests.builders.azure.fake.vms import VIRTUAL_MACHINES
from tests.builders.azure.fake.world import Group, world

LOOK_ALIKE_TAGS = {
    "bake:recipe": "ocean",
    "bake:owner": "ada",
    "bake:runs": "20260101t000000-zzzz",
    "bake-run": "20260101t000000-zzzz",
    "bake:expires": "2026-01-01T00:00:00Z",
}
"""Everything but our tag. Azure's tag names know no case, and so none differs by that alone."""


def group(name: str, location: str, tags: dict[str, str]) -> str:
    """A resource group of somebody's; its id."""
    id = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
    world.groups.setdefault(key(id), Group(id=id, location=location, tags=tags))
    return id


def look_alikes(name: str = "bake-20260101t000000-zzzz", location: str = LOCATION) -> None:
    """A group with one of each kind, named as ours would be, tagged almost as ours; its machine runs nothing."""
    settings, machines, network, grants = world.settings, world.machines, world.network, world.grants
    pace, paces, world.machines, world.network = settings.pace, settings.paces, NoMachines(), None
    what, settings.pace, settings.paces, settings.machines = settings.machines, Pace(polls=0), {}, "none"
    try:
        _make(name, location)
    finally:
        settings.pace, settings.paces, world.machines, world.network = pace, paces, machines, network
        settings.machines = what
        world.grants = grants


def _make(name: str, location: str) -> None:
    root = f"{group(name, location, LOOK_ALIKE_TAGS)}/providers"

    def put(kind: Kind, path: str, properties: dict[str, Any], **more: Any) -> str:
        id = f"{root}/{path}"
        body = {"location": location, "tags": LOOK_ALIKE_TAGS, "properties": properties, **more}
        kind.put(Call(method="PUT", name=f"PUT {kind.type}", id=id, version="2026-04-01", query={}, body=body, base=""))
        world.tick()
        return id

    net = put(
        VIRTUAL_NETWORKS, f"Microsoft.Network/virtualNetworks/{name}",
        {
            "addressSpace": {"addressPrefixes": ["10.9.0.0/16"]},
            "subnets": [{"name": "default", "properties": {"addressPrefix": "10.9.0.0/24"}}],
        },
    )  # fmt: skip
    rules = put(SECURITY_GROUPS, f"Microsoft.Network/networkSecurityGroups/{name}", {"securityRules": []})
    address = put(
        PUBLIC_ADDRESSES, f"Microsoft.Network/publicIPAddresses/{name}", {"publicIPAllocationMethod": "Static"},
        sku={"name": "Standard"},
    )  # fmt: skip
    place = {"subnet": {"id": f"{net}/subnets/default"}, "publicIPAddress": {"id": address}}
    card = put(
        INTERFACES, f"Microsoft.Network/networkInterfaces/{name}",
        {"ipConfigurations": [{"name": "one", "properties": place}], "networkSecurityGroup": {"id": rules}},
    )  # fmt: skip
    public = new_key_pair(name).public
    ssh = {"publicKeys": [{"path": "/home/ada/.ssh/authorized_keys", "keyData": public}]}
    machine = put(
        VIRTUAL_MACHINES, f"Microsoft.Compute/virtualMachines/{name}",
        {
            "hardwareProfile": {"vmSize": "Standard_B2s"},
            "storageProfile": {
                "imageReference": {"publisher": "Debian", "offer": "debian-12", "sku": "12", "version": "latest"},
                "osDisk": {"name": f"{name}-os", "createOption": "FromImage"},
            },
            "osProfile": {"computerName": "x", "adminUsername": "ada", "linuxConfiguration": {"ssh": ssh}},
            "networkProfile": {"networkInterfaces": [{"id": card}]},
        },
    )  # fmt: skip
    put(DISKS, f"Microsoft.Compute/disks/{name}-data0", {"creationData": {"createOption": "Empty"}, "diskSizeGB": 4})
    found = world.find(machine)
    assert found is not None
    found.facts |= {"power": "deallocated", "generalized": True}
    image = put(IMAGES, f"Microsoft.Compute/images/{name}", {"sourceVirtualMachine": {"id": machine}})
    gallery = put(GALLERIES, "Microsoft.Compute/galleries/theirs", {})
    identifier = {"publisher": "somebody", "offer": "else", "sku": "reef"}
    put(
        DEFINITIONS, f"{gallery.partition('/providers/')[2]}/images/reef",
        {"osType": "Linux", "osState": "Generalized", "identifier": identifier},
    )  # fmt: skip
    put(
        VERSIONS, f"{gallery.partition('/providers/')[2]}/images/reef/versions/1.0.0",
        {
            "publishingProfile": {"targetRegions": [{"name": location}]},
            "storageProfile": {"source": {"id": image}},
        },
    )  # fmt: skip
