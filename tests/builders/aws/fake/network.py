"""The network between the caller and the instances: an address of loopback for each, where security groups rule.

Every running instance's public address (and a private one, where its subnet lies in 127.0.0.0/8) is one of this
host's loopback addresses, on which the SSH port listens. A connection from an address that some rule admits is carried
to the machine; any other is left without a word, which is the nearest that a process can come to the packets that
EC2 drops: a client sees a server that never greets.
"""

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any

_CHUNK_BYTES = 256 * 1024
_CLAIM_PORT = 52525

Route = Callable[[str], int | None]
"""Where a connection from an address goes: a port on 127.0.0.1; None when nobody answers it (yet)."""


class Addresses:
    """Addresses that nobody else on this host hands out: 127.a.b.0/24, held as long as this process lives."""

    def __init__(self) -> None:
        self._taken = 0
        while True:
            self._prefix = f"127.{64 + secrets.randbelow(64)}.{secrets.randbelow(256)}"
            self._claim = socket.socket()
            try:
                self._claim.bind((f"{self._prefix}.255", _CLAIM_PORT))
            except OSError:
                self._claim.close()
            else:
                return

    def next(self) -> str:
        """One that nobody had since the beginning, or since it began anew."""
        self._taken += 1
        if self._taken > 253:
            raise RuntimeError("this fake has handed out 253 addresses; start another")
        return f"{self._prefix}.{self._taken}"

    def begin_anew(self) -> None:
        """All machines that had one are gone."""
        self._taken = 0


class Network:
    """Listeners, by address. All in one thread of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._servers: dict[str, asyncio.Server] = {}
        self._open: dict[str, set[asyncio.StreamWriter]] = {}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def addresses(self) -> set[str]:
        """Where somebody listens."""
        return set(self._servers)

    def listen(self, address: str, route: Route, admits: Callable[[str], bool]) -> None:
        """Answer at `address`. OSError when the port is taken there."""
        self._wait(self._listen(address, route, admits))

    def silence(self, address: str) -> None:
        """Answer no more; what is open ends."""
        self._wait(self._silence(address))

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self, address: str, route: Route, admits: Callable[[str], bool]) -> None:
        self._open[address] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers = self._open.get(address, set())
            writers.add(writer)
            try:
                await self._carry(reader, writer, route, admits)
            finally:
                writers.discard(writer)
                writer.close()

        self._servers[address] = await asyncio.start_server(connected, address, self.port, limit=_CHUNK_BYTES)

    async def _silence(self, address: str) -> None:
        server = self._servers.pop(address, None)
        if server is not None:
            server.close()
        for writer in self._open.pop(address, set()):
            writer.transport.abort()

    @staticmethod
    async def _carry(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, route: Route, admits: Callable[[str], bool]
    ) -> None:
        peer = str(writer.get_extra_info("peername")[0])
        if not admits(peer):
            await _swallow(reader)
            return
        port = route(peer)
        if port is None:
            return
        try:
            machine_reader, machine_writer = await asyncio.open_connection("127.0.0.1", port, limit=_CHUNK_BYTES)
        except OSError:
            return
        try:
            _, pending = await asyncio.wait(
                [
                    asyncio.create_task(_pipe(reader, machine_writer)),
                    asyncio.create_task(_pipe(machine_reader, writer)),
                ],
                return_when=asyncio.ALL_COMPLETED,
            )
            assert not pending
        finally:
            machine_writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


async def _swallow(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(_CHUNK_BYTES):
            pass


def rule_admits(rule: Any, peer: str, port: int) -> bool:
    """Whether an ingress rule (of moto) lets `peer` reach `port` by TCP. Rules that name a group admit nobody here."""
    if rule.ip_protocol not in ("tcp", "6", "-1"):
        return False
    if rule.ip_protocol != "-1" and not rule.from_port <= port <= rule.to_port:
        return False
    ranges = (rule.cidr_ipv4, rule.cidr_ipv6)
    address = ipaddress.ip_address(peer)
    return any(it and address in ipaddress.ip_network(it) for it in ranges)
