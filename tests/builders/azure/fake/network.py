"""Networks, addresses and cards, and who is let through to a machine."""

import ipaddress
from typing import Any

from tests.builders.azure.fake.ids import group_name, key, new_guid, parent_of
from tests.builders.azure.fake.kinds import Call, Json, Kind, referred
from tests.builders.azure.fake.refusal import Refusal
from tests.builders.azure.fake.world import Resource, world


class NetworkKind(Kind):
    """All of them have an etag, and a GUID that tells a resource from a later one of its name."""

    style = "network"

    def complete(self, call: Call, resource: Resource) -> None:
        resource.envelope["etag"] = f'W/"{new_guid()}"'
        if self.tracked:
            resource.properties.setdefault("resourceGuid", new_guid())

    def accepted_body(self, resource: Resource) -> Json:
        told = self.body(resource, {})
        told["properties"]["provisioningState"] = "Updating"
        return told


class VirtualNetworks(NetworkKind):
    type = "Microsoft.Network/virtualNetworks"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        prefixes = _get(body, "properties", "addressSpace", "addressPrefixes")
        if not prefixes:
            raise Refusal(
                400, "InvalidRequestFormat", "Required property 'addressPrefixes' was not found in the request."
            )
        spaces = [_network(it) for it in prefixes]
        for subnet in _get(body, "properties", "subnets") or ():
            _check_inside(_get(subnet, "properties", "addressPrefix"), spaces)

    def complete(self, call: Call, resource: Resource) -> None:
        super().complete(call, resource)
        for word, value in (("virtualNetworkPeerings", []), ("enableDdosProtection", False)):
            resource.properties.setdefault(word, value)
        if call.version < "2021":
            resource.properties.setdefault("enableVmProtection", False)
        given = resource.properties.pop("subnets", [])
        world.add(resource)
        for it in given:
            id = f"{resource.id}/subnets/{it['name']}"
            subnet = Resource(
                id=id, kind=SUBNETS, location=resource.location, tags={}, properties=dict(it.get("properties", {}))
            )
            SUBNETS.complete(call, subnet)
            world.add(subnet)

    def accepted_body(self, resource: Resource) -> Json:
        told = super().accepted_body(resource)
        for it in told["properties"]["subnets"]:
            it["properties"]["provisioningState"] = "Updating"
        return told

    def check_gone(self, call: Call, resource: Resource) -> None:
        for card in world.of_type(NetworkInterfaces.type):
            if any(key(it).startswith(key(resource.id) + "/") for it in _subnets_of(card)):
                raise _in_use("InUseSubnetCannotBeDeleted", resource, card.id)

    def shown(self, resource: Resource, query: dict[str, str]) -> Json:
        subnets = [SUBNETS.body(it, {}) for it in world.of_type(SUBNETS.type, resource.id)]
        return {**resource.properties, "subnets": subnets}


class Subnets(NetworkKind):
    type = "Microsoft.Network/virtualNetworks/subnets"
    tracked = False

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        network = self._network_of(call.id)
        spaces = [_network(it) for it in network.properties["addressSpace"]["addressPrefixes"]]
        _check_inside(_get(body, "properties", "addressPrefix"), spaces)

    def complete(self, call: Call, resource: Resource) -> None:
        super().complete(call, resource)
        resource.properties.setdefault("delegations", [])
        for policy in ("privateEndpointNetworkPolicies", "privateLinkServiceNetworkPolicies"):
            resource.properties.setdefault(policy, "Enabled")

    def check_gone(self, call: Call, resource: Resource) -> None:
        for card in world.of_type(NetworkInterfaces.type):
            if key(resource.id) in map(key, _subnets_of(card)):
                raise _in_use("InUseSubnetCannotBeDeleted", resource, card.id)

    def _network_of(self, id: str) -> Resource:
        network = world.find(parent_of(id))
        if network is None:
            raise Refusal(404, "ParentResourceNotFound", f"Failed to perform operation: parent of {id} was not found.")
        return network


