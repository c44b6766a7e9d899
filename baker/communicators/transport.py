"""What every SSH connection of the baker has in common: its socket, its algorithms, and silence."""

import logging
import socket

import paramiko

CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes256-ctr",
)
"""Fastest first: in an emulated machine AES-GCM takes two thirds of the time of OpenSSH's own first choice."""

KEEPALIVE_SECONDS = 15

_USER_TIMEOUT_MILLISECONDS = 60_000
"""How long sent data may stay unacknowledged until the kernel gives the connection up."""

_WINDOW_BYTES = 8 * 1024 * 1024


def dial(host: str, port: int, *, seconds: float) -> socket.socket:
    """A connected socket that sends at once and notices a vanished peer. OSError when it cannot be had."""
    connection = socket.create_connection((host, port), timeout=seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MILLISECONDS)
    return connection


def new_transport(connection: socket.socket, *, host_key_types: tuple[str, ...], seconds: float) -> paramiko.Transport:
    """A transport that has not spoken yet. `host_key_types` are all that it accepts; empty means what it knows.

    `seconds` is for the banner, for the handshake, and for the login each.
    """
    _silence_paramiko()
    transport = paramiko.Transport(connection, default_window_size=_WINDOW_BYTES)
    options = transport.get_security_options()
    options.ciphers = CIPHERS
    if host_key_types:
        options.key_types = host_key_types
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = seconds
    return transport


def _silence_paramiko() -> None:
    """What it logs is either in the error that it raises too, or of no use to a person who bakes."""
    logger = logging.getLogger("paramiko")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
