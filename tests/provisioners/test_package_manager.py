"""What package managers say, understood: the texts are those of apt 2.6, dnf 4.14 and dnf5 5.2."""

from provisioners.package_manager import is_locked, unknown_to_apt, unknown_to_dnf

APT = """\
E: Unable to locate package no-such-thing
E: Unable to locate package nor.that
E: Couldn't find any package by glob 'nor.that'
E: Package 'netscape' has no installation candidate
E: Version '9.9' for 'git' was not found
"""


def test_apt_names_all_that_it_does_not_know_once() -> None:
    assert unknown_to_apt(APT) == ("no-such-thing", "nor.that", "netscape", "git")


def test_other_failures_of_apt_are_not_about_names() -> None:
    assert unknown_to_apt("E: Sub-process /usr/bin/dpkg returned an error code (1)\n") == ()
    assert unknown_to_apt("W: Unable to locate package lists\n") == ()


def test_dnf_names_what_it_does_not_know() -> None:
    text = "No match for argument: foo\nNo match for argument: bar\nError: Unable to find a match: foo bar\n"
    assert unknown_to_dnf(text) == ("foo", "bar")
    assert unknown_to_dnf("Failed to resolve the transaction:\nNo match for argument: foo\n") == ("foo",)


def test_a_held_lock_is_told_from_other_failures() -> None:
    held = (
        "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 77 (apt-get)\n"
        "E: Unable to lock directory /var/lib/apt/lists/\n"
    )
    assert is_locked(held)
    assert not is_locked("E: The repository 'http://x Release' does not have a Release file.\n")
    assert not is_locked("Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend.\n")
