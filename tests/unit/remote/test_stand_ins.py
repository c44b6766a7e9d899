"""The files that mirrors need on the machine."""

import pytest

from baker.events import Notice
from baker.mirrors import Mirrors
from baker.remote.stand_ins import apt_configuration, apt_sources


def test_debian_gets_its_own_release_from_the_mirror_and_security_only_from_a_security_mirror():
    mirrors = Mirrors(apt_mirror="http://m/debian")
    lines = apt_sources(mirrors, "debian", "bookworm").splitlines()
    assert [line.split()[2:4] for line in lines] == [
        ["http://m/debian", "bookworm"],
        ["http://m/debian", "bookworm-updates"],
    ]
    more = apt_sources(Mirrors(apt_mirror="http://m/debian", apt_security_mirror="http://s"), "debian", "bookworm")
    assert " http://s bookworm-security main" in more
    assert all("signed-by=/usr/share/keyrings/debian-archive-keyring.gpg" in line for line in more.splitlines())


def test_ubuntu_has_its_security_updates_in_the_same_archive():
    sources = apt_sources(Mirrors(apt_mirror="http://m/ubuntu"), "ubuntu", "noble")
    assert " http://m/ubuntu noble-security main restricted universe multiverse" in sources


def test_without_a_mirror_or_for_another_distribution_nothing_stands_in():
    assert apt_sources(Mirrors(), "debian", "bookworm") == ""
    assert apt_sources(Mirrors(apt_mirror="http://m"), "fedora", "") == ""


def test_the_configuration_names_only_what_is_there():
    assert "sourcelist" not in apt_configuration(Mirrors(ca_bundle="/x"), own_sources=False)
    assert 'CaInfo "/run/baker/mirrors/ca.pem"' in apt_configuration(Mirrors(ca_bundle="/x"), own_sources=False)
    both = apt_configuration(Mirrors(apt_mirror="http://m", http_proxy="http://p:1"), own_sources=True)
    assert 'Dir::Etc::sourceparts "/dev/null";' in both
    assert 'Acquire::http::Proxy "http://p:1";' in both


def test_sources_that_a_recipe_adds_are_left_alone_where_the_machine_came_with_none():
    assert "sourceparts" not in apt_configuration(Mirrors(apt_mirror="http://m"), own_sources=True, parts=False)


@pytest.mark.sandbox
@pytest.mark.parametrize("security", [None, "http://mirror.invalid/debian-security"])
def test_a_mirror_without_security_updates_is_warned_of(shared_sandbox, make_remote, events, security):
    mirrors = Mirrors(apt_mirror="http://mirror.invalid/debian", apt_security_mirror=security)
    make_remote(shared_sandbox, mirrors=mirrors).remove_mirrors()
    warnings = [event.text for event in events if isinstance(event, Notice) and event.level == "warning"]
    if security:
        assert warnings == []
    else:
        (warning,) = warnings
        assert "without security updates" in warning
