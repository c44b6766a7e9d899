"""Galleries, their definitions and the versions of these."""

import copy
import re

from tests.builders.azure.fake.capture import as_image_disk, copy_disks, copy_volumes, forget_volumes
from tests.builders.azure.fake.disks import DISKS, SNAPSHOTS
from tests.builders.azure.fake.ids import key, name_of, new_guid, parent_of
from tests.builders.azure.fake.images import check_capturable
from tests.builders.azure.fake.kinds import Answer, Call, Json, Kind, created_at, merge, referred
from tests.builders.azure.fake.locks import check_writable
from tests.builders.azure.fake.refusal import Refusal, invalid, not_allowed
from tests.builders.azure.fake.settings import LOCATIONS, SUBSCRIPTION
from tests.builders.azure.fake.sources import security_feature
from tests.builders.azure.fake.world import Resource, world

_VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]*")


class GalleryKind(Kind):
    style = "capsOperations"

    def full_name(self, resource: Resource) -> str:
        return resource.name

    def parent(self, id: str) -> Resource:
        """Refusal when there is none."""
        found = world.find(parent_of(id))
        if found is None:
            raise Refusal(
                404,
                "ParentResourceNotFound",
                f"Failed to perform 'write' on resource(s) because the parent resource '{parent_of(id)}' could not be "
                "found.",
            )
        return found


class Galleries(GalleryKind):
    type = "Microsoft.Compute/galleries"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        if not _NAME.fullmatch(name_of(call.id)):
            raise invalid("galleryName", f"The gallery name '{name_of(call.id)}' is invalid; no hyphen is allowed.")

    def complete(self, call: Call, resource: Resource) -> None:
        unique = f"{SUBSCRIPTION}-{resource.name.upper()}"
        resource.properties["identifier"] = {"uniqueName": unique}
        resource.properties.setdefault("softDeletePolicy", {"isSoftDeleteEnabled": False})

    def check_gone(self, call: Call, resource: Resource) -> None:
        if world.below(resource.id):
            raise Refusal(
                409,
                "CannotDeleteResource",
                "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: "
                f"'{world.below(resource.id)[0].id}'. Please delete all nested resources before deleting this one.",
            )

    def accepted_body(self, resource: Resource) -> Json:
        told = super().accepted_body(resource)
        if resource.state == "Updating":
            told["properties"]["provisioningState"] = "Succeeded"
        return told

    def share(self, call: Call) -> Answer:
        """Let subscriptions or tenants see it, or everybody: what is possible was decided when it was made."""
        gallery = self.existing(call.id)
        check_writable(call.id)
        profile = gallery.properties.get("sharingProfile") or {}
        public = call.body["operationType"] == "EnableCommunity"
        wanted = "Community" if public else "Groups"
        if profile.get("permissions") != wanted:
            raise not_allowed(f"Gallery {gallery.name} has no sharingProfile with permissions '{wanted}'.")
        for group in call.body.get("groups") or ():
            if group.get("type") not in ("Subscriptions", "AADTenants"):
                raise invalid("groups.type", f"The value '{group.get('type')}' is invalid.")
        sharing = gallery.facts.setdefault("sharing", {})
        asked = {it["type"]: list(it.get("ids") or ()) for it in call.body.get("groups") or ()}

        def done() -> None:
            gallery.state = "Succeeded"
            if public:
                names = {"communityGalleryEnabled": True, "publicNames": [f"{gallery.name}-{new_guid()}"]}
                profile["communityGalleryInfo"] = {**(profile.get("communityGalleryInfo") or {}), **names}
            for type, ids in asked.items():
                had = [it for it in sharing.get(type, []) if it not in ids]
                sharing[type] = [*had, *ids] if call.body["operationType"] == "Add" else had

        def failed() -> None:
            gallery.state = "Succeeded"

        operation = self.operation(call, gallery, then=done, spoiled=failed)
        return Answer(status=202, body=call.body, headers=operation.headers(call.base, monitor=True))

    def shown(self, resource: Resource, query: dict[str, str]) -> Json:
        told = dict(resource.properties)
        if "sharingprofile" in query.get("$expand", "").lower() and "sharingProfile" in told:
            groups = [{"type": type, "ids": ids} for type, ids in resource.facts.get("sharing", {}).items() if ids]
            told["sharingProfile"] = {**told["sharingProfile"], "groups": groups}
        return told


