"""All that there is in the account, so that a test can say what was left and what was touched."""

from typing import Any

from moto.ec2.models import EC2Backend

from tests.builders.aws.fake.settings import ACCOUNT
from tests.builders.aws.fake.world import world


def inventory() -> list[dict[str, Any]]:
    """Each resource that costs something or can be in the way: kind, id, region, tags, and what may be changed of it.

    Terminated instances and cancelled or closed Spot requests are gone, though AWS shows them for another hour.
    """
    found: list[dict[str, Any]] = []
    for backend in world.backends(all_regions=True):
        found += _of(backend)
    return found


def _of(backend: EC2Backend) -> list[dict[str, Any]]:
    def entry(kind: str, id: str | None, **facts: Any) -> dict[str, Any]:
        tags = dict(backend.tags.get(str(id), {}))
        return {"kind": kind, "id": id, "region": backend.region_name, "tags": tags, "facts": facts}

    found = [
        entry("instance", it.id, state=it.state, groups=_ids(it), protected=it.disable_api_termination)
        for it in backend.all_instances()
        if it.state != "terminated"
    ]
    found += [
        entry("volume", it.id, size=it.size, of=it.attachment.instance.id if it.attachment else None)
        for it in backend.volumes.values()
    ]
    images: Any = backend.amis.values()
    found += [
        entry(
            "image", it.id, name=it.name, state=it.state, permissions=it.launch_permissions,
            deprecated=it.deprecation_time,
        )
        for it in images
        if it.owner_id == ACCOUNT
    ]  # fmt: skip
    found += [
        entry(
            "snapshot", it.id, state=it.status, users=sorted(it.create_volume_permission_userids),
            groups=sorted(it.create_volume_permission_groups),
        )
        for it in backend.snapshots.values()
    ]  # fmt: skip
    found += [entry("key-pair", it.id, name=it.key_name) for it in backend.key_pairs.values()]
    found += [
        entry("security-group", it.id, name=it.name, rules=sorted(rule.id for rule in it.ingress_rules))
        for groups in backend.groups.values()
        for it in groups.values()
    ]
    found += [
        entry("network-interface", it.id, of=it.instance.id if it.instance else None) for it in backend.enis.values()
    ]
    found += [
        entry("address", it.allocation_id, ip=it.public_ip, of=it.instance.id if it.instance else None)
        for it in backend.addresses
    ]
    requests: Any = backend.spot_instance_requests.values()
    found += [entry("spot-request", it.id, state=it.state) for it in requests if it.state in ("open", "active")]
    return found


def _ids(instance: Any) -> list[str]:
    return sorted({group.id for nic in instance.nics.values() for group in nic.group_set})
