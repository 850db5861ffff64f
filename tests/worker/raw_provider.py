"""A provider that sends exactly the bytes a test gives it: a real server on a free port."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


class RawProvider:
    """Each request gets the next answer; the last one is for all that follow. `bodies` are what was asked, `heads` the
    request lines and headers."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self.bodies: list[bytes] = []
        self.heads: list[str] = []
        self.base_url = ""
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        lengths = (int(one[15:]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:"))
        length = next(lengths, 0)
        self.bodies.append(await reader.readexactly(length))
        answer = self._answers[min(len(self.bodies), len(self._answers)) - 1]
        try:
            await answer(reader, writer)
        finally:
            writer.close()


def sends(*pieces: bytes) -> Answer:
    """A good head, these bytes, and a clean end."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in (HEAD, *pieces):
            writer.write(piece)
            await writer.drain()

    return answer


def refuses(status: str, body: bytes, *headers: bytes) -> Answer:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = [f"HTTP/1.1 {status}".encode(), b"content-length: %d" % len(body), *headers, b"connection: close"]
        writer.write(b"\r\n".join(head) + b"\r\n\r\n" + body)

    return answer


def hangs(*pieces: bytes) -> Answer:
    """These bytes, then nothing until the client leaves."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
        await reader.read()

    return answer


def drops(*pieces: bytes) -> Answer:
    """These bytes of a longer body, then the connection is cut."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD.replace(b"connection: close", b"content-length: 100000"))
        for piece in pieces:
            writer.write(piece)
        await writer.drain()

    return answer


def hangs_up(sent: bytes) -> Answer:
    """Exactly these bytes, head included, then the connection is closed."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()

    return answer


def never_ends(status: str, *headers: bytes, first: bytes, then: bytes) -> Answer:
    """A body that goes on until the client leaves."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"\r\n".join((f"HTTP/1.1 {status}".encode(), *headers, b"connection: close")) + b"\r\n\r\n" + first
        )
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(then)
                await writer.drain()

    return answer


@asynccontextmanager
async def raw_provider(*answers: Answer) -> AsyncIterator[RawProvider]:
    provider = RawProvider(list(answers))
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()
        await server.wait_closed()
