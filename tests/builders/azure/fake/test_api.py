"""What the fake enforces, asked by the real SDK as a builder would ask."""

import base64
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceResponseError
from azure.identity import DefaultAzureCredential

from tests.builders.azure.fake.client import FakeAzure
from tests.builders.azure.fake.sdk import GALLERY, GROUP, UBUNTU, Azure, refused, vm_body
from tests.builders.azure.fake.sdk import GEN1 as DEBIAN_GEN1
from tests.builders.azure.fake.settings import LOCATION, PRINCIPAL, SUBSCRIPTION

STANDARD = {"securityProfile": {"securityType": "Standard"}}
VM = "PUT Microsoft.Compute/virtualMachines"
ROLES = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
READER = f"{ROLES}/acdd72a7-3385-48ef-bd42-f606fba81ae7"


@pytest.fixture
def arm(azure: FakeAzure, as_caller: Any) -> Azure:
    """The SDK, with a group of ours."""
    as_caller(azure)
    caller = Azure(azure)
    caller.group()
    return caller


def ids(arm: Azure) -> set[str]:
    return {it["id"].partition("/providers/")[2] for it in arm.fake.account()}


def ask(arm: Azure, method: str, path: str, body: Any = None, *, token: bool = True) -> int:
    """The status of a call that no SDK makes."""
    request = urllib.request.Request(arm.fake.url + path, method=method, data=body and json.dumps(body).encode())
    if token:
        request.add_header(
            "Authorization", f"Bearer {DefaultAzureCredential().get_token(f'{arm.fake.url}/.default').token}"
        )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


# Who asks, and what


def test_a_token_is_needed_and_expires(arm: Azure) -> None:
    assert ask(arm, "GET", "/subscriptions?api-version=2022-12-01", token=False) == 401
    arm.fake.expire()
    with pytest.raises(HttpResponseError) as caught:
        arm.resource.resource_groups.get("reef")
    assert caught.value.status_code == 401
    with pytest.raises(ClientAuthenticationError, match="AADSTS700024"):
        DefaultAzureCredential().get_token(f"{arm.fake.url}/.default")


def test_a_tenant_that_is_none(azure: FakeAzure, as_caller: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    as_caller(azure)
    monkeypatch.setenv("AZURE_TENANT_ID", "12121212-3434-4565-8787-909090909090")
    with pytest.raises(ClientAuthenticationError, match="AADSTS90002"):
        DefaultAzureCredential().get_token(f"{azure.url}/.default")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/subscriptions/{SUBSCRIPTION}/resourcegroups", 400),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/resourcegroups?api-version=1999-01-01", 400),
        ("GET", "/subscriptions/12121212-3434-4565-8787-909090909090/locations?api-version=2022-12-01", 404),
        ("GET", f"{GROUP}/providers/Microsoft.Compute/virtualToasters/x?api-version=2026-04-01", 404),
        ("GET", f"{GROUP}/providers/Microsoft.Toast/slices/x?api-version=2026-04-01", 404),
        ("POST", f"{GROUP}/providers/Microsoft.Compute/images/x?api-version=2026-04-01", 405),
    ],
)
def test_a_call_that_is_none(arm: Azure, method: str, path: str, status: int) -> None:
    assert ask(arm, method, path) == status


def test_a_member_that_nobody_knows_is_refused(arm: Azure) -> None:
    body = vm_body(arm.card(), "reef")
    body["properties"]["storageProfile"]["osDisk"]["deleteOptions"] = "Delete"
    told = refused("InvalidRequestContent", arm.compute.virtual_machines.begin_create_or_update, "reef", "reef", body)
    assert "properties.storageProfile.osDisk.deleteOptions" in told
    refused("InvalidRequestContent", arm.put, "Microsoft.Network/virtualNetworks", "x", {"adressSpace": {}})
    body["properties"]["storageProfile"]["osDisk"] = {"createOption": "FromImage", "deleteOption": "Erase"}
    refused("InvalidParameter", arm.compute.virtual_machines.begin_create_or_update, "reef", "reef", body)


