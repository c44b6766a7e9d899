"""`bake` as a user runs it, with nothing but environment variables that lead it to Azure's double.

What goes wrong is one message: Azure's own code, what it means, what to do next. Nothing is left, whatever it was.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.builders.azure.fake.client import FakeAzure
from tests.builders.azure.test_builder import FOR_EVER, prepare

Ended = subprocess.CompletedProcess[str]

BAKE = Path(sys.executable).with_name("bake")
THEIRS = "bake-20260101t000000-zzzz"
"""Somebody else's group, named as one of ours would be."""

RECIPE = """
import os

from baker import Disk, Recipe
from baker.builders.azure.spec import Azure, Gallery
from provisioners import DiskMount, Files


def catch_is_there(host):
    assert host.file("/data/catch").contains("cod")


def recipe(
    size: str = "Standard_D2s_v5", source: str = "Debian:debian-12:12-gen2:latest", location: str = "", group: str = "",
    image_group: str = "", gallery: str = "reefs", version: str = "", subscription: str = "", spot: str = "never",
    where: str = "images",
):
    machine = Azure(
        source=source,
        subscription=subscription or None,
        location=location or None,
        sizes=(size,),
        resource_group=group or None,
        image_group=image_group or None,
        gallery=Gallery(group=where, name=gallery, version=version or None) if gallery != "none" else None,
        spot=spot,
        caller_service=os.environ["REEF_CALLER_SERVICE"],
        tags={"team": "ocean"},
    )
    return Recipe(
        name="reef",
        builders=(machine,),
        disks=(Disk(name="data", size_gib=1),),
        provisioners=(DiskMount(disk="data", path="/data"), Files(target="/data/catch", content="cod\\n")),
        checks=(catch_is_there,),
    )
"""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A folder with a recipe, and a shell whose environment leads to the double."""

    fake: FakeAzure
    folder: Path

    def bake(self, *words: str, **environment: str) -> Ended:
        """Run `bake WORDS`. A variable that is empty is not set."""
        own = {
            "BAKER_HOME": str(self.folder / "home"),
            "HOME": str(self.folder),
            "REEF_CALLER_SERVICE": self.fake.caller_address_url,
        }
        given = {name: value for name, value in ({**self.fake.environment, **own} | environment).items() if value}
        return subprocess.run(
            [str(BAKE), *words], env=given, cwd=self.folder, text=True, capture_output=True, check=False, timeout=600
        )

    def recipe(self, *words: str, **settings: object) -> Ended:
        """Run `bake WORDS reef.py` with settings of the recipe."""
        changes = (word for name, value in settings.items() for word in ("--set", f"{name}={value}"))
        return self.bake(*words, "reef.py", *changes)

    @property
    def ledger(self) -> list[Path]:
        return list((self.folder / "home" / "ledger").glob("*"))


@pytest.fixture
def desk_at(tmp_path: Path, as_caller: Callable[[FakeAzure], None]) -> Callable[[FakeAzure], Desk]:
    def make(fake: FakeAzure) -> Desk:
        as_caller(fake)
        prepare(fake)
        (tmp_path / "reef.py").write_text(RECIPE)
        return Desk(fake=fake, folder=tmp_path)

    return make


def last(ended: Ended) -> str:
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


def rows(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stdout.splitlines()]


# --- with machines


@pytest.fixture
def desk(azure_with_machines: FakeAzure, desk_at: Callable[[FakeAzure], Desk]) -> Desk:
    return desk_at(azure_with_machines)


@pytest.mark.sandbox
@pytest.mark.xdist_group("azure-machines")
def test_the_life_of_an_image(desk: Desk) -> None:
    fake = desk.fake
    before = fake.account()
    baked = desk.recipe("--wait-cleanup")
    first = last(baked)
    assert "the image is verified" in baked.stderr
    (row,) = rows(desk.bake("images", "--on", "azure", "--json"))
    assert (row["id"], row["location"], row["state"], row["newest"]) == (first, "westeurope", "yes", True)
    assert fake.not_deprovisioned() == []
    assert last(desk.bake("verify", "azure:reef", "--recipe", "reef.py")) == first
    fake.assert_clean(before, kept=[first])
    swept = desk.bake("sweep", "--on", "azure", "--location", "all")
    assert (swept.returncode, swept.stdout, swept.stderr) == (0, "nothing is left of dead runs\n", "")
    assert desk.ledger == []


# --- bad input


def refused(ended: Ended, *words: str, code: int = 4) -> None:
    """One message with these words and a hint, and nothing for a script to take for an image."""
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ended.stderr
    message = ended.stderr[ended.stderr.index("error: ") :]
    for word in words:
        assert word in message, message


@dataclass(frozen=True, kw_only=True)
class Bad:
    """Something that is wrong, and what is to be read of it. `act` does it to the subscription."""

    says: tuple[str, ...]
    hint: str
    settings: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    act: Callable[[FakeAzure], object] = lambda _: None
    code: int = 4


NO_CREDENTIALS = (("AZURE_CLIENT_ID", ""), ("AZURE_TENANT_ID", ""), ("AZURE_FEDERATED_TOKEN_FILE", ""), ("PATH", "/"))

BAD = {
    "no credential": Bad(environment=NO_CREDENTIALS, says=("no Azure credentials are found",), hint="az login"),
    "wrong tenant": Bad(
        environment=(("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000bad"),),
        says=("no Azure credentials are found, or Azure does not accept them", "the SDK says"),
        hint="AZURE_TENANT_ID",
    ),
    "another subscription": Bad(
        settings=(("subscription", "00000000-1111-2222-3333-444444444444"),),
        says=("there is no such subscription for this account", "SubscriptionNotFound"),
        hint="az account list",
        code=2,
    ),
    "missing rights": Bad(
        act=lambda arm: arm.permit(["*/read", "Microsoft.Compute/*", "Microsoft.Network/*"]),
        says=("the account may not do", "Microsoft.Resources/subscriptions/resourceGroups/write"),
        hint="baker/builders/azure/roles",
    ),
    "unknown size": Bad(
        settings=(("size", "Standard_D2s_v55"),),
        says=("Standard_D2s_v55 is no size there",),
        hint="did you mean Standard_D2s_v5",
    ),
    "unknown location": Bad(
        settings=(("location", "westeurop"),),
        says=("the gallery reefs is in westeurope, and the machine would be in westeurop",),
        hint='set location="westeurope"',
    ),
    "quota": Bad(
        act=lambda arm: arm.settings(quotas={"cores": 1}),
        says=("the subscription's quota of processors is used up", "1 left of cores"),
        hint="Usage + quotas",
    ),
    "a size that this subscription does not get": Bad(
        act=lambda arm: arm.settings(shortages=[{}]),
        says=("no machine can be had in westeurope", "NotAvailableForSubscription"),
        hint="az vm list-skus",
    ),
    "no capacity": Bad(
        act=lambda arm: arm.settings(shortages=[{"later": True}]),
        says=("no machine of the wanted size can be had now", "AllocationFailed"),
        hint="name more sizes",
    ),
    "unknown image": Bad(
        settings=(("source", "Debian:debian-12:13:latest"),),
        says=("there is no source image Debian:debian-12:13:latest in westeurope",),
        hint="az vm image list",
        code=2,
    ),
    "unknown gallery": Bad(
        settings=(("gallery", "coasts"),), says=("there is no gallery coasts for the image",), hint="az sig create"
    ),
    "unknown group for the image": Bad(
        settings=(("gallery", "none"), ("image_group", "nowhere")),
        says=("there is no group nowhere for the image",),
        hint="az group create --name nowhere",
    ),
    "Trusted Launch with a managed image": Bad(
        settings=(("gallery", "none"), ("image_group", "images")),
        says=("Azure made a machine with Trusted Launch, and no managed image can be made of one",),
        hint="there are three ways out",
    ),
    "a version that exists, and a definition of another generation": Bad(
        settings=(("where", THEIRS), ("gallery", "theirs"), ("version", "1.0.0")),
        act=lambda arm: arm.look_alikes(),
        says=("the gallery has a version 1.0.0 of reef already", "it is for machines of generation V1"),
        hint="name another version",
    ),
    "an evicted machine": Bad(
        settings=(("spot", "only"),),
        act=lambda arm: arm.fault("GET Microsoft.Compute/virtualMachines/instanceView", effect="evict"),
        says=("the machine ended", "Azure took the spot machine away (evicted)"),
        hint="",
    ),
    "the network goes away at the launch": Bad(
        act=lambda arm: arm.fault("PUT Microsoft.Network/virtualNetworks", lose="request", times=8),
        says=("Azure cannot be reached while making the network",),
        hint="bake sweep --on azure",
        code=5,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_and_leaves_nothing(
    azure: FakeAzure, desk_at: Callable[[FakeAzure], Desk], name: str
) -> None:
    bad, desk = BAD[name], desk_at(azure)
    bad.act(azure)
    before = azure.account()
    changes = [word for setting in bad.settings for word in ("--set", "=".join(setting))]
    ended = desk.bake("reef.py", "--wait-cleanup", *changes, **dict(bad.environment))
    azure.grants([{"scope": "/", "actions": ["*"], "not_actions": []}])
    refused(ended, *bad.says, code=bad.code)
    assert bad.hint in ended.stderr.partition("\nhint: ")[2]
    azure.assert_clean(before)
    assert desk.ledger == []


def test_what_a_lock_keeps_is_listed_and_swept_later(azure: FakeAzure, desk_at: Callable[[FakeAzure], Desk]) -> None:
    desk = desk_at(azure)
    before = azure.account()
    azure.settings(shortages=[{"later": True}])
    azure.fault("DELETE Microsoft.Resources/resourceGroups", error="ScopeLocked", status=409, times=FOR_EVER)
    ended = desk.recipe()
    assert ended.returncode == 4
    assert "a lock keeps this from being changed or removed" in ended.stderr
    assert "az group delete --yes --no-wait" in ended.stderr
    found = desk.bake("sweep", "--on", "azure")
    assert found.returncode == 8
    assert "resource group" in found.stdout
    azure.forget_faults()
    swept = desk.bake("sweep", "--on", "azure", "--yes")
    assert swept.returncode == 0, swept.stderr
    assert desk.ledger == []
    azure.assert_clean(before)


def test_a_live_plan_asks_and_makes_nothing(azure: FakeAzure, desk_at: Callable[[FakeAzure], Desk]) -> None:
    desk = desk_at(azure)
    before = azure.account()
    planned = desk.recipe("plan", "--live")
    assert planned.returncode == 0, planned.stderr
    assert azure.account() == before
