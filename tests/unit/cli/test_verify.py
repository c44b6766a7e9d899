"""`bake verify` and `bake images` as a user calls them, as far as no machine is started."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from baker.artifact import Artifact
from baker.builders.qemu.image import Image, ImageDisk, artifact_of, digest_of, sha256_of, write_description
from baker.builders.qemu.shelf import mark_newest
from baker.cli.main import main
from baker.cli.planning import plan_recipe
from baker.home import Home

MakeImage = Callable[..., Artifact]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("BAKER_HOME", str(home.path))
    return home


@pytest.fixture
def make_image(home: Home, recipe: Path) -> MakeImage:
    """An image of the recipe `ocean.py`, with a small file for a disk."""
    fingerprint = plan_recipe(recipe, on=None, settings={})[0].fingerprint

    def make(
        name: str = "ocean-1", *, verified: bool = False, created: str = "2026-01-02T03:04:05+00:00", **labels: str
    ) -> Artifact:
        folder = home.images / name
        folder.mkdir()
        file = folder / "root.qcow2"
        file.write_bytes(name.encode())
        disk = ImageDisk(
            name="root",
            file=file.name,
            virtual_size_bytes=1 << 30,
            file_size_bytes=len(name),
            sha256=sha256_of(file),
        )
        image = Image(
            name=name, created=created, fingerprint=labels.pop("fingerprint", fingerprint), labels={},
            source_digest="s", architecture="x86_64", firmware="uefi", memory_mib=1024, cpus=1, disks=(disk,),
        )  # fmt: skip
        digest = digest_of(folder, image)
        found = {
            "recipe": "ocean",
            "verified": digest if verified else "no",
            "verified-at": "2126-01-01T00:00:00+00:00",
        }
        image = replace(image, labels={**found, **labels})
        write_description(folder, image)
        return artifact_of(folder, image)

    return make


REFUSALS = [
    (["verify"], 2, "no image given"),
    (["verify", "ocean-1", "--set", "size_gib=4"], 2, "--set and --on belong to a recipe"),
    (["verify", "ocean-1", "--on", "qemu"], 2, "--set and --on belong to a recipe"),
    (["verify", "ocean-1", "--recipe", "nowhere.py"], 2, "no such file: nowhere.py"),
    (["verify", "ocean-2"], 4, "did you mean ocean-1?"),
    (["verify", "qemu:ocean-2"], 4, "no image 'ocean-2'"),
    (["verify", "/nowhere/ocean-1"], 4, "no image '/nowhere/ocean-1' is there"),
    (["verify", "ocean-1", "--recipe", "ocean.py", "--set", "size_gib=4"], 2, "give the same --set as for the bake"),
    (["verify", "ocean-1", "--recipe", "ocean.py", "--on", "fog"], 2, "says nothing of fog, where the image is"),
    (["verify", "other-1", "--recipe", "ocean.py"], 2, "was baked from recipe 'other', and this one is 'ocean'"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), REFUSALS, ids=[" ".join(row[0]) for row in REFUSALS])
def test_what_cannot_be_verified_is_refused_before_anything_is_started(
    make_image: MakeImage, home: Home, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    make_image()
    make_image("other-1", recipe="other")
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
    assert not (home.path / "work").exists()
    assert not Path(".bake").exists()


def test_no_verify_is_refused_for_a_recipe_that_shares(
    recipe: Path, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = recipe.read_text().replace("import Disk, ", "import Disk, Share, ")
    recipe.write_text(text.replace("checks=(file_exists,),", 'share=Share(targets=("/srv/images",)),'))
    assert main(["ocean.py", "--no-verify"]) == 2
    assert "not verified is not shared" in capsys.readouterr().err
    assert not (home.path / "work").exists()


def test_images_shows_what_is_verified_what_was_changed_and_what_a_name_means(
    make_image: MakeImage, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    make_image("ocean-1", verified=True, created="2026-01-01")
    newest = make_image("ocean-2", verified=True, created="2026-01-02")
    make_image("ocean-3", created="2026-01-03")
    changed = make_image("ocean-4", verified=True, created="2026-01-04")
    disk = Path(changed.id) / "root.qcow2"
    disk.write_bytes(disk.read_bytes() + b"!")
    mark_newest(newest, home.images)

    assert main(["images"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    column = slice(heading.index("verified"), heading.index("  id"))
    assert [row[column].strip() for row in rows] == ["yes", "yes, newest ocean", "no", "changed"]

    assert main(["images", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(it["state"], it["newest"]) for it in found] == [
        ("yes", False), ("yes", True), ("no", False), ("changed", False),
    ]  # fmt: skip
    assert len(found) == 4, "the link is listed as an image"
