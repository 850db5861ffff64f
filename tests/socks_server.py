"""A SOCKS5 proxy (RFC 1928) without authentication: a real server on a free port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class SocksServer:
    """`asked`: host and port of each connection that it made."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, int]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        length = 4 if kind == 1 else (await reader.readexactly(1))[0]
        named = await reader.readexactly(length)
        host = ".".join(map(str, named)) if kind == 1 else named.decode()
        port = int.from_bytes(await reader.readexactly(2))
        self.asked.append((host, port))
        far_reader, far_writer = await asyncio.open_connection(host, port)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def socks_server() -> AsyncIterator[SocksServer]:
    proxy = SocksServer()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"socks5://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