class Definitions(GalleryKind):
    type = "Microsoft.Compute/galleries/images"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        gallery = self.parent(call.id)
        given = body.get("properties") or {}
        for word in ("osType", "osState", "identifier"):
            if not given.get(word):
                raise invalid(f"galleryImage.properties.{word}", "Required parameter is missing (null).")
        for word in ("publisher", "offer", "sku"):
            if not given["identifier"].get(word):
                raise invalid(f"galleryImage.properties.identifier.{word}", "Required parameter is missing (null).")
        if old is not None:
            for word in ("osType", "osState", "identifier", "hyperVGeneration", "architecture", "features"):
                if word in given and given[word] != old.properties.get(word):
                    raise Refusal(409, "PropertyChangeNotAllowed", f"Changing property '{word}' is not allowed.")
            return
        others = world.of_type(self.type, gallery.id)
        if any(it.properties["identifier"] == given["identifier"] for it in others):
            raise Refusal(409, "Conflict", "The combination of publisher, offer and SKU must be unique in the gallery.")
        feature = next((it.get("value") for it in given.get("features") or () if it["name"] == "SecurityType"), None)
        if feature and given.get("hyperVGeneration", "V1") != "V2":
            raise invalid("features.SecurityType", f"'{feature}' needs hyperVGeneration V2.")

    def complete(self, call: Call, resource: Resource) -> None:
        resource.properties.setdefault("hyperVGeneration", "V1")
        resource.properties.setdefault("architecture", "x64")

    def check_gone(self, call: Call, resource: Resource) -> None:
        if world.below(resource.id):
            raise Refusal(
                409,
                "CannotDeleteResource",
                f"Cannot delete resource while nested resources exist: '{world.below(resource.id)[0].id}'.",
            )