class SecurityGroups(NetworkKind):
    type = "Microsoft.Network/networkSecurityGroups"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        seen: dict[tuple[str, int], str] = {}
        for rule in _get(body, "properties", "securityRules") or ():
            given = rule.get("properties", {})
            for word in ("priority", "direction", "access", "protocol"):
                if word not in given:
                    raise Refusal(400, "SecurityRuleInvalid", f"Security rule {rule.get('name')} has no {word}.")
            if not 100 <= given["priority"] <= 4096:
                raise Refusal(400, "SecurityRuleInvalidPriority", f"Security rule {rule.get('name')}: 100 to 4096.")
            place = (given["direction"], given["priority"])
            if place in seen:
                raise Refusal(
                    400,
                    "SecurityRuleConflict",
                    f"Security rule {rule.get('name')} conflicts with rule {seen[place]}. Rules cannot have the same "
                    "Priority and Direction.",
                )
            seen[place] = rule.get("name")
            for prefix in (given.get("sourceAddressPrefix"), *given.get("sourceAddressPrefixes", ())):
                if prefix and prefix not in ("*", "Internet", "VirtualNetwork", "AzureLoadBalancer"):
                    _network(prefix)

    def complete(self, call: Call, resource: Resource) -> None:
        super().complete(call, resource)
        resource.properties.setdefault("securityRules", [])

    def check_gone(self, call: Call, resource: Resource) -> None:
        for card in world.of_type(NetworkInterfaces.type):
            if key((card.properties.get("networkSecurityGroup") or {}).get("id", "")) == key(resource.id):
                raise _in_use("InUseNetworkSecurityGroupCannotBeDeleted", resource, card.id)


class PublicAddresses(NetworkKind):
    type = "Microsoft.Network/publicIPAddresses"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        basic = _get(body, "sku", "name") != "Standard"
        if call.version >= "2024" and basic:
            raise Refusal(
                400,
                "IPv4BasicSkuPublicIpCountLimitReached",
                "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region.",
            )
        if not basic and _get(body, "properties", "publicIPAllocationMethod") != "Static":
            raise Refusal(
                400,
                "PublicIPAddressWithStandardSkuMustHaveStaticAllocation",
                "Standard sku publicIp must have Static allocation.",
            )
        used = sum(1 for _ in world.of_type(self.type)) - (old is not None)
        if used >= world.settings.quotas["PublicIPAddresses"]:
            limit = world.settings.quotas["PublicIPAddresses"]
            raise Refusal(
                400,
                "PublicIPCountLimitReached",
                f"Cannot create more than {limit} public IP addresses for this subscription in this region.",
            )

    def complete(self, call: Call, resource: Resource) -> None:
        super().complete(call, resource)
        sku = resource.envelope.setdefault("sku", {"name": "Basic"})
        if call.version > "2020-06":
            sku.setdefault("tier", "Regional")
        defaults = (
            ("publicIPAddressVersion", "IPv4"), ("publicIPAllocationMethod", "Dynamic"), ("idleTimeoutInMinutes", 4),
            ("ipTags", []),
        )  # fmt: skip
        for word, value in defaults:
            resource.properties.setdefault(word, value)

    def made(self, resource: Resource) -> None:
        if resource.properties["publicIPAllocationMethod"] == "Static" and "ipAddress" not in resource.properties:
            resource.properties["ipAddress"] = world.addresses.next()

    def check_gone(self, call: Call, resource: Resource) -> None:
        for card in world.of_type(NetworkInterfaces.type):
            if key(resource.id) in map(key, _public_of(card)):
                raise _in_use("PublicIPAddressCannotBeDeleted", resource, card.id)

    def gone(self, resource: Resource) -> None:
        if "ipAddress" in resource.properties:
            world.addresses.give_back(resource.properties["ipAddress"])

    def shown(self, resource: Resource, query: dict[str, str]) -> Json:
        using = [
            configuration["id"]
            for card in world.of_type(NetworkInterfaces.type)
            for configuration in card.properties["ipConfigurations"]
            if key(_get(configuration, "properties", "publicIPAddress", "id") or "") == key(resource.id)
        ]
        return {**resource.properties, **({"ipConfiguration": {"id": using[0]}} if using else {})}


