"""What a user says about a machine in Azure, and about the image made of it. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from baker.builders.admission import CALLER

SECURITY_TYPES = ("TrustedLaunch", "Standard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region that a gallery version is replicated to, with so many replicas."""

    name: str
    replicas: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Where a version of a gallery image goes. The gallery `name` in `group` must be there; the definition is made.

    - `definition`: None takes the recipe's name.
    - `version`: "1.2.3"; None takes one from the time of the bake.
    - `regions`: where the version is replicated to, beside the region of the bake.
    - `replicas`: how many there are in the region of the bake.
    - `storage`: of the replicas; None leaves it to Azure.
    - `shallow`: a version that copies no data: quick, for tests, and as good as the machine's disks only.
    """

    group: str
    name: str
    definition: str | None = None
    version: str | None = None
    regions: tuple[Region, ...] = ()
    replicas: int = 1
    storage: Literal["Standard_LRS", "Standard_ZRS", "Premium_LRS"] | None = None
    shallow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Azure:
    """A machine in Azure. Who bakes is found by the SDK's own chain (environment, workload identity, managed identity,
    `az login`): an account is no part of a recipe.

    - `subscription`: an id; None takes $AZURE_SUBSCRIPTION_ID, or the only one that the account sees.
    - `location`: a region such as "westeurope"; None takes that of the group or gallery that the image goes to.
    - `sizes`: tried in this order where there is no capacity or quota.
    - `source`: "publisher:offer:sku:version" of the marketplace (version "latest" for the newest), or the id of a
      managed image or of a gallery version.
    - `login_user`: the account that Azure makes for the bake; it is in no image.
    - `root_gib`: None takes the source's size. `root_storage`, `data_storage`: kinds of managed disks.
    - `image_group`: the group of a managed image. It serves its subscription and region, and no more; Microsoft calls
      it legacy. `gallery`: where a version goes. One of them must be said; both may be.
    - `resource_group`: a group that exists, for the machine; None makes one, which takes the right to make groups.
    - `subnet`: the id of one; None makes a network.
    - `address`: how the baking host reaches the machine. "private" takes a `subnet` that it can reach.
    - `admit`: who may reach the machine's SSH: "the caller" (asked from `caller_service`), a network such as
      "192.0.2.0/24", or, in these words, "the whole world".
    - `security`: None leaves the security type to Azure. A managed image needs "Standard", or a source of generation 1.
    - `spot`: "prefer" falls back to full price after all sizes, "only" does not. `eviction`: what Azure does then.
    - `tags` go on everything that is made.
    - `cloud`: "public", "government", "china", or the https address of a Resource Manager; None takes
      $BAKER_AZURE_CLOUD, or "public".
    - `end_of_life_after_days`: when the gallery shall call the version out of date; None never.
    - `capture_timeout_seconds`: None takes what fits the size of the disks.
    - `boot_timeout_seconds`: how long the machine may take until it can be logged in to.
    """

    kind: ClassVar[str] = "azure"

    name: str = "azure"
    subscription: str | None = None
    location: str | None = None
    sizes: tuple[str, ...] = ("Standard_D2s_v5",)
    source: str = "Canonical:ubuntu-24_04-lts:server:latest"
    login_user: str = "baker"
    root_gib: int | None = None
    root_storage: str = "StandardSSD_LRS"
    data_storage: str = "StandardSSD_LRS"
    image_group: str | None = None
    gallery: Gallery | None = None
    resource_group: str | None = None
    subnet: str | None = None
    address: Literal["public", "private"] = "public"
    admit: str = CALLER
    caller_service: str = "https://checkip.amazonaws.com"
    security: Literal["TrustedLaunch", "Standard"] | None = None
    spot: Literal["never", "prefer", "only"] = "never"
    eviction: Literal["Delete", "Deallocate"] = "Delete"
    tags: Mapping[str, str] = field(default_factory=dict)
    cloud: str | None = None
    end_of_life_after_days: int | None = None
    capture_timeout_seconds: float | None = None
    boot_timeout_seconds: float = 600