class Versions(GalleryKind):
    type = "Microsoft.Compute/galleries/images/versions"

    def check(self, call: Call, body: Json, old: Resource | None) -> None:
        name, definition = name_of(call.id), self.parent(call.id)
        if not _VERSION.fullmatch(name):
            raise invalid("galleryImageVersionName", f"The version '{name}' is not of the form Major.Minor.Patch.")
        given = body.get("properties") or {}
        regions = (given.get("publishingProfile") or {}).get("targetRegions") or ()
        names = [str(it.get("name", "")).lower().replace(" ", "") for it in regions]
        location = body["location"].lower().replace(" ", "")
        for it in names:
            if it not in LOCATIONS:
                raise invalid("targetRegions", f"The region '{it}' is not available for Azure Compute Gallery.")
        if location not in names:
            raise invalid(
                "targetRegions",
                f"The publishing profile's target regions must contain the location of the version, '{location}'.",
            )
        if len(set(names)) < len(names):
            raise invalid("targetRegions", "A region is named twice.")
        source = self._source(given)
        if old is not None:
            if source is not None and key(source) != key(old.facts["source"]):
                raise Refusal(409, "PropertyChangeNotAllowed", "Changing property 'storageProfile' is not allowed.")
            return
        found = referred(call, source, "source")
        if found.location != location:
            raise invalid("storageProfile.source", f"The source is in {found.location}, the version in {location}.")
        self._check_source(found, definition)

    def changed(self, call: Call, resource: Resource, properties: Json) -> None:
        then = copy.deepcopy(resource.properties)
        merge(then, properties)
        self.check(call, {"location": resource.location, "properties": then}, resource)
        super().changed(call, resource, properties)

    @staticmethod
    def _check_source(source: Resource, definition: Resource) -> None:
        feature = security_feature(definition)
        if source.type == "Microsoft.Compute/virtualMachines":
            if definition.properties["osState"] == "Generalized":
                check_capturable(source)
            generation, architecture = source.facts["source"].generation, source.facts["source"].architecture
            trusted = (source.properties.get("securityProfile") or {}).get("securityType") == "TrustedLaunch"
            if trusted and feature != "TrustedLaunch":
                raise invalid(
                    "storageProfile.source",
                    f"The source {source.id} has security type 'TrustedLaunch', and the gallery image "
                    f"{definition.name} has SecurityType '{feature}'. Use a gallery image with feature "
                    "SecurityType=TrustedLaunch.",
                )
            if not trusted and feature == "TrustedLaunch":
                raise invalid(
                    "storageProfile.source",
                    f"The source {source.id} cannot be used for a gallery image of SecurityType 'TrustedLaunch'.",
                )
        elif source.type == "Microsoft.Compute/images":
            generation, architecture = source.properties["hyperVGeneration"], "x64"
            if feature == "TrustedLaunch":
                raise invalid("storageProfile.source", "A managed image is no source for SecurityType 'TrustedLaunch'.")
        elif source.type == Versions.type:
            parent = world.find(parent_of(source.id))
            assert parent is not None
            generation, architecture = parent.properties["hyperVGeneration"], parent.properties["architecture"]
        else:
            return
        wanted = definition.properties
        if generation != wanted["hyperVGeneration"]:
            raise invalid(
                "storageProfile.source",
                f"The resource {source.id} has a different Hypervisor generation ['{generation}'] than the parent "
                f"gallery image Hypervisor generation ['{wanted['hyperVGeneration']}']",
            )
        if architecture != wanted["architecture"]:
            raise invalid(
                "storageProfile.source",
                f"The resource {source.id} has architecture '{architecture}', and the parent gallery image "
                f"'{wanted['architecture']}'.",
            )

    @staticmethod
    def _source(given: Json) -> str | None:
        profile = given.get("storageProfile") or {}
        source = profile.get("source") or (profile.get("osDiskImage") or {}).get("source") or {}
        found = source.get("virtualMachineId") or source.get("id")
        return str(found) if found else None

    def complete(self, call: Call, resource: Resource) -> None:
        profile = resource.properties["publishingProfile"]
        defaults = (
            ("replicaCount", 1), ("excludeFromLatest", False), ("publishedDate", created_at(resource)),
            ("storageAccountType", "Standard_LRS"),
        )  # fmt: skip
        for word, value in defaults:
            profile.setdefault(word, value)
        for it in profile["targetRegions"]:
            it.setdefault("regionalReplicaCount", profile["replicaCount"])
            it.setdefault("storageAccountType", profile["storageAccountType"])
        if "volumes" in resource.facts:
            return
        resource.facts["source"] = self._source(resource.properties)
        source = world.find(str(resource.facts["source"]))
        assert source is not None
        self._fill(resource, source)

    @staticmethod
    def _fill(resource: Resource, source: Resource) -> None:
        if source.type == "Microsoft.Compute/virtualMachines":
            copy_disks(source, resource)
            disks = as_image_disk(source)
        elif source.type in (DISKS.type, SNAPSHOTS.type):
            resource.facts |= {"volumes": {"os": new_guid()}, "not_deprovisioned": ["made of a disk"]}
            world.machines.copy_snapshot(resource.facts["volumes"]["os"], source.properties["uniqueId"])
            disks = {"osDisk": {"diskSizeGB": source.properties["diskSizeGB"]}, "dataDisks": []}
        else:
            copy_volumes(source, resource)
            disks = source.facts.get("disks") or source.properties["storageProfile"]
        resource.facts["disks"] = disks

    def made(self, resource: Resource) -> None:
        profile, disks = resource.properties["storageProfile"], resource.facts["disks"]
        system = profile.setdefault("osDiskImage", {})
        system["sizeInGB"] = disks["osDisk"]["diskSizeGB"]
        system.setdefault("hostCaching", "ReadWrite")
        if disks["dataDisks"]:
            profile["dataDiskImages"] = [
                {"lun": it["lun"], "sizeInGB": it["diskSizeGB"], "hostCaching": it["caching"]}
                for it in disks["dataDisks"]
            ]

    def gone(self, resource: Resource) -> None:
        forget_volumes(resource)

    def shown(self, resource: Resource, query: dict[str, str]) -> Json:
        if "replicationstatus" not in query.get("$expand", "").lower():
            return resource.properties
        done = resource.state == "Succeeded"
        summary = [
            {
                "region": LOCATIONS[it["name"].lower().replace(" ", "")],
                "state": "Completed" if done else "Failed" if resource.state == "Failed" else "Replicating",
                "details": "",
                "progress": 100 if done else 35,
            }
            for it in resource.properties["publishingProfile"]["targetRegions"]
        ]
        state = "Completed" if done else "Failed" if resource.state == "Failed" else "InProgress"
        return resource.properties | {"replicationStatus": {"aggregatedState": state, "summary": summary}}


GALLERIES, DEFINITIONS, VERSIONS = Galleries(), Definitions(), Versions()