class NetworkInterfaces(NetworkKind):
    type = "Microsoft.Network/networkInterfaces"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        given = body.get("properties") or {}
        configurations = given.get("ipConfigurations")
        if not configurations:
            raise Refusal(
                400, "NetworkInterfaceMustHaveAtleastOneIpConfiguration", f"{call.id} has no ipConfigurations."
            )
        for it in configurations:
            subnet = _get(it, "properties", "subnet", "id")
            self._referred(call, body, subnet, "Microsoft.Network/virtualNetworks/subnets/join/action")
            public = _get(it, "properties", "publicIPAddress", "id")
            if public:
                address = self._referred(call, body, public, "Microsoft.Network/publicIPAddresses/join/action")
                users = [card for card in world.of_type(self.type) if key(public) in map(key, _public_of(card))]
                if any(key(card.id) != key(call.id) for card in users):
                    raise Refusal(
                        400, "PublicIPAddressInUse", f"Resource {call.id} cannot use {address.id}: {users[0].id} does."
                    )
        if group := _get(given, "networkSecurityGroup", "id"):
            self._referred(call, body, group, "Microsoft.Network/networkSecurityGroups/join/action")

    def _referred(self, call: Call, body: Json, id: Any, right: str) -> Resource:
        found = referred(call, id, "network", right=right)
        location = body["location"].lower().replace(" ", "")
        if found.location != location or found.state == "Deleting":
            raise Refusal(
                400,
                "InvalidResourceReference",
                f"Resource {id} referenced by resource {call.id} was not found. Please make sure that the referenced "
                "resource exists, and that both resources are in the same region.",
            )
        return found

    def complete(self, call: Call, resource: Resource) -> None:
        super().complete(call, resource)
        etag = resource.envelope["etag"]
        for number, it in enumerate(resource.properties["ipConfigurations"]):
            it |= {
                "id": f"{resource.id}/ipConfigurations/{it['name']}",
                "etag": etag,
                "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
            }
            given = it["properties"]
            given.setdefault("provisioningState", "Succeeded")
            given.setdefault("privateIPAddress", self._private(given["subnet"]["id"]))
            given.setdefault("privateIPAllocationMethod", "Dynamic")
            given.setdefault("primary", number == 0)
            given.setdefault("privateIPAddressVersion", "IPv4")
        defaults = (
            ("dnsSettings", {"dnsServers": [], "appliedDnsServers": [], "internalDomainNameSuffix": "bx.internal"}),
            ("enableAcceleratedNetworking", False), ("enableIPForwarding", False),
            ("hostedWorkloads", []), ("tapConfigurations", []), ("nicType", "Standard"),
        )  # fmt: skip
        for word, value in defaults:
            resource.properties.setdefault(word, value)

    def check_gone(self, call: Call, resource: Resource) -> None:
        machine = user_of(resource)
        if machine is not None:
            raise Refusal(
                400,
                "NicInUse",
                f"Network Interface {resource.id} is used by existing resource {machine.id}. In order to delete the "
                "network interface, it must be dissociated from the resource.",
            )

    def shown(self, resource: Resource, query: dict[str, str]) -> Json:
        machine = user_of(resource)
        return {**resource.properties, **({"virtualMachine": {"id": machine.id}} if machine else {})}

    def accepted_body(self, resource: Resource) -> Json:
        told = self.body(resource, {})
        told["properties"]["provisioningState"] = "Succeeded"
        return told

    @staticmethod
    def _private(subnet: str) -> str:
        found = world.find(subnet)
        assert found is not None
        network = ipaddress.ip_network(found.properties["addressPrefix"])
        if network.subnet_of(ipaddress.ip_network("127.0.0.0/8")):
            return world.addresses.next()
        used = sum(1 for card in world.of_type(NetworkInterfaces.type) for it in _subnets_of(card) if it == subnet)
        return str(network[4 + used])


VIRTUAL_NETWORKS, SUBNETS, SECURITY_GROUPS = VirtualNetworks(), Subnets(), SecurityGroups()
PUBLIC_ADDRESSES, INTERFACES = PublicAddresses(), NetworkInterfaces()