def test_the_journal_has_everything_but_the_token(arm: Azure) -> None:
    lines = [json.loads(it) for it in arm.fake.journal_file.read_text().splitlines()]
    made = [it for it in lines if it["method"] == "PUT"][-1]
    assert set(made) == {
        "method", "url", "request_headers", "request_body", "status", "response_headers", "response_body"
    }  # fmt: skip
    assert (made["status"], made["request_body"]["location"]) == (201, LOCATION)
    assert "Bearer" not in arm.fake.journal_file.read_text()


def test_the_journal_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKER_ARM_JOURNAL", str(tmp_path / "arm.jsonl"))
    (tmp_path / "fake").mkdir()
    with (
        FakeAzure.start(tmp_path / "fake") as fake,
        urllib.request.urlopen(
            f"{fake.url}/fake/caller-address",
            context=ssl.create_default_context(cafile=str(fake.authority)),
            timeout=60,
        ) as answer,
    ):
        assert answer.read() == b"127.0.0.1\n"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(
                f"{fake.url}/subscriptions?api-version=2022-12-01", timeout=60,
                context=ssl.create_default_context(cafile=str(fake.authority)),
            )  # fmt: skip
    (line,) = (tmp_path / "arm.jsonl").read_text().splitlines()
    assert json.loads(line)["response_body"]["error"]["code"] == "AuthenticationFailed"


# Operations


def test_an_effect_is_there_at_its_end_and_not_before(arm: Azure) -> None:
    card = arm.card()
    arm.fake.settings(pace={"seconds": 1})
    poller = arm.begin_vm(card=card)
    machine = arm.compute.virtual_machines.get("reef", "reef")
    assert machine.provisioning_state == "Creating"
    assert machine.properties.storage_profile.os_disk.managed_disk.id is None
    poller.result()
    poller = arm.compute.virtual_machines.begin_deallocate("reef", "reef")
    assert arm.power() == "deallocating"
    poller.result()
    assert arm.power() == "deallocated"


def test_what_fails_later_says_so_with_200_and_leaves_a_failed_machine(arm: Azure) -> None:
    arm.fake.settings(shortages=[{"later": True}])
    poller = arm.begin_vm()
    assert refused("AllocationFailed", poller.result).startswith("Allocation failed.")
    assert arm.compute.virtual_machines.get("reef", "reef").provisioning_state == "Failed"
    arm.compute.virtual_machines.begin_delete("reef", "reef").result()
    assert not [it for it in ids(arm) if "virtualMachines" in it or "disks" in it]


