"""A value of another kind than its field's is refused when the step is made, whichever step and field it is."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import provisioners
from baker.errors import RecipeError
from baker.provisioner import SftpSource
from baker.secret import Secret
from provisioners import (
    CondaInstall,
    DiskMount,
    Files,
    GitClone,
    Partition,
    PipPackages,
    Reboot,
    SftpImport,
    Shell,
    SystemPackages,
)

SOURCE = SftpSource(url="sftp://data.example.org/tides", user="ada")
GOOD: dict[type[Any], Any] = {
    type(step): step
    for step in (
        CondaInstall(),
        provisioners.CondaEnvironment(file="ocean.yml"),
        DiskMount(disk="data", path="/data"),
        Files(target="/etc/motd", content="hello"),
        GitClone(url="https://example.org/a.git", target="/srv/a", ref="main"),
        Partition(path="/data"),
        PipPackages(packages=("utm",), venv="/opt/tools"),
        Reboot(),
        SftpImport(source=SOURCE, target="/data/tides"),
        Shell(command="true"),
        SystemPackages(packages=("git",)),
        provisioners.SystemUpdate(),
    )
}
FIELDS = [
    pytest.param(cls, field.name, id=f"{cls.__name__}.{field.name}")
    for cls in (getattr(provisioners, name) for name in provisioners.__all__)
    for field in dataclasses.fields(cls)
]


class Odd:
    """Nothing that any field can hold."""

    def __repr__(self) -> str:
        return "odd"


@pytest.mark.parametrize(("cls", "name"), FIELDS)
@pytest.mark.parametrize("value", [Odd(), (Odd(),), {"A": Odd()}, Odd], ids=["value", "tuple", "dict", "class"])
def test_no_field_takes_what_it_cannot_hold(cls: type[Any], name: str, value: object) -> None:
    with pytest.raises(RecipeError, match=rf"^{cls.__name__}: {name}\b.* is not "):
        dataclasses.replace(GOOD[cls], **{name: value})


@pytest.mark.parametrize("cls", GOOD)
def test_what_fits_is_taken(cls: type[Any]) -> None:
    assert dataclasses.replace(GOOD[cls]) == GOOD[cls]


def test_an_annotation_that_is_text_would_say_nothing() -> None:
    assert not [field for cls in GOOD for field in dataclasses.fields(cls) if isinstance(field.type, str)]


any_value: Any = lambda value: value  # noqa: E731  (what mypy would find is what is tested)

SLIPS: dict[str, tuple[Callable[[], object], str, str | None]] = {
    "letters for a mode": (
        lambda: Files(target="/a", content="", mode=any_value("rwx")),
        "Files: mode='rwx' is not a whole number",
        "write it in octal, as 0o644",
    ),
    "text for a mode": (
        lambda: Files(target="/a", content="", mode=any_value("0755")),
        "Files: mode='0755' is not a whole number",
        "write it in octal, as 0o755",
    ),
    "a command as a list": (
        lambda: Shell(command=any_value(["apt-get", "update"])),
        "Shell: command=['apt-get', 'update'] is not text",
        "write one text; it may have several lines",
    ),
    "a number for an address": (
        lambda: GitClone(url=any_value(3), target="/a", ref="main"),
        "GitClone: url=3 is not text",
        'write url="..."',
    ),
    "a number for a path": (
        lambda: DiskMount(disk="data", path=any_value(5)),
        "DiskMount: path=5 is not text",
        'write path="..."',
    ),
    "text for a source": (
        lambda: SftpImport(source=any_value("sftp://x/y"), target="/a"),
        "SftpImport: source='sftp://x/y' is not SftpSource(...)",
        None,
    ),
    "a number in a source": (
        lambda: SftpImport(source=SftpSource(url=any_value(3), user="ada"), target="/a"),
        "SftpImport: source.url=3 is not text",
        'write url="..."',
    ),
    "text for a tuple": (
        lambda: SystemPackages(packages=any_value("git")),
        "SystemPackages: packages='git' is not a tuple of text",
        'write packages=("git",), with the comma',
    ),
    "a list for a tuple": (
        lambda: SystemPackages(packages=any_value(["git"])),
        "SystemPackages: packages=['git'] is not a tuple of text",
        "write packages=(...), round brackets, with a comma after each",
    ),
    "one for a tuple": (
        lambda: DiskMount(disk="data", partitions=any_value(Partition(path="/a"))),
        "DiskMount: partitions=Partition(path='/a', size_gib=None, filesystem='ext4', owner… is not a tuple of "
        "Partition(...)",
        "write partitions=(Partition(...),), with the comma",
    ),
    "a number in quotes": (
        lambda: Shell(command="true", retries=any_value("3")),
        "Shell: retries='3' is not a whole number",
        "write retries=3, without the quotes",
    ),
    "a truth for a number": (
        lambda: Shell(command="true", retries=True),
        "Shell: retries=True is not a whole number",
        None,
    ),
    "another filesystem": (
        lambda: DiskMount(disk="data", path="/a", filesystem=any_value("btrfs")),
        "DiskMount: filesystem='btrfs' is not 'ext4' or 'xfs'",
        None,
    ),
    "a number in an environment": (
        lambda: Shell(command="true", env={"THREADS": any_value(4)}),
        "Shell: env is not a dict from text to text or a Secret",
        None,
    ),
    "a path for text": (
        lambda: Files(target="/a", source=any_value(Path("a"))),
        f"Files: source={Path('a')!r} is not text",
        'write source="..."',
    ),
}


@pytest.mark.parametrize(("make", "summary", "hint"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_named_with_what_to_write(make: Callable[[], object], summary: str, hint: str | None) -> None:
    with pytest.raises(RecipeError) as caught:
        make()
    assert (caught.value.summary, caught.value.hint) == (summary, hint)


def test_a_secret_that_is_written_as_text_is_not_repeated() -> None:
    for make in (
        lambda: dataclasses.replace(GOOD[GitClone], credential=any_value("hunter22")),
        lambda: SftpImport(source=SftpSource(url="sftp://x/y", user="a", password=any_value("hunter22")), target="/a"),
    ):
        with pytest.raises(RecipeError) as caught:
            make()
        assert "hunter22" not in f"{caught.value.summary} {caught.value.hint} {caught.value.details}"
        assert "Secret.from_env(" in (caught.value.hint or "")


def test_a_secret_fits_where_one_belongs() -> None:
    token = Secret.from_env("TOKEN")
    assert dataclasses.replace(GOOD[GitClone], credential=token).credential is token
    assert Shell(command="true", env={"TOKEN": token, "OTHER": "plain"}).env["TOKEN"] is token


@pytest.mark.parametrize(
    "digits", ["644", "755", "600", "700", "640", "750", "775", "777", "400", "440", "1777", "2755"]
)
def test_a_mode_in_decimal_digits_is_a_slip(digits: str) -> None:
    with pytest.raises(RecipeError, match=f"mode={digits} is a decimal number") as caught:
        Files(target="/a", content="", mode=int(digits))
    assert caught.value.hint == f"write mode=0o{digits}"


@pytest.mark.parametrize(
    "mode", [0o644, 0o755, 0o600, 0o777, 0o711, 0o440, 0o2755, 0o1777, 0o4755, 0o000, 0o770, 0o775]
)
def test_a_mode_in_octal_is_none(mode: int) -> None:
    assert Files(target="/a", content="", mode=mode).mode == mode
