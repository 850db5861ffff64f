"""The network between clients and a gateway: a TCP proxy that a test can cut, close, or answer through."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from manycast.local_stack.port import free_port

BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 24\r\nConnection: close\r\n\r\n"
    b"<h1>502 Bad Gateway</h1>"
)


class Network:
    """Each connection carries one request. `requests` are the targets of all requests so far, with their query.

    `cuts`: words of the answer. The connection of each client is cut once in the middle of each of them. Clients that
    share a network are told apart by the value of `client` in their URL.
    """

    def __init__(self, gateway_url: str) -> None:
        self.gateway_url = gateway_url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests: list[str] = []
        self.cuts: tuple[str, ...] = ()
        self.is_gateway_dead = False
        """Whether every request is answered with a 502, as by a proxy in front of a dead gateway."""
        self._has_cut: set[tuple[str, str]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Accepts connections, from now on or again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def close(self) -> None:
        """Refuses connections, and cuts all that there are."""
        assert self._server is not None
        self._server.close()
        self.cut_all()

    def cut_all(self) -> None:
        for writer in self._writers:
            _reset(writer)

    def count(self, client: str) -> int:
        """How many requests for a stream's events the client has made."""
        asked = [target for target in self.requests if target.partition("?")[0].endswith("/events")]
        return sum(_client_of(target) == client for target in asked)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ", 2)[1].decode()
            self.requests.append(target)
            if self.is_gateway_dead:
                writer.write(BAD_GATEWAY)
                writer.close()
            else:
                await self._forward(_with_close(head), _client_of(target), reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            self._writers.discard(writer)

    async def _forward(
        self, head: bytes, client: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        address = urlsplit(self.gateway_url)
        from_gateway, to_gateway = await asyncio.open_connection(address.hostname, address.port)
        to_gateway.write(head)
        sending = asyncio.create_task(_copy(reader, to_gateway))
        try:
            received = b""
            while piece := await from_gateway.read(1 << 16):
                passed = len(received)
                received += piece
                end = self._cut_at(client, received)
                writer.write(received[passed:end])
                if end is not None:
                    _reset(writer)
                    return
                await writer.drain()
            writer.close()
        finally:
            sending.cancel()
            to_gateway.transport.abort()

    def _cut_at(self, client: str, received: bytes) -> int | None:
        """How much of a response the client gets before its connection is cut. None: it is not cut."""
        for word in self.cuts:
            at = received.find(word.encode())
            if at >= 0 and (client, word) not in self._has_cut:
                self._has_cut.add((client, word))
                return at + len(word) // 2
        return None


@asynccontextmanager
async def network_to(gateway_url: str) -> AsyncIterator[Network]:
    network = Network(gateway_url)
    await network.open()
    try:
        yield network
    finally:
        network.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the client leaves; the gateway must notice that."""
    try:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
    finally:
        writer.transport.abort()


def _with_close(head: bytes) -> bytes:
    """A client must not put its next request on this connection."""
    head = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.IGNORECASE)
    return head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def _client_of(target: str) -> str:
    found = re.search(r"[?&]client=([^&]*)", target)
    return found[1] if found else ""


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with a reset, as a network does; a closed socket would send an orderly end."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
