"""Who may reach the SSH of a machine in a cloud: the baking host alone, unless the recipe says otherwise."""

import ipaddress
import urllib.request

from baker.errors import ReachError

CALLER = "the caller"
ANYWHERE = "the whole world"

CALLER_SECONDS = 10.0


def admitted_networks(admit: str, caller_service: str) -> tuple[str, ...]:
    """Who may reach the machine's SSH, as CIDR. ReachError when the caller's address cannot be found out.

    `admit` is one of the words above or a network; `caller_service` answers with the address of whoever asks it.
    """
    if admit == ANYWHERE:
        return ("0.0.0.0/0", "::/0")
    if admit != CALLER:
        return (str(ipaddress.ip_network(admit)),)
    return (str(ipaddress.ip_network(_caller_address(caller_service))),)  # /32, or /128


def admit_problem(admit: object) -> str | None:
    """What is wrong with how `admit` is written; None when nothing is."""
    if admit in (CALLER, ANYWHERE):
        return None
    try:
        network = ipaddress.ip_network(str(admit))
    except ValueError as error:
        return f'must be "{CALLER}", a network such as "192.0.2.0/24", or "{ANYWHERE}": {error}'
    return f'admits everyone; if that is meant, write "{ANYWHERE}"' if network.prefixlen == 0 else None


def _caller_address(service: str) -> str:
    """The baking host's own address, as a service out there sees it: behind a router nobody else can know."""
    try:
        with urllib.request.urlopen(service, timeout=CALLER_SECONDS) as answer:  # noqa: S310  (checked in the spec)
            text = answer.read(100).decode("ascii", "replace").strip()
        return str(ipaddress.ip_address(text))
    except (OSError, ValueError) as error:
        raise ReachError(
            f"the address of this host cannot be found out at {service}",
            details=(("reason", str(error)),),
            hint='name the network that may reach the machine: admit="192.0.2.7/32", or another caller_service',
        ) from error
