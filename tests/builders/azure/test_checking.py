"""What is wrong with a spec is said before anybody is asked, each with its field."""

from dataclasses import replace
from typing import Any

import pytest

from baker.builders.azure.builder import AzureBuilder
from baker.builders.azure.checking import disk_problems
from baker.builders.azure.spec import Azure, Gallery, Region
from baker.recipe import BuilderSpec, Disk

GOOD = Azure(image_group="images")
GALLERY = Gallery(group="images", name="reefs")
NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gallery": GALLERY, "image_group": None},
        {"gallery": replace(GALLERY, version="2026.1122.5209", regions=(Region(name="northeurope", replicas=2),))},
        {"source": f"{NETWORK.partition('/providers')[0]}/providers/Microsoft.Compute/images/mine"},
        {"source": "/subscriptions/s/resourceGroups/g/providers/microsoft.compute/galleries/a/images/b/versions/1.2.3"},
        {"source": "Debian:debian-12:12:latest"},
        {"subnet": f"{NETWORK}/subnets/s", "address": "private", "admit": "10.0.0.0/8"},
        {"cloud": "government"},
        {"cloud": "https://management.local.example:3000"},
        {"admit": "the whole world"},
        {"subscription": "00000000-1111-2222-3333-444444444444"},
        {"gallery": GALLERY, "end_of_life_after_days": 30},
    ],
)
def test_specs_that_are_fine(changes: dict[str, Any]) -> None:
    assert AzureBuilder().check(replace(GOOD, **changes)) == ()
    assert isinstance(GOOD, BuilderSpec)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_group": None}, "does not say where the image goes"),
        ({"subscription": "mine"}, "subscription"),
        ({"location": "West Europe"}, "location"),
        ({"cloud": "mars"}, "'public', 'government', 'china'"),
        ({"cloud": "http://unsafe.example"}, "cloud"),
        ({"sizes": ()}, "sizes"),
        ({"sizes": "Standard_D2s_v5"}, "sizes"),
        ({"sizes": ("t3.large",)}, "sizes"),
        ({"source": "ubuntu"}, "publisher:offer:sku:version"),
        ({"source": "Canonical:ubuntu:server:newest"}, "publisher:offer:sku:version"),
        ({"source": f"{NETWORK}"}, "publisher:offer:sku:version"),
        ({"source": 7}, "publisher:offer:sku:version"),
        ({"login_user": "admin"}, "login_user"),
        ({"login_user": "Ada"}, "login_user"),
        ({"root_gib": 0}, "root_gib"),
        ({"root_storage": "fast"}, "root_storage"),
        ({"data_storage": "gp3"}, "data_storage"),
        ({"spot": "always"}, "spot"),
        ({"eviction": "Stop"}, "eviction"),
        ({"security": "Confidential"}, "security"),
        ({"security": "TrustedLaunch"}, "no managed image can be made of such a machine"),
        ({"resource_group": "/subscriptions/x"}, "resource_group"),
        ({"image_group": "a group"}, "image_group"),
        ({"subnet": NETWORK}, "subnet"),
        ({"address": "elastic"}, "address"),
        ({"address": "private"}, "takes a subnet"),
        ({"admit": "0.0.0.0/0"}, "the whole world"),
        ({"admit": "2001:db8::/32"}, "IPv4"),
        ({"caller_service": "ftp://x"}, "caller_service"),
        ({"tags": {"a/b": "c"}}, "in the name of a tag: a/b"),
        ({"tags": {"a": 1}}, "tags"),
        ({"boot_timeout_seconds": 0}, "boot_timeout_seconds"),
        ({"end_of_life_after_days": 30}, "only a gallery"),
        ({"gallery": "reefs"}, "must be a Gallery"),
        ({"gallery": replace(GALLERY, name="a-b")}, "Gallery(name='a-b')"),
        ({"gallery": replace(GALLERY, group="")}, "Gallery(group='')"),
        ({"gallery": replace(GALLERY, version="1.2")}, "Gallery(version='1.2')"),
        ({"gallery": replace(GALLERY, version="1.02.3")}, "Gallery(version='1.02.3')"),
        ({"gallery": replace(GALLERY, definition="a b")}, "Gallery(definition='a b')"),
        ({"gallery": replace(GALLERY, replicas=0)}, "Gallery(replicas=0)"),
        ({"gallery": replace(GALLERY, storage="fast")}, "Gallery(storage='fast')"),
        ({"gallery": replace(GALLERY, regions=("northeurope",))}, "Region("),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], said: str) -> None:
    problems = AzureBuilder().check(replace(GOOD, **changes))
    assert any(said in problem.summary for problem in problems), problems
    assert {problem.exit_code for problem in problems} == {2}


def test_what_no_size_takes_is_said() -> None:
    assert [problem.exit_code for problem in disk_problems((Disk(name="data", size_gib=40000),))] == [2]
    assert "too many" in next(disk_problems(tuple(Disk(name=f"d{n}", size_gib=1) for n in range(65)))).summary
    assert list(disk_problems((Disk(name="data", size_gib=4),))) == []
