"""What a user says about a machine in EC2, and about the image made of it. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from baker.builders.admission import CALLER

NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiFilter:
    """The newest image that fits. `owner` is an account id, "self" or "amazon": a name alone can be anybody's.

    `name` may hold `*`. `architecture` is as EC2 calls it.
    """

    owner: str
    name: str
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    login_user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """An EBS volume. None leaves a value to EC2 (and to the account's settings, for `encrypted`).

    `iops` and `throughput_mibps` are for types that take them. `kms_key` is an id, alias or ARN, and means encryption.
    """

    type: str = "gp3"
    iops: int | None = None
    throughput_mibps: int | None = None
    encrypted: bool | None = None
    kms_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticIp:
    """A fixed public address. One given by `allocation_id` is let go of at the end, and never released; without it
    one is allocated for the bake."""

    allocation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """A machine in EC2. Account and endpoint are those of the SDK's own chain: AWS_PROFILE, keys in the environment,
    SSO, web identity, role, AWS_ENDPOINT_URL. They are no part of a recipe: others bake it with accounts of their own.

    - `region`: None takes that of the environment or the profile.
    - `instance_types`: tried in this order where there is no capacity.
    - `source`: a name such as "ubuntu-24.04", an image id ("ami-..."), a public SSM parameter ("/aws/service/..."), or
      an `AmiFilter`.
    - `login_user`: None takes the account that the source is known to have.
    - `spot`: "prefer" falls back to on-demand after all zones and types, "only" does not.
    - `subnets`: tried in this order; empty takes those of `vpc`, or of the region's default VPC.
    - `address`: how the baking host reaches the machine: an ephemeral public address, its private one, an elastic one.
    - `admit`: who may reach the machine's SSH: "the caller" (asked from `caller_service`), a network such as
      "192.0.2.0/24", or, in these words, "the whole world" or "nobody".
    - `proxy_command`: a program that leads to the machine's SSH over its standard input and output, as a line or as a
      tuple of words; no shell reads it, and it cannot ask anybody for a password. {host}, {port}, {instance} and
      {region} in it are the machine's. `admit` must then be where *it* comes from: a bastion's private address or
      network; the network of an EC2 Instance Connect Endpoint; "nobody" for session manager, which is let in from
      inside. Mostly with address="private".
    - `tags` go on everything that is made.
    - `deprecate_after_days`: when EC2 shall call the image deprecated; None never.
    - `capture_timeout_seconds`: None takes what fits the size of the disks.
    - `boot_timeout_seconds`: how long the machine may take until it can be logged in to.
    """

    kind: ClassVar[str] = "aws"

    name: str = "aws"
    region: str | None = None
    instance_types: tuple[str, ...] = ("t3.large",)
    source: str | AmiFilter = "ubuntu-24.04"
    login_user: str | None = None
    root_gib: int = 16
    root: Volume = field(default_factory=Volume)
    data: Volume = field(default_factory=Volume)
    spot: Literal["never", "prefer", "only"] = "never"
    vpc: str | None = None
    subnets: tuple[str, ...] = ()
    address: Literal["public", "private"] | ElasticIp = "public"
    admit: str = CALLER
    proxy_command: str | tuple[str, ...] = ()
    caller_service: str = "https://checkip.amazonaws.com"
    instance_profile: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    deprecate_after_days: int | None = None
    capture_timeout_seconds: float | None = None
    boot_timeout_seconds: float = 600