def test_too_many_requests_say_when_to_come_back(arm: Azure) -> None:
    arm.fake.fault("PUT Microsoft.Compute/images", error="TooManyRequests", status=429, retry_after=7)
    with pytest.raises(HttpResponseError) as caught:
        arm.image("x", GROUP)
    assert (caught.value.status_code, caught.value.response.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize(("lost", "made"), [("request", False), ("reply", True)])
def test_a_connection_is_lost_before_or_after(arm: Azure, lost: str, made: bool) -> None:
    arm.fake.fault("PUT Microsoft.Network/virtualNetworks", lose=lost)
    with pytest.raises(ServiceResponseError):
        arm.card()
    assert bool([it for it in ids(arm) if "virtualNetworks" in it]) is made


def test_a_group_is_deleted_in_time_and_takes_nothing_new_meanwhile(arm: Azure) -> None:
    arm.vm()
    arm.fake.settings(paces={"DELETE *": {"seconds": 1}})
    poller = arm.resource.resource_groups.begin_delete("reef")
    assert arm.resource.resource_groups.get("reef").properties.provisioning_state == "Deleting"
    refused("ResourceGroupBeingDeleted", arm.put, "Microsoft.Network/networkSecurityGroups", "x", {})
    refused("ResourceGroupBeingDeleted", arm.group)
    poller.result()
    assert arm.fake.account() == []


def test_lists_have_pages_and_ids_in_another_case(arm: Azure) -> None:
    arm.vm()
    arm.fake.settings(page_size=2)
    listed = list(arm.resource.resources.list(filter="tagName eq 'bake:run'"))
    assert len(listed) == 5
    assert {it.id.split("/")[4] for it in listed} == {"REEF"}
    refused("InvalidFilterInQueryString", lambda: list(arm.resource.resources.list(filter="tag is 'x'")))
    assert [it.name for it in arm.resource.resource_groups.list(filter="tagName eq 'bake:run'")] == ["reef"]


# 1, 2: deallocate, generalize, image


def test_only_a_machine_that_is_off_is_generalized_and_never_starts_again(arm: Azure) -> None:
    arm.vm()
    refused("OperationNotAllowed", arm.compute.virtual_machines.generalize, "reef", "reef")
    arm.compute.virtual_machines.begin_deallocate("reef", "reef").result()
    arm.compute.virtual_machines.generalize("reef", "reef")
    view = arm.compute.virtual_machines.instance_view("reef", "reef")
    assert "OSState/generalized" in [it.code for it in view.statuses]
    refused("OperationNotAllowed", arm.compute.virtual_machines.begin_start, "reef", "reef")


def test_only_a_generalized_machine_is_captured_and_only_deallocated(arm: Azure) -> None:
    machine = arm.vm(**STANDARD)
    told = refused("OperationNotAllowed", arm.image, "x", machine)
    assert told == "Capture operation cannot be completed because the VM is not generalized."
    arm.compute.virtual_machines.begin_power_off("reef", "reef").result()
    arm.compute.virtual_machines.generalize("reef", "reef")
    assert "not deallocated" in refused("OperationNotAllowed", arm.image, "x", machine)
    arm.compute.virtual_machines.begin_deallocate("reef", "reef").result()
    assert arm.image("x", machine).provisioning_state == "Succeeded"


# 3: deprovisioning (with machines: test_machines.py)


def test_an_image_of_a_machine_that_was_not_deprovisioned_is_known(arm: Azure) -> None:
    machine = arm.captured(**STANDARD)
    arm.image("good", machine)
    assert arm.fake.not_deprovisioned() == []
    arm.fake.settings(deprovisioned=False)
    arm.image("bad", machine)
    (bad,) = arm.fake.not_deprovisioned()
    assert bad["id"].endswith("/bad")


# 4, 5, 6: security types and generations


def test_trusted_launch_is_the_default_and_makes_no_managed_image(arm: Azure) -> None:
    machine = arm.captured()
    assert arm.compute.virtual_machines.get("reef", "reef").properties.security_profile.security_type == "TrustedLaunch"
    told = refused("BadRequest", arm.image, "x", machine)
    assert told.startswith("Creation of managed images are not supported for virtual machine with TrustedLaunch")
    arm.definition(security="TrustedLaunchSupported")
    refused("InvalidParameter", arm.begin_version, machine)
    arm.compute.gallery_images.begin_delete("reef", "ours", "reef").result()
    arm.definition(security="TrustedLaunch")
    assert arm.begin_version(machine).result().provisioning_state == "Succeeded"


def test_standard_may_need_a_feature_and_generation_1_cannot_be_trusted(arm: Azure) -> None:
    arm.fake.settings(standard_needs_feature=True)
    refused("BadRequest", arm.begin_vm, **STANDARD)
    arm.fake.settings(features=["Microsoft.Compute/UseStandardSecurityType"])
    arm.vm(**STANDARD)
    trusted = {"securityProfile": {"securityType": "TrustedLaunch"}}
    refused("BadRequest", arm.begin_vm, name="other", image=DEBIAN_GEN1, **trusted)


def test_generations_must_match(arm: Azure) -> None:
    machine = arm.captured(image=DEBIAN_GEN1)
    refused("InvalidParameter", arm.image, "x", machine, "V2")
    image = arm.image("x", machine, "V1")
    arm.definition()
    told = refused("InvalidParameter", arm.begin_version, image.id)
    assert "has a different Hypervisor generation ['V1'] than the parent gallery image" in told
    refused("BadRequest", arm.begin_vm, name="arm", size="Standard_D2ps_v5", image=DEBIAN_GEN1)
    refused("BadRequest", arm.begin_vm, name="old", size="Standard_D2_v2", card=arm.card(name="old"))


# 7, 8: addresses, cards, disks


def test_a_public_address_is_standard_and_static(arm: Azure) -> None:
    refused("IPv4BasicSkuPublicIpCountLimitReached", arm.put, "Microsoft.Network/publicIPAddresses", "x", {})
    given = {"publicIPAllocationMethod": "Dynamic"}
    code = "PublicIPAddressWithStandardSkuMustHaveStaticAllocation"
    refused(code, arm.put, "Microsoft.Network/publicIPAddresses", "x", given, sku={"name": "Standard"})


def test_what_is_not_told_to_go_with_a_machine_stays(arm: Azure) -> None:
    card = arm.card()
    body = vm_body(card, "reef")
    body["properties"]["storageProfile"]["osDisk"].pop("deleteOption")
    body["properties"]["networkProfile"]["networkInterfaces"] = [{"id": card}]
    arm.compute.virtual_machines.begin_create_or_update("reef", "reef", body).result()
    delete = arm.resource.resources.begin_delete_by_id
    refused("NicInUse", delete, card, api_version="2024-05-01")
    arm.compute.virtual_machines.begin_delete("reef", "reef").result()
    assert {"Microsoft.Compute/disks/reef-os", "Microsoft.Network/networkInterfaces/reef"} <= ids(arm)
    refused(
        "InUseNetworkSecurityGroupCannotBeDeleted", delete,
        f"{GROUP}/providers/Microsoft.Network/networkSecurityGroups/reef", api_version="2024-05-01",
    )  # fmt: skip
    again = vm_body(card, "reef")
    refused("ConflictingUserInput", arm.compute.virtual_machines.begin_create_or_update, "reef", "reef", again)
    delete(card, api_version="2024-05-01").result()
    arm.compute.disks.begin_delete("reef", "reef-os").result()


def test_what_is_told_to_go_with_a_machine_goes(arm: Azure) -> None:
    arm.vm(data=[{"lun": 0, "createOption": "Empty", "diskSizeGB": 4, "deleteOption": "Delete"}])
    arm.compute.virtual_machines.begin_delete("reef", "reef").result()
    kinds = {it.rpartition("/")[0] for it in ids(arm)}
    assert kinds == {
        "", "Microsoft.Network/virtualNetworks", "Microsoft.Network/virtualNetworks/reef/subnets",
        "Microsoft.Network/networkSecurityGroups",
    }  # fmt: skip


def test_a_password_or_custom_data_is_never_told_again(arm: Azure) -> None:
    arm.vm(custom_data=base64.b64encode(b"#cloud-config\n{}").decode())
    assert arm.compute.virtual_machines.get("reef", "reef").properties.os_profile.custom_data is None
    refused("InvalidParameter", arm.begin_vm, name="other", custom_data="no base64!")


# 10, 13: what cannot be had


def test_quota_and_capacity(arm: Azure) -> None:
    arm.fake.settings(quotas={"cores": 3})
    told = refused("OperationNotAllowed", arm.begin_vm, size="Standard_D4s_v5")
    assert "Current Limit: 3, Current Usage: 0, Additional Required: 4" in told
    arm.fake.settings(shortages=[{"size": "Standard_D2s_*", "priority": "Regular"}])
    refused("SkuNotAvailable", arm.begin_vm)
    arm.vm(priority="Spot", evictionPolicy="Deallocate")
    arm.fake.settings(quotas={"lowPriorityCores": 1})
    refused("OperationNotAllowed", arm.begin_vm, name="other", priority="Spot")
    usage = {it.name.value: (it.current_value, it.limit) for it in arm.compute.usage.list(LOCATION)}
    assert usage["lowPriorityCores"] == (2, 1)
    assert "Standard_D2s_v5" in {it.name for it in arm.compute.resource_skus.list(filter=f"location eq '{LOCATION}'")}


@pytest.mark.parametrize("policy", ["Deallocate", "Delete"])
def test_a_spot_machine_is_evicted(arm: Azure, policy: str) -> None:
    arm.vm(priority="Spot", evictionPolicy=policy)
    arm.fake.evict("reef")
    if policy == "Delete":
        refused("ResourceNotFound", arm.power)
    else:
        assert arm.power() == "deallocated"


def test_images_that_are_not_there(arm: Azure) -> None:
    refused("PlatformImageNotFound", arm.begin_vm, image=UBUNTU | {"version": "1.2.3"})
    missing = {"id": f"{GALLERY}/images/reef/versions/1.0.0"}
    refused("GalleryImageNotFound", arm.begin_vm, image=missing)
    listed = arm.compute.virtual_machine_images.list(
        LOCATION, "Canonical", "ubuntu-24_04-lts", "server", top=1, orderby="name desc"
    )
    assert [it.name for it in listed] == ["24.04.202510020"]


# 11, 15: rights, locks, registration


def test_only_what_is_permitted_is_done(arm: Azure) -> None:
    card = arm.card()
    arm.fake.permit(["*/read", "Microsoft.Compute/virtualMachines/write"], scope=GROUP)
    told = refused("LinkedAuthorizationFailed", arm.begin_vm, card=card)
    assert "Microsoft.Network/networkInterfaces/join/action" in told
    told = refused("AuthorizationFailed", arm.resource.resource_groups.begin_delete, "reef")
    assert (
        "does not have authorization to perform action 'Microsoft.Resources/subscriptions/resourceGroups/delete'"
        in told
    )
    refused("AuthorizationFailed", lambda: list(arm.compute.resource_skus.list()))
    arm.fake.permit([], scope=GROUP)
    assert ask(arm, "HEAD", f"{GROUP}?api-version=2025-04-01") == 403
    assert list(arm.resource.resources.list()) == []


def test_a_lock_holds_what_is_below_it(arm: Azure) -> None:
    arm.vm()
    lock = f"{GROUP}/providers/Microsoft.Authorization/locks/keep"
    assert ask(arm, "PUT", f"{lock}?api-version=2016-09-01", {"properties": {"level": "CanNotDelete"}}) == 201
    refused("ScopeLocked", arm.compute.virtual_machines.begin_delete, "reef", "reef")
    refused("ScopeLocked", arm.resource.resource_groups.begin_delete, "reef")
    assert ask(arm, "DELETE", f"{lock}?api-version=2016-09-01") == 200
    arm.resource.resource_groups.begin_delete("reef").result()


def test_a_namespace_must_be_registered(arm: Azure) -> None:
    arm.fake.settings(registered=["Microsoft.Network"])
    images = f"{GROUP}/providers/Microsoft.Compute/images?api-version=2026-04-01"
    assert ask(arm, "GET", images) == 409
    assert arm.resource.providers.register("Microsoft.Compute").registration_state == "Registering"
    assert arm.resource.providers.get("Microsoft.Compute").registration_state == "Registered"
    assert ask(arm, "GET", images) == 200


# 14: galleries


def test_a_version_is_numbered_replicated_and_made_once(arm: Azure) -> None:
    machine = arm.captured(**STANDARD)
    arm.definition()
    refused("InvalidParameter", arm.begin_version, machine, "newest")
    refused("InvalidParameter", arm.begin_version, machine, "1.0.0", "westus")
    arm.fake.settings(paces={"PUT */versions": {"seconds": 1}})
    poller = arm.begin_version(machine, "1.0.0", LOCATION, "North Europe")
    version = arm.compute.gallery_image_versions.get("reef", "ours", "reef", "1.0.0", expand="ReplicationStatus")
    assert [it.progress for it in version.properties.replication_status.summary] == [35, 35]
    poller.result()
    other = arm.captured(name="other", **STANDARD)
    refused("PropertyChangeNotAllowed", arm.begin_version, other)
    refused("CannotDeleteResource", arm.compute.galleries.begin_delete, "reef", "ours")
    launched = arm.card(name="third")
    arm.vm(name="third", card=launched, image={"id": f"{GALLERY}/images/reef"})


def test_a_version_that_failed_stays_failed(arm: Azure) -> None:
    machine = arm.captured(**STANDARD)
    arm.definition()
    arm.fake.fault("PUT */versions", later="ReplicationFailed")
    refused("ReplicationFailed", arm.begin_version(machine).result)
    get = arm.compute.gallery_image_versions.get
    assert get("reef", "ours", "reef", "1.0.0").provisioning_state == "Failed"
    arm.compute.gallery_image_versions.begin_delete("reef", "ours", "reef", "1.0.0").result()
    refused("ResourceNotFound", get, "reef", "ours", "reef", "1.0.0")


def test_a_gallery_and_a_role_share_what_is_in_it(arm: Azure) -> None:
    arm.definition()
    asked = {"operationType": "Add", "groups": [{"type": "Subscriptions", "ids": [SUBSCRIPTION]}]}
    share = arm.compute.gallery_sharing_profile.begin_update
    refused("OperationNotAllowed", share, "reef", "ours", asked)
    profile = {"sharingProfile": {"permissions": "Groups"}}
    arm.compute.galleries.begin_update("reef", "ours", {"properties": profile}).result()
    share("reef", "ours", asked).result()
    (group,) = arm.compute.galleries.get(
        "reef", "ours", expand="SharingProfile/Groups"
    ).properties.sharing_profile.groups
    assert list(group.ids) == [SUBSCRIPTION]
    path = f"{GALLERY}/providers/Microsoft.Authorization/roleAssignments/0000000{{}}-0000-4000-8000-000000000000"
    role = {"properties": {"roleDefinitionId": READER, "principalId": PRINCIPAL}}
    assert ask(arm, "PUT", f"{path.format(1)}?api-version=2022-04-01", role) == 201
    assert ask(arm, "PUT", f"{path.format(2)}?api-version=2022-04-01", role) == 409
    nobody = {"properties": {"roleDefinitionId": READER, "principalId": "00000000-0000-4000-8000-000000000bad"}}
    assert ask(arm, "PUT", f"{path.format(3)}?api-version=2022-04-01", nobody) == 400


# 16: the schedule


def test_a_schedule_deallocates_at_its_time(arm: Azure) -> None:
    machine = arm.vm()
    id = f"{GROUP}/providers/Microsoft.DevTestLab/schedules/shutdown-computevm-"
    given = {
        "status": "Enabled", "taskType": "ComputeVmShutdownTask", "dailyRecurrence": {"time": "0311"},
        "timeZoneId": "UTC", "targetResourceId": machine, "notificationSettings": {"status": "Disabled"},
    }  # fmt: skip
    put = arm.resource.resources.begin_create_or_update_by_id
    refused("InvalidScheduleName", put, id + "x", {"location": LOCATION, "properties": given}, api_version="2018-09-15")
    put(id + "reef", {"location": LOCATION, "properties": given}, api_version="2018-09-15").result()
    assert arm.power() == "running"
    arm.fake.pass_time(24 * 3600)
    assert arm.power() == "deallocated"


# Tags, and other people's things


def test_tags_are_merged_and_taken_off(arm: Azure) -> None:
    arm.vm()
    scope = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/reef"
    change = arm.resource.tags.begin_update_at_scope
    change(scope, {"operation": "Merge", "properties": {"tags": {"bake:verified": "no"}}}).result()
    change(scope, {"operation": "Delete", "properties": {"tags": {"bake:run": "20260101t000000-abcd"}}}).result()
    assert dict(arm.compute.virtual_machines.get("reef", "reef").tags) == {"bake:verified": "no"}
    refused("InvalidTagNameCharacters", change, scope, {"operation": "Merge", "properties": {"tags": {"a/b": "c"}}})


def test_look_alikes_are_in_the_way_and_are_not_ours(azure: FakeAzure) -> None:
    azure.look_alikes()
    before = azure.account()
    assert len({it["kind"] for it in before}) == 12
    assert azure.ours() == []
    azure.assert_clean(before)
    azure.group("more")
    with pytest.raises(AssertionError, match="left behind"):
        azure.assert_clean(before)
