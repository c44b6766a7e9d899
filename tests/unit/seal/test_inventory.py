"""What the machine says about itself, read."""

from baker.seal.inventory import parse_inventory


def test_an_answer_becomes_facts() -> None:
    answer = "os=Debian GNU/Linux 12 (bookworm)\nkernel=6.1.0\npackages=\nbash 5.2=1\nzlib 1.3\n"
    assert parse_inventory(answer) == {
        "os": "Debian GNU/Linux 12 (bookworm)",
        "kernel": "6.1.0",
        "packages": "bash 5.2=1\nzlib 1.3",
    }


def test_a_machine_without_packages_has_an_empty_list() -> None:
    assert parse_inventory("os=Alpine\npackages=\n") == {"os": "Alpine", "packages": ""}