def user_of(card: Resource) -> Resource | None:
    """The virtual machine that a network interface is in."""
    for machine in world.of_type("Microsoft.Compute/virtualMachines"):
        if key(card.id) in (key(it["id"]) for it in machine.properties["networkProfile"]["networkInterfaces"]):
            return machine
    return None


def addresses_of(card: Resource) -> list[str]:
    """Where a machine with this card answers: its public addresses, and private ones on loopback."""
    public = [world.find(it) for it in _public_of(card)]
    found = [it.properties["ipAddress"] for it in public if it is not None and "ipAddress" in it.properties]
    private = [it["properties"]["privateIPAddress"] for it in card.properties["ipConfigurations"]]
    return [it for it in (*found, *private) if it.startswith("127.")]


def public_to_delete(card: Resource) -> list[Resource]:
    """The addresses that go with the card."""
    options = [_get(it, "properties", "publicIPAddress") or {} for it in card.properties["ipConfigurations"]]
    ids = [it["id"] for it in options if _get(it, "properties", "deleteOption") == "Delete"]
    return [it for it in (world.find(id) for id in ids) if it is not None]


def admits(card: Resource, peer: str, port: int) -> bool:
    """Whether security rules let a peer reach a port: without a group nothing gets to a Standard address."""
    groups = [_get(card.properties, "networkSecurityGroup", "id")]
    for subnet in _subnets_of(card):
        found = world.find(subnet)
        groups.append(_get(found.properties, "networkSecurityGroup", "id") if found else None)
    found_groups = [world.find(it) for it in groups if it]
    return bool(found_groups) and all(it is not None and _group_admits(it, peer, port) for it in found_groups)


def _group_admits(group: Resource, peer: str, port: int) -> bool:
    rules = [it["properties"] for it in group.properties["securityRules"]]
    for rule in sorted(rules, key=lambda it: it["priority"]):
        if rule["direction"] == "Inbound" and _matches(rule, peer, port):
            return bool(rule["access"] == "Allow")
    return False


def _matches(rule: Json, peer: str, port: int) -> bool:
    if rule["protocol"].lower() not in ("tcp", "*"):
        return False
    ports = [it for it in (rule.get("destinationPortRange"), *rule.get("destinationPortRanges", ())) if it]
    if not any(_port_in(port, it) for it in ports):
        return False
    sources = [it for it in (rule.get("sourceAddressPrefix"), *rule.get("sourceAddressPrefixes", ())) if it]
    return any(it in ("*", "Internet") or ipaddress.ip_address(peer) in _network(it) for it in sources)


def _port_in(port: int, given: str) -> bool:
    if given == "*":
        return True
    first, _, last = given.partition("-")
    return int(first) <= port <= int(last or first)


def _network(prefix: str) -> Any:
    try:
        return ipaddress.ip_network(prefix)
    except ValueError as error:
        raise Refusal(400, "InvalidAddressPrefixFormat", f"Address prefix {prefix} is not valid: {error}.") from error


def _check_inside(prefix: str | None, spaces: list[Any]) -> None:
    if prefix is None:
        raise Refusal(400, "InvalidRequestFormat", "A subnet has no addressPrefix.")
    if not any(_network(prefix).subnet_of(it) for it in spaces):
        raise Refusal(400, "NetcfgInvalidSubnet", f"Subnet {prefix} is not valid in its virtual network.")


def _subnets_of(card: Resource) -> list[str]:
    return [it["properties"]["subnet"]["id"] for it in card.properties["ipConfigurations"]]


def _public_of(card: Resource) -> list[str]:
    found = [_get(it, "properties", "publicIPAddress", "id") for it in card.properties["ipConfigurations"]]
    return [it for it in found if it]


def _in_use(code: str, resource: Resource, user: str) -> Refusal:
    return Refusal(
        400,
        code,
        f"{resource.id} in resource group {group_name(resource.id)} is in use by {user} and cannot be deleted.",
    )


def _get(value: Any, *path: str) -> Any:
    for word in path:
        value = (value or {}).get(word)
    return value
